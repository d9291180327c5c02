/* Reductions over any axes. The input's axes collapse into alternating kept and reduced ones; then either the innermost
 * is reduced (runs) or kept (columns). The work is cut into units of a bounded number of elements, each folded by one
 * kernel call into a partial result; the partial results of an output are joined in order, in double. */
#include <math.h>
#include "backends/cpu/device.h"

enum { RUN = 32768, CHUNK = 2048 };

/* Axes of one kind, outermost first. */
typedef struct axes {
  int32_t rank;
  int64_t dim[TCT_MAX_RANK], stride[TCT_MAX_RANK], size;
} axes;

typedef struct plan {
  tct_cpu_fold fold;
  bool is_mean, is_lse, is_columns;
  tct_dtype dtype;
  axes kept, reduced; /* without the innermost run, or the columns and the rows above them */
  int64_t outputs, reduced_size;
  int64_t length;      /* runs: of the innermost reduced axis; columns: how many */
  int64_t rows;        /* columns: of the reduced axis above */
  tct_cpu_parts parts; /* of a run or of the rows */
  int64_t units;       /* partial results of one output */
  int64_t chunks;      /* columns: pieces of at most CHUNK */
  int64_t group;       /* calls per task */
} plan;

static void add_axis(axes *to, int64_t dim, int64_t stride) {
  to->dim[to->rank] = dim;
  to->stride[to->rank++] = stride;
  to->size *= dim;
}

/* Takes the innermost axis off. */
static int64_t pop_axis(axes *from) {
  const int64_t dim = from->dim[--from->rank];
  from->size = 1;
  for (int32_t i = 0; i < from->rank; i++) from->size *= from->dim[i];
  return dim;
}

/* The outermost axis needs no division, which would cost more than folding a short run. */
static int64_t offset_of(const axes *at, int64_t index) {
  int64_t offset = 0;
  for (int32_t i = at->rank - 1; i > 0; i--) {
    offset += index % at->dim[i] * at->stride[i];
    index /= at->dim[i];
  }
  return at->rank > 0 ? offset + index * at->stride[0] : 0;
}

/* Splits x's axes by the mask, merging neighbours of one kind; true when the innermost is reduced. */
static bool split_axes(const tct_shape *x, uint32_t mask, axes *kept, axes *reduced) {
  *kept = *reduced = (axes){.size = 1};
  int64_t stride[TCT_MAX_RANK], step = 1;
  for (int32_t i = x->rank - 1; i >= 0; i--) {
    stride[i] = step;
    step *= x->dim[i];
  }
  axes *last = NULL;
  for (int32_t i = 0; i < x->rank; i++) {
    if (x->dim[i] == 1) continue;
    axes *of = (mask >> i & 1u) != 0 ? reduced : kept;
    if (of == last) {
      of->dim[of->rank - 1] *= x->dim[i];
      of->stride[of->rank - 1] = stride[i];
      of->size *= x->dim[i];
    } else {
      add_axis(of, x->dim[i], stride[i]);
    }
    last = of;
  }
  if (last == NULL) add_axis(reduced, 1, 1);
  return last != kept;
}

static const struct {
  tct_cpu_fold fold;
  bool is_mean, is_lse;
} folds[TCT_N_OPS] = {
    [TCT_OP_reduce_sum] = {TCT_FOLD_SUM, false, false},   [TCT_OP_reduce_mean] = {TCT_FOLD_SUM, true, false},
    [TCT_OP_reduce_max] = {TCT_FOLD_MAX, false, false},   [TCT_OP_reduce_min] = {TCT_FOLD_MIN, false, false},
    [TCT_OP_reduce_prod] = {TCT_FOLD_PROD, false, false}, [TCT_OP_logsumexp] = {TCT_FOLD_SUM_EXP, false, true},
};

bool tct_cpu_reduce_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  const tct_dtype dtype = node->in[0].dtype;
  if ((dtype == TCT_I32 || dtype == TCT_I64) && !folds[node->op].is_mean && !folds[node->op].is_lse) return true;
  return tct_cpu_is_f32(node, why, why_bytes);
}

