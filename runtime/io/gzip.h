/* Whole files that may be gzip-compressed, told apart by their first two bytes, never by their name. */
#ifndef TCT_IO_GZIP_H
#define TCT_IO_GZIP_H

#include <tercet/types.h>

/* As tct_file_read: *out_data is owned by the caller (tct_release) and a zero byte follows it. Content that is, or
 * inflates to, more than `most_bytes` is refused. Concatenated gzip members are read as one. */
tct_status tct_gzip_read(const char *path, size_t most_bytes, void **out_data, size_t *out_bytes) TCT_CHECKED;

#endif
