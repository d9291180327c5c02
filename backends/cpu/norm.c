/* Batch norm and layer norm. Sums over rows are cut into parts by the shape; their partial sums are joined in double.
 */
#include <math.h>
#include <string.h>
#include "backends/cpu/device.h"

typedef struct plan {
  int64_t rows, channels;
  tct_cpu_parts parts;
  float epsilon;
} plan;

/* Workspace of the batch norms: eight vectors of channels, then two partial sums of each part. */
enum { VECTORS = 8 };

typedef struct job {
  tct_device_impl *device;
  const tct_launch *launch;
  const plan *plan;
  float *vector[VECTORS]; /* [channels] */
  float *partial;         /* [parts, 2, channels] */
} job;

static tct_status prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  plan *p = tct_cpu_state(device, sizeof *p);
  if (p == NULL) return TCT_OUT_OF_MEMORY;
  const tct_shape *x = &node->in[0].shape;
  const tct_norm_attrs *attrs = node->attrs;
  p->rows = tct_cpu_extent(x, 0, x->rank - 1);
  p->channels = x->dim[x->rank - 1];
  p->parts = tct_cpu_parts_of(p->rows, p->channels);
  p->epsilon = (float)attrs->epsilon;
  *out = (tct_prepared){.state = p};
  out->workspace_bytes = (size_t)((VECTORS + 2 * p->parts.count) * p->channels) * sizeof(float);
  return TCT_OK;
}

static job job_of(tct_device_impl *device, const tct_launch *launch) {
  job j = {.device = device, .launch = launch, .plan = launch->state};
  float *at = launch->workspace;
  for (int32_t i = 0; i < VECTORS; i++, at += j.plan->channels) j.vector[i] = at;
  j.partial = at;
  return j;
}

static void run_parts(job *j, double ns_per_element, tct_pool_fn fn) {
  const plan *p = j->plan;
  tct_cpu_run(j->device, p->parts.count, ns_per_element * (double)(p->rows * p->channels), fn, j);
}

/* The rows of a part. */
static int64_t rows_of(const plan *p, int64_t part, int64_t *first) {
  *first = part * p->parts.rows;
  return tct_cpu_least(p->parts.rows, p->rows - *first);
}

static float *partial_of(const job *j, int64_t part, int64_t which) {
  float *at = j->partial + (2 * part + which) * j->plan->channels;
  memset(at, 0, (size_t)j->plan->channels * sizeof *at);
  return at;
}

/* out[c] = Σ over parts · factor */
static void join_parts(const job *j, int64_t which, double factor, float *out) {
  const int64_t channels = j->plan->channels;
  for (int64_t c = 0; c < channels; c++) {
    double sum = 0.0;
    for (int64_t part = 0; part < j->plan->parts.count; part++)
      sum += (double)j->partial[(2 * part + which) * channels + c];
    out[c] = (float)(sum * factor);
  }
}

/* ---- batch norm ---- */

enum { X = 0, FACTOR = 0, OFFSET = 1, MEAN_DY = 2, MEAN_DY_X = 3, INVERSE = 4 };

static void sum_part(void *user, int64_t part, int32_t worker) {
  (void)worker;
  const job *j = user;
  int64_t first;
  const int64_t rows = rows_of(j->plan, part, &first), c = j->plan->channels;
  j->device->k->fold_columns(TCT_FOLD_SUM, (const float *)j->launch->in[X] + first * c, rows, c, c,
                             partial_of(j, part, 0), NULL);
}

static void deviation_part(void *user, int64_t part, int32_t worker) {
  (void)worker;
  const job *j = user;
  int64_t first;
  const int64_t rows = rows_of(j->plan, part, &first), c = j->plan->channels;
  j->device->k->square_deviations((const float *)j->launch->in[X] + first * c, j->launch->out[1], rows, c,
                                  partial_of(j, part, 0));
}

/* y = (x - mean)·FACTOR + beta; inputs: x, gamma, beta; `mean` is the second output, or the fourth input of inference.
 */
static void normalize_part(void *user, int64_t part, int32_t worker) {
  (void)worker;
  const job *j = user;
  int64_t first;
  const int64_t rows = rows_of(j->plan, part, &first), c = j->plan->channels;
  const float *mean = j->launch->node->op == TCT_OP_batch_norm ? j->launch->out[1] : j->launch->in[3];
  j->device->k->normalize((const float *)j->launch->in[X] + first * c, mean, j->vector[FACTOR], j->launch->in[2],
                          (float *)j->launch->out[0] + first * c, rows, c);
}

static void invert(const job *j, const float *variance, float *inverse) {
  for (int64_t c = 0; c < j->plan->channels; c++) inverse[c] = 1.0f / sqrtf(variance[c] + j->plan->epsilon);
}

static void scale_by_gamma(const job *j, const float *gamma) {
  for (int64_t c = 0; c < j->plan->channels; c++) j->vector[FACTOR][c] = j->vector[INVERSE][c] * gamma[c];
}

bool tct_cpu_batch_norm_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cpu_is_f32(node, why, why_bytes);
}
tct_status tct_cpu_batch_norm_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  return prepare(device, node, out);
}
tct_status tct_cpu_batch_norm_launch(tct_device_impl *device, const tct_launch *launch) {
  job j = job_of(device, launch);
  float *mean = launch->out[1], *variance = launch->out[2];
  const double share = 1.0 / (double)j.plan->rows;
  run_parts(&j, 0.15, sum_part);
  join_parts(&j, 0, share, mean);
  run_parts(&j, 0.15, deviation_part);
  join_parts(&j, 0, share, variance);
  invert(&j, variance, j.vector[INVERSE]);
  scale_by_gamma(&j, launch->in[1]);
  run_parts(&j, 0.25, normalize_part);
  return TCT_OK;
}

