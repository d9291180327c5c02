/* Length and CRC-32 of a file, added up piece by piece: what tells a damaged file from a whole one. */
#ifndef TCT_IO_CHECKSUM_H
#define TCT_IO_CHECKSUM_H

#include <tercet/types.h>

/* {0} is that of an empty file. */
typedef struct tct_checksum {
  uint64_t bytes;
  uint32_t crc32; /* zlib's */
} tct_checksum;

void tct_checksum_add(tct_checksum *sum, const void *data, size_t bytes);
bool tct_checksum_equal(const tct_checksum *a, const tct_checksum *b);

#endif
