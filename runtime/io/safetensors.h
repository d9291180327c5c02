/* safetensors: 8-byte little-endian header length, JSON header, data. The reader treats the file as hostile: the header
 * is capped at 100 MB, dtypes and shapes are checked against offsets, gaps, overlaps and duplicate names are refused.
 */
#ifndef TCT_IO_SAFETENSORS_H
#define TCT_IO_SAFETENSORS_H

#include <tercet/types.h>
#include "io/checksum.h"

typedef struct tct_named_array {
  const char *name;
  tct_desc desc;
  const void *data;
} tct_named_array;

typedef struct tct_named_text {
  const char *key, *value;
} tct_named_text;

/* Writes atomically, tensors in the given order, data 8-byte aligned; `metadata` becomes "__metadata__". */
tct_status tct_safetensors_write(const char *path, const tct_named_array *arrays, size_t n_arrays,
                                 const tct_named_text *metadata, size_t n_metadata) TCT_CHECKED;
/* The same, with what the file should be when it is read again. */
tct_status tct_safetensors_write_summed(const char *path, const tct_named_array *arrays, size_t n_arrays,
                                        const tct_named_text *metadata, size_t n_metadata, tct_checksum *out)
    TCT_CHECKED;

typedef struct tct_safetensors tct_safetensors;
tct_status tct_safetensors_read(const char *path, tct_safetensors **out) TCT_CHECKED;
void tct_safetensors_free(tct_safetensors *file);
tct_checksum tct_safetensors_checksum(const tct_safetensors *file); /* of the whole file, as it was read */
size_t tct_safetensors_count(const tct_safetensors *file);
const tct_named_array *tct_safetensors_at(const tct_safetensors *file, size_t i);
const tct_named_array *tct_safetensors_find(const tct_safetensors *file, const char *name); /* NULL: not there */
const char *tct_safetensors_metadata(const tct_safetensors *file, const char *key);         /* NULL: not there */

#endif
