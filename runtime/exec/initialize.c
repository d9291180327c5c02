/* First values of variables: drawn on the host from (seed, name, element), so that every device starts alike. */
#include <math.h>
#include <string.h>
#include "base/alloc.h"
#include "base/number.h"
#include "base/status.h"
#include "base/text.h"
#include "exec/exec.h"
#include "kernels/common/philox.h"

/* The standard deviation of a unit normal truncated at ±2, as Keras divides by. */
#define TRUNCATED_DEVIATION 0.87962566103423978

typedef struct draw {
  uint64_t seed;
  uint32_t stream;
} draw;

/* Element e's number `k` of uniform draws in [0, 1); 24 bits. */
static double uniform(const draw *d, int64_t e, uint32_t k) {
  const tct_philox block = tct_philox_block(d->seed, d->stream, k / 4, (uint64_t)e);
  return (double)tct_philox_unit(block.v[k % 4]);
}

/* Box and Muller's transform of two draws; `u` keeps away from log 0. */
static double normal(const draw *d, int64_t e, uint32_t k) {
  const double u = uniform(d, e, 2 * k) + 0x1p-25, v = uniform(d, e, 2 * k + 1);
  return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

static double truncated_normal(const draw *d, int64_t e) {
  double value = 0;
  for (uint32_t k = 0; k < 64; k++) {
    value = normal(d, e, k);
    if (fabs(value) <= 2) break;
  }
  return value;
}

/* Keras' fans: [in, out] and [r, s, in, out]; a vector counts as both. */
static void fans(const tct_shape *shape, const tct_init *init, double *out_in, double *out_out) {
  double in = 1, out = 1;
  if (shape->rank == 1) {
    in = out = (double)shape->dim[0];
  } else if (shape->rank >= 2) {
    double field = 1;
    for (int32_t i = 0; i < shape->rank - 2; i++) field *= (double)shape->dim[i];
    in = field * (double)shape->dim[shape->rank - 2];
    out = field * (double)shape->dim[shape->rank - 1];
  }
  *out_in = init->fan_in > 0 ? (double)init->fan_in : fmax(in, 1);
  *out_out = init->fan_out > 0 ? (double)init->fan_out : fmax(out, 1);
}

/* Rows of a random matrix made orthonormal by modified Gram–Schmidt (Saxe et al., 2014). */
static tct_status orthogonal(const tct_desc *desc, const draw *d, double gain, void *data) {
  const int64_t size = tct_shape_size(&desc->shape);
  const int64_t cols = desc->shape.rank > 0 ? desc->shape.dim[desc->shape.rank - 1] : 1;
  const int64_t rows = cols > 0 ? size / cols : 0;
  const int64_t n = rows < cols ? rows : cols, m = rows < cols ? cols : rows;
  double *q = tct_alloc_zero((size_t)(n * m) + 1, sizeof *q);
  if (q == NULL) return TCT_OUT_OF_MEMORY;
  for (int64_t i = 0; i < n; i++) {
    double *row = q + i * m, norm = 0;
    for (int64_t j = 0; j < m; j++) row[j] = normal(d, i * m + j, 0);
    for (int64_t other = 0; other < i; other++) {
      double dot = 0;
      for (int64_t j = 0; j < m; j++) dot += row[j] * q[other * m + j];
      for (int64_t j = 0; j < m; j++) row[j] -= dot * q[other * m + j];
    }
    for (int64_t j = 0; j < m; j++) norm += row[j] * row[j];
    for (int64_t j = 0; j < m; j++) row[j] *= gain / sqrt(norm);
  }
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t c = 0; c < cols; c++) tct_store_number(desc->dtype, data, r * cols + c, rows < cols ? q[r * m + c] : q[c * m + r]);
  }
  tct_release(q);
  return TCT_OK;
}

typedef enum distribution { FILL, UNIFORM, NORMAL, TRUNCATED } distribution;

/* The distribution and its parameter: the value, the limit or the deviation. */
static distribution distribution_of(const tct_desc *desc, const tct_init *init, double *out_parameter) {
  double in = 1, out = 1;
  fans(&desc->shape, init, &in, &out);
  double p = init->value;
  distribution kind = FILL;
  switch (init->kind) {
  case TCT_INIT_ONES: p = 1; break;
  case TCT_INIT_CONSTANT: break;
  case TCT_INIT_UNIFORM: kind = UNIFORM; p = p == 0 ? 0.05 : p; break;
  case TCT_INIT_NORMAL: kind = NORMAL; p = p == 0 ? 0.05 : p; break;
  case TCT_INIT_GLOROT_UNIFORM: kind = UNIFORM; p = sqrt(6 / (in + out)); break;
  case TCT_INIT_GLOROT_NORMAL: kind = TRUNCATED; p = sqrt(2 / (in + out)) / TRUNCATED_DEVIATION; break;
  case TCT_INIT_HE_UNIFORM: kind = UNIFORM; p = sqrt(6 / in); break;
  case TCT_INIT_HE_NORMAL: kind = TRUNCATED; p = sqrt(2 / in) / TRUNCATED_DEVIATION; break;
  case TCT_INIT_LECUN_UNIFORM: kind = UNIFORM; p = sqrt(3 / in); break;
  case TCT_INIT_LECUN_NORMAL: kind = TRUNCATED; p = sqrt(1 / in) / TRUNCATED_DEVIATION; break;
  default: p = 0; break;
  }
  *out_parameter = p;
  return kind;
}

tct_status tct_initialize(const char *name, const tct_desc *desc, tct_init init, uint64_t seed, void *data) {
  const int64_t size = tct_shape_size(&desc->shape);
  const draw d = {seed, (uint32_t)tct_hash(name, strlen(name))};
  double p = 0;
  const distribution kind = distribution_of(desc, &init, &p);
  if (!tct_dtype_is_float(desc->dtype) && (kind != FILL || init.kind == TCT_INIT_ORTHOGONAL)) {
    return tct_fail(TCT_E_DTYPE, "variable '%s': a random initializer needs a float dtype, got %s", name,
                    tct_dtype_name(desc->dtype));
  }
  if (kind == FILL && !tct_number_fits(desc->dtype, p)) {
    return tct_fail(TCT_INVALID, "variable '%s': the constant %g does not fit %s", name, p, tct_dtype_name(desc->dtype));
  }
  if (init.kind == TCT_INIT_ORTHOGONAL) return orthogonal(desc, &d, init.value == 0 ? 1 : init.value, data);
  for (int64_t e = 0; e < size; e++) {
    double value = p;
    if (init.kind == TCT_INIT_UNIT_FORGET) value = 4 * e >= size && 2 * e < size ? 1 : 0;
    if (kind == UNIFORM) value = (2 * uniform(&d, e, 0) - 1) * p;
    if (kind == NORMAL) value = normal(&d, e, 0) * p;
    if (kind == TRUNCATED) value = truncated_normal(&d, e) * p;
    tct_store_number(desc->dtype, data, e, value);
  }
  return TCT_OK;
}
