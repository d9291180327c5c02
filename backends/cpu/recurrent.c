/* LSTM and GRU over all steps. The products with x are one product over all steps, written where the gates will stand.
 * Then each step is one run of the pool: a task takes a block of samples and a panel of units, multiplies the state by
 * u's columns of that panel, all gates, and goes on to the new state while the sums are in cache. Backward the products
 * and the cells are runs of their own, since the cells read what the forward left long ago: 0.7 of the time. u is
 * packed once for all steps. The states that are multiplied are dense copies: rows of y lie T·H floats apart, at which
 * distance a register tile's rows fall into one set of the first cache. */
#include <string.h>
#include "backends/cpu/device.h"

enum {
  TILES_OF_TASK = 8,
  GATES = 4,    /* blocks of units in `gates`, of both */
  CELL_ROWS = 4 /* backward: samples of a task beside the products */
};

typedef struct plan {
  int64_t b, t, h;
  int64_t gates; /* 4 or 3: blocks of u's columns */
  bool reverse, is_gru;
  int64_t panel, n_panels;    /* of units */
  int64_t block_rows;         /* samples of a task */
  int64_t dense_row;          /* floats from one row of a dense copy to the next */
  tct_cpu_gemm projection;    /* forward: x·w + b */
  size_t bias, packed, dense; /* bytes of the workspace's parts: added biases (gru), u, and two dense copies */
} plan;

static plan *plan_of(tct_device_impl *device, const tct_node_view *node, const tct_shape *by_step, int64_t units,
                     int64_t width) {
  plan *p = tct_cpu_state(device, sizeof *p);
  if (p == NULL) return NULL;
  const tct_recurrent_attrs *attrs = node->attrs;
  *p = (plan){.b = by_step->dim[0],
              .t = by_step->dim[1],
              .h = units,
              .gates = width / units,
              .reverse = attrs->reverse,
              .is_gru = width == 3 * units,
              .panel = device->k->gemm_panel(),
              .block_rows = TILES_OF_TASK * device->k->gemm_rows()};
  p->n_panels = tct_cpu_divide_up(units, p->panel);
  return p;
}

static size_t floats(int64_t n) {
  return tct_cpu_lines(n * (int64_t)sizeof(float));
}

/* A line more than the row, so that rows fall into different sets. */
static int64_t padded(int64_t row) {
  return tct_cpu_divide_up(row, 16) * 16 + 16;
}

typedef struct job {
  tct_device_impl *device;
  const tct_launch *launch;
  const plan *plan;
  const float *u;
  float *packed, *dense[2]; /* dense: what step k - 1 left at k & 1, what it makes at the other */
  const float *first;       /* [B,H]: the state before the first step that the cell reads */
  const float *bias;        /* gru: b₁ of the third gate */
  int64_t k;                /* the step */
} job;

static int64_t time_of(const plan *p, int64_t k) {
  return p->reverse ? p->t - 1 - k : k;
}

/* The rows of state x [B,T,H] before step k; *row is their distance. */
static const float *before(const job *j, const float *x, int64_t k, int64_t *row) {
  const plan *p = j->plan;
  *row = k > 0 ? p->t * p->h : p->h;
  return k > 0 ? x + time_of(p, k - 1) * p->h : j->first;
}

static int64_t tasks_of(const plan *p) {
  return tct_cpu_divide_up(p->b, p->block_rows) * p->n_panels;
}

static double ns_of_step(const plan *p) {
  return (double)(p->b * p->h * p->gates) * (2.0 * (double)p->h / 50.0 + 2.0);
}

/* The task's samples and units. */
typedef struct block {
  int64_t row, m, unit, n;
} block;
static block block_of(const plan *p, int64_t task) {
  const int64_t row = task / p->n_panels * p->block_rows, unit = task % p->n_panels * p->panel;
  return (block){row, tct_cpu_least(p->block_rows, p->b - row), unit, tct_cpu_least(p->panel, p->h - unit)};
}

/* Asks for rows × n floats, `row` apart, before they are read: at a distance of T rows the processor does not by
 * itself. */
static void fetch(const float *x, int64_t row, int64_t rows, int64_t n) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t c = 0; c < n; c += 16) __builtin_prefetch(x + i * row + c, 0, 2);
}

/* ---- forward ---- */

bool tct_cpu_recurrent_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cpu_is_f32(node, why, why_bytes);
}

tct_status tct_cpu_recurrent_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_shape *x = &node->in[0].shape, *u = &node->in[2].shape;
  plan *p = plan_of(device, node, x, u->dim[0], u->dim[1]);
  if (p == NULL) return TCT_OUT_OF_MEMORY;
  p->projection = (tct_cpu_gemm){
      .m = p->b * p->t, .n = u->dim[1], .k = x->dim[2], .lda = x->dim[2], .ldb = u->dim[1], .ldc = GATES * p->h};
  const size_t projection = tct_cpu_gemm_plan(device, &p->projection, 1);
  p->dense_row = padded(p->h);
  p->bias = p->is_gru ? floats(u->dim[1]) : 0;
  p->packed = floats(p->n_panels * p->gates * p->panel * p->h);
  p->dense = floats(p->b * p->dense_row);
  /* beside the dense copies, zeros for a first state that is not given */
  const size_t steps = p->packed + 2 * p->dense + floats(p->b * p->h);
  *out = (tct_prepared){.state = p};
  out->workspace_bytes = p->bias + (projection > steps ? projection : steps);
  return TCT_OK;
}

