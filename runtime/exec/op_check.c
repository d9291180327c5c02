/* tct_op_check: is what an op's author wrote consistent? The device's kernel against the op's reference kernel, and the
 * gradient against differences of the forward, along a random direction. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/alloc.h"
#include "base/number.h"
#include "base/status.h"
#include "exec/exec.h"
#include "kernels/common/philox.h"
#include <tercet/ops.h>

enum { MOST_IN = 16, MOST_OUT = 8 };

typedef struct subject {
  tct_op op;
  const void *attrs;
  int32_t n_in, n_out;
  tct_desc in[MOST_IN];
  tct_arena arena;       /* of the values below */
  double *x[MOST_IN];    /* the point */
  double *d[MOST_IN];    /* the direction; NULL: not a float */
} subject;

/* A compiled graph of the op: outputs y0…, loss (weighted sums of the float outputs), gradients g0…. */
typedef struct running {
  tct_device *device;
  tct_graph *graph;
  tct_program *program;
} running;

static void stop(running *r) {
  tct_program_free(r->program);
  tct_graph_free(r->graph);
  tct_device_close(r->device);
  *r = (running){0};
}

static tct_tensor loss_of(const tct_tensor *y, int32_t n) {
  tct_tensor loss = {NULL, -1};
  for (int32_t o = 0; o < n; o++) {
    const tct_dtype dtype = tct_tensor_dtype(y[o]);
    if (!tct_dtype_is_float(dtype)) continue;
    /* weights that differ, 1 + cos(e)/2, so that a gradient in the wrong place is seen */
    const tct_shape flat = TCT_SHAPE(-1);
    const tct_tensor row = tct_reshape(y[o], flat), one = tct_full(y[o].graph, dtype, tct_tensor_shape(row), 1);
    const tct_tensor weight = tct_scale(tct_cos(tct_cumsum(one, 0, false, false)), 0.5, 1);
    const tct_tensor part = tct_reduce_sum(tct_mul(row, weight), NULL, 0, false);
    loss = tct_is_set(loss) ? tct_add(loss, tct_cast(part, tct_tensor_dtype(loss))) : part;
  }
  return loss;
}

static tct_status build(const subject *s, bool differentiates, tct_graph *graph) {
  tct_tensor x[MOST_IN], y[MOST_OUT], wrt[MOST_IN], g[MOST_IN];
  char name[16];
  int32_t n_wrt = 0;
  for (int32_t i = 0; i < s->n_in; i++) {
    snprintf(name, sizeof name, "x%d", (int)i);
    x[i] = tct_input(graph, name, s->in[i].dtype, s->in[i].shape);
    if (tct_dtype_is_float(s->in[i].dtype)) wrt[n_wrt++] = x[i];
  }
  (void)tct_emit(graph, s->op, s->attrs, x, s->n_in, y);
  TCT_TRY(tct_graph_status(graph));
  for (int32_t o = 0; o < s->n_out; o++) {
    snprintf(name, sizeof name, "y%d", (int)o);
    tct_output(graph, name, y[o]);
  }
  const tct_tensor loss = loss_of(y, s->n_out);
  if (!tct_is_set(loss)) return tct_graph_status(graph);
  tct_output(graph, "loss", loss);
  if (differentiates) tct_gradients(loss, wrt, n_wrt, g);
  for (int32_t i = 0; differentiates && i < n_wrt; i++) {
    snprintf(name, sizeof name, "g%d", (int)(wrt[i].id - x[0].id));
    tct_output(graph, name, g[i]);
  }
  return tct_graph_status(graph);
}

static tct_status start(const subject *s, const char *device, bool differentiates, running *out) {
  *out = (running){0};
  TCT_TRY(tct_graph_create(&out->graph));
  TCT_TRY(build(s, differentiates, out->graph));
  TCT_TRY(tct_device_open(device, NULL, &out->device));
  return tct_compile(out->graph, out->device, NULL, &out->program);
}

