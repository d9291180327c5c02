/* The `model` section: layers by the table of layer types, with $parameters filled in; then the model from them. Every key
 * of `model` that is not `inputs` or `layers` is a parameter. */
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/status.h"
#include "train/job.h"

typedef struct reader {
  tct_job *job;
  tct_problems *problems;
  bool *used; /* per key of `model` */
} reader;

/* ---- parameters --------------------------------------------------------------------------------------- */

static bool is_parameter(const tct_yaml *node) {
  return strcmp(node->key, "inputs") != 0 && strcmp(node->key, "layers") != 0;
}

/* The value of `$name` or `${name}`; other nodes are their own value. NULL after a problem. */
static const tct_yaml *resolve(reader *r, const tct_yaml *node) {
  if (node->kind != TCT_YAML_SCALAR || node->text[0] != '$') return node;
  const char *name = node->text + 1;
  size_t length = strlen(name);
  if (length >= 2 && name[0] == '{' && name[length - 1] == '}') {
    name++;
    length -= 2;
  }
  const char *known[64];
  size_t n_known = 0, i = 0;
  for (const tct_yaml *at = r->job->model_node->first; at; at = at->next, i++) {
    if (!is_parameter(at)) continue;
    if (strlen(at->key) == length && memcmp(at->key, name, length) == 0) {
      r->used[i] = true;
      return at;
    }
    if (n_known < TCT_COUNT_OF(known)) known[n_known++] = at->key;
  }
  char copy[64] = "";
  if (length < sizeof copy) memcpy(copy, name, length);
  const char *const nearest = tct_nearest(copy, known, n_known);
  if (nearest)
    tct_problem_as(r->problems, node, false, TCT_E_PARAMETER, "unknown parameter '%s'; did you mean '$%s'?", node->text,
                   nearest);
  else
    tct_problem_as(r->problems, node, false, TCT_E_PARAMETER,
                   "unknown parameter '%s'; parameters are keys of 'model', such as width: 32", node->text);
  return NULL;
}

