/* Dropout: Philox counters side by side, one block of four draws a lane, so that the ten rounds run in vector registers. */
#include "kernels/common/philox.h"
#include "kernels/cpu/kernels.h"

enum { BLOCKS = 64 };

/* The draws of BLOCKS consecutive blocks, block by block. */
static void draw(uint64_t block, uint64_t seed, uint32_t stream, uint32_t step, uint32_t *words) {
  uint32_t v0[BLOCKS], v1[BLOCKS], v2[BLOCKS], v3[BLOCKS];
  for (int i = 0; i < BLOCKS; i++) {
    const tct_philox out = tct_philox_block(seed, stream, step, block + (uint64_t)i);
    v0[i] = out.v[0];
    v1[i] = out.v[1];
    v2[i] = out.v[2];
    v3[i] = out.v[3];
  }
  for (int i = 0; i < BLOCKS; i++) {
    words[4 * i] = v0[i];
    words[4 * i + 1] = v1[i];
    words[4 * i + 2] = v2[i];
    words[4 * i + 3] = v3[i];
  }
}

void TCT_CPU(dropout)(const float *x, float *y, uint64_t first, int64_t n, uint32_t threshold, float factor,
                      uint64_t seed, uint32_t stream, uint32_t step) {
  uint32_t words[4 * BLOCKS];
  for (int64_t i = 0; i < n; i += 4 * BLOCKS) {
    const int64_t count = n - i < 4 * BLOCKS ? n - i : 4 * BLOCKS;
    draw((first + (uint64_t)i) / 4, seed, stream, step, words);
    TCT_INDEPENDENT for (int64_t j = 0; j < count; j++) {
      const float kept = x[i + j] * factor;
      y[i + j] = (words[j] >> 8) >= threshold ? kept : 0.0f;
    }
  }
}
