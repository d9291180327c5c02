/* Models: adding layers, parameters, questions; building a model into a graph. */
#include "nn/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "base/status.h"
#include "base/text.h"
#include "graph/graph.h"

static tct_layer poisoned(tct_model *model) { return (tct_layer){model, -1}; }

/* ---- creation ---- */

tct_model *tct_model_create(const char *name, tct_dtype dtype) {
  tct_model *model = tct_alloc_zero(1, sizeof *model);
  if (model == NULL) return NULL;
  model->output = -1;
  model->dtype = dtype == TCT_F64 ? TCT_F64 : TCT_F32;
  model->name = tct_arena_strdup(&model->arena, name != NULL ? name : "model");
  if (model->name == NULL || tct_graph_create(&model->proto) != TCT_OK) {
    tct_model_free(model);
    return NULL;
  }
  model->proto_step = tct_input(model->proto, "optimizer/step", TCT_I64, tct_shape_of(0, NULL));
  if (dtype != TCT_F32 && dtype != TCT_F64) {
    tct_graph_fail(model->proto, TCT_E_DTYPE, "model '%s': its dtype is %s, needs f32 or f64", model->name,
                   tct_dtype_name(dtype));
  }
  return model;
}

void tct_model_free(tct_model *model) {
  if (model == NULL) return;
  if (model->fitting) { /* tct_fit works on it, and reports this */
    model->free_refused = true;
    return;
  }
  tct_session_free(model->session);
  tct_graph_free(model->proto);
  tct_release(model->layers);
  tct_release(model->parameters);
  tct_arena_free(&model->arena);
  tct_release(model);
}

tct_status tct_model_status(const tct_model *model) {
  if (model == NULL) {
    const bool memory = tct_error_status() == TCT_OUT_OF_MEMORY; /* tct_model_create's own error, kept since */
    return tct_fail(memory ? TCT_OUT_OF_MEMORY : TCT_INVALID, "the model is NULL%s", memory ? ": there was no memory for it" : "");
  }
  if (tct_graph_status(model->proto) != TCT_OK) return tct_context("model '%s'", model->name);
  if (model->n_layers == 0) return tct_fail(TCT_E_EMPTY_MODEL, "model '%s' has no layers", model->name);
  return TCT_OK;
}

static tct_layer fail_from_record(tct_model *model) {
  tct_graph_fail(model->proto, (uint32_t)tct_error_code(), "%s", tct_error_message());
  return poisoned(model);
}

static bool reserve_layer(tct_model *model) {
  if (model->n_layers < model->cap_layers) return true;
  const int32_t wider = model->cap_layers == 0 ? 16 : model->cap_layers * 2;
  tct_layer_node *grown = tct_realloc(model->layers, (size_t)model->cap_layers * sizeof *grown,
                                      (size_t)wider * sizeof *grown);
  if (grown == NULL) return false;
  model->layers = grown;
  model->cap_layers = wider;
  return true;
}

static bool name_taken(const tct_model *model, const char *name) {
  for (int32_t i = 0; i < model->n_layers; i++) {
    if (strcmp(model->layers[i].name, name) == 0) return true;
  }
  return false;
}

/* The given name, or `stem`, `stem_1` … */
static const char *layer_name(tct_model *model, const char *given, const char *stem) {
  if (given != NULL && given[0] != '\0') return tct_arena_strdup(&model->arena, given);
  char name[128];
  snprintf(name, sizeof name, "%s", stem);
  for (int i = 1; name_taken(model, name); i++) snprintf(name, sizeof name, "%s_%d", stem, i);
  return tct_arena_strdup(&model->arena, name);
}

/* ---- building one layer ---- */

typedef tct_tensor (*layer_builder)(tct_layer_build *b, const void *options);
#define LAYER(layer, type, min_in, max_in)                                                                             \
  static tct_tensor build_##layer(tct_layer_build *b, const void *options) { return tct_build_##layer(b, options); }
#include <tercet/layers.def>
static const layer_builder builders[TCT_N_LAYERS] = {
#define LAYER(layer, type, min_in, max_in) build_##layer,
#include <tercet/layers.def>
};

static tct_tensor build_layer(tct_layer_build *b) {
  tct_scope_push(b->graph, b->layer->name);
  const tct_tensor out = builders[b->layer->type - tct_layer_types](b, b->options);
  tct_scope_pop(b->graph);
  if (!tct_is_set(b->logits)) b->logits = out;
  return out;
}

