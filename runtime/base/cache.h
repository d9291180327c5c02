/* The user's cache on disk: what costs time to make and can be made again at any moment, such as compiled device code or measured
 * choices. Nothing that happens to it is an error: an entry that is missing, cut, damaged or of another key is made anew. */
#ifndef TCT_BASE_CACHE_H
#define TCT_BASE_CACHE_H

#include <tercet/types.h>

/* Entries lie in TERCET_CACHE ("0": there is no cache), else in tercet/ of XDG_CACHE_HOME, else in .cache/tercet of HOME. `kind` is a
 * short word that file names begin with ("code"); the key is compared whole, so it says all that the data depends on. Neither
 * function leaves an error. */

/* The data that was written last under the key, in memory of tct_alloc (tct_release) with a zero byte behind; false: none. */
bool tct_cache_read(const char *kind, const void *key, size_t key_bytes, void **out_data, size_t *out_bytes);
/* Whole or not at all, also when several processes write it. */
void tct_cache_write(const char *kind, const void *key, size_t key_bytes, const void *data, size_t bytes);

#endif