/* u's columns of a panel of units, one packed panel a gate. */
static void pack_forward(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const job *j = user;
  const plan *p = j->plan;
  const block at = block_of(p, task);
  for (int64_t gate = 0; gate < p->gates; gate++)
    j->device->k->gemm_pack(p->h, at.n, j->u + gate * p->h + at.unit, p->gates * p->h, 1,
                            j->packed + (task * p->gates + gate) * p->panel * p->h);
}

static void forward_task(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const job *j = user;
  const plan *p = j->plan;
  const block at = block_of(p, task);
  const int64_t t = time_of(p, j->k), step = p->t * p->h, place = at.row * step + t * p->h + at.unit;
  float *const *out = (float *const *)j->launch->out;
  float *gates = out[p->is_gru ? 1 : 2] + (at.row * p->t + t) * GATES * p->h + at.unit;
  const float *state = j->dense[j->k & 1] + at.row * p->dense_row;
  for (int64_t gate = 0; gate < p->gates; gate++) fetch(gates + gate * p->h, GATES * step, at.m, at.n);
  for (int64_t gate = 0; gate < p->gates; gate++) {
    const bool alone = p->is_gru && gate == 2; /* h's product for the candidate stands by itself, in the fourth place */
    j->device->k->gemm(at.m, at.n, p->h, state, p->dense_row, p->dense_row, 1,
                       j->packed + (task % p->n_panels * p->gates + gate) * p->panel * p->h, 0, p->panel,
                       gates + (alone ? 3 : gate) * p->h, GATES * step, !alone);
  }
  tct_cpu_cell cell = {.m = at.m,
                       .n = at.n,
                       .units = p->h,
                       .gates = gates,
                       .gates_row = GATES * step,
                       .y = out[0] + place,
                       .y_row = step,
                       .dense_row = p->dense_row,
                       .dense = j->dense[~j->k & 1] + at.row * p->dense_row + at.unit};
  cell.before = before(j, p->is_gru ? out[0] : out[1], j->k, &cell.before_row) + at.row * cell.before_row + at.unit;
  if (p->is_gru) {
    cell.bias = j->bias + at.unit;
    j->device->k->gru_cell(&cell);
  } else {
    cell.c = out[1] + place;
    j->device->k->lstm_cell(&cell);
  }
}

/* The first step's states: the given ones or zeros. */
static void begin_forward(job *j, float *zeros) {
  const plan *p = j->plan;
  const tct_node_view *node = j->launch->node;
  const bool given = node->n_in > 4;
  const float *h0 = given ? j->launch->in[4] : zeros;
  memset(zeros, 0, (size_t)(p->b * p->h) * sizeof *zeros);
  for (int64_t i = 0; i < p->b; i++) memcpy(j->dense[0] + i * p->dense_row, h0 + i * p->h, (size_t)p->h * sizeof *h0);
  j->first = !given ? zeros : p->is_gru ? h0 : j->launch->in[5];
}

tct_status tct_cpu_recurrent_launch(tct_device_impl *device, const tct_launch *launch) {
  const plan *p = launch->state;
  job j = {.device = device, .launch = launch, .plan = p, .u = launch->in[2]};
  const float *bias = launch->in[3];
  char *rest = (char *)launch->workspace + p->bias;
  if (p->is_gru) { /* both biases of z and r go with x's product, the candidate's second one with h's */
    float *sums = launch->workspace;
    j.bias = bias + 5 * p->h;
    memcpy(sums, bias, (size_t)(3 * p->h) * sizeof *sums);
    for (int64_t i = 0; i < 2 * p->h; i++) sums[i] += bias[3 * p->h + i];
    bias = sums;
  }
  tct_cpu_gemm_run(device, &p->projection, 1, launch->in[0], NULL, launch->in[1], NULL, bias,
                   launch->out[p->is_gru ? 1 : 2], rest);
  j.packed = (float *)rest;
  j.dense[0] = (float *)(rest + p->packed);
  j.dense[1] = (float *)(rest + p->packed + p->dense);
  tct_cpu_run(device, p->n_panels, 0.5 * (double)(p->h * p->h * p->gates), pack_forward, &j);
  begin_forward(&j, (float *)(rest + p->packed + 2 * p->dense));
  for (j.k = 0; j.k < p->t; j.k++) tct_cpu_run(device, tasks_of(p), ns_of_step(p), forward_task, &j);
  return TCT_OK;
}