bool tct_cpu_batch_norm_inference_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cpu_is_f32(node, why, why_bytes);
}
tct_status tct_cpu_batch_norm_inference_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  return prepare(device, node, out);
}
tct_status tct_cpu_batch_norm_inference_launch(tct_device_impl *device, const tct_launch *launch) {
  job j = job_of(device, launch);
  invert(&j, launch->in[4], j.vector[INVERSE]);
  scale_by_gamma(&j, launch->in[1]);
  run_parts(&j, 0.25, normalize_part);
  return TCT_OK;
}

/* Inputs: x, gamma, mean, variance, dy. */
static void grad_sums_part(void *user, int64_t part, int32_t worker) {
  (void)worker;
  const job *j = user;
  int64_t first;
  const int64_t rows = rows_of(j->plan, part, &first), c = j->plan->channels;
  void *const *in = j->launch->in;
  j->device->k->norm_grad_sums((const float *)in[X] + first * c, (const float *)in[4] + first * c, in[2],
                               j->vector[INVERSE], rows, c, partial_of(j, part, 0), partial_of(j, part, 1));
}

static void grad_part(void *user, int64_t part, int32_t worker) {
  (void)worker;
  const job *j = user;
  int64_t first;
  const int64_t rows = rows_of(j->plan, part, &first), c = j->plan->channels;
  void *const *in = j->launch->in;
  j->device->k->norm_grad((const float *)in[X] + first * c, (const float *)in[4] + first * c, in[2], j->vector[FACTOR],
                          j->vector[MEAN_DY], j->vector[MEAN_DY_X], (float *)j->launch->out[0] + first * c, rows, c);
}

bool tct_cpu_batch_norm_grad_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cpu_is_f32(node, why, why_bytes);
}
tct_status tct_cpu_batch_norm_grad_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  return prepare(device, node, out);
}
/* dx = γ/σ·(dy - mean(dy) - x̂·mean(dy·x̂)) with x̂ = (x - mean)/σ */
tct_status tct_cpu_batch_norm_grad_launch(tct_device_impl *device, const tct_launch *launch) {
  job j = job_of(device, launch);
  float *dgamma = launch->out[1], *dbeta = launch->out[2];
  invert(&j, launch->in[3], j.vector[INVERSE]);
  run_parts(&j, 0.25, grad_sums_part);
  join_parts(&j, 0, 1.0, dgamma);
  join_parts(&j, 1, 1.0, dbeta);
  scale_by_gamma(&j, launch->in[1]);
  const float share = (float)(1.0 / (double)j.plan->rows);
  for (int64_t c = 0; c < j.plan->channels; c++) {
    j.vector[MEAN_DY][c] = dbeta[c] * share;
    j.vector[MEAN_DY_X][c] = dgamma[c] * share * j.vector[INVERSE][c];
  }
  run_parts(&j, 0.3, grad_part);
  return TCT_OK;
}

/* ---- layer norm ---- */

static void layer_part(void *user, int64_t part, int32_t worker) {
  (void)worker;
  const job *j = user;
  int64_t first;
  const int64_t rows = rows_of(j->plan, part, &first), c = j->plan->channels;
  void *const *in = j->launch->in, *const *out = j->launch->out;
  j->device->k->layer_norm((const float *)in[X] + first * c, in[1], in[2], (float *)out[0] + first * c,
                           (float *)out[1] + first, (float *)out[2] + first, rows, c, j->plan->epsilon);
}

bool tct_cpu_layer_norm_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cpu_is_f32(node, why, why_bytes);
}
tct_status tct_cpu_layer_norm_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  return prepare(device, node, out);
}
tct_status tct_cpu_layer_norm_launch(tct_device_impl *device, const tct_launch *launch) {
  job j = job_of(device, launch);
  run_parts(&j, 0.5, layer_part);
  return TCT_OK;
}

/* Inputs: x, gamma, mean, 1/σ, dy. */
static void layer_grad_part(void *user, int64_t part, int32_t worker) {
  (void)worker;
  const job *j = user;
  int64_t first;
  const int64_t rows = rows_of(j->plan, part, &first), c = j->plan->channels;
  void *const *in = j->launch->in;
  j->device->k->layer_norm_grad((const float *)in[X] + first * c, in[1], (const float *)in[2] + first,
                                (const float *)in[3] + first, (const float *)in[4] + first * c,
                                (float *)j->launch->out[0] + first * c, partial_of(j, part, 0), partial_of(j, part, 1),
                                rows, c);
}

bool tct_cpu_layer_norm_grad_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cpu_is_f32(node, why, why_bytes);
}
tct_status tct_cpu_layer_norm_grad_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  return prepare(device, node, out);
}
tct_status tct_cpu_layer_norm_grad_launch(tct_device_impl *device, const tct_launch *launch) {
  job j = job_of(device, launch);
  run_parts(&j, 0.6, layer_grad_part);
  join_parts(&j, 0, 1.0, launch->out[1]);
  join_parts(&j, 1, 1.0, launch->out[2]);
  return TCT_OK;
}
