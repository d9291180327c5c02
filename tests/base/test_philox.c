/* Philox4x32-10 against the known answers of Random123 (kat_vectors), and what the library derives from it. */
#include "base/status.h"
#include "kernels/common/philox.h"
#include "test.h"

TEST(philox, known_answers) {
  static const struct {
    uint32_t counter[4], key[2], wanted[4];
  } rows[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    const uint32_t *const c = rows[i].counter;
    const tct_philox got = tct_philox_4x32(c[0], c[1], c[2], c[3], rows[i].key[0], rows[i].key[1]);
    for (int j = 0; j < 4; j++)
      CHECK(got.v[j] == rows[i].wanted[j], "row %zu, word %d: %08x, wanted %08x", i, j, got.v[j], rows[i].wanted[j]);
  }
}

TEST(philox, block_places_its_arguments) {
  const tct_philox got = tct_philox_block(0x299f31d0a4093822u, 0x03707344, 0x13198a2e, 0x85a308d3243f6a88u);
  CHECK(got.v[0] == 0xd16cfe09 && got.v[3] == 0x24126ea1, "%08x", got.v[0]);
}

TEST(philox, unit_interval) {
  CHECK(tct_philox_unit(0) == 0.0f);
  CHECK(tct_philox_unit(UINT32_MAX) < 1.0f && tct_philox_unit(UINT32_MAX) == 1.0f - 0x1p-24f);
  double sum = 0;
  const int n = 40000;
  for (int i = 0; i < n; i++) sum += (double)tct_philox_unit(tct_philox_block(1, 2, 3, (uint64_t)i).v[i % 4]);
  /* Standard deviation of the mean: sqrt(1/12/n) = 0.00144. */
  CHECK(fabs(sum / n - 0.5) < 5 * 0.00144, "mean %g", sum / n);
}