/* ---- backward ---- */

bool tct_cpu_recurrent_grad_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  return tct_cpu_is_f32(node, why, why_bytes);
}

tct_status tct_cpu_recurrent_grad_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_shape *u = &node->in[0].shape;
  plan *p = plan_of(device, node, &node->in[1].shape, u->dim[0], u->dim[1]);
  if (p == NULL) return TCT_OUT_OF_MEMORY;
  p->dense_row = padded(u->dim[1]);
  p->packed = floats(p->n_panels * p->panel * u->dim[1]);
  p->dense = floats(p->b * p->dense_row);
  *out = (tct_prepared){.workspace_bytes = p->packed + 2 * p->dense + floats(p->b * p->h), .state = p};
  return TCT_OK;
}

/* Rows of u as the columns of uᵀ. */
static void pack_backward(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const job *j = user;
  const plan *p = j->plan;
  const block at = block_of(p, task);
  const int64_t width = p->gates * p->h;
  j->device->k->gemm_pack(width, at.n, j->u + at.unit * width, 1, width, j->packed + task * p->panel * width);
}

/* dh of step k, from what step k + 1 sends back. */
static void carry_task(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const job *j = user;
  const plan *p = j->plan;
  const block at = block_of(p, task);
  const int64_t width = p->gates * p->h;
  float *dh = (float *)j->launch->out[p->is_gru ? 2 : 1] + at.row * p->h + at.unit;
  j->device->k->gemm(at.m, at.n, width, j->dense[j->k & 1] + at.row * p->dense_row, p->dense_row, p->dense_row, 1,
                     j->packed + task % p->n_panels * p->panel * width, 0, p->panel, dh, p->h, p->is_gru);
}

/* The gradients of step k's gates, for whole rows of a few samples: what is read lies T rows apart from sample to
 * sample, and only runs are fetched ahead. */
static void backward_task(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const job *j = user;
  const plan *p = j->plan;
  const tct_launch *l = j->launch;
  const int64_t row = task * CELL_ROWS, t = time_of(p, j->k), width = p->gates * p->h, step = p->t * p->h;
  const int64_t place = row * step + t * p->h;
  float *const *out = (float *const *)l->out;
  tct_cpu_cell_grad cell = {.m = tct_cpu_least(CELL_ROWS, p->b - row),
                            .n = p->h,
                            .units = p->h,
                            .gates = (const float *)l->in[2] + (row * p->t + t) * GATES * p->h,
                            .gates_row = GATES * step,
                            .dy = (const float *)l->in[3] + place,
                            .y_row = step,
                            .dh = out[p->is_gru ? 2 : 1] + row * p->h,
                            .da = out[0] + (row * p->t + t) * width,
                            .da_row = p->t * width,
                            .dense = j->dense[~j->k & 1] + row * p->dense_row,
                            .dense_row = p->dense_row};
  cell.before = before(j, l->in[1], j->k, &cell.before_row) + row * cell.before_row;
  if (p->is_gru) {
    cell.dq = out[1] + (row * p->t + t) * width;
    j->device->k->gru_cell_grad(&cell);
  } else {
    cell.c = (const float *)l->in[1] + place;
    cell.dc_in = l->node->n_in > 4 ? (const float *)l->in[4] + place : NULL;
    cell.dc = out[2] + row * p->h;
    j->device->k->lstm_cell_grad(&cell);
  }
}

tct_status tct_cpu_recurrent_grad_launch(tct_device_impl *device, const tct_launch *launch) {
  const plan *p = launch->state;
  const tct_node_view *node = launch->node;
  job j = {.device = device, .launch = launch, .plan = p, .u = launch->in[0], .packed = launch->workspace};
  char *rest = (char *)launch->workspace + p->packed;
  j.dense[0] = (float *)rest;
  j.dense[1] = (float *)(rest + p->dense);
  const int32_t state = p->is_gru ? 4 : 5;
  const size_t state_bytes = (size_t)(p->b * p->h) * sizeof(float);
  memset(rest + 2 * p->dense, 0, state_bytes);
  j.first = node->n_in > state ? launch->in[state] : (float *)(rest + 2 * p->dense);
  for (int32_t o = p->is_gru ? 2 : 1; o < node->n_out; o++) memset(launch->out[o], 0, state_bytes);
  tct_cpu_run(device, p->n_panels, 1.0 * (double)(p->h * p->h * p->gates), pack_backward, &j);
  const double ns = 5.0 * (double)(p->b * p->h);
  for (j.k = p->t - 1; j.k >= 0; j.k--) {
    if (j.k < p->t - 1) tct_cpu_run(device, tasks_of(p), ns_of_step(p), carry_task, &j);
    tct_cpu_run(device, tct_cpu_divide_up(p->b, CELL_ROWS), ns, backward_task, &j);
  }
  tct_cpu_run(device, tasks_of(p), ns_of_step(p), carry_task, &j); /* k = -1: to the first state */
  return TCT_OK;
}