tct_status tct_cpu_reduce_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  plan *p = tct_cpu_state(device, sizeof *p);
  if (p == NULL) return TCT_OUT_OF_MEMORY;
  const tct_reduce_attrs *attrs = node->attrs;
  *p = (plan){.fold = folds[node->op].fold, .is_mean = folds[node->op].is_mean, .is_lse = folds[node->op].is_lse};
  p->dtype = node->in[0].dtype;
  p->outputs = tct_cpu_size(&node->out[0].shape);
  *out = (tct_prepared){.state = p};
  p->is_columns = !split_axes(&node->in[0].shape, attrs->axes, &p->kept, &p->reduced);
  p->reduced_size = p->reduced.size;
  if (p->dtype != TCT_F32) return TCT_OK;
  if (p->is_columns) {
    p->length = pop_axis(&p->kept);
    p->rows = p->reduced.rank > 0 ? pop_axis(&p->reduced) : 1;
    p->parts = tct_cpu_parts_of(p->rows, p->length);
    p->chunks = tct_cpu_divide_up(p->length, CHUNK);
    p->group = tct_cpu_most(RUN / tct_cpu_most(p->parts.rows * tct_cpu_least(p->length, CHUNK), 1), 1);
  } else {
    p->length = pop_axis(&p->reduced);
    p->parts = (tct_cpu_parts){tct_cpu_most(tct_cpu_divide_up(p->length, RUN), 1), RUN};
    p->chunks = 1;
    p->group = tct_cpu_most(RUN / tct_cpu_most(tct_cpu_least(p->length, RUN), 1), 1);
  }
  p->units = p->reduced.size * p->parts.count;
  out->workspace_bytes = (size_t)(p->outputs * p->units) * sizeof(float);
  if (p->is_lse) out->workspace_bytes += (size_t)p->outputs * sizeof(float);
  return TCT_OK;
}

typedef struct job {
  tct_device_impl *device;
  const plan *plan;
  tct_cpu_fold fold;
  const float *x, *m; /* m [outputs]: SUM_EXP's offsets */
  float *partial;     /* runs [outputs, units]; columns [kept, units, length] */
  float *y;
} job;

static const float identity[] = {[TCT_FOLD_SUM] = 0.0f,
                                 [TCT_FOLD_MAX] = -INFINITY,
                                 [TCT_FOLD_MIN] = INFINITY,
                                 [TCT_FOLD_PROD] = 1.0f,
                                 [TCT_FOLD_SUM_EXP] = 0.0f};

static void fold_one_run(const job *j, int64_t index) {
  const plan *p = j->plan;
  const int64_t output = p->units == 1 ? index : index / p->units, unit = index - output * p->units;
  const int64_t outer = p->units == 1 ? 0 : unit / p->parts.count;
  const int64_t first = (unit - outer * p->parts.count) * p->parts.rows;
  const float *x = j->x + offset_of(&p->kept, output) + offset_of(&p->reduced, outer) + first;
  const int64_t n = tct_cpu_least(p->parts.rows, p->length - first);
  j->partial[index] = (float)j->device->k->fold_run(j->fold, x, n, j->m != NULL ? j->m[output] : 0.0f);
}

static void fold_one_slab(const job *j, int64_t index) {
  const plan *p = j->plan;
  const int64_t chunk = index % p->chunks, slab = index / p->chunks, kept = slab / p->units, unit = slab % p->units;
  const int64_t outer = unit / p->parts.count, first = unit % p->parts.count * p->parts.rows;
  const int64_t column = chunk * CHUNK, columns = tct_cpu_least(CHUNK, p->length - column);
  const float *x = j->x + offset_of(&p->kept, kept) + offset_of(&p->reduced, outer) + first * p->length + column;
  float *acc = j->partial + slab * p->length + column;
  j->device->k->fill(acc, &identity[j->fold], columns, sizeof *acc);
  j->device->k->fold_columns(j->fold, x, tct_cpu_least(p->parts.rows, p->rows - first), p->length, columns, acc,
                             j->m != NULL ? j->m + kept * p->length + column : NULL);
}

static int64_t calls_of(const plan *p) {
  return p->is_columns ? p->kept.size * p->units * p->chunks : p->outputs * p->units;
}

static void run_group(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const job *j = user;
  const int64_t begin = task * j->plan->group, end = tct_cpu_least(begin + j->plan->group, calls_of(j->plan));
  for (int64_t i = begin; i < end; i++) {
    if (j->plan->is_columns)
      fold_one_slab(j, i);
    else
      fold_one_run(j, i);
  }
}

static double join(tct_cpu_fold fold, double a, double b) {
  switch (fold) {
  case TCT_FOLD_MAX:
    return a > b || isnan(a) ? a : b;
  case TCT_FOLD_MIN:
    return a < b || isnan(a) ? a : b;
  case TCT_FOLD_PROD:
    return a * b;
  case TCT_FOLD_SUM:
  case TCT_FOLD_SUM_EXP:
    break;
  }
  return a + b;
}

/* Joins the units of outputs [begin, end) of a task. */
static void join_units(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const job *j = user;
  const plan *p = j->plan;
  const int64_t end = tct_cpu_least((task + 1) * CHUNK, p->outputs), step = p->is_columns ? p->length : 1;
  for (int64_t i = task * CHUNK; i < end; i++) {
    const float *from =
        p->is_columns ? j->partial + i / p->length * p->units * p->length + i % p->length : j->partial + i * p->units;
    double value = (double)identity[j->fold];
    for (int64_t unit = 0; unit < p->units; unit++) value = join(j->fold, value, (double)from[unit * step]);
    j->y[i] = (float)(p->is_mean ? value / (double)p->reduced_size : value);
  }
}

