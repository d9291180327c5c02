/* Attention in blocks of queries × keys, after Dao et al. (2022): a block of scores lives in the second cache, is
 * turned into weights there and meets the values at once. Forward, a task is a run of queries of one head and walks
 * over the keys; backward, it is a run of keys and walks over the queries. Blocks and tasks follow from shapes alone.
 */
#include <string.h>
#include "backends/cpu/device.h"

enum {
  KEYS = 128,         /* of a block */
  QUERIES = 56,       /* of a block, rounded up to register tiles */
  BLOCKS_OF_TASK = 5, /* forward: blocks of queries that share the packing of each block of keys */
  WANTED_TASKS = 16   /* backward: with fewer heads than this the keys of a head are shared out too */
};

typedef struct plan {
  int64_t b, t, s, h, d, v;
  int64_t queries;    /* of a block */
  int64_t chunk_keys; /* backward: keys of a task, whole blocks */
  int64_t n_chunks;
  float scale;
  bool causal;
  int64_t mask_stride[4]; /* over [B,H,T,S] */
  int64_t panel;
  int64_t wide_d, wide_v; /* d and v in whole panels */
  size_t fixed, scratch;  /* bytes of partial dq, and of each worker */
} plan;

typedef struct job {
  tct_device_impl *device;
  const tct_launch *launch;
  const plan *plan;
  const uint8_t *mask; /* NULL: none */
  float *y, *lse, *dq, *dk, *dv;
  const float *q, *k, *value, *dy;
} job;

static plan *plan_of(tct_device_impl *device, const tct_node_view *node, int32_t mask) {
  plan *p = tct_cpu_state(device, sizeof *p);
  if (p == NULL) return NULL;
  const tct_attention_attrs *attrs = node->attrs;
  const tct_shape *q = &node->in[0].shape;
  const int64_t rows = device->k->gemm_rows(), panel = device->k->gemm_panel();
  *p = (plan){.b = q->dim[0],
              .t = q->dim[1],
              .h = q->dim[2],
              .d = q->dim[3],
              .s = node->in[1].shape.dim[1],
              .v = node->in[2].shape.dim[3],
              .scale = (float)attrs->scale,
              .causal = attrs->causal,
              .panel = panel};
  p->queries = tct_cpu_divide_up(QUERIES, rows) * rows;
  p->wide_d = tct_cpu_divide_up(p->d, panel) * panel;
  p->wide_v = tct_cpu_divide_up(p->v, panel) * panel;
  if (mask < node->n_in) {
    const tct_shape *m = &node->in[mask].shape;
    int64_t step = 1;
    for (int32_t axis = 3; axis >= 0; axis--) {
      p->mask_stride[axis] = m->dim[axis] == 1 ? 0 : step;
      step *= m->dim[axis];
    }
  }
  return p;
}

/* Columns [0, n) of b, k × n, in panels one after the other. */
static void pack(const job *j, int64_t k, int64_t n, const float *b, int64_t row, int64_t column, float *to) {
  const int64_t panel = j->plan->panel;
  for (int64_t first = 0; first < n; first += panel)
    j->device->k->gemm_pack(k, tct_cpu_least(panel, n - first), b + first * column, row, column, to + first * k);
}

/* c (+)= a·b with b packed. */
static void multiply(const job *j, int64_t m, int64_t n, int64_t k, const float *a, int64_t a_row, int64_t a_col,
                     const float *packed, float *c, int64_t ldc, bool add) {
  const int64_t panel = j->plan->panel;
  j->device->k->gemm(m, n, k, a, a_row, a_row, a_col, packed, panel * k, panel, c, ldc, add);
}

/* Offset of (b, position, h, 0) in a tensor [B, positions, H, width]. */
static int64_t at(const plan *p, int64_t positions, int64_t width, int64_t head, int64_t position) {
  return ((head / p->h * positions + position) * p->h + head % p->h) * width;
}

