/* What the model looks at: a compiled step's ops, each by what its class takes long for. */
#include <math.h>
#include <string.h>
#include <tercet/backend.h>
#include "perf/advise/model.h"

enum { LANES = 16, PANEL = 2 * LANES, TILE = 14, FITS_CACHE = 32 << 20 }; /* of the CPU's kernels at AVX-512: a vector, a product's panel, a register tile's rows or pixels */
static const double WORTH_SHARING = 1e-4; /* seconds of an op on one thread, from which on it is taken to run on several */
static const double STAYS = 4;         /* a step that moves at most so many times what the threads' own caches hold leaves its variables there */

static bool contains(const char *text, const char *part) { return strstr(text, part) != NULL; }

/* Several steps of arithmetic for each element, exp among them, or several passes. */
static bool is_function(const char *op) {
  static const char *const all[] = {"tanh", "sigmoid", "gelu", "softmax", "layer_norm", "batch_norm", "chain", "dropout"};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
    const size_t n = strlen(all[i]);
    if (strncmp(op, all[i], n) == 0 && (op[n] == '\0' || strcmp(op + n, "_grad") == 0)) return true;
  }
  return false;
}

static perf_class class_of(const char *op) {
  if (contains(op, "lstm") || contains(op, "gru")) return PERF_RECURRENT;
  if (contains(op, "attention")) return PERF_ATTENTION;
  if (contains(op, "_update")) return PERF_UPDATE;
  if (contains(op, "conv")) return contains(op, "grad") ? PERF_CONV_GRADIENT : PERF_CONV;
  if (contains(op, "matmul")) return PERF_MATMUL;
  return contains(op, "pool") ? PERF_POOL : is_function(op) ? PERF_FUNCTION : PERF_REST;
}

/* x filled up to whole `unit`s, over x. */
static double filled(double x, double unit) { return x > 0 ? unit * ceil(x / unit) / x : 1; }

/* Of a node's i-th operand or result, counted from the last axis where axis is negative; 0: it has none. */
static double extent(const tct_desc *all, int32_t n, int32_t i, int32_t axis) {
  if (i >= n) return 0;
  const int32_t at = axis < 0 ? all[i].shape.rank + axis : axis;
  return at >= 0 && at < all[i].shape.rank ? (double)all[i].shape.dim[at] : 0;
}
static double of_in(const tct_node_view *node, int32_t i, int32_t axis) { return extent(node->in, node->n_in, i, axis); }
static double of_out(const tct_node_view *node, int32_t axis) { return extent(node->out, node->n_out, 0, axis); }
static double results(const tct_node_view *node) { return node->n_out > 0 ? (double)tct_shape_size(&node->out[0].shape) : 0; }

/* By how much the vectors of a product's kernel are longer than what they hold. */
static double padding_of(perf_class c, const tct_node_view *node) {
  if (c == PERF_MATMUL) return filled(of_out(node, -1), PANEL);
  if (c == PERF_CONV || c == PERF_CONV_GRADIENT) return filled(of_out(node, -1), LANES);
  if (c == PERF_ATTENTION) return filled(of_in(node, 1, 1), LANES); /* [B,S,H,D] */
  return 1;
}

/* Bytes of the filters that a direct convolution reads beside its operands: all of them for each register tile of pixels of a row, which a
 * narrow image leaves half empty; a filter's gradient reads and writes them for each image. */
static double tile_bytes(const tct_step_info *step, double flops) {
  if (!contains(step->kernel, ".direct")) return 0;
  if (strcmp(step->op, "conv2d_grad_filter") == 0) return of_in(step->node, 0, 0) * 2 * sizeof(float) * results(step->node);
  const double pixels = of_out(step->node, 2);
  return pixels > 0 ? sizeof(float) * flops / 2 * ceil(pixels / TILE) / pixels : 0;
}

