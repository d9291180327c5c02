/* TensorBoard's event files: records of a length and a body, each with a checksum, and in the body a protocol buffer
 * (tensorflow/core/util/event.proto, tsl/lib/io/record_writer.cc). Only what scalars need. */
#ifndef TCT_IO_EVENTS_H
#define TCT_IO_EVENTS_H

#include "base/file.h"

/* The first record of a file: the version of its format. `seconds`: since 1970. */
tct_status tct_events_begin(tct_file_out *file, double seconds) TCT_CHECKED;
/* A scalar; tag at most 200 bytes. */
tct_status tct_events_scalar(tct_file_out *file, double seconds, int64_t step, const char *tag, double value) TCT_CHECKED;

/* CRC-32C (Castagnoli, reflected polynomial 0x82f63b78). */
uint32_t tct_crc32c(const void *data, size_t bytes);

#endif
