/* CRC-32 through zlib, which every reader of .gz files has already loaded. */
#include "io/checksum.h"

#include <zlib.h>

void tct_checksum_add(tct_checksum *sum, const void *data, size_t bytes) {
  if (bytes == 0) return; /* zlib takes a NULL pointer for a request of the first value */
  sum->crc32 = (uint32_t)crc32_z(sum->crc32, data, bytes);
  sum->bytes += bytes;
}

bool tct_checksum_equal(const tct_checksum *a, const tct_checksum *b) {
  return a->bytes == b->bytes && a->crc32 == b->crc32;
}
