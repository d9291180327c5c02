/* The summary: Keras' table of layers and parameter counts, the memory plan of a training step, and the same as JSON. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tercet/train.h>
#include "base/status.h"
#include "base/text.h"
#include "nn/model.h"

static int64_t count(const tct_model *model, int32_t first, int32_t n, bool trainable_only) {
  int64_t total = 0;
  for (int32_t i = first; i < first + n; i++) {
    const tct_parameter *p = &model->parameters[i];
    if (p->trainable || !trainable_only) total += tct_shape_size(&p->desc.shape);
  }
  return total;
}

static const char *shape_text(const tct_layer_node *layer, const tct_model *model, char *text, size_t bytes) {
  const tct_shape shape = tct_layer_shape((tct_layer){(tct_model *)(uintptr_t)model, (int32_t)(layer - model->layers)});
  size_t at = (size_t)snprintf(text, bytes, "(None");
  for (int32_t i = 0; i < shape.rank && at < bytes; i++) {
    at += (size_t)snprintf(text + at, bytes - at, ", %lld", (long long)shape.dim[i]);
  }
  if (at < bytes) snprintf(text + at, bytes - at, ")");
  return text;
}

/* 12 345 678 with thin groups of three, as "12,345,678". */
static const char *grouped(int64_t value, char *text) {
  char digits[32];
  const int length = snprintf(digits, sizeof digits, "%lld", (long long)value);
  char *at = text;
  for (int i = 0; i < length; i++) {
    if (i > 0 && (length - i) % 3 == 0) *at++ = ',';
    *at++ = digits[i];
  }
  *at = '\0';
  return text;
}

static void bytes_line(tct_text *text, const char *what, double bytes) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  double value = bytes;
  for (; value >= 1024 && unit < 4; unit++) value /= 1024;
  tct_text_printf(text, " %s: %.2f %s (%.0f bytes)\n", what, value, units[unit], bytes);
}

static void print_table(const tct_model *model, tct_text *text) {
  static const char rule[] = "────────────────────────────────────────────────────────────────────────────────";
  char shape[160], number[32], label[96];
  tct_text_printf(text, "Model: \"%s\"\n%s\n %-34s %-26s %12s\n%s\n", model->name, rule, "Layer (type)", "Output shape",
                  "Param #", rule);
  for (int32_t l = 0; l < model->n_layers; l++) {
    const tct_layer_node *layer = &model->layers[l];
    snprintf(label, sizeof label, "%s (%s)", layer->name, layer->type != NULL ? layer->type->type : "Input");
    tct_text_printf(text, " %-34s %-26s %12s\n", label, shape_text(layer, model, shape, sizeof shape),
                    grouped(count(model, layer->first_parameter, layer->n_parameters, false), number));
  }
  const int64_t total = count(model, 0, model->n_parameters, false), trains = count(model, 0, model->n_parameters, true);
  tct_text_printf(text, "%s\n Total params: %s\n", rule, grouped(total, number));
  tct_text_printf(text, " Trainable params: %s\n", grouped(trains, number));
  tct_text_printf(text, " Non-trainable params: %s\n", grouped(total - trains, number));
}

static void print_plan(const tct_program *program, int64_t batch_size, tct_text *text) {
  tct_program_info info;
  tct_program_describe(program, &info);
  tct_text_printf(text, "Training step at batch %lld: %d steps, %.3f GFLOP\n", (long long)batch_size, info.n_steps,
                  info.flops * 1e-9);
  bytes_line(text, "Weights and optimizer state", (double)info.variables_bytes);
  bytes_line(text, "Activations, gradients, workspace (exact peak)", (double)info.arena_bytes);
  bytes_line(text, "The same without sharing memory", (double)info.no_reuse_bytes);
}

/* Whether the step has a bf16 or f16 operand or result; its type into *out. */
static bool is_narrow(const tct_step_info *step, tct_dtype *out) {
  const tct_node_view *node = step->node;
  for (int32_t i = 0; i < node->n_in + node->n_out; i++) {
    const tct_dtype dtype = (i < node->n_in ? &node->in[i] : &node->out[i - node->n_in])->dtype;
    if (dtype != TCT_BF16 && dtype != TCT_F16) continue;
    *out = dtype;
    return true;
  }
  return false;
}

/* Whether step s is the first of its op among those that are narrow, or among those that are not. */
static bool is_first(const tct_program *program, int32_t s, bool narrow) {
  tct_step_info own, before;
  tct_dtype dtype;
  (void)tct_program_step(program, s, &own);
  for (int32_t i = 0; i < s; i++) {
    (void)tct_program_step(program, i, &before);
    if (strcmp(before.op, own.op) == 0 && is_narrow(&before, &dtype) == narrow) return false;
  }
  return true;
}

/* The program's narrow type; NONE when all of it is wide. */
static tct_dtype narrow_type(const tct_program *program) {
  tct_step_info step;
  tct_dtype dtype = TCT_DTYPE_NONE;
  for (int32_t s = 0; dtype == TCT_DTYPE_NONE && tct_program_step(program, s, &step); s++) (void)is_narrow(&step, &dtype);
  return dtype;
}

