/* Launching the judge's step with operands given to it, and comparing what comes out. */
#include "perf/shadow/judge.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/op.h>
#include "perf/shadow/values.h"

/* ---- values on the host ---- */

static int32_t count_results(const tct_node_view *node) {
  return node->n_out > 0 ? node->n_out : ((const tct_update_attrs *)node->attrs)->n_state;
}

int32_t taken_result_operand(const taken_step *t, int32_t result) { return t->info.node->n_out > 0 ? t->n_in + result : result; }

static bool take(taken *t, const tct_desc *desc) {
  t->desc = *desc;
  t->n = tct_shape_size(&desc->shape);
  t->bytes = (size_t)t->n * tct_dtype_bytes(desc->dtype);
  t->data = malloc(t->bytes + 1);
  return t->data != NULL;
}

void taken_free(taken_step *t) {
  for (int32_t i = 0; t->in != NULL && i < t->n_in; i++) free(t->in[i].data);
  for (int32_t i = 0; t->result != NULL && i < t->n_results; i++) free(t->result[i].data);
  free(t->in);
  free(t->result);
  *t = (taken_step){.in = NULL};
}

tct_status taken_create(const tct_program *program, int32_t step, taken_step *out) {
  *out = (taken_step){.in = NULL};
  if (!tct_program_step(program, step, &out->info)) return TCT_NOT_FOUND;
  const tct_node_view *const node = out->info.node;
  out->n_in = node->n_in;
  out->n_results = count_results(node);
  out->in = calloc((size_t)out->n_in + 1, sizeof *out->in);
  out->result = calloc((size_t)out->n_results + 1, sizeof *out->result);
  bool there = out->in != NULL && out->result != NULL;
  for (int32_t i = 0; there && i < out->n_in; i++) there = take(&out->in[i], &node->in[i]);
  for (int32_t i = 0; there && i < out->n_results; i++)
    there = take(&out->result[i], node->n_out > 0 ? &node->out[i] : &node->in[i]);
  return there ? TCT_OK : TCT_OUT_OF_MEMORY;
}

tct_status taken_read_operands(tct_program *program, int32_t step, taken_step *t) {
  tct_status status = TCT_OK;
  for (int32_t i = 0; i < t->n_in && status == TCT_OK; i++)
    status = tct_program_operand_read(program, step, i, t->in[i].data, t->in[i].bytes);
  return status;
}

tct_status taken_read_results(tct_program *program, int32_t step, taken_step *t) {
  tct_status status = TCT_OK;
  for (int32_t r = 0; r < t->n_results && status == TCT_OK; r++)
    status = tct_program_operand_read(program, step, taken_result_operand(t, r), t->result[r].data, t->result[r].bytes);
  return status;
}

/* ---- launches ---- */

typedef enum change { PLAIN, ABSOLUTE, NUDGED } change;

typedef struct launches {
  tct_program *judge;
  int32_t step;
  const taken_step *t;
  void *operand;       /* room for the largest operand; owned, like those below */
  void **want, **next; /* each result as it should be, and of a changed launch */
  double **magnitude;  /* M of each element */
} launches;

/* A relative change that is far above rounding, and small beside 1. */
static double nudge_of(tct_dtype dtype) { return dtype == TCT_F64 ? 0x1p-20 : dtype == TCT_F32 ? 0x1p-10 : 0x1p-4; }

/* ±1, the same for the same element (splitmix64: Steele, Lea & Flood, 2014). */
static double sign_of(int32_t operand, int64_t i) {
  uint64_t z = ((uint64_t)(uint32_t)operand << 40) + (uint64_t)i + 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return (z >> 63) != 0 ? -1 : 1;
}

static bool changes(const launches *l, budget_kind kind, change how, int32_t operand, int32_t nudged) {
  if (!values_are_float(l->t->in[operand].desc.dtype)) return false;
  if (how == ABSOLUTE) return kind != BUDGET_LINEAR || operand == l->t->n_in - 1;
  return how == NUDGED && operand == nudged;
}

/* "in3", "out0": the ports of a node's own program. */
static const char *port(const char *kind, int32_t i, char name[16]) {
  (void)snprintf(name, 16, "%s%d", kind, (int)i);
  return name;
}

