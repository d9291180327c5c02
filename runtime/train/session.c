/* Compiling a model: settings checked, device opened, programs made when they are first needed. */
#include "train/session.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "base/desc.h"
#include "base/error_list.h"
#include "base/status.h"
#include "base/text.h"
#include "graph/graph.h"
#include "train/graphs.h"

static void drop_programs(tct_session *session) {
  for (int32_t i = 0; i < session->n_programs; i++) tct_program_free(session->programs[i].program);
  session->n_programs = 0;
}

void tct_session_free(struct tct_session *session) {
  if (session == NULL) return;
  drop_programs(session);
  tct_variables_free(session->variables);
  tct_device_close(session->device);
  tct_release(session->history.names);
  tct_release(session->history.values);
  tct_release(session->confusion);
  tct_release(session);
}

/* The layer whose softmax or sigmoid the output's numbers come from, through layers that have no weights: the output
 * itself, or one that a Flatten, Dropout or pooling stands behind. NULL: none. */
static const tct_layer_node *squashing_layer(const tct_model *model, const tct_layer_node *layer) {
  while (layer->squash == NULL && layer->n_in == 1 && layer->n_parameters == 0) layer = &model->layers[layer->in[0]];
  return layer->squash != NULL ? layer : NULL;
}

/* A loss that begins at the logits would silently replace an activation that is not its own, or take for logits what
 * went through one. */
static tct_status check_activation(const tct_model *model, const tct_loss_type *loss) {
  const tct_layer_node *output = &model->layers[tct_output_layer(model)];
  const tct_layer_node *squashing = squashing_layer(model, output);
  if (squashing == NULL || loss->activation == NULL) return TCT_OK;
  const char *squash = squashing->squash;
  if (squashing != output) {
    return tct_fail(
        TCT_E_LOSS_OUTPUT,
        "loss %s needs its %s at the very end, but behind '%s', which ends in %s, comes '%s'; move the %s behind "
        "'%s', or remove it",
        loss->name, loss->activation, squashing->name, squash, output->name, squash, output->name);
  }
  if (strcmp(squash, loss->activation) == 0) return TCT_OK;
  if (strcmp(squash, "log_softmax") == 0 && strcmp(loss->activation, "softmax") == 0) return TCT_OK;
  return tct_fail(
      TCT_E_LOSS_OUTPUT,
      "loss %s needs an output that ends in %s (or in no activation), but '%s' ends in %s; change one of them",
      loss->name, loss->activation, output->name, squash);
}

static tct_status resolve_precision(tct_session *s, const tct_model *model, const tct_training *t) {
  static const struct {
    const char *name;
    tct_dtype dtype;
  } known[] = {{"float32", TCT_F32},        {"bfloat16", TCT_BF16}, {"mixed_bfloat16", TCT_BF16},
               {"float16", TCT_F16}, {"mixed_float16", TCT_F16}};
  const char *names[TCT_COUNT_OF(known)];
  const char *given = t->precision != NULL ? t->precision : "float32";
  s->precision = TCT_DTYPE_NONE;
  for (size_t i = 0; i < TCT_COUNT_OF(known); i++) {
    names[i] = known[i].name;
    if (strcmp(given, known[i].name) == 0) s->precision = known[i].dtype;
  }
  if (s->precision == TCT_DTYPE_NONE) {
    const char *near = tct_nearest(given, names, TCT_COUNT_OF(known));
    return tct_fail(TCT_E_UNKNOWN_WORD, "unknown precision '%s'; there are float32, bfloat16, float16%s%s%s", given,
                    TCT_DID_YOU_MEAN(near));
  }
  if (s->precision != TCT_F32 && model->dtype != TCT_F32) {
    return tct_fail(TCT_E_TRAINING_OPTION, "precision %s is for models in f32; '%s' is in %s", given, model->name,
                    tct_dtype_name(model->dtype));
  }
  s->loss_scale = t->loss_scale == 0 ? 32768 : t->loss_scale;
  if (!(s->loss_scale > 0 && s->loss_scale <= TCT_MOST_LOSS_SCALE)) {
    return tct_fail(TCT_E_TRAINING_OPTION, "loss_scale is %g, needs 0 < loss_scale <= %g", s->loss_scale,
                    TCT_MOST_LOSS_SCALE);
  }
  return TCT_OK;
}

