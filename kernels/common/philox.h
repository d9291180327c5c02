/* Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
 * The counter is logical (stream, step, element), never an address, so every device and thread count draws the same. */
#ifndef TCT_KERNELS_PHILOX_H
#define TCT_KERNELS_PHILOX_H

#include <stdint.h>

#include "kernels/common/bits.h"

typedef struct tct_philox {
  uint32_t v[4];
} tct_philox;

TCT_DEVICE_FN tct_philox tct_philox_4x32(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; round++) {
    const uint64_t p0 = (uint64_t)0xD2511F53u * c0;
    const uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)p1;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  tct_philox out = {{c0, c1, c2, c3}};
  return out;
}

/* The four words number `block` of (seed, stream, step): counter = (block, step low, stream), key = seed.
 * `step` counts below 2^32. */
TCT_DEVICE_FN tct_philox tct_philox_block(uint64_t seed, uint32_t stream, uint32_t step, uint64_t block) {
  return tct_philox_4x32((uint32_t)block, (uint32_t)(block >> 32), step, stream, (uint32_t)seed, (uint32_t)(seed >> 32));
}

/* [0, 1) with 24 bits, exact in f32. */
TCT_DEVICE_FN float tct_philox_unit(uint32_t word) { return (float)(word >> 8) * 0x1p-24f; }

#endif