/* The keys of a block that its queries can see, 0 for none, and which. */
static int64_t sight_of(const job *j, int64_t head, int64_t i0, int64_t m, int64_t j0, int64_t n, tct_cpu_sight *out) {
  const plan *p = j->plan;
  *out = (tct_cpu_sight){.ahead = p->causal ? i0 - j0 : p->t + p->s};
  if (j->mask != NULL) {
    out->mask = j->mask + head / p->h * p->mask_stride[0] + head % p->h * p->mask_stride[1] + i0 * p->mask_stride[2] +
                j0 * p->mask_stride[3];
    out->mask_row = p->mask_stride[2];
    out->mask_column = p->mask_stride[3];
  }
  return p->causal ? tct_cpu_most(tct_cpu_least(n, i0 + m - j0), 0) : n;
}

static void zero_rows(float *x, int64_t ld, int64_t rows, int64_t n) {
  for (int64_t i = 0; i < rows; i++) memset(x + i * ld, 0, (size_t)n * sizeof *x);
}

/* ---- forward ---- */

bool tct_cpu_attention_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cpu_is_f32(node, why, why_bytes);
}

tct_status tct_cpu_attention_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  plan *p = plan_of(device, node, 3);
  if (p == NULL) return TCT_OUT_OF_MEMORY;
  /* keys and values of a block, its scores, most and sum of a task's queries */
  const int64_t floats = KEYS * (p->d + p->wide_v) + p->queries * KEYS + 2 * BLOCKS_OF_TASK * p->queries;
  p->scratch = tct_cpu_lines(floats * (int64_t)sizeof(float));
  *out = (tct_prepared){.workspace_bytes = p->scratch * (size_t)device->n_threads, .state = p};
  return TCT_OK;
}

/* One block of keys meets the queries [first, end) of a head. */
static void meet_keys(const job *j, int64_t head, int64_t first, int64_t end, int64_t j0, float *scratch) {
  const plan *p = j->plan;
  const int64_t n = tct_cpu_least(KEYS, p->s - j0), ld_q = p->h * p->d, ld_v = p->h * p->v;
  float *keys = scratch, *values = keys + KEYS * p->d, *s = values + KEYS * p->wide_v;
  float *most = s + p->queries * KEYS, *sum = most + BLOCKS_OF_TASK * p->queries;
  pack(j, p->d, n, j->k + at(p, p->s, p->d, head, j0), 1, ld_q, keys);
  pack(j, n, p->v, j->value + at(p, p->s, p->v, head, j0), ld_v, 1, values);
  for (int64_t i0 = first; i0 < end; i0 += p->queries) {
    const int64_t m = tct_cpu_least(p->queries, end - i0);
    tct_cpu_sight sight;
    const int64_t seen = sight_of(j, head, i0, m, j0, n, &sight);
    if (seen == 0) continue;
    float *y = j->y + at(p, p->t, p->v, head, i0);
    multiply(j, m, seen, p->d, j->q + at(p, p->t, p->d, head, i0), ld_q, 1, keys, s, KEYS, false);
    j->device->k->attention_scores(&sight, s, KEYS, m, seen, p->scale, most + i0 - first, sum + i0 - first, y, ld_v,
                                   p->v);
    /* the panels of `values` are n rows apart, also where fewer keys are seen */
    j->device->k->gemm(m, p->v, seen, s, KEYS, KEYS, 1, values, p->panel * n, p->panel, y, ld_v, true);
  }
}

static void forward_task(void *user, int64_t task, int32_t worker) {
  const job *j = user;
  const plan *p = j->plan;
  const int64_t rows = BLOCKS_OF_TASK * p->queries, runs = tct_cpu_divide_up(p->t, rows), head = task / runs;
  const int64_t first = task % runs * rows, end = tct_cpu_least(first + rows, p->t), ld_v = p->h * p->v;
  float *scratch = (float *)((char *)j->launch->workspace + (size_t)worker * p->scratch);
  float *most = scratch + KEYS * (p->d + p->wide_v) + p->queries * KEYS, *sum = most + rows;
  float *y = j->y + at(p, p->t, p->v, head, first);
  zero_rows(y, ld_v, end - first, p->v);
  for (int64_t i = 0; i < end - first; i++) most[i] = -__builtin_inff(), sum[i] = 0.0f;
  const int64_t keys = p->causal ? tct_cpu_least(end, p->s) : p->s;
  for (int64_t j0 = 0; j0 < keys; j0 += KEYS) meet_keys(j, head, first, end, j0, scratch);
  j->device->k->attention_end(most, sum, y, ld_v, j->lse + head * p->t + first, end - first, p->v);
}