static tct_status check_settings(const tct_training *t) {
  if (!(t->label_smoothing >= 0 && t->label_smoothing < 1)) {
    return tct_fail(TCT_E_TRAINING_OPTION, "label_smoothing is %g, needs 0 <= label_smoothing < 1", t->label_smoothing);
  }
  if (!(t->huber_delta >= 0))
    return tct_fail(TCT_E_TRAINING_OPTION, "huber_delta is %g, needs at least 0 (0: 1)", t->huber_delta);
  return TCT_OK;
}

static tct_status resolve(tct_session *s, const tct_model *model, const tct_training *t) {
  tct_error_list errors = {0};
  s->loss = tct_loss_find(t->loss);
  tct_error_list_add(&errors, s->loss == NULL ? tct_error_status() : check_activation(model, s->loss));
  tct_error_list_add(&errors, check_settings(t));
  s->loss_settings = (tct_loss_settings){t->label_smoothing, t->huber_delta};
  s->seed = t->seed;
  s->fallback_host = t->fallback_host;
  tct_error_list_add(&errors, resolve_precision(s, model, t));
  tct_error_list_add(&errors, tct_optimizer_resolve(&t->optimizer, &s->optimizer));
  tct_error_list_add(&errors, tct_schedule_resolve(&t->schedule, &s->schedule));
  if (s->loss != NULL) tct_error_list_add(&errors, tct_metrics_parse(t->metrics, s->loss, &s->metrics));
  TCT_TRY(tct_error_list_end(&errors, "the training"));
  s->n_sums = 2;
  for (int32_t m = 0; m < s->metrics.n_running; m++) s->n_sums += s->metrics.metric[m].type->n_sums;
  s->compiled_rate = s->optimizer.learning_rate;
  s->learning_rate = -1;
  return TCT_OK;
}

/* Makes the graph's variables; the graph goes. */
static tct_status add_variables(tct_session *session, tct_graph *graph) {
  tct_program *program = NULL;
  const tct_compile_options options = {.variables = session->variables};
  const tct_status status = tct_compile(graph, session->device, &options, &program);
  tct_program_free(program); /* the variables stay */
  tct_graph_free(graph);
  return status;
}

/* Every parameter of the model gets its variable now, so that weights can be read and written before the first step. */
static tct_status make_variables(const tct_model *model, tct_session *session) {
  tct_graph *graph = NULL;
  TCT_TRY(tct_build_variables(model, &graph));
  return add_variables(session, graph);
}

bool tct_has_variable(const tct_variables *variables, const char *name) {
  for (int32_t i = 0; i < tct_variables_count(variables); i++) {
    if (strcmp(tct_variables_name(variables, i), name) == 0) return true;
  }
  return false;
}

tct_status tct_copy_variable(tct_variables *from, const char *name, tct_variables *to, const char *as) {
  tct_desc desc;
  TCT_TRY(tct_variables_desc(from, name, &desc));
  const size_t bytes = tct_desc_bytes(&desc);
  void *data = tct_alloc(bytes);
  if (data == NULL) return TCT_OUT_OF_MEMORY;
  tct_status status = tct_variables_read(from, name, data, bytes);
  if (status == TCT_OK) status = tct_variables_write(to, as, data, bytes);
  tct_release(data);
  return status;
}

/* Layers that were added in between keep their first values. */
static tct_status copy_weights(const tct_model *model, tct_variables *from, tct_variables *to) {
  for (int32_t i = 0; i < model->n_parameters; i++) {
    const char *const name = model->parameters[i].name;
    if (tct_has_variable(from, name)) TCT_TRY(tct_copy_variable(from, name, to, name));
  }
  return TCT_OK;
}

