/* Inflation of whole files. The output grows as it comes, so a lying length field costs nothing. */
#include "io/gzip.h"

#include <zlib.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/status.h"

/* Deflate cannot expand more than this (RFC 1951: 258 bytes from 2 bits). */
#define MOST_RATIO 1032
/* zlib counts in unsigned int: longer buffers are handed over in pieces. */
#define PIECE       ((size_t)1 << 30)
#define GZIP_WINDOW (15 + 16)

typedef struct inflation {
  const char *path;
  const unsigned char *from;
  size_t from_bytes, fed;
  unsigned char *to; /* owned until success */
  size_t capacity, used, most;
  z_stream z;
} inflation;

static void *acquire(void *user, uInt items, uInt size) {
  (void)user;
  return tct_alloc_zero(items, size);
}

static void release(void *user, void *memory) {
  (void)user;
  tct_release(memory);
}

/* The member's own length field (mod 2^32), as far as deflate could reach it; one more so that the end can be seen. */
static size_t first_capacity(const inflation *s) {
  const unsigned char *const b = s->from + s->from_bytes - 4;
  const size_t claimed =
      s->from_bytes < 18 ? 0 : (size_t)b[0] | (size_t)b[1] << 8 | (size_t)b[2] << 16 | (size_t)b[3] << 24;
  const size_t possible = s->from_bytes > s->most / MOST_RATIO ? s->most : s->from_bytes * MOST_RATIO;
  return (claimed < possible ? claimed : possible) + 1;
}

static tct_status grow(inflation *s) {
  if (s->capacity > s->most)
    return tct_fail(TCT_E_GZIP, "%s: inflates to more than %zu bytes, the most that is read; split it", s->path,
                    s->most);
  const size_t doubled = s->capacity > s->most / 2 ? s->most + 1 : s->capacity * 2 + 4096;
  const size_t next = doubled > s->most + 1 ? s->most + 1 : doubled;
  unsigned char *const grown = tct_realloc(s->to, s->used, next + 1);
  if (!grown) return TCT_OUT_OF_MEMORY;
  s->to = grown;
  s->capacity = next;
  return TCT_OK;
}

/* After a member's end: another one, the end of the file, or rubbish. */
static tct_status end_member(inflation *s, bool *out_done) {
  const size_t left = s->from_bytes - s->fed + s->z.avail_in;
  *out_done = left == 0;
  if (*out_done) return TCT_OK;
  const unsigned char *const next = s->z.next_in;
  if (left < 2 || next[0] != 0x1f || next[1] != 0x8b || inflateReset(&s->z) != Z_OK)
    return tct_fail(TCT_E_GZIP, "%s: %zu bytes follow the end of the gzip data; download it again", s->path, left);
  return TCT_OK;
}

static tct_status inflate_all(inflation *s) {
  for (;;) {
    if (s->z.avail_in == 0) {
      const size_t left = s->from_bytes - s->fed, n = left < PIECE ? left : PIECE;
      s->z.next_in = (z_const Bytef *)(s->from + s->fed);
      s->z.avail_in = (uInt)n;
      s->fed += n;
    }
    if (s->used == s->capacity) TCT_TRY(grow(s));
    const size_t room = s->capacity - s->used < PIECE ? s->capacity - s->used : PIECE;
    s->z.next_out = s->to + s->used;
    s->z.avail_out = (uInt)room;
    const int result = inflate(&s->z, Z_NO_FLUSH);
    s->used += room - s->z.avail_out;
    if (result == Z_STREAM_END) {
      bool done = false;
      TCT_TRY(end_member(s, &done));
      if (done) break;
    } else if (result == Z_MEM_ERROR) {
      return TCT_OUT_OF_MEMORY;
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      return tct_fail(TCT_E_GZIP, "%s: damaged gzip data near byte %zu (%s); download it again", s->path,
                      s->fed - s->z.avail_in, s->z.msg ? s->z.msg : "unknown reason");
    } else if (s->z.avail_in == 0 && s->fed == s->from_bytes && s->z.avail_out > 0) {
      return tct_fail(TCT_E_GZIP, "%s: the gzip data is cut short after %zu bytes; download it again", s->path,
                      s->from_bytes);
    }
  }
  if (s->used > s->most)
    return tct_fail(TCT_E_GZIP, "%s: inflates to more than %zu bytes, the most that is read; split it", s->path,
                    s->most);
  s->to[s->used] = 0;
  return TCT_OK;
}

tct_status tct_gzip_read(const char *path, size_t most_bytes, void **out_data, size_t *out_bytes) {
  TCT_TRY(tct_file_read(path, most_bytes, out_data, out_bytes));
  const unsigned char *const file = *out_data;
  if (*out_bytes < 2 || file[0] != 0x1f || file[1] != 0x8b) return TCT_OK;

  inflation s = {.path = path, .from = file, .from_bytes = *out_bytes, .most = most_bytes};
  s.z.zalloc = acquire;
  s.z.zfree = release;
  *out_data = NULL;
  *out_bytes = 0;
  tct_status status = TCT_OUT_OF_MEMORY;
  s.capacity = first_capacity(&s);
  s.to = tct_alloc(s.capacity + 1);
  if (s.to && inflateInit2(&s.z, GZIP_WINDOW) == Z_OK) {
    status = inflate_all(&s);
    (void)inflateEnd(&s.z);
  }
  tct_release((void *)file);
  if (status != TCT_OK) {
    tct_release(s.to);
    return status;
  }
  *out_data = s.to;
  *out_bytes = s.used;
  return TCT_OK;
}
