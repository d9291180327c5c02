/* For tests of the CUDA kernels: launches in the emulator, under several orders of blocks and threads which must agree to the
 * bit, and repeatable noise. */
#ifndef TCT_TESTS_CUDA_FIXTURE_H
#define TCT_TESTS_CUDA_FIXTURE_H

#include "test.h"
#include "kernels/cuda/kernels.h"
#include "support/simt/simt.h"

#ifdef TCT_NO_SIMT
#define NEEDS_SIMT() SKIP(TCT_NO_SIMT)
static inline const char *simt(const char *name, unsigned blocks, unsigned threads, unsigned shared_bytes, const void *args) {
  (void)name, (void)blocks, (void)threads, (void)shared_bytes, (void)args;
  return TCT_NO_SIMT;
}
#define tct_simt_order(seed) (void)(seed)
#else
#define NEEDS_SIMT() (void)0
static inline const char *simt(const char *name, unsigned blocks, unsigned threads, unsigned shared_bytes, const void *args) {
  return tct_simt_launch(name, (const unsigned[]){blocks, 1, 1}, (const unsigned[]){threads, 1, 1}, shared_bytes, args);
}
#endif

/* The launch succeeds. */
#define RUNS(name, blocks, threads, shared_bytes, args)                                                                \
  do {                                                                                                                 \
    const char *const runs_problem_ = simt((name), (unsigned)(blocks), (threads), (unsigned)(shared_bytes), (args));   \
    CHECK(runs_problem_ == NULL, "%s", runs_problem_);                                                                 \
  } while (0)

/* The same numbers for the same seed, even on (-1, 1). */
static inline float noise_at(uint64_t seed, int64_t i) {
  uint64_t state = (seed + 1) * 0x9E3779B97F4A7C15u + (uint64_t)i * 0xBF58476D1CE4E5B9u;
  state ^= state >> 31;
  state *= 0x94D049BB133111EBu;
  return (float)((double)((state ^ state >> 29) >> 11) * 0x1p-52 - 1.0);
}

#endif
