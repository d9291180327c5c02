/* Event files, encoded by hand: five fields of three messages.
 *
 *   record   length u64 · masked crc of the length u32 · body · masked crc of the body u32, little-endian
 *   Event    1 wall_time double · 2 step int64 · 3 file_version string · 5 summary message
 *   Summary  1 value message, repeated;  Value  1 tag string · 2 simple_value float */
#include "io/events.h"

#include <string.h>
#include "base/status.h"

enum { MOST_TAG_BYTES = 200, BODY_BYTES = 256 };

uint32_t tct_crc32c(const void *data, size_t bytes) {
  const unsigned char *at = data;
  uint32_t crc = 0xffffffffu;
  for (size_t i = 0; i < bytes; i++) {
    crc ^= at[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1u ? 0x82f63b78u : 0);
  }
  return ~crc;
}

/* A checksum of data that holds checksums is weak, so the format rotates it and adds a constant. */
static uint32_t masked(const void *data, size_t bytes) {
  const uint32_t crc = tct_crc32c(data, bytes);
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

typedef struct body {
  unsigned char bytes[BODY_BYTES];
  size_t n;
} body;

static void put_little(body *b, uint64_t value, int n_bytes) {
  for (int i = 0; i < n_bytes; i++) b->bytes[b->n++] = (unsigned char)(value >> 8 * i);
}

static void put_varint(body *b, uint64_t value) {
  for (; value >= 0x80; value >>= 7) b->bytes[b->n++] = (unsigned char)(value | 0x80);
  b->bytes[b->n++] = (unsigned char)value;
}

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };
static void put_key(body *b, unsigned field, unsigned wire) { put_varint(b, field << 3 | wire); }

static void put_bytes(body *b, unsigned field, const void *data, size_t n) {
  put_key(b, field, WIRE_BYTES);
  put_varint(b, n);
  memcpy(b->bytes + b->n, data, n);
  b->n += n;
}

static void put_wall_time(body *b, double seconds) {
  uint64_t bits = 0;
  memcpy(&bits, &seconds, sizeof bits);
  put_key(b, 1, WIRE_64);
  put_little(b, bits, 8);
}

static tct_status write_record(tct_file_out *file, const body *event) {
  body head = {.n = 0}, tail = {.n = 0};
  put_little(&head, event->n, 8);
  put_little(&head, masked(head.bytes, 8), 4);
  put_little(&tail, masked(event->bytes, event->n), 4);
  TCT_TRY(tct_file_append(file, head.bytes, head.n));
  TCT_TRY(tct_file_append(file, event->bytes, event->n));
  return tct_file_append(file, tail.bytes, tail.n);
}

tct_status tct_events_begin(tct_file_out *file, double seconds) {
  static const char version[] = "brain.Event:2";
  body event = {.n = 0};
  put_wall_time(&event, seconds);
  put_bytes(&event, 3, version, sizeof version - 1);
  return write_record(file, &event);
}

tct_status tct_events_scalar(tct_file_out *file, double seconds, int64_t step, const char *tag, double value) {
  static_assert(MOST_TAG_BYTES + 40 < BODY_BYTES, "an event has room for its longest tag");
  const size_t length = strlen(tag);
  if (length > MOST_TAG_BYTES) return tct_fail(TCT_INVALID, "the tag '%.40s…' is longer than %d bytes", tag, MOST_TAG_BYTES);
  const float narrow = (float)value;
  uint32_t bits = 0;
  memcpy(&bits, &narrow, sizeof bits);
  body one = {.n = 0}, summary = {.n = 0}, event = {.n = 0};
  put_bytes(&one, 1, tag, length);
  put_key(&one, 2, WIRE_32);
  put_little(&one, bits, 4);
  put_bytes(&summary, 1, one.bytes, one.n);
  put_wall_time(&event, seconds);
  put_key(&event, 2, WIRE_VARINT);
  put_varint(&event, (uint64_t)step);
  put_bytes(&event, 5, summary.bytes, summary.n);
  return write_record(file, &event);
}