static tct_tensor refuse_v(tct_layer_build *b, uint32_t code, const char *format, va_list args) {
  char text[512];
  tct_format_clipped_v(text, sizeof text, format, args);
  return tct_graph_fail(b->graph, code, "%s '%s': %s", b->layer->type->type, b->layer->name, text);
}

tct_tensor tct_layer_refuse(tct_layer_build *b, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const tct_tensor poison = refuse_v(b, TCT_E_LAYER_OPTION, format, args);
  va_end(args);
  return poison;
}

tct_tensor tct_layer_refuse_as(tct_layer_build *b, uint32_t code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const tct_tensor poison = refuse_v(b, code, format, args);
  va_end(args);
  return poison;
}

bool tct_layer_floats(tct_layer_build *b) {
  const tct_dtype dtype = tct_tensor_dtype(b->in[0]);
  const bool whole = dtype == TCT_I32 || dtype == TCT_I64 || dtype == TCT_U8 || dtype == TCT_BOOL;
  if (!whole) return true;
  tct_layer_refuse_as(b, TCT_E_INTEGER_INPUT,
                      "the input is %s, needs %s; declare the model's input %s (whole numbers of the data are converted), or "
                      "begin with an Embedding if they are indices",
                      tct_dtype_name(dtype), tct_dtype_name(b->model->dtype), tct_dtype_name(b->model->dtype));
  return false;
}

static bool record_parameter(tct_layer_build *b, const tct_parameter *parameter) {
  tct_model *model = b->model;
  if (model->n_parameters == model->cap_parameters) {
    const int32_t wider = model->cap_parameters == 0 ? 16 : model->cap_parameters * 2;
    tct_parameter *grown = tct_realloc(model->parameters, (size_t)model->cap_parameters * sizeof *grown,
                                       (size_t)wider * sizeof *grown);
    if (grown == NULL) return false;
    model->parameters = grown;
    model->cap_parameters = wider;
  }
  model->parameters[model->n_parameters] = *parameter;
  model->parameters[model->n_parameters].name =
      tct_arena_printf(&model->arena, "%s/%s", b->layer->name, parameter->name);
  if (model->parameters[model->n_parameters].name == NULL) return false;
  model->n_parameters++;
  return true;
}

tct_tensor tct_layer_parameter(tct_layer_build *b, const tct_parameter_spec *spec) {
  tct_init init = {0};
  const char *initializer = spec->initializer != NULL ? spec->initializer : spec->fallback;
  if (!tct_initializer_parse(initializer, &init))
    return tct_layer_refuse_as(b, (uint32_t)tct_error_code(), "%s", tct_error_message());
  const tct_desc desc = {b->model->dtype, spec->shape};
  const tct_layer_common *common = b->options;
  const tct_parameter parameter = {.name = spec->name, .desc = desc, .init = init, .penalty = spec->penalty,
                                   .trainable = !spec->fixed && !common->frozen};
  if (b->recording && !record_parameter(b, &parameter))
    return tct_layer_refuse_as(b, (uint32_t)tct_error_code(), "%s", tct_error_message());
  return tct_variable(b->graph, spec->name, desc.dtype, desc.shape, init);
}

/* ---- adding ---- */

tct_layer tct_layer_input(tct_model *model, const char *name, tct_dtype dtype, tct_shape shape) {
  if (model == NULL) return poisoned(NULL);
  if (shape.rank >= TCT_MAX_RANK) {
    tct_graph_fail(model->proto, TCT_E_RANK, "input '%s': rank %d with the batch extent is more than %d", name,
                   shape.rank + 1, TCT_MAX_RANK);
    return poisoned(model);
  }
  if (!reserve_layer(model)) return fail_from_record(model);
  tct_shape batched = {.rank = shape.rank + 1, .dim = {TCT_PROTO_BATCH}};
  for (int32_t i = 0; i < shape.rank; i++) batched.dim[i + 1] = shape.dim[i];
  tct_layer_node node = {.input = {dtype, shape}, .first_parameter = model->n_parameters};
  node.name = layer_name(model, name, "input");
  if (node.name == NULL) return fail_from_record(model);
  if (name_taken(model, node.name)) {
    tct_graph_fail(model->proto, TCT_E_NAME, "input '%s': another layer has this name", node.name);
    return poisoned(model);
  }
  node.proto = tct_input(model->proto, node.name, dtype, batched);
  if (!tct_tensor_ok(node.proto)) return poisoned(model);
  model->layers[model->n_layers] = node;
  return (tct_layer){model, model->n_layers++};
}