tct_status judge_compile(tct_device *device, const tct_node_view *node, tct_program **out) {
  tct_graph *graph = NULL;
  char name[16];
  *out = NULL;
  tct_tensor *const tensors = calloc((size_t)(node->n_in + node->n_out) + 1, sizeof *tensors), *const made = tensors + node->n_in;
  tct_status status = tensors != NULL ? tct_graph_create(&graph) : TCT_OUT_OF_MEMORY;
  if (status == TCT_OK) {
    for (int32_t i = 0; i < node->n_in; i++) tensors[i] = tct_input(graph, port("in", i, name), node->in[i].dtype, node->in[i].shape);
    (void)tct_emit(graph, node->op, node->attrs, tensors, node->n_in, made);
    for (int32_t i = 0; i < node->n_out; i++) tct_output(graph, port("out", i, name), made[i]);
    status = tct_compile(graph, device, NULL, out);
  }
  tct_graph_free(graph);
  free(tensors);
  return status;
}

static tct_status write_operand(const launches *l, int32_t o, size_t bytes) {
  char name[16];
  return l->step == JUDGE_ALONE ? tct_program_set(l->judge, port("in", o, name), l->operand, bytes)
                                : tct_program_operand_write(l->judge, l->step, o, l->operand, bytes);
}

static tct_status read_result(const launches *l, int32_t r, void *data) {
  char name[16];
  const size_t bytes = l->t->result[r].bytes;
  return l->step == JUDGE_ALONE ? tct_program_get(l->judge, port("out", r, name), data, bytes)
                                : tct_program_operand_read(l->judge, l->step, taken_result_operand(l->t, r), data, bytes);
}

/* Writes every operand, as it is or changed: a step may have written over them. */
static tct_status launch(const launches *l, budget_kind kind, change how, int32_t nudged, void *const *results) {
  tct_status status = TCT_OK;
  for (int32_t o = 0; o < l->t->n_in && status == TCT_OK; o++) {
    const taken *const in = &l->t->in[o];
    const tct_dtype dtype = in->desc.dtype;
    memcpy(l->operand, in->data, in->bytes);
    for (int64_t i = 0; changes(l, kind, how, o, nudged) && i < in->n; i++) {
      const double x = values_get(dtype, in->data, i);
      values_set(dtype, l->operand, i, how == ABSOLUTE ? fabs(x) : x * (1 + nudge_of(dtype) * sign_of(o, i)));
    }
    status = write_operand(l, o, in->bytes);
  }
  if (status == TCT_OK) status = l->step == JUDGE_ALONE ? tct_program_run(l->judge) : tct_program_launch_step(l->judge, l->step);
  for (int32_t r = 0; r < l->t->n_results && status == TCT_OK; r++) status = read_result(l, r, results[r]);
  return status;
}

/* ---- M ---- */

static tct_status measure_sum(const launches *l, budget_kind kind) {
  const tct_status status = launch(l, kind, ABSOLUTE, -1, l->next);
  for (int32_t r = 0; r < l->t->n_results && status == TCT_OK; r++) {
    const taken *const result = &l->t->result[r];
    for (int64_t i = 0; i < result->n; i++) l->magnitude[r][i] = fabs(values_get(result->desc.dtype, l->next[r], i));
  }
  return status;
}

/* |y|, and what an operand's change by a part of itself changes, for each operand. */
static tct_status measure_influence(const launches *l, budget_kind kind) {
  const bool whole = !budget_is_row(kind);
  const taken *const last = kind == BUDGET_CANCEL ? &l->t->in[l->t->n_in - 1] : NULL; /* of the result's shape */
  for (int32_t r = 0; r < l->t->n_results; r++) {
    const taken *const result = &l->t->result[r];
    for (int64_t i = 0; i < result->n; i++) {
      l->magnitude[r][i] = fabs(values_get(result->desc.dtype, l->want[r], i));
      if (last != NULL) l->magnitude[r][i] += fabs(values_get(last->desc.dtype, last->data, i));
    }
  }
  for (int32_t o = 0; o < l->t->n_in; o++) {
    const tct_dtype dtype = l->t->in[o].desc.dtype;
    if (!values_are_float(dtype)) continue;
    const double weight = budget_weight(l->t->info.node, o);
    const tct_status status = launch(l, kind, NUDGED, o, l->next);
    if (status != TCT_OK) return status;
    for (int32_t r = 0; r < l->t->n_results; r++) {
      const taken *const result = &l->t->result[r];
      double most = 0;
      for (int64_t i = 0; i < result->n; i++) {
        const double y = values_get(result->desc.dtype, l->want[r], i), z = values_get(result->desc.dtype, l->next[r], i);
        const double influence = weight * fabs(z - y) / nudge_of(dtype);
        if (!isfinite(influence)) continue;
        most = fmax(most, influence);
        l->magnitude[r][i] += whole ? 0 : influence;
      }
      for (int64_t i = 0; whole && i < result->n; i++) l->magnitude[r][i] += most;
    }
  }
  return TCT_OK;
}