static void fold_all(job *j, tct_cpu_fold fold, float *y) {
  const plan *p = j->plan;
  j->fold = fold;
  j->y = y;
  const double each = fold == TCT_FOLD_SUM_EXP ? 0.8 : 0.15;
  tct_cpu_run(j->device, tct_cpu_divide_up(calls_of(p), p->group), each * (double)(p->outputs * p->reduced_size),
              run_group, j);
  tct_cpu_run(j->device, tct_cpu_divide_up(p->outputs, CHUNK), (double)(p->outputs * p->units), join_units, j);
}

/* ---- whole numbers: one loop per output ---- */

static int64_t read_whole(tct_dtype dtype, const void *x, int64_t i) {
  return dtype == TCT_I32 ? ((const int32_t *)x)[i] : ((const int64_t *)x)[i];
}

/* Sums and products wrap, as two's complement does. */
static int64_t join_whole(tct_cpu_fold fold, int64_t a, int64_t b) {
  if (fold == TCT_FOLD_MAX) return a > b ? a : b;
  if (fold == TCT_FOLD_MIN) return a < b ? a : b;
  if (fold == TCT_FOLD_PROD) return (int64_t)((uint64_t)a * (uint64_t)b);
  return (int64_t)((uint64_t)a + (uint64_t)b);
}

static void fold_whole(const plan *p, const void *x, void *y) {
  const int64_t least = p->dtype == TCT_I32 ? INT32_MIN : INT64_MIN, most = p->dtype == TCT_I32 ? INT32_MAX : INT64_MAX;
  const int64_t start = p->fold == TCT_FOLD_MAX    ? least
                        : p->fold == TCT_FOLD_MIN  ? most
                        : p->fold == TCT_FOLD_PROD ? 1
                                                   : 0;
  for (int64_t i = 0; i < p->outputs; i++) {
    const int64_t base = offset_of(&p->kept, i);
    int64_t value = start;
    for (int64_t r = 0; r < p->reduced_size; r++) {
      value = join_whole(p->fold, value, read_whole(p->dtype, x, base + offset_of(&p->reduced, r)));
    }
    if (p->dtype == TCT_I32)
      ((int32_t *)y)[i] = (int32_t)value;
    else
      ((int64_t *)y)[i] = value;
  }
}

tct_status tct_cpu_reduce_launch(tct_device_impl *device, const tct_launch *launch) {
  const plan *p = launch->state;
  if (p->dtype != TCT_F32) {
    fold_whole(p, launch->in[0], launch->out[0]);
    return TCT_OK;
  }
  job j = {.device = device, .plan = p, .x = launch->in[0], .partial = launch->workspace};
  float *y = launch->out[0];
  if (!p->is_lse) {
    fold_all(&j, p->fold, y);
    return TCT_OK;
  }
  /* ln Σ e^x = m + ln Σ e^(x - m); an infinite m would make NaN of x - m. */
  float *m = j.partial + p->outputs * p->units;
  fold_all(&j, TCT_FOLD_MAX, m);
  for (int64_t i = 0; i < p->outputs; i++)
    if (isinf(m[i])) m[i] = 0.0f;
  j.m = m;
  fold_all(&j, TCT_FOLD_SUM_EXP, y);
  for (int64_t i = 0; i < p->outputs; i++) y[i] = m[i] + logf(y[i]);
  return TCT_OK;
}

/* ---- the gradient of a product: dx = dy·Π of the others, right where some are zero ---- */

bool tct_cpu_prod_grad_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cpu_is_f32(node, why, why_bytes);
}

tct_status tct_cpu_prod_grad_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  plan *p = tct_cpu_state(device, sizeof *p);
  if (p == NULL) return TCT_OUT_OF_MEMORY;
  const tct_reduce_attrs *attrs = node->attrs;
  (void)split_axes(&node->in[0].shape, attrs->axes, &p->kept, &p->reduced);
  *out = (tct_prepared){.state = p};
  return TCT_OK;
}

tct_status tct_cpu_prod_grad_launch(tct_device_impl *device, const tct_launch *launch) {
  (void)device;
  const plan *p = launch->state;
  const float *x = launch->in[0], *dy = launch->in[1];
  float *dx = launch->out[0];
  for (int64_t i = 0; i < p->kept.size; i++) {
    const int64_t base = offset_of(&p->kept, i);
    double product = 1.0;
    int64_t zeros = 0;
    for (int64_t r = 0; r < p->reduced.size; r++) {
      const float value = x[base + offset_of(&p->reduced, r)];
      if (value == 0.0f)
        zeros++;
      else
        product *= (double)value;
    }
    for (int64_t r = 0; r < p->reduced.size; r++) {
      const int64_t at = base + offset_of(&p->reduced, r);
      const double others = zeros == 0 ? product / (double)x[at] : x[at] == 0.0f && zeros == 1 ? product : 0.0;
      dx[at] = (float)((double)dy[i] * others);
    }
  }
  return TCT_OK;
}