/* The old session's device, borrowed, when it is the one that is asked for; else a new one. */
static tct_status open_device(tct_session *s, const tct_training *t, const tct_session *old) {
  const char *spec = t->device != NULL ? t->device : "cpu";
  if (strlen(spec) >= sizeof s->device_spec)
    return tct_fail(TCT_E_DEVICE_OPTION, "device: the name is longer than %d characters", TCT_DEVICE_SPEC - 1);
  memcpy(s->device_spec, spec, strlen(spec) + 1);
  s->n_threads = t->n_threads;
  s->nondeterministic = t->nondeterministic;
  if (old != NULL && strcmp(old->device_spec, spec) == 0 && old->n_threads == t->n_threads && old->nondeterministic == t->nondeterministic) {
    s->device = old->device;
    return TCT_OK;
  }
  return tct_device_open(spec, &(tct_device_options){.n_threads = t->n_threads, .nondeterministic = t->nondeterministic}, &s->device);
}

/* `session` becomes the model's. The prediction of one sample shows whether the device takes the model. */
static tct_status begin_session(tct_model *model, tct_session *session, const tct_training *training) {
  const tct_session *old = model->session;
  tct_program *program = NULL;
  TCT_TRY(resolve(session, model, training));
  TCT_TRY(open_device(session, training, old));
  TCT_TRY(tct_variables_create(session->device, training->seed, &session->variables));
  TCT_TRY(make_variables(model, session));
  if (old != NULL && session->device == old->device) TCT_TRY(copy_weights(model, old->variables, session->variables));
  model->session = session;
  return tct_session_program(model, TCT_MODE_PREDICT, 1, false, &program);
}

tct_status tct_model_compile(tct_model *model, const tct_training *training) {
  static const tct_training nothing = {0};
  TCT_TRY(tct_model_status(model));
  if (model->fitting) {
    return tct_fail(TCT_INVALID, "model '%s' is in tct_fit and cannot be compiled; compile it after the fit has returned",
                    model->name);
  }
  if (training == NULL) training = &nothing;
  tct_session *session = tct_alloc_zero(1, sizeof *session);
  if (session == NULL) return TCT_OUT_OF_MEMORY;
  tct_session *const old = model->session;
  const tct_status status = begin_session(model, session, training);
  tct_session *const unused = status == TCT_OK ? old : session;
  model->session = status == TCT_OK ? session : old;
  if (old != NULL && session->device == old->device) unused->device = NULL; /* the other one has it */
  tct_session_free(unused);
  return status == TCT_OK ? TCT_OK : tct_context("compiling model '%s'", model->name);
}

tct_status tct_session_keep(tct_session *session, const char *name, const tct_desc *desc) {
  tct_graph *graph = NULL;
  if (tct_has_variable(session->variables, name)) return TCT_OK;
  TCT_TRY(tct_graph_create(&graph));
  tct_output(graph, name, tct_variable(graph, name, desc->dtype, desc->shape, (tct_init){0}));
  return add_variables(session, graph);
}

tct_device *tct_model_device(const tct_model *model) {
  return model != NULL && model->session != NULL ? model->session->device : NULL;
}

tct_status tct_session_of(tct_model *model, tct_session **out) {
  *out = NULL;
  TCT_TRY(tct_model_status(model));
  if (model->session == NULL) {
    return tct_fail(TCT_E_NOT_COMPILED, "model '%s' is not compiled; call tct_model_compile first", model->name);
  }
  *out = model->session;
  return TCT_OK;
}

double tct_learning_rate(const tct_model *model) {
  return model != NULL && model->session != NULL ? model->session->optimizer.learning_rate : (double)NAN;
}

tct_status tct_learning_rate_set(tct_model *model, double learning_rate) {
  tct_session *session = NULL;
  TCT_TRY(tct_session_of(model, &session));
  if (!(learning_rate >= 0 && isfinite(learning_rate))) {
    return tct_fail(TCT_INVALID, "learning rate %g, needs a finite number, at least 0", learning_rate);
  }
  session->optimizer.learning_rate = learning_rate;
  return TCT_OK;
}

tct_status tct_session_write_rate(tct_model *model, double rate) {
  tct_session *const session = model->session;
  if (rate == session->learning_rate) return TCT_OK;
  session->learning_rate = rate;
  const float narrow = (float)rate;
  const bool wide = model->dtype == TCT_F64;
  return tct_variables_write(session->variables, "optimizer/learning_rate", wide ? (const void *)&rate : &narrow,
                             wide ? sizeof rate : sizeof narrow);
}

/* ---- programs ---- */