/* ---- comparing ---- */

static double share_of(const judgement *j, double got, double want, double magnitude, double *out_allowed) {
  *out_allowed = budget_allows(&j->budget, want, magnitude);
  if (got == want || (isnan(got) && isnan(want))) return 0;
  const double off = fabs(got - want);
  return isnan(off) || isinf(off) ? (double)INFINITY : *out_allowed > 0 ? off / *out_allowed : (double)INFINITY;
}

static judgement compare(const launches *l, int32_t r, double operand_roundoff) {
  const taken *const result = &l->t->result[r];
  const tct_dtype dtype = result->desc.dtype;
  judgement j = {.at = -1, .budget = budget_of(l->t->info.node, dtype, operand_roundoff)};
  for (int64_t i = 0; i < result->n; i++) {
    const double got = values_get(dtype, result->data, i), want = values_get(dtype, l->want[r], i);
    double allowed;
    j.ulps = fmax(j.ulps, values_ulps(dtype, result->data, l->want[r], i));
    const double share = share_of(&j, got, want, l->magnitude[r][i], &allowed);
    if (share <= j.share) continue;
    j.share = share;
    j.at = i;
    j.got = got;
    j.want = want;
    j.allowed = allowed;
  }
  return j;
}

static bool all_the_same(const launches *l) {
  bool same = true;
  for (int32_t r = 0; r < l->t->n_results; r++) same &= memcmp(l->want[r], l->t->result[r].data, l->t->result[r].bytes) == 0;
  return same;
}

static bool make_room(const taken_step *t, launches *l) {
  size_t most = 1;
  const size_t n = (size_t)t->n_results + 1;
  for (int32_t i = 0; i < t->n_in; i++) most = t->in[i].bytes > most ? t->in[i].bytes : most;
  l->operand = malloc(most);
  l->want = calloc(n, sizeof *l->want);
  l->next = calloc(n, sizeof *l->next);
  l->magnitude = calloc(n, sizeof *l->magnitude);
  bool there = l->operand != NULL && l->want != NULL && l->next != NULL && l->magnitude != NULL;
  for (int32_t r = 0; there && r < t->n_results; r++) {
    l->want[r] = malloc(t->result[r].bytes + 1);
    l->next[r] = malloc(t->result[r].bytes + 1);
    l->magnitude[r] = calloc((size_t)t->result[r].n + 1, sizeof **l->magnitude);
    there = l->want[r] != NULL && l->next[r] != NULL && l->magnitude[r] != NULL;
  }
  return there;
}

static void free_room(launches *l, int32_t n_results) {
  for (int32_t r = 0; r < n_results; r++) {
    if (l->want != NULL) free(l->want[r]);
    if (l->next != NULL) free(l->next[r]);
    if (l->magnitude != NULL) free(l->magnitude[r]);
  }
  free(l->operand);
  free(l->want);
  free(l->next);
  free(l->magnitude);
}

static tct_status judge_in(launches *l, double operand_roundoff, judgement *out) {
  const budget_kind kind = budget_kind_of(l->t->info.node);
  tct_status status = launch(l, kind, PLAIN, -1, l->want);
  if (status != TCT_OK) return status;
  if (!all_the_same(l) && kind != BUDGET_EXACT)
    status = budget_is_sum(kind) ? measure_sum(l, kind) : measure_influence(l, kind);
  for (int32_t r = 0; r < l->t->n_results && status == TCT_OK; r++) out[r] = compare(l, r, operand_roundoff);
  return status;
}

tct_status judge_step(tct_program *judge, int32_t step, const taken_step *t, double operand_roundoff, judgement *out) {
  launches l = {.judge = judge, .step = step, .t = t};
  const tct_status status = make_room(t, &l) ? judge_in(&l, operand_roundoff, out) : TCT_OUT_OF_MEMORY;
  free_room(&l, t->n_results);
  return status;
}
