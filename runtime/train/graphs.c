/* From a model to the graph of a whole step. */
#include "train/graphs.h"

#include <string.h>
#include "base/alloc.h"
#include "base/status.h"
#include "graph/graph.h"

typedef struct step_graph {
  const tct_model *model;
  const tct_session *session;
  tct_graph *graph;
  int64_t batch;
  bool weighted;
  tct_tensor logits, output, target, weight, step, lr;
} step_graph;

static tct_shape batched(int64_t batch, const tct_shape *sample) {
  tct_shape shape = {.rank = sample->rank + 1, .dim = {batch}};
  for (int32_t i = 0; i < sample->rank; i++) shape.dim[i + 1] = sample->dim[i];
  return shape;
}

static tct_tensor step_variable(tct_graph *graph) {
  return tct_variable(graph, "optimizer/step", TCT_I64, tct_shape_of(0, NULL), (tct_init){0});
}

static tct_tensor rate_variable(tct_graph *graph, tct_dtype dtype) {
  return tct_variable(graph, "optimizer/learning_rate", dtype, tct_shape_of(0, NULL), (tct_init){0});
}

static tct_status forward(step_graph *s, bool training) {
  tct_tensor inputs[16];
  const int32_t n = tct_model_n_inputs(s->model);
  if (n > 16) return tct_fail(TCT_E_MODEL_INPUT, "model '%s' has %d inputs, at most 16", s->model->name, n);
  for (int32_t i = 0; i < n; i++) {
    tct_desc desc;
    TCT_TRY(tct_model_input_desc(s->model, i, &desc));
    inputs[i] = tct_input(s->graph, tct_model_input_name(s->model, i), desc.dtype, batched(s->batch, &desc.shape));
  }
  if (training) {
    s->step = step_variable(s->graph);
    s->lr = rate_variable(s->graph, s->model->dtype);
  }
  const tct_tensor step = training ? s->step : tct_poison(s->graph);
  s->output = tct_model_build(s->model, s->graph, inputs, n, step, s->session->seed, &s->logits);
  return tct_graph_status(s->graph);
}

/* The input "y", shaped as the loss wants it, and the weights. */
static tct_status add_target(step_graph *s) {
  tct_shape shape = tct_tensor_shape(s->output);
  tct_dtype dtype = s->model->dtype;
  char text[160];
  if (s->session->loss->target == TCT_TARGET_CLASS) {
    if (shape.rank < 2) {
      return tct_fail(TCT_E_LOSS_OUTPUT, "loss %s needs an output [batch, .., classes]; the model's is %s",
                      s->session->loss->name, tct_shape_print(&shape, text, sizeof text));
    }
    shape.rank--;
    dtype = TCT_I32;
  }
  s->target = tct_input(s->graph, "y", dtype, shape);
  if (s->weighted) s->weight = tct_input(s->graph, "weight", s->model->dtype, TCT_SHAPE(s->batch));
  return tct_graph_status(s->graph);
}

/* One loss per sample, then its mean; weights multiply samples. */
static tct_tensor data_loss(step_graph *s) {
  const tct_loss_type *loss = s->session->loss;
  tct_tensor rows = loss->build(loss->from_logits ? s->logits : s->output, s->target, &s->session->loss_settings);
  if (s->weighted) {
    const int32_t rank = tct_tensor_shape(rows).rank;
    int32_t axes[TCT_MAX_RANK], n = 0;
    for (int32_t i = 1; i < rank; i++) axes[n++] = i;
    if (n > 0) rows = tct_reduce_mean(rows, axes, n, false);
    rows = tct_mul(rows, s->weight);
  }
  return tct_reduce_mean(rows, NULL, 0, false);
}

/* The graph's variable of a parameter; poisoned when the graph does not use it. */
static tct_tensor variable_of(tct_graph *graph, const char *name) {
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    if (graph->nodes[n].op == TCT_OP_variable && strcmp(graph->nodes[n].name, name) == 0) {
      return (tct_tensor){graph, graph->nodes[n].out};
    }
  }
  return tct_poison(graph);
}

static tct_tensor add_penalties(step_graph *s, tct_tensor loss) {
  tct_tensor total = loss;
  for (int32_t i = 0; i < s->model->n_parameters; i++) {
    const tct_parameter *p = &s->model->parameters[i];
    const tct_tensor w = variable_of(s->graph, p->name);
    if (!tct_tensor_ok(w) || !p->trainable) continue;
    if (p->penalty.l1 != 0) {
      total = tct_add(total, tct_scale(tct_reduce_sum(tct_abs(w), NULL, 0, false), p->penalty.l1, 0));
    }
    if (p->penalty.l2 != 0) {
      total = tct_add(total, tct_scale(tct_reduce_sum(tct_square(w), NULL, 0, false), p->penalty.l2, 0));
    }
  }
  return total;
}

