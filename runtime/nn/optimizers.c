/* Optimizers and schedules. */
#include "nn/optimizers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/error_list.h"
#include "base/status.h"
#include "base/text.h"
#include "graph/graph.h"

typedef struct optimizer_row {
  const char *name;
  tct_op op;
  double learning_rate, weight_decay;
} optimizer_row;

static const optimizer_row rows[] = {
    {"sgd", TCT_OP_sgd_update, 0.01, 0},
    {"adam", TCT_OP_adam_update, 0.001, 0},
    {"adamw", TCT_OP_adam_update, 0.001, 0.004},
    {"rmsprop", TCT_OP_rmsprop_update, 0.001, 0},
    {"adagrad", TCT_OP_adagrad_update, 0.001, 0},
};

static double or_default(double value, double fallback) { return value == 0 ? fallback : value < 0 ? 0 : value; }

static tct_status find_row(const char *type, const optimizer_row **out) {
  const char *names[TCT_COUNT_OF(rows)];
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    names[i] = rows[i].name;
    *out = &rows[i];
    if (strcmp(rows[i].name, type) == 0) return TCT_OK;
  }
  const char *near = tct_nearest(type, names, TCT_COUNT_OF(rows));
  return tct_fail(TCT_E_UNKNOWN_OPTIMIZER, "unknown optimizer '%s'%s%s%s", type, TCT_DID_YOU_MEAN(near));
}

static void add_slot(tct_optimizer_plan *plan, const char *name, double value) {
  plan->slot[plan->n_slots] = name;
  plan->slot_init[plan->n_slots++] = (tct_init){.kind = TCT_INIT_CONSTANT, .value = value};
}

static void choose_slots(tct_optimizer_plan *plan, const tct_optimizer *o) {
  switch (plan->op) {
  case TCT_OP_adam_update:
    add_slot(plan, "m", 0);
    add_slot(plan, "v", 0);
    break;
  case TCT_OP_rmsprop_update:
    add_slot(plan, "mean_square", 0);
    if (plan->attrs.momentum != 0) add_slot(plan, "momentum", 0);
    if (plan->attrs.centered) add_slot(plan, "mean_gradient", 0);
    break;
  case TCT_OP_adagrad_update: add_slot(plan, "accumulator", or_default(o->initial_accumulator_value, 0.1)); break;
  default:
    if (plan->attrs.momentum != 0) add_slot(plan, "velocity", 0);
    break;
  }
}

/* `given` is the caller's number: below 0 only -1 means something, namely 0 (or_default). */
static tct_status check(const char *type, const char *key, double given, double value, double low, double high) {
  if (given < 0 && given != -1)
    return tct_fail(TCT_E_TRAINING_OPTION, "optimizer %s: %s is %g, needs at least 0 (0 is given as -1)", type, key,
                    given);
  if (value >= low && value < high) return TCT_OK;
  return tct_fail(TCT_E_TRAINING_OPTION, "optimizer %s: %s is %g, needs %g <= %s < %g", type, key, value, low, key,
                  high);
}

static tct_status check_ranges(const tct_optimizer *o, const tct_optimizer_plan *plan, bool rmsprop) {
  const tct_update_attrs *const a = &plan->attrs;
  const double accumulator = or_default(o->initial_accumulator_value, 0.1);
  const struct {
    const char *key;
    double given, value, below;
  } ranges[] = {
      {"learning_rate", o->learning_rate, plan->learning_rate, INFINITY},
      {"beta_1", o->beta_1, a->beta1, 1},
      {rmsprop ? "rho" : "beta_2", rmsprop ? o->rho : o->beta_2, a->beta2, 1},
      {"epsilon", o->epsilon, a->epsilon, INFINITY},
      {"momentum", o->momentum, a->momentum, 1},
      {"weight_decay", o->weight_decay, a->weight_decay, INFINITY},
      {"l1", o->l1, a->l1, INFINITY},
      {"l2", o->l2, a->l2, INFINITY},
      {"clipvalue", o->clipvalue, a->clip_value, INFINITY},
      {"global_clipnorm", o->global_clipnorm, plan->global_clipnorm, INFINITY},
      {"clipnorm", o->clipnorm, plan->clipnorm, INFINITY},
      {"initial_accumulator_value", o->initial_accumulator_value, accumulator, INFINITY},
  };
  tct_error_list errors = {0};
  for (size_t i = 0; i < TCT_COUNT_OF(ranges); i++)
    tct_error_list_add(&errors, check(plan->type, ranges[i].key, ranges[i].given, ranges[i].value, 0, ranges[i].below));
  return tct_error_list_end(&errors, "the optimizer");
}

