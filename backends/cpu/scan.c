/* Running sums along one axis, and the greatest of each row. cumsum: x [outer, length, inner], a task per slab of columns,
 * which adds row after row in double. top_k: a sorted list of the k best so far, into which most elements of a long row
 * never come: n comparisons and about k·ln(n/k) insertions for values in random order. */
#include <math.h>
#include <string.h>
#include "backends/cpu/device.h"

enum { COLUMNS = 256 };

typedef struct sum_plan {
  int64_t outer, length, inner;
} sum_plan;

typedef struct sum_job {
  const tct_launch *launch;
  const sum_plan *plan;
} sum_job;

static bool orders(const tct_node_view *node, char *why, size_t why_bytes) {
  if (!tct_cpu_stores(node, why, why_bytes)) return false;
  const tct_dtype dtype = node->in[0].dtype;
  return dtype == TCT_F32 || dtype == TCT_I32 || dtype == TCT_I64 ||
         tct_cpu_refuse(why, why_bytes, "device cpu does this in f32, i32 and i64 only; cast the operand");
}

bool tct_cpu_cumsum_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return orders(node, why, why_bytes);
}

tct_status tct_cpu_cumsum_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  sum_plan *p = tct_cpu_state(device, sizeof *p);
  if (p == NULL) return TCT_OUT_OF_MEMORY;
  const tct_cumsum_attrs *attrs = node->attrs;
  const tct_shape *x = &node->in[0].shape;
  *p = (sum_plan){.outer = tct_cpu_extent(x, 0, attrs->axis),
                  .length = x->dim[attrs->axis],
                  .inner = tct_cpu_extent(x, attrs->axis + 1, x->rank)};
  *out = (tct_prepared){.state = p};
  return TCT_OK;
}

/* One row of a slab: sum += x, y = the sum before (exclusive) or after. Integers wrap, as everywhere. */
static void add_f32(double *sum, const float *x, float *y, int64_t n, bool exclusive) {
  for (int64_t c = 0; c < n; c++) {
    const double before = sum[c], after = before + (double)x[c];
    sum[c] = after;
    y[c] = (float)(exclusive ? before : after);
  }
}
static void add_i32(uint32_t *sum, const int32_t *x, int32_t *y, int64_t n, bool exclusive) {
  for (int64_t c = 0; c < n; c++) {
    const uint32_t before = sum[c], after = before + (uint32_t)x[c];
    sum[c] = after;
    y[c] = (int32_t)(exclusive ? before : after);
  }
}
static void add_i64(uint64_t *sum, const int64_t *x, int64_t *y, int64_t n, bool exclusive) {
  for (int64_t c = 0; c < n; c++) {
    const uint64_t before = sum[c], after = before + (uint64_t)x[c];
    sum[c] = after;
    y[c] = (int64_t)(exclusive ? before : after);
  }
}

static void sum_slab(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const sum_job *j = user;
  const sum_plan *p = j->plan;
  const tct_cumsum_attrs *attrs = j->launch->node->attrs;
  const tct_dtype dtype = j->launch->node->in[0].dtype;
  const int64_t chunks = tct_cpu_divide_up(p->inner, COLUMNS), column = task % chunks * COLUMNS;
  const int64_t columns = tct_cpu_least(COLUMNS, p->inner - column);
  const int64_t base = task / chunks * p->length * p->inner + column;
  union {
    double f64[COLUMNS];
    uint32_t u32[COLUMNS];
    uint64_t u64[COLUMNS];
  } sum;
  memset(&sum, 0, sizeof sum);
  for (int64_t step = 0; step < p->length; step++) {
    const int64_t e = base + (attrs->reverse ? p->length - 1 - step : step) * p->inner;
    const void *x = j->launch->in[0];
    void *y = j->launch->out[0];
    if (dtype == TCT_F32) add_f32(sum.f64, (const float *)x + e, (float *)y + e, columns, attrs->exclusive);
    if (dtype == TCT_I32) add_i32(sum.u32, (const int32_t *)x + e, (int32_t *)y + e, columns, attrs->exclusive);
    if (dtype == TCT_I64) add_i64(sum.u64, (const int64_t *)x + e, (int64_t *)y + e, columns, attrs->exclusive);
  }
}

tct_status tct_cpu_cumsum_launch(tct_device_impl *device, const tct_launch *launch) {
  sum_job j = {launch, launch->state};
  const sum_plan *p = j.plan;
  tct_cpu_run(device, p->outer * tct_cpu_divide_up(p->inner, COLUMNS), 1.0 * (double)(p->outer * p->length * p->inner),
              sum_slab, &j);
  return TCT_OK;
}