static void check_parameters(reader *r) {
  static const char *const known[] = {"inputs", "layers"};
  size_t i = 0;
  for (const tct_yaml *at = r->job->model_node->first; at; at = at->next, i++) {
    if (!is_parameter(at) || r->used[i]) continue;
    /* A misspelt override leaves the parameter that it meant, so those are candidates too. */
    const char *candidates[64] = {known[0], known[1]};
    size_t n = 2;
    for (const tct_yaml *other = r->job->model_node->first; other && n < TCT_COUNT_OF(candidates); other = other->next)
      if (other != at && is_parameter(other)) candidates[n++] = other->key;
    const char *const nearest = tct_nearest(at->key, candidates, n);
    tct_problem_as(r->problems, at, true, TCT_E_PARAMETER,
                   "'%s' is no key of a model, and as a parameter no layer uses $%s%s%s%s", at->key, at->key,
                   nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
  }
}

/* ---- values ------------------------------------------------------------------------------------------- */

static void needs(reader *r, const tct_yaml *node, const char *what) {
  static const char *const shapes[] = {[TCT_YAML_LIST] = "a list", [TCT_YAML_MAP] = "a mapping"};
  if (node->kind == TCT_YAML_SCALAR)
    tct_problem(r->problems, node, false, "is '%s', needs %s", node->text, what);
  else
    tct_problem(r->problems, node, false, "is %s, needs %s", shapes[node->kind], what);
}

static bool whole(const tct_yaml *node, int64_t *out) {
  return node && node->kind == TCT_YAML_SCALAR && tct_parse_i64(node->text, strlen(node->text), out);
}

static bool real(const tct_yaml *node, double *out) {
  return node && node->kind == TCT_YAML_SCALAR && tct_parse_double(node->text, strlen(node->text), out);
}

static void read_int(reader *r, const tct_key *key, const tct_yaml *node, int64_t *out) {
  const bool negative_too = key->fallback[0] == '-';
  if (!whole(node, out) || *out == 0 || (*out < 0 && !negative_too))
    needs(r, node, negative_too ? "a whole number other than 0" : "a whole number, 1 or more");
}

static void read_real(reader *r, const tct_key *key, const tct_yaml *node, double *out) {
  const bool zero_says_something_else = strspn(key->fallback, "0123456789.e-") == strlen(key->fallback) &&
                                        strcmp(key->fallback, "0") != 0;
  if (!real(node, out))
    needs(r, node, "a number");
  else if (*out == 0 && zero_says_something_else)
    tct_problem(r->problems, node, false, "is 0, which stands for the default %s here; give a small number instead",
                key->fallback);
}

static void read_pair(reader *r, const tct_yaml *node, tct_pair *out) {
  const tct_yaml *first = node, *second = NULL;
  if (node->kind == TCT_YAML_LIST && node->n >= 1 && node->n <= 2) {
    first = resolve(r, node->first);
    if (node->n == 2) second = resolve(r, node->first->next);
    if (!first || (node->n == 2 && !second)) return;
  }
  if (!whole(first, &out->v[0]) || out->v[0] < 1 || (second && (!whole(second, &out->v[1]) || out->v[1] < 1)))
    needs(r, node, "a whole number, or two of them, 1 or more");
}

static void read_dims(reader *r, const tct_yaml *node, tct_shape *out) {
  *out = (tct_shape){0};
  bool good = node->kind == TCT_YAML_SCALAR || node->n <= TCT_MAX_RANK;
  for (const tct_yaml *at = node->kind == TCT_YAML_LIST ? node->first : node; good && at; at = at->next) {
    const tct_yaml *const item = resolve(r, at);
    if (!item) return;
    good = whole(item, &out->dim[out->rank++]);
    if (node->kind != TCT_YAML_LIST) break;
  }
  if (!good || node->kind == TCT_YAML_MAP) needs(r, node, "a list of whole numbers, such as [28, 28, 1]");
}

static void read_penalty(reader *r, const tct_yaml *node, tct_penalty *out) {
  static const char *const known[] = {"l1", "l2"};
  double *const members[] = {&out->l1, &out->l2};
  if (real(node, &out->l2) && out->l2 >= 0) return;
  if (node->kind != TCT_YAML_MAP) {
    needs(r, node, "a number (l2), or {l1: …, l2: …}");
    return;
  }
  for (const tct_yaml *at = node->first; at; at = at->next) {
    size_t i = 0;
    while (i < TCT_COUNT_OF(known) && strcmp(at->key, known[i]) != 0) i++;
    const tct_yaml *const value = i < TCT_COUNT_OF(known) ? resolve(r, at) : NULL;
    if (i == TCT_COUNT_OF(known))
      tct_problem_unknown(r->problems, at, known, TCT_COUNT_OF(known));
    else if (value && (!real(value, members[i]) || *members[i] < 0))
      needs(r, at, "a number, 0 or more");
  }
}

static void read_option(reader *r, const tct_key *key, const tct_yaml *given, void *member) {
  const tct_yaml *const node = resolve(r, given);
  bool on = false;
  if (!node) return;
  switch (key->kind) {
  case TCT_KEY_INT: read_int(r, key, node, member); break;
  case TCT_KEY_REAL: read_real(r, key, node, member); break;
  case TCT_KEY_PAIR: read_pair(r, node, member); break;
  case TCT_KEY_DIMS: read_dims(r, node, member); break;
  case TCT_KEY_PENALTY: read_penalty(r, node, member); break;
  case TCT_KEY_BOOL:
    if (!tct_spec_bool(node, &on)) needs(r, node, "true or false");
    *(tct_toggle *)member = on ? TCT_ON : TCT_OFF;
    break;
  case TCT_KEY_TEXT:
    if (node->kind != TCT_YAML_SCALAR) needs(r, node, "a text");
    *(const char **)member = node->text;
    break;
  }
}

/* ---- layers ------------------------------------------------------------------------------------------- */

static tct_status read_layer_inputs(reader *r, const tct_yaml *node, tct_job_layer *out) {
  const int32_t n = node->kind == TCT_YAML_LIST ? node->n : 1;
  out->inputs = tct_arena_alloc(&r->job->arena, (size_t)(n + 1) * sizeof *out->inputs);
  if (!out->inputs) return TCT_OUT_OF_MEMORY;
  for (const tct_yaml *at = node->kind == TCT_YAML_LIST ? node->first : node; at; at = at->next) {
    if (at->kind == TCT_YAML_SCALAR)
      out->inputs[out->n_inputs++] = at->text;
    else
      needs(r, at, "the name of a layer or input");
    if (node->kind != TCT_YAML_LIST) break;
  }
  return TCT_OK;
}

static const tct_key *find_option(const tct_layer_type *type, const char *name) {
  for (int32_t k = 0; k < type->n_keys; k++)
    if (strcmp(type->keys[k].name, name) == 0) return &type->keys[k];
  return NULL;
}

static void unknown_option(reader *r, const tct_layer_type *type, const tct_yaml *node) {
  const char *known[32] = {"name", "inputs", "trainable"};
  size_t n = 3;
  for (int32_t k = 0; k < type->n_keys && n < TCT_COUNT_OF(known); k++) known[n++] = type->keys[k].name;
  tct_problem_unknown(r->problems, node, known, n);
}

static tct_status read_common(reader *r, const tct_yaml *node, tct_job_layer *out, bool *out_taken) {
  tct_layer_common *const common = out->options;
  bool trainable = true;
  *out_taken = true;
  if (strcmp(node->key, "inputs") == 0) return read_layer_inputs(r, node, out);
  if (strcmp(node->key, "name") == 0) {
    if (node->kind != TCT_YAML_SCALAR) needs(r, node, "a text");
    common->name = node->text;
  } else if (strcmp(node->key, "trainable") == 0) {
    if (!tct_spec_bool(node, &trainable)) needs(r, node, "true or false");
    common->frozen = !trainable;
  } else {
    *out_taken = false;
  }
  return TCT_OK;
}

/* `options` NULL: none. `flat`: they stand beside `type`. */
static tct_status read_options(reader *r, const tct_yaml *options, bool flat, tct_job_layer *out) {
  const tct_layer_type *const type = out->type;
  out->options = tct_arena_alloc(&r->job->arena, type->options_bytes);
  if (!out->options) return TCT_OUT_OF_MEMORY;
  for (const tct_yaml *at = options ? options->first : NULL; at; at = at->next) {
    if ((flat && strcmp(at->key, "type") == 0) || tct_yaml_is_null(at)) continue;
    bool taken = false;
    TCT_TRY(read_common(r, at, out, &taken));
    const tct_key *const key = taken ? NULL : find_option(type, at->key);
    if (key)
      read_option(r, key, at, (char *)out->options + key->offset);
    else if (!taken)
      unknown_option(r, type, at);
  }
  for (int32_t k = 0; k < type->n_keys; k++)
    if (strcmp(type->keys[k].fallback, "required") == 0 && tct_yaml_is_null(tct_yaml_get(options, type->keys[k].name)))
      tct_problem_as(r->problems, out->node, false, TCT_E_KEY_MISSING, "%s: '%s' is missing", type->type,
                     type->keys[k].name);
  return TCT_OK;
}

static const tct_layer_type *find_type(reader *r, const tct_yaml *node, const char *name, bool at_key) {
  const tct_layer_type *const type = tct_layer_type_find(name);
  if (type) return type;
  const char *known[TCT_N_LAYERS];
  for (int i = 0; i < TCT_N_LAYERS; i++) {
    known[i] = tct_layer_types[i].type;
    if (strcasecmp(known[i], name) == 0) return &tct_layer_types[i];
  }
  const char *const nearest = tct_nearest(name, known, TCT_N_LAYERS);
  tct_problem_as(r->problems, node, at_key, TCT_E_UNKNOWN_LAYER, "unknown layer '%s'%s%s%s", name,
                 nearest ? "; did you mean '" : "; docs/job-file.md lists the layers", nearest ? nearest : "",
                 nearest ? "'?" : "");
  return NULL;
}

/* `- Flatten`, `- Dense: {units: 10}`, `- Dense:`, `- {type: Dense, units: 10}`. */
static tct_status read_layer(reader *r, const tct_yaml *node, tct_job_layer *out) {
  out->node = node;
  if (node->kind == TCT_YAML_SCALAR) {
    out->type = find_type(r, node, node->text, false);
    return out->type ? read_options(r, NULL, false, out) : TCT_OK;
  }
  const tct_yaml *const type = tct_yaml_get(node, "type");
  if (type && type->kind == TCT_YAML_SCALAR) {
    out->type = find_type(r, type, type->text, false);
    return out->type ? read_options(r, node, true, out) : TCT_OK;
  }
  if (node->kind != TCT_YAML_MAP || node->n != 1) {
    needs(r, node, "one layer, such as `Dense: {units: 10}`, or a mapping with 'type'");
    return TCT_OK;
  }
  const tct_yaml *const options = node->first;
  out->type = find_type(r, options, options->key, true);
  if (!out->type) return TCT_OK;
  if (options->kind == TCT_YAML_MAP) return read_options(r, options, false, out);
  if (tct_yaml_is_null(options)) return read_options(r, NULL, false, out);
  needs(r, options, "a mapping, such as {units: 10}");
  return TCT_OK;
}

static tct_status read_layers(reader *r, const tct_yaml *node) {
  tct_job *const job = r->job;
  if (!node || node->kind != TCT_YAML_LIST || node->n == 0) {
    tct_problem(r->problems, node ? node : job->model_node, false,
                "'layers' must be a list, such as `- Dense: {units: 10}`");
    return TCT_OK;
  }
  job->layers = tct_arena_alloc(&job->arena, (size_t)node->n * sizeof *job->layers);
  if (!job->layers) return TCT_OUT_OF_MEMORY;
  for (const tct_yaml *at = node->first; at; at = at->next) TCT_TRY(read_layer(r, at, &job->layers[job->n_layers++]));
  return TCT_OK;
}

/* ---- inputs ------------------------------------------------------------------------------------------- */

static void read_dtype(reader *r, const tct_yaml *node, tct_dtype *out) {
  static const tct_dtype known[] = {TCT_F32, TCT_F64, TCT_I32};
  for (size_t i = 0; i < TCT_COUNT_OF(known); i++)
    if (node->kind == TCT_YAML_SCALAR && strcmp(node->text, tct_dtype_name(known[i])) == 0) *out = known[i];
  if (*out == TCT_DTYPE_NONE) needs(r, node, "f32, f64 or i32");
}

static void read_input_options(reader *r, const tct_yaml *node, tct_job_input *out) {
  static const char *const known[] = {"shape", "dtype"};
  for (const tct_yaml *at = node->first; at; at = at->next) {
    const tct_yaml *const value = resolve(r, at);
    if (!value) continue;
    if (strcmp(at->key, "shape") == 0) {
      read_dims(r, value, &out->shape);
      out->has_shape = true;
    } else if (strcmp(at->key, "dtype") == 0) {
      read_dtype(r, value, &out->dtype);
    } else {
      tct_problem_unknown(r->problems, at, known, TCT_COUNT_OF(known));
    }
  }
}

/* [x], {x: [28, 28, 1]}, {x: {shape: [28, 28, 1], dtype: f32}} */
static void read_inputs(reader *r, const tct_yaml *node) {
  tct_job *const job = r->job;
  if (node->kind == TCT_YAML_SCALAR || node->n > TCT_JOB_MOST_INPUTS) {
    needs(r, node, "up to 16 inputs: a list of names, or a mapping such as {x: {shape: [28, 28, 1]}}");
    return;
  }
  for (const tct_yaml *at = node->first; at; at = at->next) {
    tct_job_input *const input = &job->inputs[job->n_inputs++];
    if (node->kind == TCT_YAML_LIST) {
      if (at->kind != TCT_YAML_SCALAR) needs(r, at, "the name of a field of the data");
      input->name = at->text ? at->text : "";
      continue;
    }
    input->name = at->key;
    if (at->kind == TCT_YAML_MAP) {
      read_input_options(r, at, input);
    } else if (!tct_yaml_is_null(at)) {
      read_dims(r, at, &input->shape);
      input->has_shape = true;
    }
  }
}

tct_status tct_job_read_model(tct_job *job, tct_problems *problems) {
  const tct_yaml *const node = job->spec.model;
  if (!node) return TCT_OK; /* reported as missing */
  reader r = {.job = job, .problems = problems};
  if (node->kind != TCT_YAML_MAP) {
    needs(&r, node, "a mapping with 'layers'");
    return TCT_OK;
  }
  job->model_node = node;
  r.used = tct_arena_alloc(&job->arena, (size_t)node->n + 1);
  if (!r.used) return TCT_OUT_OF_MEMORY;
  const tct_yaml *const inputs = tct_yaml_get(node, "inputs");
  if (!tct_yaml_is_null(inputs)) read_inputs(&r, inputs);
  TCT_TRY(read_layers(&r, tct_yaml_get(node, "layers")));
  check_parameters(&r);
  return TCT_OK;
}

/* ---- building ----------------------------------------------------------------------------------------- */

typedef struct named_layers {
  tct_layer *layers; /* inputs first, then the layers built so far */
  int32_t n, n_inputs;
} named_layers;

static tct_status find_layer(const tct_job *job, const named_layers *built, const tct_yaml *node, const char *name,
                             tct_layer *out) {
  const char *known[256];
  size_t n_known = 0;
  for (int32_t i = 0; i < built->n; i++) {
    const char *const its = tct_layer_name(built->layers[i]);
    if (strcmp(its, name) == 0) {
      *out = built->layers[i];
      return TCT_OK;
    }
    if (n_known < TCT_COUNT_OF(known)) known[n_known++] = its;
  }
  const char *const nearest = tct_nearest(name, known, n_known);
  (void)tct_fail(TCT_E_MODEL_INPUT, "input '%s' is no input or layer above it%s%s%s", name,
                 nearest ? "; did you mean '" : "; a layer gets its name from `name:`", nearest ? nearest : "",
                 nearest ? "'?" : "");
  return tct_job_context(job, node);
}

static tct_status add_layer(tct_job *job, tct_model *model, const tct_job_layer *layer, named_layers *built) {
  tct_layer in[64];
  if ((size_t)layer->n_inputs > TCT_COUNT_OF(in)) {
    (void)tct_fail(TCT_E_MODEL_INPUT, "%" PRId32 " inputs; at most 64", layer->n_inputs);
    return tct_job_context(job, layer->node);
  }
  for (int32_t i = 0; i < layer->n_inputs; i++)
    TCT_TRY(find_layer(job, built, layer->node, layer->inputs[i], &in[i]));
  int32_t n = layer->n_inputs;
  if (n == 0) {
    if (built->n == built->n_inputs && built->n_inputs > 1) {
      (void)tct_fail(TCT_E_MODEL_INPUT,
                     "the model has %" PRId32 " inputs; say which this layer takes, such as inputs: [%s]",
                     built->n_inputs, tct_layer_name(built->layers[0]));
      return tct_job_context(job, layer->node);
    }
    in[n++] = built->layers[built->n - 1];
  }
  built->layers[built->n] = tct_layer_create(model, layer->type, layer->options, in, n);
  if (built->layers[built->n].id < 0) {
    const tct_status status = tct_model_status(model);
    if (status == TCT_OK)
      return tct_fail(TCT_INTERNAL, "layer %s was refused without a reason", layer->type->type);
    return tct_job_context(job, layer->node);
  }
  built->n++;
  return TCT_OK;
}

static tct_status add_all(tct_job *job, tct_model *model) {
  const int32_t n = job->n_inputs + job->n_layers;
  named_layers built = {.layers = tct_arena_alloc(&job->arena, (size_t)n * sizeof *built.layers)};
  if (!built.layers) return TCT_OUT_OF_MEMORY;
  for (int32_t i = 0; i < job->n_inputs; i++) {
    const tct_job_input *const input = &job->inputs[i];
    const tct_dtype dtype = input->dtype == TCT_I32 ? TCT_I32 : job->dtype;
    built.layers[built.n++] = tct_layer_input(model, input->name, dtype, input->shape);
    if (built.layers[i].id < 0 && tct_model_status(model) != TCT_OK) return tct_job_context(job, job->model_node);
  }
  built.n_inputs = built.n;
  for (int32_t i = 0; i < job->n_layers; i++) TCT_TRY(add_layer(job, model, &job->layers[i], &built));
  return tct_model_status(model);
}

/* Input shapes that the job does not give: the training data's. */
static tct_status find_shapes(tct_job *job) {
  bool known = job->n_inputs > 0;
  for (int32_t i = 0; i < job->n_inputs; i++) known = known && job->inputs[i].has_shape;
  if (known) return TCT_OK;
  tct_dataset *data = NULL;
  TCT_TRY(tct_job_dataset(job, TCT_JOB_TRAIN, &data));
  if (job->n_inputs == 0)
    for (int32_t f = 0; f < tct_dataset_n_fields(data) && job->n_inputs < TCT_JOB_MOST_INPUTS; f++) {
      const char *const name = tct_dataset_field(data, f)->name;
      if (strcmp(name, "y") == 0 || strcmp(name, "weight") == 0) continue;
      job->inputs[job->n_inputs].name = tct_arena_strdup(&job->arena, name);
      if (!job->inputs[job->n_inputs++].name) return TCT_OUT_OF_MEMORY;
    }
  for (int32_t i = 0; i < job->n_inputs; i++) {
    tct_job_input *const input = &job->inputs[i];
    if (input->has_shape) continue;
    const int32_t f = tct_dataset_find(data, input->name);
    if (f < 0) {
      const char *known_fields[64];
      size_t n = 0;
      for (int32_t k = 0; k < tct_dataset_n_fields(data) && n < 64; k++)
        known_fields[n++] = tct_dataset_field(data, k)->name;
      const char *const nearest = tct_nearest(input->name, known_fields, n);
      (void)tct_fail(TCT_E_MODEL_INPUT, "input '%s': the data has no such field%s%s%s", input->name,
                     nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
      return tct_job_context(job, job->model_node);
    }
    input->shape = tct_dataset_field(data, f)->shape;
    input->dtype = tct_dataset_field(data, f)->dtype;
    input->has_shape = true;
  }
  return TCT_OK;
}

tct_status tct_job_build_model(tct_job *job, tct_model **out) {
  *out = NULL;
  TCT_TRY(find_shapes(job));
  if (job->n_inputs == 0) return tct_fail(TCT_E_MODEL_INPUT, "%s: the model has no inputs", job->origin);
  tct_model *const model = tct_model_create(job->name, job->dtype);
  const tct_status status = model ? add_all(job, model) : tct_model_status(NULL);
  if (status != TCT_OK) {
    tct_model_free(model);
    return status;
  }
  *out = model;
  return TCT_OK;
}