static tct_cached_program *free_slot(tct_session *session) {
  if (session->n_programs < TCT_MAX_PROGRAMS) return &session->programs[session->n_programs++];
  tct_cached_program *oldest = &session->programs[0];
  for (int32_t i = 1; i < session->n_programs; i++) {
    if (session->programs[i].used < oldest->used) oldest = &session->programs[i];
  }
  tct_program_free(oldest->program);
  return oldest;
}

static tct_program *largest_program(const tct_session *session) {
  tct_program *largest = NULL;
  size_t most = 0;
  for (int32_t i = 0; i < session->n_programs; i++) {
    tct_program_info info;
    tct_program_describe(session->programs[i].program, &info);
    if (largest == NULL || info.arena_bytes > most) {
      largest = session->programs[i].program;
      most = info.arena_bytes;
    }
  }
  return largest;
}

static tct_status compile_step(tct_model *model, tct_mode mode, int64_t batch, bool weighted, tct_program **out) {
  const tct_session *session = model->session;
  tct_graph *graph = NULL;
  TCT_TRY(tct_build_step(model, session, mode, batch, weighted, &graph));
  const tct_compile_options options = {.variables = session->variables, .fallback_host = session->fallback_host,
                                       .precision = session->precision,
                                       .share_arena = largest_program(session)};
  const tct_status status = tct_compile(graph, session->device, &options, out);
  tct_graph_free(graph);
  return status;
}

static bool has_own_memory(tct_device *device) {
  tct_device_info info;
  tct_device_describe(device, &info);
  return !info.host_memory;
}

static bool fits(tct_model *model, tct_mode mode, int64_t batch, bool weighted) {
  tct_program *program = NULL;
  const bool compiled = compile_step(model, mode, batch, weighted, &program) == TCT_OK;
  tct_program_free(program);
  return compiled;
}

/* The record says that the device has no memory for the batch: smaller ones are compiled, by halves, then between the largest that fits
 * and the smallest that does not, down to a sixteenth of what was asked for. */
static tct_status say_what_fits(tct_model *model, tct_mode mode, int64_t batch, bool weighted) {
  tct_error_record failed;
  int64_t fitting = batch / 2, too_large = batch;
  tct_error_save(&failed);
  for (; fitting > 0 && !fits(model, mode, fitting, weighted); fitting /= 2) too_large = fitting;
  while (fitting > 0 && too_large - fitting > 1 + batch / 16) {
    const int64_t middle = fitting + (too_large - fitting) / 2;
    if (fits(model, mode, middle, weighted)) fitting = middle;
    else too_large = middle;
  }
  tct_error_restore(&failed);
  if (fitting > 0) return tct_context("a batch of %lld fits, of %lld does not: both were planned and tried", (long long)fitting, (long long)too_large);
  return tct_context("a batch of 1 does not fit either");
}

tct_status tct_session_program(tct_model *model, tct_mode mode, int64_t batch, bool weighted, tct_program **out) {
  tct_session *session = model->session;
  *out = NULL;
  for (int32_t i = 0; i < session->n_programs; i++) {
    tct_cached_program *cached = &session->programs[i];
    if (cached->mode != mode || cached->batch != batch || cached->weighted != weighted) continue;
    cached->used = ++session->clock;
    *out = cached->program;
    return TCT_OK;
  }
  tct_program *program = NULL;
  const tct_status status = compile_step(model, mode, batch, weighted, &program);
  if (status == TCT_OUT_OF_MEMORY && batch > 1 && has_own_memory(session->device))
    (void)say_what_fits(model, mode, batch, weighted);
  if (status != TCT_OK) return tct_context("in model '%s' at batch %lld", model->name, (long long)batch);
  *free_slot(session) = (tct_cached_program){program, mode, batch, weighted, ++session->clock};
  *out = program;
  return TCT_OK;
}

tct_status tct_model_program(tct_model *model, int64_t batch_size, bool training, tct_program **out) {
  tct_session *session = NULL;
  *out = NULL;
  TCT_TRY(tct_session_of(model, &session));
  if (batch_size < 1)
    return tct_fail(TCT_E_TRAINING_OPTION, "batch size %lld, needs at least 1", (long long)batch_size);
  return tct_session_program(model, training ? TCT_MODE_TRAIN : TCT_MODE_PREDICT, batch_size, false, out);
}
