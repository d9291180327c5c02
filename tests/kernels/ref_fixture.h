/* Tensors for tests of the reference kernels: doubles out of one static pool, filled with values or with repeatable
 * noise, and the comparison of a gradient kernel with central differences of its forward. */
#ifndef TCT_TESTS_REF_FIXTURE_H
#define TCT_TESTS_REF_FIXTURE_H

#include "test.h"
#include "kernels/ref/layout.h"
#include "kernels/ref/ref.h"

static double pool[1 << 18];
static size_t pool_used;

static inline int64_t size_of(const tct_ref_operand *t) {
  return tct_ref_size(&t->shape);
}

/* Not initialised but for a value that no kernel may leave behind. */
static inline tct_ref_operand tensor(tct_shape shape) {
  tct_ref_operand t = {.data = pool + pool_used, .shape = shape, .dtype = TCT_F64};
  const int64_t size = size_of(&t);
  CHECK(pool_used + (size_t)size <= sizeof pool / sizeof pool[0], "the test's pool is too small");
  pool_used += (size_t)size;
  for (int64_t i = 0; i < size; i++) t.data[i] = NAN;
  return t;
}

static inline tct_ref_operand values(tct_shape shape, const double *from) {
  const tct_ref_operand t = tensor(shape);
  for (int64_t i = 0; i < size_of(&t); i++) t.data[i] = from[i];
  return t;
}

/* Even on (-1, 1): the same for the same seed. */
static inline tct_ref_operand noise(uint64_t seed, tct_shape shape) {
  const tct_ref_operand t = tensor(shape);
  uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
  for (int64_t i = 0; i < size_of(&t); i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    t.data[i] = (double)(state >> 11) * 0x1p-52 - 1.0;
  }
  return t;
}

#define T(...)           tensor(TCT_SHAPE(__VA_ARGS__))
#define NOISE(seed, ...) noise((seed), TCT_SHAPE(__VA_ARGS__))
#define LIST(...)        ((const double[]){__VA_ARGS__})
#define SCALAR_OF(x)     values(tct_shape_of(0, NULL), LIST(x))

static inline void run(tct_op op, const void *attrs, int32_t n_in, const tct_ref_operand *in, int32_t n_out,
                       const tct_ref_operand *out) {
  tct_ref_table[op].run(&(tct_ref_args){attrs, n_in, n_out, in, out});
}

/* One output of the given shape. */
static inline tct_ref_operand result(tct_op op, const void *attrs, int32_t n_in, const tct_ref_operand *in,
                                     tct_shape shape) {
  const tct_ref_operand out = tensor(shape);
  run(op, attrs, n_in, in, 1, &out);
  return out;
}

static inline double dot(const tct_ref_operand *a, const tct_ref_operand *b) {
  double sum = 0.0;
  for (int64_t i = 0; i < size_of(a); i++) sum += a->data[i] * b->data[i];
  return sum;
}

static inline bool near(double got, double want, double tolerance) {
  if (isnan(want)) return isnan(got);
  if (isinf(want)) return got == want;
  return fabs(got - want) <= tolerance * (1.0 + fabs(want));
}

static inline void check_near(const char *label, const double *got, const double *want, int64_t n, double tolerance) {
  for (int64_t i = 0; i < n; i++)
    CHECK(near(got[i], want[i], tolerance), "%s: element %lld is %.17g, wanted %.17g", label, (long long)i, got[i],
          want[i]);
}
#define CHECK_VALUES(label, got, ...)                                                                                  \
  check_near((label), (got).data, LIST(__VA_ARGS__), (int64_t)(sizeof LIST(__VA_ARGS__) / sizeof(double)), 1e-12)

/* `grad` is d⟨dy, out[0]⟩/d in[which], by central differences with step 1e-5: truncation and rounding stay near 1e-10
 * for functions of size 1. */
static inline void check_gradient(const char *label, tct_op op, const void *attrs, int32_t n_in,
                                  const tct_ref_operand *in, int32_t n_out, const tct_ref_operand *out, int32_t which,
                                  const tct_ref_operand *dy, const tct_ref_operand *grad) {
  const double h = 1e-5;
  double *x = in[which].data;
  for (int64_t i = 0; i < size_of(&in[which]); i++) {
    const double kept = x[i];
    x[i] = kept + h;
    run(op, attrs, n_in, in, n_out, out);
    const double above = dot(dy, &out[0]);
    x[i] = kept - h;
    run(op, attrs, n_in, in, n_out, out);
    const double below = dot(dy, &out[0]);
    x[i] = kept;
    const double want = (above - below) / (2 * h);
    CHECK(near(grad->data[i], want, 1e-7), "%s: the gradient of operand %d at %lld is %.17g, differences say %.17g",
          label, (int)which, (long long)i, grad->data[i], want);
  }
}

#endif