/* Keras' LossScaleOptimizer: halved when a gradient is not finite, doubled after GOOD_STEPS steps without. The bounds keep
 * the scale a finite, normal number whatever happens. */
#define GOOD_STEPS 2000
#define LEAST_LOSS_SCALE 0x1p-24

static void add_scale_update(step_graph *s, tct_tensor scale, tct_tensor finite) {
  tct_graph *graph = s->graph;
  const tct_tensor good = tct_variable(graph, "optimizer/good_steps", TCT_I64, tct_shape_of(0, NULL), (tct_init){0});
  const tct_tensor none = tct_scalar(graph, TCT_I64, 0);
  const tct_tensor more = tct_select(finite, tct_add(good, tct_scalar(graph, TCT_I64, 1)), none);
  const tct_tensor grows = tct_equal(more, tct_scalar(graph, TCT_I64, GOOD_STEPS));
  const tct_tensor up = tct_minimum(tct_scale(scale, 2, 0), tct_scalar(graph, TCT_F32, TCT_MOST_LOSS_SCALE));
  const tct_tensor down = tct_maximum(tct_scale(scale, 0.5, 0), tct_scalar(graph, TCT_F32, LEAST_LOSS_SCALE));
  tct_assign(scale, tct_select(finite, tct_select(grows, up, scale), down));
  tct_assign(good, tct_select(grows, none, more));
}

/* The gradients of the loss for the variables, and what follows: nothing is written by a step whose loss is not finite, or,
 * in f16, one of whose gradients is not. */
static void differentiate_and_update(step_graph *s, tct_tensor loss, const tct_tensor *variables, const char *const *names,
                                     tct_tensor *grads, int32_t n) {
  const bool scaled = s->session->precision == TCT_F16;
  tct_tensor scale = {NULL, -1}, unscale = {NULL, -1}, finite = tct_is_finite(loss);
  if (scaled) {
    scale = tct_variable(s->graph, "optimizer/loss_scale", TCT_F32, tct_shape_of(0, NULL),
                         (tct_init){.kind = TCT_INIT_CONSTANT, .value = s->session->loss_scale});
    unscale = tct_reciprocal(scale);
  }
  tct_gradients(scaled ? tct_mul(loss, scale) : loss, variables, n, grads);
  if (scaled && n > 0) finite = tct_logical_and(finite, tct_is_finite(tct_global_norm(grads, n)));
  tct_update_when(finite);
  tct_optimizer_apply(&s->session->optimizer, variables, names, grads, n, s->lr, s->step, unscale);
  s->graph->phase = TCT_PHASE_UPDATE;
  if (scaled) add_scale_update(s, scale, finite);
  tct_assign(s->step, tct_add(s->step, tct_scalar(s->graph, TCT_I64, 1)));
  s->graph->phase = TCT_PHASE_FORWARD;
}

/* No scale helps any more: the smallest one did not either. A fit that goes on would do nothing, and say nothing. */
tct_status tct_check_loss_scale(const tct_session *session) {
  float scale = 0;
  int64_t good = 0;
  if (session->precision != TCT_F16) return TCT_OK;
  TCT_TRY(tct_variables_read(session->variables, "optimizer/loss_scale", &scale, sizeof scale));
  TCT_TRY(tct_variables_read(session->variables, "optimizer/good_steps", &good, sizeof good));
  if ((double)scale > LEAST_LOSS_SCALE || good > 0) return TCT_OK;
  return tct_fail(TCT_E_LOSS_NAN, "fit: no step is finite: the gradients overflow float16 even with the loss scaled by %g, "
                  "and every step is left out; lower the learning rate, look for unscaled inputs or weights of samples, or "
                  "train in bfloat16", (double)scale);
}

static tct_status add_updates(step_graph *s, tct_tensor loss) {
  const int32_t most = s->model->n_parameters;
  tct_arena scratch = {0};
  tct_tensor *variables = tct_arena_alloc(&scratch, ((size_t)most + 1) * 2 * sizeof *variables);
  const char **names = tct_arena_alloc(&scratch, ((size_t)most + 1) * sizeof *names);
  if (variables == NULL || names == NULL) {
    tct_arena_free(&scratch);
    return TCT_OUT_OF_MEMORY;
  }
  tct_tensor *grads = variables + most;
  int32_t n = 0;
  for (int32_t i = 0; i < most; i++) {
    const tct_parameter *p = &s->model->parameters[i];
    variables[n] = variable_of(s->graph, p->name);
    names[n] = p->name;
    if (p->trainable && tct_tensor_ok(variables[n])) n++;
  }
  differentiate_and_update(s, loss, variables, names, grads, n);
  tct_arena_free(&scratch);
  return tct_graph_status(s->graph);
}