/* Nanoseconds for one thread: flops of the products and 1 ns per score. */
static double work(const plan *p, double flops_per_pair) {
  return (double)(p->b * p->h) * (double)(p->t * p->s) * (p->causal ? 0.5 : 1.0) * (flops_per_pair / 50.0 + 1.0);
}

tct_status tct_cpu_attention_launch(tct_device_impl *device, const tct_launch *launch) {
  const plan *p = launch->state;
  job j = {.device = device,
           .launch = launch,
           .plan = p,
           .mask = launch->node->n_in > 3 ? launch->in[3] : NULL,
           .q = launch->in[0],
           .k = launch->in[1],
           .value = launch->in[2],
           .y = launch->out[0],
           .lse = launch->out[1]};
  const int64_t tasks = p->b * p->h * tct_cpu_divide_up(p->t, BLOCKS_OF_TASK * p->queries);
  tct_cpu_run(device, tasks, work(p, 2.0 * (double)(p->d + p->v)), forward_task, &j);
  return TCT_OK;
}

/* ---- backward ---- */

bool tct_cpu_attention_grad_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cpu_is_f32(node, why, why_bytes);
}

/* A worker's scratch: keys and values of a block as columns, the keys as rows, queries and dy as rows, two blocks of
 * scores, delta. */
static int64_t scratch_floats(const plan *p) {
  return KEYS * (p->d + p->v + p->wide_d) + p->queries * (p->wide_d + p->wide_v + 2 * KEYS + 1);
}

tct_status tct_cpu_attention_grad_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  plan *p = plan_of(device, node, 6);
  if (p == NULL) return TCT_OUT_OF_MEMORY;
  const int64_t blocks = tct_cpu_divide_up(p->s, KEYS), heads = tct_cpu_most(p->b * p->h, 1);
  const int64_t wanted = tct_cpu_least(tct_cpu_divide_up(WANTED_TASKS, heads), blocks);
  p->chunk_keys = tct_cpu_divide_up(blocks, wanted) * KEYS;
  p->n_chunks = tct_cpu_divide_up(p->s, p->chunk_keys);
  const int64_t dq = p->b * p->t * p->h * p->d;
  p->fixed = p->n_chunks > 1 ? tct_cpu_lines(p->n_chunks * dq * (int64_t)sizeof(float)) : 0;
  p->scratch = tct_cpu_lines(scratch_floats(p) * (int64_t)sizeof(float));
  *out = (tct_prepared){.workspace_bytes = p->fixed + p->scratch * (size_t)device->n_threads, .state = p};
  return TCT_OK;
}