/* One run at x + t·d. */
static tct_status run_at(const subject *s, running *r, double t) {
  for (int32_t i = 0; i < r->program->n_inputs; i++) {
    const tct_port *port = &r->program->inputs[i];
    const int64_t n = tct_shape_size(&s->in[i].shape);
    void *data = tct_alloc(port->bytes + 16);
    if (data == NULL) return TCT_OUT_OF_MEMORY;
    for (int64_t e = 0; e < n; e++) {
      tct_store_number(port->desc.dtype, data, e, s->x[i][e] + (s->d[i] != NULL ? t * s->d[i][e] : 0));
    }
    const tct_status status = tct_program_set(r->program, port->name, data, port->bytes);
    tct_release(data);
    TCT_TRY(status);
  }
  return tct_program_run(r->program);
}

static tct_status read_output(running *r, const tct_port *port, tct_arena *arena, double **out) {
  const int64_t n = tct_shape_size(&port->desc.shape);
  void *data = tct_arena_alloc(arena, port->bytes + 16);
  *out = tct_arena_alloc(arena, ((size_t)n + 1) * sizeof(double));
  if (data == NULL || *out == NULL) return TCT_OUT_OF_MEMORY;
  TCT_TRY(tct_program_get(r->program, port->name, data, port->bytes));
  for (int64_t e = 0; e < n; e++) (*out)[e] = tct_load_number(port->desc.dtype, data, e);
  return TCT_OK;
}

static tct_status loss_at(const subject *s, running *r, double t, tct_arena *arena, double *out) {
  TCT_TRY(run_at(s, r, t));
  for (int32_t i = 0; i < r->program->n_outputs; i++) {
    const tct_port *port = &r->program->outputs[i];
    double *value = NULL;
    if (port->name[0] != 'l') continue;
    TCT_TRY(read_output(r, port, arena, &value));
    *out = value[0];
  }
  return TCT_OK;
}

/* ---- the two comparisons ---- */

static tct_status compare_outputs(const subject *s, running *device, running *reference, tct_arena *arena) {
  TCT_TRY(run_at(s, device, 0));
  TCT_TRY(run_at(s, reference, 0));
  for (int32_t o = 0; o < s->n_out; o++) {
    const tct_port *port = &device->program->outputs[o];
    double *got = NULL, *want = NULL, largest = 0;
    const int64_t n = tct_shape_size(&port->desc.shape);
    TCT_TRY(read_output(device, port, arena, &got));
    TCT_TRY(read_output(reference, &reference->program->outputs[o], arena, &want));
    for (int64_t e = 0; e < n; e++) largest = fmax(largest, fabs(want[e]));
    const double relative = port->desc.dtype == TCT_F64    ? 1e-9
                            : port->desc.dtype == TCT_BF16 ? 0.02
                            : port->desc.dtype == TCT_F16  ? 0.004
                                                           : 1e-4;
    for (int64_t e = 0; e < n; e++) {
      const double allowed = tct_dtype_is_float(port->desc.dtype) ? relative * fmax(fabs(want[e]), largest / 8) : 0;
      if (fabs(got[e] - want[e]) <= allowed || (isnan(got[e]) && isnan(want[e]))) continue;
      return tct_fail(TCT_NUMERIC, "op '%s': output %d, element %lld is %.9g on device '%s', its reference kernel says %.9g",
                      tct_op_name(s->op), (int)o, (long long)e, got[e], device->device->spec, want[e]);
    }
  }
  return TCT_OK;
}

