/* The loops behind the machine's peaks. Each runs on every thread at once; the slowest thread counts. */
#include "perf/support/machine.h"
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { TRIES = 12, MOST_THREADS = 64, CHAINS = 12, FMA_ROUNDS = 400000 };

double perf_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- fused multiply-adds: twelve chains hide the latency of four cycles on two units ---- */

typedef struct work {
  int lanes;
  float *a, *b, *c; /* triad: this thread's part */
  int64_t n;
  float sink;
} work;

#if defined(__x86_64__)
#define FMA_LOOP(name, isa, vector, splat, fma, first)                                             \
  __attribute__((target(isa))) static void name(work *w) {                                         \
    vector acc[CHAINS];                                                                            \
    const vector x = splat(0.999f), y = splat(0.001f);                                             \
    for (int i = 0; i < CHAINS; i++) acc[i] = splat((float)i);                                     \
    for (int64_t r = 0; r < FMA_ROUNDS; r++)                                                       \
      for (int i = 0; i < CHAINS; i++) acc[i] = fma(acc[i], x, y);                                 \
    for (int i = 1; i < CHAINS; i++) acc[0] = fma(acc[i], x, acc[0]);                              \
    w->sink = first(acc[0]);                                                                       \
  }
FMA_LOOP(fma_16, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_cvtss_f32)
FMA_LOOP(fma_8, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_cvtss_f32)
#undef FMA_LOOP
#endif

typedef float four __attribute__((vector_size(16)));
static void fma_4(work *w) {
  four acc[CHAINS];
  const four x = {0.999f, 0.999f, 0.999f, 0.999f}, y = {0.001f, 0.001f, 0.001f, 0.001f};
  for (int i = 0; i < CHAINS; i++) acc[i] = y;
  for (int64_t r = 0; r < FMA_ROUNDS; r++)
    for (int i = 0; i < CHAINS; i++) acc[i] = acc[i] * x + y;
  for (int i = 1; i < CHAINS; i++) acc[0] += acc[i];
  w->sink = acc[0][0];
}

static int widest(void) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return 16;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 8;
#endif
  return 4;
}

static void *run_fma(void *user) {
  work *w = user;
#if defined(__x86_64__)
  if (w->lanes == 16) fma_16(w);
  if (w->lanes == 8) fma_8(w);
#endif
  if (w->lanes == 4) fma_4(w);
  return NULL;
}

static void *run_triad(void *user) {
  const work *w = user;
  float *restrict a = w->a;
  const float *restrict b = w->b, *restrict c = w->c;
  for (int64_t i = 0; i < w->n; i++) a[i] = b[i] + 3.0f * c[i];
  return NULL;
}

/* Seconds of the fastest try; 0 when threads could not be had. */
static double best_time(void *(*run)(void *), work *parts, int32_t n_threads) {
  double best = 0;
  for (int i = 0; i < TRIES; i++) {
    pthread_t thread[MOST_THREADS];
    int32_t started = 1;
    const double begin = perf_now();
    for (; started < n_threads; started++)
      if (pthread_create(&thread[started], NULL, run, &parts[started]) != 0) break;
    run(&parts[0]);
    for (int32_t t = 1; t < started; t++) pthread_join(thread[t], NULL);
    if (started < n_threads) return 0;
    const double seconds = perf_now() - begin;
    if (best == 0 || seconds < best) best = seconds;
  }
  return best;
}

static int32_t clamped(int32_t n_threads) {
  return n_threads < 1 ? 1 : n_threads > MOST_THREADS ? MOST_THREADS : n_threads;
}

double perf_fma_flops(int32_t n_threads) {
  work parts[MOST_THREADS];
  n_threads = clamped(n_threads);
  for (int32_t t = 0; t < n_threads; t++) parts[t] = (work){.lanes = widest()};
  const double seconds = best_time(run_fma, parts, n_threads);
  return seconds > 0 ? 2.0 * CHAINS * parts[0].lanes * FMA_ROUNDS * n_threads / seconds : 0;
}

double perf_triad_bytes(int32_t n_threads, int64_t total) {
  work parts[MOST_THREADS];
  n_threads = clamped(n_threads);
  const int64_t n = total / 3 / (int64_t)sizeof(float), each = n / n_threads;
  float *memory = malloc(3 * (size_t)n * sizeof *memory);
  if (memory == NULL || each == 0) {
    free(memory);
    return 0;
  }
  for (int64_t i = 0; i < 3 * n; i++) memory[i] = 1.0f;
  for (int32_t t = 0; t < n_threads; t++) {
    float *a = memory + t * each;
    parts[t] = (work){.a = a, .b = a + n, .c = a + 2 * n, .n = each};
  }
  const double seconds = best_time(run_triad, parts, n_threads);
  free(memory);
  return seconds > 0 ? 3.0 * sizeof(float) * (double)each * n_threads / seconds : 0;
}
