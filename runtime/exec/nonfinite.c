/* A run that looks at every float value, to say where NaN or Inf begins. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "base/status.h"
#include "base/text.h"
#include "exec/exec.h"

/* What is in a value. */
typedef struct survey {
  int64_t n, n_nan, n_inf;
  double least, most; /* of the finite ones */
} survey;

static bool is_float(tct_dtype dtype) { return dtype == TCT_F32 || dtype == TCT_F64; }

static void count(survey *s, double x) {
  s->n++;
  s->n_nan += isnan(x);
  s->n_inf += isinf(x) != 0;
  if (!isfinite(x)) return;
  s->least = fmin(s->least, x);
  s->most = fmax(s->most, x);
}

/* Reads device memory of a float value. */
static tct_status look(tct_device *device, const tct_desc *desc, const void *data, survey *out) {
  *out = (survey){.least = INFINITY, .most = -INFINITY};
  const int64_t n = tct_shape_size(&desc->shape);
  const size_t bytes = (size_t)n * tct_dtype_bytes(desc->dtype);
  void *host = tct_alloc(bytes);
  if (host == NULL) return TCT_OUT_OF_MEMORY;
  tct_status status = device->backend->sync(device->impl);
  if (status == TCT_OK) status = device->backend->download(device->impl, host, data, bytes);
  if (status == TCT_OK) status = device->backend->sync(device->impl);
  for (int64_t i = 0; status == TCT_OK && i < n; i++) {
    count(out, desc->dtype == TCT_F64 ? ((const double *)host)[i] : (double)((const float *)host)[i]);
  }
  tct_release(host);
  return status;
}

static bool is_bad(const survey *s) { return s->n_nan + s->n_inf > 0; }

/* A sentence in a buffer; what does not fit is left out. */
typedef struct sentence {
  char *text;
  size_t bytes, used;
} sentence;

static void say(sentence *s, const char *format, ...) TCT_PRINTF(2, 3);
static void say(sentence *s, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const int n = s->used < s->bytes ? tct_vsnprintf(s->text + s->used, s->bytes - s->used, format, args) : 0;
  va_end(args);
  s->used += n > 0 ? (size_t)n : 0;
}

static void say_bad(sentence *s, const survey *v) {
  if (v->n_nan > 0) say(s, "%lld NaN", (long long)v->n_nan);
  if (v->n_inf > 0) say(s, "%s%lld Inf", v->n_nan > 0 ? " and " : "", (long long)v->n_inf);
  say(s, " of %lld value%s", (long long)v->n, v->n == 1 ? "" : "s");
}

static tct_status check_source(tct_device *device, const char *kind, const char *name, const tct_desc *desc, const void *data,
                               sentence *out, bool *out_found) {
  survey v;
  if (!is_float(desc->dtype)) return TCT_OK;
  TCT_TRY(look(device, desc, data, &v));
  if (!is_bad(&v)) return TCT_OK;
  *out_found = true;
  say(out, "%s '%s' holds ", kind, name);
  say_bad(out, &v);
  return TCT_OK;
}

static tct_status check_sources(tct_program *program, sentence *out, bool *out_found) {
  const tct_graph *graph = program->graph;
  for (int32_t i = 0; i < program->n_inputs && !*out_found; i++) {
    const tct_port *port = &program->inputs[i];
    TCT_TRY(check_source(program->device, "input", port->name, &port->desc, port->data, out, out_found));
  }
  for (int32_t n = 0; n < graph->n_nodes && !*out_found; n++) {
    if (graph->nodes[n].op != TCT_OP_variable) continue;
    const tct_variable_entry *entry = tct_variables_find(program->variables, graph->nodes[n].name);
    TCT_TRY(check_source(program->device, "variable", entry->name, &entry->desc, entry->data, out, out_found));
    if (*out_found) say(out, " before the step: an earlier update made them from gradients that were not finite");
  }
  return TCT_OK;
}

enum { MOST_OPERANDS = 6 };

static const char *name_of_input(const tct_graph *graph, const tct_node_view *view, int32_t i) {
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    if (strcmp(graph->nodes[n].name, view->name) == 0) return tct_maker(graph, graph->nodes[n].in[i])->name;
  }
  return "?";
}

static void say_step(const tct_program *program, const tct_node_view *view, const survey *in, const survey *bad, sentence *out) {
  char shape[160];
  say(out, "the first is '%s' (%s), which makes ", view->name, view->op_name);
  say_bad(out, bad);
  const char *lead = "; it reads";
  for (int32_t i = 0; i < view->n_in && i < MOST_OPERANDS; i++) {
    if (!is_float(view->in[i].dtype)) continue;
    say(out, "%s '%s' %s%s from %.6g to %.6g", lead, name_of_input(program->graph, view, i),
        tct_dtype_name(view->in[i].dtype), tct_shape_print(&view->in[i].shape, shape, sizeof shape), in[i].least, in[i].most);
    lead = ",";
  }
}

/* Runs one step; its operands are looked at before, since an output may take their place. */
static tct_status run_step(const tct_program *program, const tct_step *step, sentence *out, bool *out_found) {
  const tct_node_view *view = step->launch.node;
  survey in[MOST_OPERANDS] = {{0}};
  for (int32_t i = 0; i < view->n_in && i < MOST_OPERANDS; i++) {
    if (is_float(view->in[i].dtype)) TCT_TRY(look(program->device, &view->in[i], step->launch.in[i], &in[i]));
  }
  TCT_TRY(tct_step_launch(step));
  for (int32_t o = 0; o < view->n_out && !*out_found; o++) {
    survey made;
    if (!is_float(view->out[o].dtype)) continue;
    TCT_TRY(look(program->device, &view->out[o], step->launch.out[o], &made));
    if (!is_bad(&made)) continue;
    *out_found = true;
    say_step(program, view, in, &made, out);
  }
  return TCT_OK;
}

tct_status tct_program_find_nonfinite(tct_program *program, char *text, size_t text_bytes, bool *out_found) {
  sentence out = {text, text_bytes, 0};
  *out_found = false;
  if (text_bytes > 0) text[0] = '\0';
  TCT_TRY(check_sources(program, &out, out_found));
  for (int32_t s = 0; s < program->n_steps; s++) {
    const tct_step *step = &program->steps[s];
    if (!*out_found) {
      TCT_TRY(run_step(program, step, &out, out_found));
    } else { /* the run is a whole one, whatever was found */
      TCT_TRY(tct_step_launch(step));
    }
  }
  return TCT_OK;
}