tct_status tct_optimizer_resolve(const tct_optimizer *optimizer, tct_optimizer_plan *out) {
  static const tct_optimizer defaults = {0};
  const tct_optimizer *o = optimizer != NULL ? optimizer : &defaults;
  const optimizer_row *row = NULL;
  *out = (tct_optimizer_plan){0};
  TCT_TRY(find_row(o->type != NULL ? o->type : "adam", &row));
  out->type = row->name;
  out->op = row->op;
  out->learning_rate = or_default(o->learning_rate, row->learning_rate);
  out->global_clipnorm = or_default(o->global_clipnorm, 0);
  out->clipnorm = or_default(o->clipnorm, 0);
  const bool rmsprop = row->op == TCT_OP_rmsprop_update;
  out->attrs = (tct_update_attrs){
      .beta1 = or_default(o->beta_1, 0.9),
      .beta2 = rmsprop ? or_default(o->rho, 0.9) : or_default(o->beta_2, 0.999),
      .epsilon = or_default(o->epsilon, 1e-7),
      .momentum = or_default(o->momentum, 0),
      .nesterov = o->nesterov,
      .centered = o->centered,
      .l1 = or_default(o->l1, 0),
      .l2 = or_default(o->l2, 0),
      .weight_decay = or_default(o->weight_decay, row->weight_decay),
      .clip_value = or_default(o->clipvalue, 0),
  };
  TCT_TRY(check_ranges(o, out, rmsprop));
  if (out->clipnorm != 0 && out->global_clipnorm != 0) {
    return tct_fail(TCT_E_TRAINING_OPTION,
                    "optimizer %s: clipnorm %g and global_clipnorm %g exclude each other; give one", out->type,
                    out->clipnorm, out->global_clipnorm);
  }
  if (o->nesterov && out->attrs.momentum == 0) {
    return tct_fail(TCT_E_TRAINING_OPTION, "optimizer %s: nesterov needs a momentum above 0", out->type);
  }
  choose_slots(out, o);
  return TCT_OK;
}

/* unscale·min(1, most/(unscale·‖g‖)) with the joint norm of the gradients; unset when there is nothing to multiply by. */
static tct_tensor factor_of(double limit, const tct_tensor *grads, int32_t n, tct_tensor unscale) {
  if (limit == 0 || n == 0) return unscale;
  tct_tensor norm = tct_global_norm(grads, n);
  if (tct_is_set(unscale)) norm = tct_mul(norm, unscale);
  const tct_tensor most = tct_scalar(norm.graph, tct_tensor_dtype(grads[0]), limit);
  const tct_tensor clip = tct_div(most, tct_maximum(norm, most));
  return tct_is_set(unscale) ? tct_mul(clip, unscale) : clip;
}

void tct_optimizer_apply(const tct_optimizer_plan *plan, const tct_tensor *variables, const char *const *names,
                         const tct_tensor *grads, int32_t n, tct_tensor lr, tct_tensor step, tct_tensor unscale) {
  if (n == 0) return;
  tct_graph *graph = lr.graph;
  const tct_phase phase = graph->phase;
  graph->phase = TCT_PHASE_UPDATE;
  tct_scope_push(graph, "optimizer");
  const tct_tensor joint = factor_of(plan->global_clipnorm, grads, n, unscale);
  for (int32_t i = 0; i < n; i++) {
    tct_tensor slots[TCT_MAX_SLOTS];
    tct_scope_push(graph, names[i]);
    for (int32_t s = 0; s < plan->n_slots; s++) {
      slots[s] = tct_variable(graph, plan->slot[s], tct_tensor_dtype(variables[i]), tct_tensor_shape(variables[i]),
                              plan->slot_init[s]);
    }
    const tct_tensor factor = plan->clipnorm != 0 ? factor_of(plan->clipnorm, &grads[i], 1, unscale) : joint;
    tct_update(plan->op, variables[i], slots, plan->n_slots, grads[i], lr, step, factor, &plan->attrs);
    tct_scope_pop(graph);
  }
  tct_scope_pop(graph);
  graph->phase = phase;
}

/* ---- schedules ---- */

tct_status tct_schedule_resolve(const tct_schedule_options *schedule, tct_schedule_options *out) {
  static const char *const types[] = {"constant", "step", "cosine"};
  *out = schedule != NULL ? *schedule : (tct_schedule_options){0};
  const char *type = out->type != NULL ? out->type : "constant";
  out->type = NULL;
  for (size_t i = 0; i < TCT_COUNT_OF(types); i++) {
    if (strcmp(type, types[i]) == 0) out->type = types[i];
  }
  if (out->type == NULL) {
    const char *near = tct_nearest(type, types, TCT_COUNT_OF(types));
    return tct_fail(TCT_E_UNKNOWN_WORD, "unknown schedule '%s'; there are constant, step, cosine%s%s%s", type,
                    TCT_DID_YOU_MEAN(near));
  }
  if (out->decay_rate == 0) out->decay_rate = 0.1;
  if (strcmp(out->type, "step") == 0 && out->decay_steps < 1) {
    return tct_fail(TCT_E_TRAINING_OPTION, "schedule step: decay_steps is %lld, needs at least 1",
                    (long long)out->decay_steps);
  }
  if (out->warmup_steps < 0 || out->decay_steps < 0 || !(out->decay_rate > 0) || !(out->alpha >= 0)) {
    return tct_fail(TCT_E_TRAINING_OPTION,
                    "schedule %s: warmup_steps, decay_steps, decay_rate and alpha must not be negative", out->type);
  }
  return TCT_OK;
}

double tct_schedule_factor(const tct_schedule_options *schedule, int64_t step, int64_t steps) {
  const int64_t warmup = schedule->warmup_steps, after = step - warmup;
  if (after < 0) return (double)(step + 1) / (double)warmup;
  if (strcmp(schedule->type, "step") == 0) {
    const int64_t decays = after / schedule->decay_steps;
    return pow(schedule->decay_rate, (double)decays);
  }
  if (strcmp(schedule->type, "cosine") == 0) {
    const int64_t whole = (schedule->decay_steps > 0 ? schedule->decay_steps : steps) - warmup;
    const double part = whole > 0 ? fmin((double)after / (double)whole, 1) : 1;
    return schedule->alpha + (1 - schedule->alpha) * 0.5 * (1 + cos(3.14159265358979323846 * part));
  }
  return 1;
}
