/* First values of variables: drawn on the host from (seed, name, element), so that every device starts alike, whatever the threads. */
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

/* ---- orthogonal matrices ---- */

enum { PANEL = 16, TOGETHER = 8, ELEMENTS = 1 << 14 };

/* Runs fn for each task, on the pool if there is one. */
static void each(tct_pool *pool, int64_t n_tasks, tct_pool_fn fn, void *user) {
  if (pool != NULL) {
    tct_pool_run(pool, n_tasks, fn, user);
    return;
  }
  for (int64_t task = 0; task < n_tasks; task++) fn(user, task, 0);
}

/* n rows of m elements, at most as many as elements; those of [panel, done) are orthonormal, as are those before them. */
typedef struct rows {
  const draw *draws;
  double *q;
  int64_t n, m, panel, done;
} rows;

static void draw_row(void *user, int64_t i, int32_t worker) {
  const rows *const r = user;
  (void)worker;
  for (int64_t j = 0; j < r->m; j++) r->q[i * r->m + j] = normal(r->draws, i * r->m + j, 0);
}

/* Takes from `n` rows, one behind another, their parts along the unit vector `along`. A row's sum stays in order; several rows hide how long an
 * addition takes. */
static void take_along(const double *along, double *row, int64_t n, int64_t m) {
  double dot[TOGETHER] = {0};
  if (n == TOGETHER) {
    for (int64_t j = 0; j < m; j++)
      for (int64_t k = 0; k < TOGETHER; k++) dot[k] += row[k * m + j] * along[j];
  } else {
    for (int64_t k = 0; k < n; k++)
      for (int64_t j = 0; j < m; j++) dot[k] += row[k * m + j] * along[j];
  }
  for (int64_t k = 0; k < n; k++)
    for (int64_t j = 0; j < m; j++) row[k * m + j] -= dot[k] * along[j];
}

/* A few rows behind the panel lose their parts along its rows, in the rows' order. */
static void behind_panel(void *user, int64_t task, int32_t worker) {
  const rows *const r = user;
  const int64_t first = r->done + task * TOGETHER, n = r->n - first < TOGETHER ? r->n - first : TOGETHER;
  (void)worker;
  for (int64_t i = r->panel; i < r->done; i++) take_along(r->q + i * r->m, r->q + first * r->m, n, r->m);
}

/* Modified Gram–Schmidt, by panels: what a row goes through, and in which order, does not depend on them. */
static void orthonormalize(rows *r, tct_pool *pool) {
  each(pool, r->n, draw_row, r);
  for (r->panel = 0; r->panel < r->n; r->panel = r->done) {
    const int64_t end = r->panel + PANEL < r->n ? r->panel + PANEL : r->n;
    for (int64_t i = r->panel; i < end; i++) {
      double *const row = r->q + i * r->m, norm = 0;
      for (int64_t other = r->panel; other < i; other++) take_along(r->q + other * r->m, row, 1, r->m);
      for (int64_t j = 0; j < r->m; j++) norm += row[j] * row[j];
      for (int64_t j = 0; j < r->m; j++) row[j] *= 1 / sqrt(norm);
    }
    r->done = end;
    each(pool, (r->n - end + TOGETHER - 1) / TOGETHER, behind_panel, r);
  }
}

/* Rows of a random matrix made orthonormal (Saxe et al., 2014), times the gain. */
static tct_status orthogonal(const tct_desc *desc, const draw *d, double gain, tct_pool *pool, void *data) {
  const int64_t size = tct_shape_size(&desc->shape);
  const int64_t cols = desc->shape.rank > 0 ? desc->shape.dim[desc->shape.rank - 1] : 1;
  const int64_t n_rows = cols > 0 ? size / cols : 0;
  rows r = {.draws = d, .n = n_rows < cols ? n_rows : cols, .m = n_rows < cols ? cols : n_rows};
  r.q = tct_alloc_zero((size_t)(r.n * r.m) + 1, sizeof *r.q);
  if (r.q == NULL) return TCT_OUT_OF_MEMORY;
  orthonormalize(&r, pool);
  for (int64_t i = 0; i < n_rows; i++) {
    for (int64_t c = 0; c < cols; c++) tct_store_number(desc->dtype, data, i * cols + c, gain * (n_rows < cols ? r.q[i * r.m + c] : r.q[c * r.m + i]));
  }
  tct_release(r.q);
  return TCT_OK;
}

/* ---- elements by themselves ---- */

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

typedef struct elements {
  draw d;
  const tct_desc *desc;
  tct_init_kind init;
  distribution kind;
  double parameter;
  int64_t size;
  void *data;
} elements;

static void fill(void *user, int64_t task, int32_t worker) {
  const elements *const x = user;
  const int64_t end = (task + 1) * ELEMENTS < x->size ? (task + 1) * ELEMENTS : x->size;
  (void)worker;
  for (int64_t e = task * ELEMENTS; e < end; e++) {
    double value = x->parameter;
    if (x->init == TCT_INIT_UNIT_FORGET) value = 4 * e >= x->size && 2 * e < x->size ? 1 : 0;
    if (x->kind == UNIFORM) value = (2 * uniform(&x->d, e, 0) - 1) * x->parameter;
    if (x->kind == NORMAL) value = normal(&x->d, e, 0) * x->parameter;
    if (x->kind == TRUNCATED) value = truncated_normal(&x->d, e) * x->parameter;
    tct_store_number(x->desc->dtype, x->data, e, value);
  }
}

tct_status tct_initialize(const char *name, const tct_desc *desc, tct_init init, uint64_t seed, tct_pool *pool, void *data) {
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
  if (init.kind == TCT_INIT_ORTHOGONAL) return orthogonal(desc, &d, init.value == 0 ? 1 : init.value, pool, data);
  elements x = {d, desc, init.kind, kind, p, size, data};
  each(pool, (size + ELEMENTS - 1) / ELEMENTS, fill, &x);
  return TCT_OK;
}