static bool inputs_ok(tct_model *model, const tct_layer_type *type, const tct_layer *in, int32_t n_in) {
  for (int32_t i = 0; i < n_in; i++) {
    if (in[i].model == model && in[i].id >= 0 && in[i].id < model->n_layers) continue;
    if (in[i].model != model && in[i].model != NULL && in[i].id >= 0) {
      tct_graph_fail(model->proto, TCT_E_FOREIGN, "%s: input %d belongs to another model", type->type, i);
    } else if (model->proto->n_errors == 0) {
      tct_graph_fail(model->proto, TCT_E_FOREIGN, "%s: input %d is not a layer (add a tct_layer_input first)",
                     type->type, i);
    }
    return false;
  }
  if (n_in >= type->min_in && (type->max_in < 0 || n_in <= type->max_in)) return true;
  tct_graph_fail(model->proto, TCT_E_LAYER_INPUT, "%s: %d inputs, needs %s%d", type->type, n_in,
                 type->max_in < 0 ? "at least " : "", type->min_in);
  return false;
}

/* The options with their text copied; NULL after recording the error. */
static void *copy_options(tct_model *model, const tct_layer_type *type, const void *options) {
  char *copy = tct_arena_alloc(&model->arena, type->options_bytes);
  if (copy == NULL || options == NULL) return copy;
  memcpy(copy, options, type->options_bytes);
  for (int32_t k = 0; k < type->n_keys; k++) {
    if (type->keys[k].kind != TCT_KEY_TEXT) continue;
    const char *text = NULL;
    memcpy(&text, copy + type->keys[k].offset, sizeof text);
    if (text == NULL) continue;
    text = tct_arena_strdup(&model->arena, text);
    if (text == NULL) return NULL;
    memcpy(copy + type->keys[k].offset, &text, sizeof text);
  }
  return copy;
}

static bool required_ok(tct_layer_build *b) {
  const tct_layer_type *type = b->layer->type;
  for (int32_t k = 0; k < type->n_keys; k++) {
    static const char zeros[sizeof(tct_shape)] = {0};
    static const size_t bytes[] = {sizeof(int64_t), sizeof(double), sizeof(tct_toggle), sizeof(char *),
                                   sizeof(tct_pair), sizeof(tct_shape), sizeof(tct_penalty)};
    const char *value = (const char *)b->options + type->keys[k].offset;
    const bool zero_is_legal = type->keys[k].kind == TCT_KEY_REAL;
    if (strcmp(type->keys[k].fallback, "required") != 0 || zero_is_legal) continue;
    if (memcmp(value, zeros, bytes[type->keys[k].kind]) != 0) continue;
    tct_layer_refuse(b, "'%s' is required", type->keys[k].name);
    return false;
  }
  return true;
}

tct_layer tct_layer_create(tct_model *model, const tct_layer_type *type, const void *options, const tct_layer *in,
                           int32_t n_in) {
  if (model == NULL) return poisoned(NULL);
  if (!inputs_ok(model, type, in, n_in)) return poisoned(model);
  if (!reserve_layer(model)) return fail_from_record(model);
  const tct_layer_common *common = options;
  tct_layer_node node = {.type = type, .n_in = n_in, .first_parameter = model->n_parameters};
  node.name = layer_name(model, common != NULL ? common->name : NULL, type->name);
  node.options = copy_options(model, type, options);
  node.in = tct_arena_alloc(&model->arena, (size_t)n_in * sizeof *node.in);
  tct_tensor *operands = tct_arena_alloc(&model->arena, (size_t)n_in * sizeof *operands);
  if (node.name == NULL || node.options == NULL || node.in == NULL || operands == NULL) return fail_from_record(model);
  if (name_taken(model, node.name)) {
    tct_graph_fail(model->proto, TCT_E_NAME, "%s '%s': another layer has this name", type->type, node.name);
    return poisoned(model);
  }
  for (int32_t i = 0; i < n_in; i++) {
    node.in[i] = in[i].id;
    operands[i] = model->layers[in[i].id].proto;
  }
  tct_layer_build b = {.model = model, .layer = &node, .options = node.options, .graph = model->proto, .in = operands,
                       .n_in = n_in, .training = true, .recording = true, .step = model->proto_step,
                       .logits = {NULL, -1}};
  if (!required_ok(&b)) return poisoned(model);
  node.proto = build_layer(&b);
  node.squash = b.squash;
  node.n_parameters = model->n_parameters - node.first_parameter;
  if (!tct_tensor_ok(node.proto)) return poisoned(model);
  model->layers[model->n_layers] = node;
  return (tct_layer){model, model->n_layers++};
}

/* ---- questions ---- */

tct_layer tct_model_last(tct_model *model) {
  return model == NULL ? poisoned(NULL) : (tct_layer){model, model->proto->n_errors > 0 ? -1 : model->n_layers - 1};
}

