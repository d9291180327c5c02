/* Medians and their intervals: against counting by hand, and by how often they hold what they should. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "draws.h"
#include "perf/compare/statistics.h"
#include "test.h"

static double unit(uint64_t *state) { return (double)(next(state) >> 11) * 0x1p-53; }

TEST(statistics, order_statistics) {
  /* n, the k of [x(k), x(n+1-k)] from tables of the sign test at 5 %, two-sided (0: none) */
  static const int rows[][2] = {{1, 0}, {5, 0}, {6, 1}, {7, 1}, {8, 1}, {9, 2}, {10, 2}, {12, 3}, {15, 4}, {20, 6}, {25, 8}, {100, 40}};
  for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
    double values[100];
    const int n = rows[r][0], k = rows[r][1];
    for (int i = 0; i < n; i++) values[i] = n - i; /* n … 1 */
    const perf_estimate e = perf_estimate_of(values, n);
    CHECK(e.n == n && e.interval == (k > 0), "n %d: interval %d", n, e.interval);
    CHECK(e.low == (k > 0 ? k : 1) && e.high == (k > 0 ? n + 1 - k : n), "n %d: %g to %g", n, e.low, e.high);
    CHECK(fabs(e.median - (n + 1) / 2.0) < 1e-12, "n %d: median %g", n, e.median);
  }
}

TEST(statistics, nothing) {
  double none[1];
  const perf_estimate e = perf_estimate_of(none, 0);
  CHECK(isnan(e.median) && isnan(e.low) && isnan(e.high) && e.n == 0 && !e.interval);
  CHECK(isnan(perf_variation(none, 0)) && isnan(perf_quantile(none, 0, 0.5)));
  const double a[] = {1, 0, 2, -1}, b[] = {2, 1, 0, 1};
  const perf_estimate ratio = perf_ratio_of(a, b, 4);
  CHECK(ratio.n == 1 && ratio.median == 0.5);
}

/* Of many samples of a lopsided distribution the interval holds the true median as often as it says. */
TEST(statistics, coverage) {
  enum { TRIALS = 4000 };
  static const int sizes[] = {6, 7, 9, 15, 31};
  uint64_t state = 7;
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
    int held = 0;
    for (int t = 0; t < TRIALS; t++) {
      double values[31];
      for (int i = 0; i < sizes[s]; i++) values[i] = -log(1 - unit(&state)); /* exponential: median log 2 */
      const perf_estimate e = perf_estimate_of(values, sizes[s]);
      held += e.low <= log(2.0) && log(2.0) <= e.high;
    }
    CHECK(held > 0.94 * TRIALS && held < TRIALS, "n %d: %d of %d", sizes[s], held, TRIALS);
  }
}

/* A device compared with itself, on timings that were recorded on a shared machine (perf/results/same-device.json): neighbouring
 * runs, every second pair turned round as a comparison's rounds are. The ratio's interval must hold 1. */
TEST(statistics, a_device_against_itself) {
  enum { MOST = 2000, TRIALS = 200, RUNS = 7, LEAST = 182 };
  static double seconds[MOST];
  int n = 0, held = 0;
  FILE *const file = fopen(TCT_SOURCE_DIR "/perf/results/same-device.txt", "r");
  CHECK(file != NULL);
  char line[256];
  while (n < MOST && fgets(line, sizeof line, file) != NULL) {
    if (line[0] != '#') seconds[n++] = strtod(line, NULL);
  }
  fclose(file);
  CHECK(n >= 300, "%d timings", n);
  uint64_t state = 11;
  for (int t = 0; t < TRIALS; t++) {
    const int first = 2 * (int)(unit(&state) * (n / 2 - RUNS));
    double a[RUNS], b[RUNS];
    for (int i = 0; i < RUNS; i++) {
      a[i] = seconds[first + 2 * i + i % 2];
      b[i] = seconds[first + 2 * i + 1 - i % 2];
    }
    const perf_estimate e = perf_ratio_of(a, b, RUNS);
    held += e.low <= 1 && 1 <= e.high;
  }
  CHECK(held >= LEAST, "1.0 in %d of %d intervals", held, (int)TRIALS);
}