/* Names of the ops that read or write bf16 or f16, or of those that do not. */
static void list_ops(const tct_program *program, bool narrow, const char *quote, tct_text *text) {
  tct_step_info step;
  tct_dtype dtype;
  const char *comma = "";
  for (int32_t s = 0; tct_program_step(program, s, &step); s++) {
    if (is_narrow(&step, &dtype) != narrow || !is_first(program, s, narrow)) continue;
    tct_text_printf(text, "%s%s%s%s", comma, quote, step.op, quote);
    comma = *quote != '\0' ? "," : ", ";
  }
}

static void print_precision(const tct_program *program, tct_text *text) {
  const tct_dtype dtype = narrow_type(program);
  if (dtype == TCT_DTYPE_NONE) return;
  tct_text_printf(text, "Mixed precision: weights and sums in f32\n with %s: ", tct_dtype_name(dtype));
  list_ops(program, true, "", text);
  tct_text_append(text, "\n in f32 only: ");
  list_ops(program, false, "", text);
  tct_text_append(text, "\n");
}

static void print_json(const tct_model *model, const tct_program *program, int64_t batch_size, tct_text *text) {
  tct_text_append(text, "{\"model\":");
  tct_text_json_string(text, model->name);
  tct_text_printf(text, ",\"total_params\":%lld,\"trainable_params\":%lld,\"layers\":[",
                  (long long)count(model, 0, model->n_parameters, false),
                  (long long)count(model, 0, model->n_parameters, true));
  for (int32_t l = 0; l < model->n_layers; l++) {
    const tct_layer_node *layer = &model->layers[l];
    const tct_shape shape = tct_layer_shape((tct_layer){(tct_model *)(uintptr_t)model, l});
    tct_text_append(text, l > 0 ? ",{\"name\":" : "{\"name\":");
    tct_text_json_string(text, layer->name);
    tct_text_printf(text, ",\"type\":\"%s\",\"params\":%lld,\"output_shape\":[null",
                    layer->type != NULL ? layer->type->type : "Input",
                    (long long)count(model, layer->first_parameter, layer->n_parameters, false));
    for (int32_t i = 0; i < shape.rank; i++) tct_text_printf(text, ",%lld", (long long)shape.dim[i]);
    tct_text_append(text, "]}");
  }
  tct_text_append(text, "],\"parameters\":[");
  for (int32_t i = 0; i < model->n_parameters; i++) {
    const tct_parameter *p = &model->parameters[i];
    tct_text_append(text, i > 0 ? ",{\"name\":" : "{\"name\":");
    tct_text_json_string(text, p->name);
    tct_text_printf(text, ",\"dtype\":\"%s\",\"trainable\":%s,\"shape\":[", tct_dtype_name(p->desc.dtype),
                    p->trainable ? "true" : "false");
    for (int32_t d = 0; d < p->desc.shape.rank; d++) {
      tct_text_printf(text, "%s%lld", d > 0 ? "," : "", (long long)p->desc.shape.dim[d]);
    }
    tct_text_append(text, "]}");
  }
  tct_text_append(text, "]");
  if (program != NULL) {
    tct_program_info info;
    tct_program_describe(program, &info);
    tct_text_printf(text, ",\"training_step\":{\"batch_size\":%lld,\"steps\":%d,\"flops\":%.17g,\"variables_bytes\":%zu,"
                    "\"arena_bytes\":%zu", (long long)batch_size, info.n_steps, info.flops, info.variables_bytes,
                    info.arena_bytes);
    const tct_dtype narrow = narrow_type(program);
    if (narrow != TCT_DTYPE_NONE) {
      tct_text_printf(text, ",\"precision\":{\"%s\":[", tct_dtype_name(narrow));
      list_ops(program, true, "\"", text);
      tct_text_append(text, "],\"f32\":[");
      list_ops(program, false, "\"", text);
      tct_text_append(text, "]}");
    }
    tct_text_append(text, "}");
  }
  tct_text_append(text, "}\n");
}

tct_status tct_model_summary(tct_model *model, int64_t batch_size, bool json, tct_write_fn write, void *user) {
  TCT_TRY(tct_model_status(model));
  tct_program *program = NULL;
  if (batch_size > 0) TCT_TRY(tct_model_program(model, batch_size, true, &program));
  tct_text text = {0};
  if (json) {
    print_json(model, program, batch_size, &text);
  } else {
    print_table(model, &text);
    if (program != NULL) print_plan(program, batch_size, &text);
    if (program != NULL) print_precision(program, &text);
  }
  const bool failed = text.failed || text.data == NULL;
  if (!failed) write(user, text.data, text.length);
  tct_text_free(&text);
  return failed ? tct_fail(TCT_OUT_OF_MEMORY, "summary: out of memory") : TCT_OK;
}