/* Central differences; h and the tolerance are for the type that the forward computes in. */
static tct_status compare_gradients(const subject *s, running *r, tct_arena *arena) {
  const bool wide = s->in[0].dtype == TCT_F64;
  const double h = wide ? 1e-5 : 1e-2, relative = wide ? 1e-6 : 2e-2;
  double above = 0, below = 0, product = 0, sizes = 0;
  TCT_TRY(loss_at(s, r, h, arena, &above));
  TCT_TRY(loss_at(s, r, -h, arena, &below));
  TCT_TRY(run_at(s, r, 0));
  for (int32_t i = 0; i < r->program->n_outputs; i++) {
    const tct_port *port = &r->program->outputs[i];
    if (port->name[0] != 'g') continue;
    const int32_t of = (int32_t)strtol(port->name + 1, NULL, 10);
    double *g = NULL;
    TCT_TRY(read_output(r, port, arena, &g));
    for (int64_t e = 0; e < tct_shape_size(&port->desc.shape); e++) {
      product += g[e] * s->d[of][e];
      sizes += fabs(g[e] * s->d[of][e]);
    }
  }
  const double slope = (above - below) / (2 * h);
  if (fabs(product - slope) <= relative * fmax(sizes, fabs(slope)) + 1e-9) return TCT_OK;
  return tct_fail(TCT_NUMERIC, "op '%s': its gradient along a random direction is %.6g, differences of its forward say %.6g",
                  tct_op_name(s->op), product, slope);
}

/* ---- */

/* Points in ±1 away from 0, directions in ±1; whole numbers are 0. */
static tct_status choose_point(subject *s) {
  for (int32_t i = 0; i < s->n_in; i++) {
    const int64_t n = tct_shape_size(&s->in[i].shape);
    s->x[i] = tct_arena_alloc(&s->arena, ((size_t)n + 1) * sizeof(double));
    double *d = tct_arena_alloc(&s->arena, ((size_t)n + 1) * sizeof(double));
    if (s->x[i] == NULL || d == NULL) return TCT_OUT_OF_MEMORY;
    if (!tct_dtype_is_float(s->in[i].dtype)) continue;
    s->d[i] = d;
    for (int64_t e = 0; e < n; e++) {
      const tct_philox block = tct_philox_block(7, (uint32_t)i, 0, (uint64_t)e);
      const double u = (double)tct_philox_unit(block.v[0]);
      s->x[i][e] = (block.v[1] & 1u) != 0 ? 0.1 + 0.9 * u : -0.1 - 0.9 * u;
      d[e] = 2 * (double)tct_philox_unit(block.v[2]) - 1;
    }
  }
  return TCT_OK;
}

/* Runs of the op in f64 on the reference, where it is defined there: differences are far sharper. */
static tct_status check_gradient(const subject *given, const char *device, tct_arena *arena) {
  subject wide = *given;
  running r;
  for (int32_t i = 0; i < wide.n_in; i++)
    if (tct_dtype_is_float(wide.in[i].dtype)) wide.in[i].dtype = TCT_F64;
  const subject *s = &wide;
  tct_status status = start(&wide, "ref", true, &r);
  if (status != TCT_OK && status != TCT_OUT_OF_MEMORY) {
    stop(&r);
    tct_error_clear();
    s = given;
    status = start(given, device, true, &r);
  }
  if (status == TCT_OK) status = compare_gradients(s, &r, arena);
  stop(&r);
  return status;
}

static tct_status check_kernel(const subject *s, const char *device, tct_arena *arena) {
  running on_device, on_ref = {0};
  tct_status status = start(s, device, false, &on_device);
  if (status == TCT_OK) status = start(s, "ref", false, &on_ref);
  if (status == TCT_OK) status = compare_outputs(s, &on_device, &on_ref, arena);
  stop(&on_device);
  stop(&on_ref);
  return status;
}

tct_status tct_op_check(tct_op op, const void *attrs, const tct_desc *in, int32_t n_in, const char *device) {
  const tct_op_def *def = tct_op_definition(op);
  if (def == NULL || n_in < 1 || n_in > MOST_IN) {
    return tct_fail(TCT_INVALID, "op_check: op %d with %d operands; needs a registered op with 1 to %d", (int)op, (int)n_in,
                    MOST_IN);
  }
  subject s = {.op = op, .attrs = attrs, .n_in = n_in, .n_out = def->n_out};
  tct_arena arena = {0};
  for (int32_t i = 0; i < n_in; i++) s.in[i] = in[i];
  tct_status status = choose_point(&s);
  if (status == TCT_OK) status = check_kernel(&s, device, &arena);
  if (status == TCT_OK && def->gradient != NULL) status = check_gradient(&s, device, &arena);
  tct_arena_free(&s.arena);
  tct_arena_free(&arena);
  return status;
}