static void add_sums(step_graph *s, tct_tensor total, tct_tensor data) {
  tct_tensor sums[2 + TCT_MAX_METRICS * TCT_MAX_SUMS] = {total, data};
  int32_t n = 2;
  const tct_metric_list *metrics = &s->session->metrics;
  tct_metric_inputs in = {.logits = s->logits, .output = s->output, .target = s->target, .loss = s->session->loss};
  tct_scope_push(s->graph, "metrics");
  for (int32_t m = 0; m < metrics->n_running; m++) {
    in.k = metrics->metric[m].k;
    metrics->metric[m].type->build(&in, &sums[n]);
    n += metrics->metric[m].type->n_sums;
  }
  for (int32_t i = 0; i < n; i++) sums[i] = tct_reshape(sums[i], TCT_SHAPE(1));
  tct_output(s->graph, "sums", tct_concat(sums, n, 0));
  tct_output(s->graph, "data_loss", data);
  tct_scope_pop(s->graph);
}

/* confusion[t][p] = Σ onehot(t)ᵀ·onehot(p): whole numbers, exact in f32 up to 2²⁴ a batch. */
static void add_confusion(step_graph *s) {
  const tct_shape shape = tct_tensor_shape(s->logits);
  const int64_t classes = shape.dim[shape.rank - 1];
  const tct_tensor truth = s->session->loss->target == TCT_TARGET_CLASS ? s->target : tct_argmax(s->target, -1, false);
  const tct_tensor said = tct_argmax(s->logits, -1, false);
  const tct_tensor t = tct_reshape(tct_one_hot(truth, classes, 1, 0, s->model->dtype), TCT_SHAPE(-1, classes));
  const tct_tensor p = tct_reshape(tct_one_hot(said, classes, 1, 0, s->model->dtype), TCT_SHAPE(-1, classes));
  tct_output(s->graph, "confusion", tct_matmul_transposed(t, p, true, false));
}

/* What a ranking needs: probabilities [.., classes] (of a binary cross-entropy the output as it is), and class ids [..] or,
 * of a binary one, 0 or 1 for each output. */
static void add_ranking(step_graph *s) {
  const tct_loss_type *loss = s->session->loss;
  if (tct_metrics_binary(loss)) {
    const tct_tensor half = tct_scalar(s->graph, s->model->dtype, 0.5);
    tct_output(s->graph, "scores", s->output);
    tct_output(s->graph, "truth", tct_cast(tct_greater(s->target, half), TCT_I32));
    return;
  }
  tct_output(s->graph, "scores", tct_softmax(s->logits, -1));
  tct_output(s->graph, "truth", loss->target == TCT_TARGET_CLASS ? s->target : tct_argmax(s->target, -1, false));
}

static tct_status build(step_graph *s, tct_mode mode) {
  TCT_TRY(forward(s, mode == TCT_MODE_TRAIN));
  if (mode == TCT_MODE_PREDICT) {
    tct_output(s->graph, "output", s->output);
    return tct_graph_status(s->graph);
  }
  TCT_TRY(add_target(s));
  tct_scope_push(s->graph, "loss");
  const tct_tensor data = data_loss(s);
  const tct_tensor total = add_penalties(s, data);
  tct_scope_pop(s->graph);
  TCT_TRY(tct_graph_status(s->graph));
  if (mode == TCT_MODE_TRAIN) TCT_TRY(add_updates(s, total));
  add_sums(s, total, data);
  const tct_metric_list *metrics = &s->session->metrics;
  if (mode == TCT_MODE_EVALUATE && (metrics->confusion || metrics->averages)) add_confusion(s);
  if (mode == TCT_MODE_EVALUATE && metrics->ranks) add_ranking(s);
  return tct_graph_status(s->graph);
}

tct_status tct_build_step(const tct_model *model, const tct_session *session, tct_mode mode, int64_t batch, bool weighted,
                          tct_graph **out) {
  *out = NULL;
  step_graph s = {.model = model, .session = session, .batch = batch, .weighted = weighted};
  TCT_TRY(tct_graph_create(&s.graph));
  const tct_status status = build(&s, mode);
  if (status != TCT_OK) {
    tct_graph_free(s.graph);
    return tct_context("in model '%s'", model->name);
  }
  *out = s.graph;
  return TCT_OK;
}

tct_status tct_build_variables(const tct_model *model, tct_graph **out) {
  tct_graph *graph = NULL;
  TCT_TRY(tct_graph_create(&graph));
  for (int32_t i = 0; i < model->n_parameters; i++) {
    const tct_parameter *p = &model->parameters[i];
    tct_output(graph, p->name, tct_variable(graph, p->name, p->desc.dtype, p->desc.shape, p->init));
  }
  tct_output(graph, "optimizer/step", step_variable(graph));
  tct_output(graph, "optimizer/learning_rate", rate_variable(graph, model->dtype));
  *out = graph;
  return TCT_OK;
}