void tct_model_output(tct_layer output) {
  if (output.model != NULL && output.id >= 0 && output.id < output.model->n_layers) output.model->output = output.id;
}

const char *tct_model_name(const tct_model *model) { return model->name; }

static bool layer_ok(tct_layer layer) {
  return layer.model != NULL && layer.id >= 0 && layer.id < layer.model->n_layers;
}

static tct_shape sample_shape(tct_tensor proto) {
  const tct_shape batched = tct_tensor_shape(proto);
  return tct_shape_of(batched.rank - 1, batched.dim + 1);
}

tct_shape tct_layer_shape(tct_layer layer) {
  return layer_ok(layer) ? sample_shape(layer.model->layers[layer.id].proto) : (tct_shape){0};
}

const char *tct_layer_name(tct_layer layer) { return layer_ok(layer) ? layer.model->layers[layer.id].name : "?"; }

int32_t tct_model_n_parameters(const tct_model *model) { return model != NULL ? model->n_parameters : 0; }

const tct_parameter *tct_model_parameter(const tct_model *model, int32_t i) {
  return model != NULL && i >= 0 && i < model->n_parameters ? &model->parameters[i] : NULL;
}

static const tct_layer_node *input_at(const tct_model *model, int32_t i) {
  for (int32_t l = 0; model != NULL && l < model->n_layers; l++) {
    if (model->layers[l].type == NULL && i-- == 0) return &model->layers[l];
  }
  return NULL;
}

int32_t tct_model_n_inputs(const tct_model *model) {
  int32_t n = 0;
  while (input_at(model, n) != NULL) n++;
  return n;
}

const char *tct_model_input_name(const tct_model *model, int32_t i) {
  const tct_layer_node *input = input_at(model, i);
  return input != NULL ? input->name : NULL;
}

tct_status tct_model_input_desc(const tct_model *model, int32_t i, tct_desc *out) {
  const tct_layer_node *input = input_at(model, i);
  if (input == NULL) return tct_fail(TCT_E_MODEL_INPUT, "the model has no input number %d", i);
  *out = input->input;
  return TCT_OK;
}

/* ---- building the whole ---- */

static tct_tensor build_all(const tct_model *model, tct_graph *graph, const tct_tensor *inputs, tct_tensor step,
                            uint64_t seed, tct_tensor *outs, tct_tensor *out_logits) {
  int32_t next_input = 0;
  const int32_t output = tct_output_layer(model);
  for (int32_t l = 0; l <= output; l++) {
    const tct_layer_node *layer = &model->layers[l];
    if (layer->type == NULL) {
      outs[l] = *out_logits = inputs[next_input++];
      continue;
    }
    tct_tensor in[64];
    if (layer->n_in > 64) return tct_graph_fail(graph, TCT_INVALID, "'%s': more than 64 inputs", layer->name);
    for (int32_t i = 0; i < layer->n_in; i++) in[i] = outs[layer->in[i]];
    tct_layer_build b = {.model = (tct_model *)(uintptr_t)model, /* not recording: the model is not written */
                         .layer = layer, .options = layer->options, .graph = graph, .in = in, .n_in = layer->n_in,
                         .training = tct_is_set(step), .step = step, .seed = seed, .logits = {NULL, -1}};
    outs[l] = build_layer(&b);
    *out_logits = b.logits;
  }
  return outs[output];
}

tct_tensor tct_model_build(const tct_model *model, tct_graph *graph, const tct_tensor *inputs, int32_t n_inputs,
                           tct_tensor step, uint64_t seed, tct_tensor *out_logits) {
  tct_tensor logits = tct_poison(graph);
  if (out_logits == NULL) out_logits = &logits;
  *out_logits = tct_poison(graph);
  if (tct_model_status(model) != TCT_OK)
    return tct_graph_fail(graph, (uint32_t)tct_error_code(), "%s", tct_error_message());
  if (n_inputs != tct_model_n_inputs(model)) {
    return tct_graph_fail(graph, TCT_E_MODEL_INPUT, "model '%s': %d inputs given, it has %d", model->name, n_inputs,
                          tct_model_n_inputs(model));
  }
  tct_tensor *outs = tct_alloc_zero((size_t)model->n_layers, sizeof *outs);
  if (outs == NULL) return tct_graph_fail(graph, TCT_OUT_OF_MEMORY, "%s", tct_error_message());
  const tct_tensor out = build_all(model, graph, inputs, step, seed, outs, out_logits);
  tct_release(outs);
  return out;
}
