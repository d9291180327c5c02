/* Dropout: Philox counters side by side, one block of four draws to a 64-bit lane. A lane holds a 32-bit word with
 * anything above it, as the widening multiplication reads only the low half: a round is two products, two shifts and
 * four xors. */
#include "kernels/common/philox.h"
#include "kernels/cpu/kernels.h"

#if defined(__AVX512F__)
enum { LANES = 8 };
typedef uint64_t words __attribute__((vector_size(64)));
#define COUNT              ((words){0, 1, 2, 3, 4, 5, 6, 7})
#define MULTIPLY(a, m)     ((words)_mm512_mul_epu32((__m512i)(a), _mm512_set1_epi64((long long)(m))))
#define FIRST_HALVES(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define LAST_HALVES(a, b)  __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#elif defined(__AVX2__)
enum { LANES = 4 };
typedef uint64_t words __attribute__((vector_size(32)));
#define COUNT              ((words){0, 1, 2, 3})
#define MULTIPLY(a, m)     ((words)_mm256_mul_epu32((__m256i)(a), _mm256_set1_epi64x((long long)(m))))
#define FIRST_HALVES(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define LAST_HALVES(a, b)  __builtin_shufflevector(a, b, 2, 6, 3, 7)
#else
#if defined(__SSE2__)
#include <immintrin.h>
#define MULTIPLY(a, m) ((words)_mm_mul_epu32((__m128i)(a), _mm_set1_epi64x((long long)(m))))
#else
#define MULTIPLY(a, m) (((a)&0xffffffffu) * (uint64_t)(m))
#endif
enum { LANES = 2 };
typedef uint64_t words __attribute__((vector_size(16)));
#define COUNT              ((words){0, 1})
#define FIRST_HALVES(a, b) __builtin_shufflevector(a, b, 0, 2)
#define LAST_HALVES(a, b)  __builtin_shufflevector(a, b, 1, 3)
#endif
/* Sets of LANES blocks drawn together, as many as the registers hold: while one waits for its products, others go on.
 */
#if defined(__AVX512F__)
enum { SETS = 4 };
#else
enum { SETS = 2 };
#endif
enum { BLOCKS = SETS * LANES };

/* The draws of BLOCKS consecutive blocks: two 64-bit words, four 32-bit ones, a block. */
TCT_INLINE void draw(uint64_t block, uint64_t seed, uint32_t stream, uint32_t step, words *out) {
  words c0[SETS], c1[SETS], c2[SETS], c3[SETS];
  const words zero = {0};
  TCT_UNROLLED (s, SETS) {
    c0[s] = COUNT + (block + (uint64_t)(s * LANES));
    c1[s] = c0[s] >> 32;
    c2[s] = zero + step;
    c3[s] = zero + stream;
  }
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  for (int round = 0; round < 10; round++) {
    TCT_UNROLLED (s, SETS) {
      const words p0 = MULTIPLY(c0[s], 0xD2511F53u), p1 = MULTIPLY(c2[s], 0xCD9E8D57u);
      c0[s] = (p1 >> 32) ^ c1[s] ^ (uint64_t)k0;
      c1[s] = p1;
      c2[s] = (p0 >> 32) ^ c3[s] ^ (uint64_t)k1;
      c3[s] = p0;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  TCT_UNROLLED (s, SETS) {
    const words first = (c0[s] & 0xffffffffu) | (c1[s] << 32), second = (c2[s] & 0xffffffffu) | (c3[s] << 32);
    out[2 * s] = FIRST_HALVES(first, second);
    out[2 * s + 1] = LAST_HALVES(first, second);
  }
}

void TCT_CPU(dropout)(const float *x, float *y, uint64_t first, int64_t n, uint32_t threshold, float factor,
                      uint64_t seed, uint32_t stream, uint32_t step) {
  union {
    words pairs[2 * SETS];
    uint32_t words[4 * BLOCKS];
  } drawn;
  for (int64_t i = 0; i < n; i += 4 * BLOCKS) {
    const int64_t count = n - i < 4 * BLOCKS ? n - i : 4 * BLOCKS;
    draw((first + (uint64_t)i) / 4, seed, stream, step, drawn.pairs);
    TCT_EACH (j, count) {
      const float kept = x[i + j] * factor;
      y[i + j] = (drawn.words[j] >> 8) >= threshold ? kept : 0.0f;
    }
  }
}