/* One block of keys [j0, j0 + n) of a head, against all queries that see any of it. */
static void gradients_of_keys(const job *j, int64_t head, int64_t j0, float *dq, float *scratch) {
  const plan *p = j->plan;
  const tct_cpu_kernels *k = j->device->k;
  const int64_t n = tct_cpu_least(KEYS, p->s - j0), ld_d = p->h * p->d, ld_v = p->h * p->v;
  float *key_columns = scratch, *value_columns = key_columns + KEYS * p->d, *key_rows = value_columns + KEYS * p->v;
  float *query_rows = key_rows + KEYS * p->wide_d, *dy_rows = query_rows + p->queries * p->wide_d;
  float *s = dy_rows + p->queries * p->wide_v, *ds = s + p->queries * KEYS, *delta = ds + p->queries * KEYS;
  const float *keys = j->k + at(p, p->s, p->d, head, j0), *values = j->value + at(p, p->s, p->v, head, j0);
  float *dk = j->dk + at(p, p->s, p->d, head, j0), *dv = j->dv + at(p, p->s, p->v, head, j0);
  pack(j, p->d, n, keys, 1, ld_d, key_columns);
  pack(j, p->v, n, values, 1, ld_v, value_columns);
  pack(j, n, p->d, keys, ld_d, 1, key_rows);
  zero_rows(dk, ld_d, n, p->d);
  zero_rows(dv, ld_v, n, p->v);
  const int64_t first = p->causal ? j0 / p->queries * p->queries : 0;
  for (int64_t i0 = first; i0 < p->t; i0 += p->queries) {
    const int64_t m = tct_cpu_least(p->queries, p->t - i0);
    tct_cpu_sight sight;
    const int64_t seen = sight_of(j, head, i0, m, j0, n, &sight);
    if (seen == 0) continue;
    const float *q = j->q + at(p, p->t, p->d, head, i0), *dy = j->dy + at(p, p->t, p->v, head, i0);
    pack(j, m, p->d, q, ld_d, 1, query_rows);
    pack(j, m, p->v, dy, ld_v, 1, dy_rows);
    k->row_dots(dy, ld_v, j->y + at(p, p->t, p->v, head, i0), ld_v, delta, m, p->v);
    multiply(j, m, seen, p->d, q, ld_d, 1, key_columns, s, KEYS, false);
    multiply(j, m, seen, p->v, dy, ld_v, 1, value_columns, ds, KEYS, false);
    k->attention_grad(&sight, s, ds, KEYS, m, seen, p->scale, j->lse + head * p->t + i0, delta);
    multiply(j, seen, p->v, m, s, 1, KEYS, dy_rows, dv, ld_v, true);
    multiply(j, seen, p->d, m, ds, 1, KEYS, query_rows, dk, ld_d, true);
    k->gemm(m, p->d, seen, ds, KEYS, KEYS, 1, key_rows, p->panel * n, p->panel, dq + at(p, p->t, p->d, head, i0), ld_d,
            true);
  }
}

static void backward_task(void *user, int64_t task, int32_t worker) {
  const job *j = user;
  const plan *p = j->plan;
  const int64_t head = task / p->n_chunks, chunk = task % p->n_chunks, ld = p->h * p->d;
  float *scratch = (float *)((char *)j->launch->workspace + p->fixed + (size_t)worker * p->scratch);
  float *dq = p->n_chunks > 1 ? (float *)j->launch->workspace + chunk * p->b * p->t * ld : j->dq;
  zero_rows(dq + at(p, p->t, p->d, head, 0), ld, p->t, p->d);
  const int64_t end = tct_cpu_least((chunk + 1) * p->chunk_keys, p->s);
  for (int64_t j0 = chunk * p->chunk_keys; j0 < end; j0 += KEYS) gradients_of_keys(j, head, j0, dq, scratch);
}

static void add_chunks(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const job *j = user;
  const int64_t size = j->plan->b * j->plan->t * j->plan->h * j->plan->d, first = task * TCT_CPU_TASK;
  j->device->k->sum_parts((const float *)j->launch->workspace + first, j->plan->n_chunks, size, j->dq + first,
                          tct_cpu_least(TCT_CPU_TASK, size - first));
}

tct_status tct_cpu_attention_grad_launch(tct_device_impl *device, const tct_launch *launch) {
  const plan *p = launch->state;
  job j = {.device = device,
           .launch = launch,
           .plan = p,
           .mask = launch->node->n_in > 6 ? launch->in[6] : NULL,
           .q = launch->in[0],
           .k = launch->in[1],
           .value = launch->in[2],
           .y = launch->in[3],
           .lse = launch->in[4],
           .dy = launch->in[5],
           .dq = launch->out[0],
           .dk = launch->out[1],
           .dv = launch->out[2]};
  tct_cpu_run(device, p->b * p->h * p->n_chunks, work(p, 6.0 * (double)p->d + 4.0 * (double)p->v), backward_task, &j);
  const int64_t size = p->b * p->t * p->h * p->d;
  if (p->n_chunks > 1) {
    tct_cpu_run(device, tct_cpu_tasks(size), 0.2 * (double)(size * p->n_chunks), add_chunks, &j);
  }
  return TCT_OK;
}
