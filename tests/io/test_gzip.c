/* Inflation: the limit on what comes out, damage at every byte, members in a row, and memory that runs out. */
#include "io/gzip.h"

#include <zlib.h>

#include "base/status.h"
#include "data/data_helpers.h"
#include "faults.h"

enum { N = 200000 };
static unsigned char plain[N], packed[N];

/* One member with n plain bytes; its length. */
static size_t pack(size_t from, size_t n, unsigned char *to) {
  z_stream z = {0};
  deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  z.next_in = plain + from;
  z.avail_in = (uInt)n;
  z.next_out = to;
  z.avail_out = N;
  CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
  const size_t packed_bytes = z.total_out;
  deflateEnd(&z);
  return packed_bytes;
}

/* Reads `bytes` as a file; the plain length, or -1. */
static int64_t inflated(const void *bytes, size_t n, size_t most) {
  char path[512];
  void *data = NULL;
  size_t out = 0;
  temp_file(path, "z.gz", bytes, n);
  const tct_status status = tct_gzip_read(path, most, &data, &out);
  unlink(path);
  CHECK((status == TCT_OK) == (data != NULL), "%s", tct_error_message());
  const bool same = data == NULL || memcmp(data, plain, out < N ? out : N) == 0;
  CHECK(same && (data == NULL || ((char *)data)[out] == 0));
  tct_release(data);
  return status == TCT_OK ? (int64_t)out : -1;
}

static void fill(void) {
  for (size_t i = 0; i < N; i++) plain[i] = (unsigned char)((i >> 6) * 37 + i % 5);
}

TEST(gzip, what_is_read_has_a_limit) {
  fill();
  const size_t n = pack(0, N, packed);
  CHECK(inflated(packed, n, N) == N && inflated(packed, n, N + 1) == N && inflated(packed, n, 10 * N) == N);
  CHECK(inflated(packed, n, N - 1) == -1 && strstr(tct_error_message(), "inflates to more than 199999 bytes") != NULL, "%s",
        tct_error_message());
  CHECK(inflated(packed, n, n) == -1 && strstr(tct_error_message(), "inflates to more than") != NULL, "%s", tct_error_message());
  /* A length field that lies: the output grows as it comes. */
  for (int i = 1; i <= 4; i++) packed[n - (size_t)i] = 0;
  CHECK(inflated(packed, n, N) == -1 && strstr(tct_error_message(), "damaged gzip data") != NULL, "%s", tct_error_message());
}

/* Two members of which the second is large: the last length field is small, or the buffer's end is at a member's. */
TEST(gzip, members_in_a_row_are_one) {
  fill();
  static unsigned char two[2 * N];
  static const size_t firsts[] = {1, 64, 1000, N / 2};
  for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
    const size_t a = pack(0, firsts[i], two), b = pack(firsts[i], 1, two + a);
    CHECK(inflated(two, a + b, N) == (int64_t)firsts[i] + 1, "member of %zu: %s", firsts[i], tct_error_message());
    const size_t c = pack(0, 1, two), d = pack(1, firsts[i], two + c);
    CHECK(inflated(two, c + d, N) == (int64_t)firsts[i] + 1, "1 and %zu: %s", firsts[i], tct_error_message());
  }
  const size_t a = pack(0, N, two), b = pack(N, 0, two + a);
  CHECK(inflated(two, a + b, N) == N);
}

TEST(gzip, damage_and_rubbish) {
  fill();
  static unsigned char file[N + 16];
  const size_t n = pack(0, 600, packed);
  static const struct {
    const char *tail;
    size_t bytes;
  } tails[] = {{"x", 1}, {"\x1f", 1}, {"\x1fx", 2}, {"x\x8b", 2}};
  for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
    memcpy(file, packed, n);
    memcpy(file + n, tails[i].tail, tails[i].bytes);
    CHECK(inflated(file, n + tails[i].bytes, N) == -1 && strstr(tct_error_message(), "follow the end of the gzip data") != NULL, "%s",
          tct_error_message());
  }
  for (size_t cut = 2; cut < n; cut++) {
    CHECK(inflated(packed, cut, N) == -1 && strstr(tct_error_message(), "cut short") != NULL, "%zu of %zu bytes: %s", cut, n,
          tct_error_message());
  }
  for (size_t at = 2; at < n; at++) {
    memcpy(file, packed, n);
    file[at] ^= 0x55;
    const int64_t got = inflated(file, n, N); /* bytes of the header say nothing of the data */
    CHECK(got == -1 || got == 600, "byte %zu", at);
  }
  static const unsigned char method[] = {0x1f, 0x8b, 7, 0, 0, 0, 0, 0, 0, 3}, dictionary[] = {0x1f, 0x8b, 8, 0xe0};
  CHECK(inflated(method, sizeof method, N) == -1 && strstr(tct_error_message(), "unknown compression method") != NULL, "%s",
        tct_error_message());
  CHECK(inflated(dictionary, sizeof dictionary, N) == -1);
  /* What is no gzip file is read as it is. */
  plain[0] = 0x1f;
  CHECK(inflated("\x1f", 1, N) == 1);
  plain[1] = 'x';
  CHECK(inflated("\x1fx", 2, N) == 2);
}

TEST(gzip, every_allocation_fails_in_turn) {
  fill();
  char path[512];
  static unsigned char two[2 * N]; /* the last length field is small: the output grows, and zlib needs its window */
  const size_t a = pack(0, N - 1, two), b = pack(N - 1, 1, two + a);
  temp_file(path, "z.gz", two, a + b);
  bool struck = true;
  for (int64_t nth = 1; struck; nth++) {
    const int64_t live = tct_alloc_live();
    void *data = NULL;
    size_t bytes = 0;
    (void)fault_alloc(nth);
    const tct_status status = tct_gzip_read(path, N, &data, &bytes);
    struck = fault_alloc(0);
    CHECK(status == (struck ? TCT_OUT_OF_MEMORY : TCT_OK) && (data != NULL) == !struck, "allocation %d: %s", (int)nth,
          tct_error_message());
    tct_release(data);
    CHECK(tct_alloc_live() == live && nth < 100);
  }
  unlink(path);
}
