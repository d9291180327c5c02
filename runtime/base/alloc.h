/* The allocator seam: every allocation of the library goes through these four, so that a test can fail the n-th. */
#ifndef TCT_BASE_ALLOC_H
#define TCT_BASE_ALLOC_H

#include <tercet/types.h>

/* All return NULL after recording TCT_OUT_OF_MEMORY with the size asked for. Zero bytes give a unique pointer. */
void *tct_alloc(size_t bytes) TCT_CHECKED;
void *tct_alloc_zero(size_t count, size_t bytes) TCT_CHECKED; /* count × bytes, checked, zeroed */
void *tct_alloc_aligned(size_t bytes, size_t align) TCT_CHECKED;
/* Grows or shrinks; `old_bytes` is what is copied at most. On failure the old block stays. NULL old: tct_alloc. */
void *tct_realloc(void *memory, size_t old_bytes, size_t bytes) TCT_CHECKED;
void tct_release(void *memory); /* NULL is fine */
char *tct_strdup(const char *text) TCT_CHECKED;

/* Blocks acquired and not yet released in this process (leak tests); calls to acquire so far. */
int64_t tct_alloc_live(void);
int64_t tct_alloc_count(void);

#endif
