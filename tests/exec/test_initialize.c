/* First values of variables: orthogonal matrices, the same bits whatever the threads; of what is no float what fits is stored, what does
 * not is refused by name. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/tercet.h>
#include "base/pool.h"
#include "exec/exec.h"
#include "test.h"

static tct_status first_value(tct_dtype dtype, double value, tct_variables **out, tct_device *device) {
  tct_graph *graph = NULL;
  tct_program *program = NULL;
  OK(tct_variables_create(device, 0, out));
  OK(tct_graph_create(&graph));
  const tct_init init = {.kind = TCT_INIT_CONSTANT, .value = value};
  tct_output(graph, "y", tct_variable(graph, "v", dtype, TCT_SHAPE(1), init));
  const tct_status status = tct_compile(graph, device, &(tct_compile_options){.variables = *out}, &program);
  tct_program_free(program);
  tct_graph_free(graph);
  return status;
}

TEST(initialize, constants_fit_their_dtype) {
  tct_device *device = NULL;
  tct_variables *variables = NULL;
  OK(tct_device_open("ref", NULL, &device));
  uint8_t truth = 9;
  OK(first_value(TCT_BOOL, 2, &variables, device));
  OK(tct_variables_read(variables, "v", &truth, sizeof truth));
  CHECK(truth == 1, "a bool is %d", truth);
  tct_variables_free(variables);
  static const struct {
    tct_dtype dtype;
    double value;
  } rows[] = {{TCT_U8, 256}, {TCT_U8, -1}, {TCT_I32, 1e10}, {TCT_I64, 1e19}, {TCT_I32, NAN}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    FAILS(first_value(rows[i].dtype, rows[i].value, &variables, device), TCT_INVALID, "does not fit");
    tct_variables_free(variables);
  }
  tct_device_close(device);
}

static double dot(const double *a, const double *b, int64_t n, int64_t stride) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += a[i * stride] * b[i * stride];
  return sum;
}

/* Wide, tall, square, of more than a panel and of a row more than are taken together; the gain is that of each row. */
TEST(initialize, orthogonal_matrices) {
  static const struct {
    int64_t rows, columns;
    double gain;
  } cases[] = {{1, 1, 1}, {1, 7, 3}, {7, 1, 1}, {16, 16, 1}, {17, 40, 2}, {40, 17, 0.5}, {25, 64, 1}, {33, 33, 1.5}, {0, 5, 1}, {5, 0, 1}};
  tct_pool *pool = NULL;
  OK(tct_pool_create(3, &pool));
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const int64_t rows = cases[i].rows, columns = cases[i].columns, size = rows * columns;
    const tct_desc desc = {TCT_F64, TCT_SHAPE(rows, columns)};
    const tct_init init = {.kind = TCT_INIT_ORTHOGONAL, .value = cases[i].gain};
    double *const alone = malloc((size_t)size * sizeof *alone + 1), *const shared = malloc((size_t)size * sizeof *shared + 1);
    for (int64_t e = 0; e < size; e++) alone[e] = shared[e] = NAN;
    OK(tct_initialize("w", &desc, init, 7, NULL, alone));
    OK(tct_initialize("w", &desc, init, 7, pool, shared));
    CHECK(memcmp(alone, shared, (size_t)size * sizeof *alone) == 0, "case %zu: the bits depend on the threads", i);
    const bool wide = rows < columns;
    const int64_t n = wide ? rows : columns, m = wide ? columns : rows, next = wide ? columns : 1, stride = wide ? 1 : columns;
    for (int64_t a = 0; a < n; a++) {
      for (int64_t b = 0; b <= a; b++) {
        const double is = dot(alone + a * next, alone + b * next, m, stride), wanted = a == b ? cases[i].gain * cases[i].gain : 0;
        CHECK(fabs(is - wanted) < 1e-10, "case %zu: vectors %d and %d: %g", i, (int)a, (int)b, is);
      }
    }
    free(alone);
    free(shared);
  }
  tct_pool_free(pool);
}

TEST(initialize, the_same_bits_whatever_the_threads) {
  enum { N = 3 * (1 << 14) + 5 };
  static const tct_init_kind kinds[] = {TCT_INIT_GLOROT_UNIFORM, TCT_INIT_NORMAL, TCT_INIT_HE_NORMAL, TCT_INIT_UNIT_FORGET, TCT_INIT_CONSTANT};
  static float alone[N], shared[N];
  const tct_desc desc = {TCT_F32, TCT_SHAPE(N)};
  tct_pool *pool = NULL;
  OK(tct_pool_create(4, &pool));
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    for (int e = 0; e < N; e++) alone[e] = shared[e] = NAN;
    OK(tct_initialize("w", &desc, (tct_init){.kind = kinds[i], .value = 0.25}, 3, NULL, alone));
    OK(tct_initialize("w", &desc, (tct_init){.kind = kinds[i], .value = 0.25}, 3, pool, shared));
    for (int e = 0; e < N; e++) CHECK(!isnan(alone[e]) && alone[e] == shared[e], "kind %zu, element %d: %g and %g", i, e, (double)alone[e], (double)shared[e]);
  }
  tct_pool_free(pool);
}