/* Rows of scores: batch × heads × queries, these in whole register tiles. */
static double attention_rows(const tct_node_view *node) {
  const double queries = of_in(node, 0, 1);
  return of_in(node, 0, 0) * of_in(node, 0, 2) * queries * filled(queries, TILE);
}

/* Elements that go through several steps of arithmetic: of an op of its own, or behind a product in its kernel. */
static double function_elements(perf_class c, const tct_node_view *node) {
  tct_op behind = TCT_OP_NONE;
  if (strcmp(node->op_name, "matmul") == 0) behind = ((const tct_matmul_attrs *)node->attrs)->activation;
  if (strcmp(node->op_name, "conv2d") == 0) behind = ((const tct_conv2d_attrs *)node->attrs)->activation;
  const bool passes = c == PERF_FUNCTION || (behind != TCT_OP_NONE && behind != TCT_OP_relu);
  return passes ? results(node) : 0;
}

/* Steps of time, one behind the other. */
static double recurrent_steps(const tct_node_view *node) {
  return of_in(node, contains(node->op_name, "_grad") ? 1 : 0, 1); /* x [B,T,F], or y [B,T,H] */
}

/* Seconds to move the op's bytes; `reach`: how much lies between two uses of them. */
static double seconds_of_bytes(const perf_peaks *p, double bytes, double reach) {
  if (reach <= p->near_size && p->near_bytes > 0) return bytes / p->near_bytes;
  return bytes / (reach <= FITS_CACHE && p->cache_bytes > 0 ? p->cache_bytes : p->bytes);
}

void perf_features_of(const tct_program *program, const perf_peaks *one, const perf_peaks *all, double input_bytes, perf_features *out) {
  tct_step_info step;
  double moved = 0;
  *out = (perf_features){{0}};
  for (int32_t i = 0; tct_program_step(program, i, &step); i++) moved += step.bytes;
  for (int32_t i = 0; tct_program_step(program, i, &step); i++) {
    const perf_class c = class_of(step.op);
    const double flops = step.flops * padding_of(c, step.node), reach = c == PERF_UPDATE ? fmax(step.bytes, moved / STAYS) : step.bytes;
    const bool shared = all != one && fmax(flops / one->flops, seconds_of_bytes(one, step.bytes, reach)) >= WORTH_SHARING;
    const perf_peaks *const p = shared ? all : one;
    const double ways = p->flops / one->flops;
    out->f[2 * c] += flops / p->flops;
    out->f[2 * c + 1] += seconds_of_bytes(p, step.bytes, reach);
    out->f[PERF_OPS] += 1;
    out->f[PERF_FORKS] += shared ? 1 : 0;
    if (c == PERF_CONV) out->f[PERF_CONV_TILES] += seconds_of_bytes(p, tile_bytes(&step, flops), 0);
    if (c == PERF_CONV_GRADIENT) out->f[PERF_CONV_GRADIENT_TILES] += seconds_of_bytes(p, tile_bytes(&step, flops), 0);
    if (c == PERF_ATTENTION) out->f[PERF_ATTENTION_ROWS] += attention_rows(step.node) / ways;
    if (c == PERF_RECURRENT) out->f[PERF_RECURRENT_STEPS] += recurrent_steps(step.node);
    out->f[PERF_FUNCTION_ELEMENTS] += function_elements(c, step.node) / ways;
  }
  out->f[PERF_INPUT] = input_bytes / one->bytes;
}

double perf_input_bytes(tct_job *job, int64_t batch) {
  tct_dataset *data = NULL;
  double bytes = 0;
  if (tct_job_dataset(job, TCT_JOB_TRAIN, &data) != TCT_OK) return 0;
  for (int32_t i = 0; i < tct_dataset_n_fields(data); i++) {
    const tct_field *const field = tct_dataset_field(data, i);
    bytes += (double)batch * (double)tct_dtype_bytes(field->dtype) * (double)tct_shape_size(&field->shape);
  }
  return bytes;
}