/* ---- top_k ---- */

bool tct_cpu_top_k_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return orders(node, why, why_bytes);
}

tct_status tct_cpu_top_k_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  (void)device;
  (void)node;
  *out = (tct_prepared){0};
  return TCT_OK;
}

/* A NaN counts as greater than every number. */
static bool greater_f32(float a, float b) {
  return a > b || (isnan(a) && !isnan(b));
}

static void top_f32(const float *x, int64_t n, int64_t k, float *value, int32_t *position) {
  int64_t have = 0;
  for (int64_t i = 0; i < n; i++) {
    if (have == k && !greater_f32(x[i], value[k - 1])) continue;
    int64_t at = have < k ? have++ : k - 1;
    for (; at > 0 && greater_f32(x[i], value[at - 1]); at--) {
      value[at] = value[at - 1];
      position[at] = position[at - 1];
    }
    value[at] = x[i];
    position[at] = (int32_t)i;
  }
}

static int64_t whole(tct_dtype dtype, const void *x, int64_t i) {
  return dtype == TCT_I32 ? ((const int32_t *)x)[i] : ((const int64_t *)x)[i];
}

/* The same for whole numbers: the positions first, then the values that stand there. */
static void top_whole(tct_dtype dtype, const char *x, int64_t n, int64_t k, char *value, int32_t *position) {
  const size_t bytes = tct_cpu_bytes(dtype);
  int64_t have = 0;
  for (int64_t i = 0; i < n; i++) {
    const int64_t own = whole(dtype, x, i);
    if (have == k && own <= whole(dtype, x, position[k - 1])) continue;
    int64_t at = have < k ? have++ : k - 1;
    for (; at > 0 && own > whole(dtype, x, position[at - 1]); at--) position[at] = position[at - 1];
    position[at] = (int32_t)i;
  }
  for (int64_t j = 0; j < k; j++) memcpy(value + (size_t)j * bytes, x + (size_t)position[j] * bytes, bytes);
}

static void top_row(void *user, int64_t r, int32_t worker) {
  (void)worker;
  const tct_launch *launch = user;
  const tct_top_k_attrs *attrs = launch->node->attrs;
  const tct_dtype dtype = launch->node->in[0].dtype;
  const size_t bytes = tct_cpu_bytes(dtype);
  const char *x = (const char *)launch->in[0] + (size_t)(r * attrs->n) * bytes;
  char *value = (char *)launch->out[0] + (size_t)(r * attrs->k) * bytes;
  int32_t *position = (int32_t *)launch->out[1] + r * attrs->k;
  if (dtype == TCT_F32) {
    top_f32((const float *)(const void *)x, attrs->n, attrs->k, (float *)(void *)value, position);
  } else {
    top_whole(dtype, x, attrs->n, attrs->k, value, position);
  }
}

tct_status tct_cpu_top_k_launch(tct_device_impl *device, const tct_launch *launch) {
  const tct_top_k_attrs *attrs = launch->node->attrs;
  const int64_t rows = tct_cpu_size(&launch->node->out[0].shape) / attrs->k;
  tct_launch own = *launch;
  tct_cpu_run(device, rows, 1.0 * (double)(rows * attrs->n), top_row, &own);
  return TCT_OK;
}

bool tct_cpu_top_k_grad_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  if (!tct_cpu_stores(node, why, why_bytes)) return false;
  return node->in[1].dtype == TCT_F32 || tct_cpu_refuse(why, why_bytes, "device cpu has gradients in f32 only");
}

tct_status tct_cpu_top_k_grad_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  return tct_cpu_top_k_prepare(device, node, out);
}

tct_status tct_cpu_top_k_grad_launch(tct_device_impl *device, const tct_launch *launch) {
  (void)device;
  const tct_top_k_attrs *attrs = launch->node->attrs;
  const int32_t *position = launch->in[0];
  const float *dy = launch->in[1];
  float *dx = launch->out[0];
  const int64_t size = tct_cpu_size(&launch->node->out[0].shape), picked = size / attrs->n * attrs->k;
  if (size > 0) memset(dx, 0, (size_t)size * sizeof *dx);
  for (int64_t e = 0; e < picked; e++) {
    if (position[e] >= 0 && position[e] < attrs->n) dx[e / attrs->k * attrs->n + position[e]] += dy[e];
  }
  return TCT_OK;
}
