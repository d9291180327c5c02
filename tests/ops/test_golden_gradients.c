/* Values and gradients that PyTorch gave: conv-gradients.json (its own tests' small convolutions with operands 0, 1, 2 …
 * and a gradient of ones) in f64 on the reference and in f32 on the CPU, op-gradients-sample.json in f64. The files stand
 * beside the real data. Operands keep PyTorch's layout; transposes in the graph make ours, so gradients come back in
 * PyTorch's. Not here, for want of the op: conv3d, conv_transpose1d and 3d, logcumsumexp, pixel_unshuffle, a cross-entropy
 * that ignores labels, an average pooling that counts padding. */
#include <tercet/tercet.h>
#include "goldens.h"
#include "graphs.h"
#include "test.h"

enum { MOST_VALUES = 4096 };

static int64_t whole(const json_t *list, size_t i) {
  return json_integer_value(json_array_get(list, i));
}

static const char *text_of(const json_t *object, const char *key) {
  return json_string_value(member(object, key));
}

/* Appends the numbers of nested lists, row-major. */
static void flatten(const json_t *value, double *out, int64_t *n) {
  if (json_is_array(value)) {
    for (size_t i = 0; i < json_array_size(value); i++) flatten(json_array_get(value, i), out, n);
    return;
  }
  CHECK(json_is_number(value) && *n < MOST_VALUES, "a number at %d", (int)*n);
  out[(*n)++] = json_number_value(value);
}

/* ---- values in and out, whatever the program's float ---- */

static void put(tct_program *program, const char *name, tct_dtype dtype, const double *value, int64_t n) {
  float narrow[MOST_VALUES];
  for (int64_t i = 0; i < n; i++) narrow[i] = (float)value[i];
  OK(tct_program_set(program, name, dtype == TCT_F64 ? (const void *)value : narrow,
                     (size_t)n * tct_dtype_bytes(dtype)));
}

static void check_output(const char *label, tct_program *program, const char *name, tct_dtype dtype, double relative,
                         const json_t *golden) {
  double want[MOST_VALUES], got[MOST_VALUES], largest = 0;
  float narrow[MOST_VALUES];
  int64_t n = 0;
  flatten(golden, want, &n);
  OK(tct_program_get(program, name, dtype == TCT_F64 ? (void *)got : narrow, (size_t)n * tct_dtype_bytes(dtype)));
  for (int64_t i = 0; i < n; i++) {
    if (dtype != TCT_F64) got[i] = (double)narrow[i];
    largest = fmax(largest, fabs(want[i]));
  }
  const double allowed = relative * largest;
  for (int64_t i = 0; i < n; i++) {
    CHECK(fabs(got[i] - want[i]) <= allowed, "%s, %s: %s at %d is %.12g, not %.12g", label, tct_dtype_name(dtype), name,
          (int)i, got[i], want[i]);
  }
}

/* ---- convolutions ---- */

/* What PyTorch's convolution of that name and those settings is here; x, w and b in PyTorch's layouts. */
static tct_tensor convolved(const json_t *c, const tct_tensor *x) {
  static const int32_t to_last[] = {0, 2, 3, 1}, filter[] = {2, 3, 1, 0}, sequence[] = {0, 2, 1}, filter1d[] = {2, 1, 0};
  const json_t *stride = member(c, "stride"), *dilation = member(c, "dilation"), *padding = member(c, "padding");
  const int64_t groups = json_integer_value(member(c, "groups")), p0 = whole(padding, 0), p1 = whole(padding, 1);
  if (strcmp(text_of(c, "op"), "conv1d") == 0) {
    const tct_conv1d_options o = {whole(stride, 0), whole(dilation, 0), TCT_PADDING_EXPLICIT, {p0, p0}, groups, {0}};
    const tct_tensor y = tct_conv1d(tct_transpose(x[0], sequence), tct_transpose(x[1], filter1d), &o);
    return tct_add(y, x[2]);
  }
  tct_conv2d_options o = {.stride = {whole(stride, 0), whole(stride, 1)},
                          .dilation = {whole(dilation, 0), whole(dilation, 1)},
                          .padding = TCT_PADDING_EXPLICIT,
                          .pad = {p0, p0, p1, p1},
                          .groups = groups};
  const tct_tensor image = tct_transpose(x[0], to_last), w = tct_transpose(x[1], filter);
  if (strcmp(text_of(c, "op"), "conv2d") == 0) return tct_add(tct_conv2d(image, w, &o), x[2]);
  /* PyTorch's output_padding takes padding off the end; what is more than that adds rows which nothing reaches. */
  int64_t more[4] = {0, 0, 0, 0};
  static const int64_t none[4] = {0, 0, 0, 0};
  for (int i = 0; i < 2; i++) {
    const int64_t extra = whole(member(c, "output_padding"), (size_t)i), pad = o.pad[2 * i + 1];
    o.pad[2 * i + 1] = pad > extra ? pad - extra : 0;
    more[1 + i] = extra > pad ? extra - pad : 0;
  }
  return tct_add(tct_pad(tct_conv2d_transpose(image, w, &o), none, more, 0), x[2]);
}

static void check_convolution(const json_t *c, tct_dtype dtype) {
  static const char *const names[] = {"x", "w", "b"}, *const gradients[] = {"grad_x", "grad_weight", "grad_bias"};
  const json_t *kernel = member(c, "kernel"), *spatial = member(c, "input_spatial");
  const bool transposed = strcmp(text_of(c, "op"), "conv_transpose2d") == 0;
  const int32_t rank = (int32_t)json_array_size(kernel) + 2;
  const int64_t in = json_integer_value(member(c, "channels_in")), out = json_integer_value(member(c, "channels_out"));
  const int64_t groups = json_integer_value(member(c, "groups"));
  tct_shape shape[3] = {{.rank = rank, .dim = {json_integer_value(member(c, "batch")), in}},
                        {.rank = rank, .dim = {transposed ? in : out, (transposed ? out : in) / groups}},
                        {.rank = 1, .dim = {out}}};
  for (int32_t i = 2; i < rank; i++) {
    shape[0].dim[i] = whole(spatial, (size_t)i - 2);
    shape[1].dim[i] = whole(kernel, (size_t)i - 2);
  }
  tct_device *device = device_make(dtype == TCT_F64 ? "ref" : "cpu");
  tct_graph *graph = graph_make();
  tct_tensor x[3], d[3];
  for (int i = 0; i < 3; i++) x[i] = tct_input(graph, names[i], dtype, shape[i]);
  const tct_tensor y = convolved(c, x);
  OK(tct_graph_status(graph));
  const tct_shape ys = tct_tensor_shape(y);
  for (int32_t i = 1; i < ys.rank - 1; i++) {
    CHECK(ys.dim[i] == whole(member(c, "output_spatial"), (size_t)i - 1), "%s: extent %d", text_of(c, "name"), (int)i);
  }
  tct_gradients(sum_of(y), x, 3, d);
  for (int i = 0; i < 3; i++) tct_output(graph, gradients[i], d[i]);
  tct_program *program = NULL;
  OK(tct_compile(graph, device, NULL, &program));
  for (int i = 0; i < 3; i++) {
    double value[MOST_VALUES];
    const int64_t n = tct_shape_size(&shape[i]);
    for (int64_t e = 0; e < n; e++) value[e] = (double)e;
    put(program, names[i], dtype, value, n);
  }
  OK(tct_program_run(program));
  for (int i = 0; i < 3; i++) {
    check_output(text_of(c, "name"), program, gradients[i], dtype, dtype == TCT_F64 ? 1e-10 : 1e-5,
                 member(c, gradients[i]));
  }
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(device);
}

TEST(golden_gradients, convolutions) {
  DATA_OR_SKIP();
  json_t *root = open_goldens(folder, "conv-gradients.json");
  int n = 0;
  for (size_t i = 0; i < json_array_size(root); i++) {
    const json_t *c = json_array_get(root, i);
    const char *op = text_of(c, "op");
    if (strcmp(op, "conv1d") != 0 && strcmp(op, "conv2d") != 0 && strcmp(op, "conv_transpose2d") != 0) continue;
    check_convolution(c, TCT_F64);
    check_convolution(c, TCT_F32);
    n++;
  }
  CHECK(n == 31, "%d convolutions", n);
  json_decref(root);
}

/* ---- other ops ---- */

#define AXES(...) (const int32_t[]){__VA_ARGS__}, (int32_t)(sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

static tct_tensor build_neg(const tct_tensor *x) {
  return tct_neg(x[0]);
}
static tct_tensor build_relu(const tct_tensor *x) {
  return tct_relu(x[0]);
}
static tct_tensor build_logsigmoid(const tct_tensor *x) {
  return tct_neg(tct_softplus(tct_neg(x[0])));
}
static tct_tensor build_add(const tct_tensor *x) {
  return tct_add(x[0], x[1]);
}
static tct_tensor build_minimum(const tct_tensor *x) {
  return tct_minimum(x[0], x[1]);
}
static tct_tensor build_reduce_min(const tct_tensor *x) {
  return tct_reduce_min(x[0], NULL, 0, false);
}
static tct_tensor build_reduce_mean(const tct_tensor *x) {
  return tct_reduce_mean(x[0], AXES(0), true);
}
/* PyTorch divides by n - 1: n is 3 here, and 8 in the next. */
static tct_tensor build_reduce_std(const tct_tensor *x) {
  return tct_scale(tct_reduce_std(x[0], AXES(1), false), sqrt(3.0 / 2), 0);
}
static tct_tensor build_reduce_var(const tct_tensor *x) {
  return tct_scale(tct_reduce_var(x[0], AXES(0, 2), false), 8.0 / 7, 0);
}
static tct_tensor build_dot(const tct_tensor *x) {
  return tct_reshape(tct_matmul(tct_reshape(x[0], TCT_SHAPE(1, 4)), tct_reshape(x[1], TCT_SHAPE(4, 1))), (tct_shape){0});
}
static tct_tensor build_slice(const tct_tensor *x) {
  return tct_slice(x[0], (const int64_t[]){1, 0}, (const int64_t[]){2, 3}, (const int64_t[]){2, 2});
}
static tct_tensor build_l1(const tct_tensor *x) {
  return sum_of(tct_abs(tct_sub(x[0], x[1])));
}
static tct_tensor build_bce(const tct_tensor *x) {
  return tct_sigmoid_cross_entropy(x[0], x[1]);
}
static tct_tensor build_conv1d(const tct_tensor *x) {
  static const int32_t sequence[] = {0, 2, 1}, filter[] = {2, 1, 0};
  const tct_conv1d_options o = {.padding = TCT_PADDING_EXPLICIT, .pad = {1, 1}};
  const tct_tensor y = tct_conv1d(tct_transpose(x[0], sequence), tct_transpose(x[1], filter), &o);
  return tct_transpose(tct_add(y, x[2]), sequence);
}
/* A group per channel. */
static tct_tensor build_instance_norm(const tct_tensor *x) {
  static const int32_t sequence[] = {0, 2, 1};
  return tct_transpose(tct_group_norm(tct_transpose(x[0], sequence), x[1], x[2], 3, 1e-5), sequence);
}
static tct_tensor build_attention(const tct_tensor *x) {
  static const int32_t heads_last[] = {0, 2, 1, 3};
  const tct_tensor none = {NULL, -1};
  tct_tensor in[3];
  for (int i = 0; i < 3; i++) in[i] = tct_transpose(x[i], heads_last);
  return tct_transpose(tct_attention(in[0], in[1], in[2], none, NULL), heads_last);
}
static tct_tensor build_hard_sigmoid(const tct_tensor *x) {
  return tct_hard_sigmoid(x[0]);
}

typedef struct golden_op {
  const char *name, *inputs; /* a letter each */
  tct_tensor (*build)(const tct_tensor *x);
  double relative; /* 0: 1e-10 */
} golden_op;
static const golden_op golden_ops[] = {
    {"neg", "x", build_neg, 0},
    {"relu", "x", build_relu, 0},
    {"logsigmoid", "x", build_logsigmoid, 0},
    {"add", "ab", build_add, 0},
    {"minimum", "ab", build_minimum, 0},
    {"reduce_amin", "x", build_reduce_min, 0},
    {"reduce_mean", "x", build_reduce_mean, 0},
    {"reduce_std", "x", build_reduce_std, 0},
    {"reduce_var_unbiased", "x", build_reduce_var, 0},
    {"matmul", "ab", build_dot, 0},
    {"slice_step2", "x", build_slice, 0},
    {"l1", "xt", build_l1, 0},
    {"bce_logits", "xt", build_bce, 0},
    {"conv1d", "xwb", build_conv1d, 0},
    {"instance_norm", "xwb", build_instance_norm, 0},
    {"sdpa", "qkv", build_attention, 0},
    {"hardsigmoid_edges", "x", build_hard_sigmoid, 1e-7}, /* PyTorch 1.13 has 1/6 in f32 in its gradient */
};

static tct_shape shape_of(const json_t *tensor) {
  tct_shape shape = {.rank = (int32_t)json_array_size(member(tensor, "shape"))};
  for (int32_t i = 0; i < shape.rank; i++) shape.dim[i] = whole(member(tensor, "shape"), (size_t)i);
  return shape;
}

static void check_op(const json_t *c, const golden_op *op, tct_device *device) {
  const json_t *inputs = member(c, "inputs"), *grads = member(c, "grads"), *y0 = member(member(c, "outputs"), "y0");
  const int32_t n = (int32_t)strlen(op->inputs);
  tct_graph *graph = graph_make();
  tct_tensor x[3], d[3];
  char name[3][2] = {"", "", ""}, gradient[3][8];
  for (int32_t i = 0; i < n; i++) {
    name[i][0] = op->inputs[i];
    x[i] = tct_input(graph, name[i], TCT_F64, shape_of(member(inputs, name[i])));
  }
  const tct_tensor y = op->build(x), upstream = tct_input(graph, "upstream", TCT_F64, tct_tensor_shape(y));
  tct_output(graph, "y", y);
  tct_gradients(sum_of(tct_mul(y, upstream)), x, n, d);
  for (int32_t i = 0; i < n; i++) {
    snprintf(gradient[i], sizeof gradient[i], "d%s", name[i]);
    tct_output(graph, gradient[i], d[i]);
  }
  tct_program *program = NULL;
  OK(tct_compile(graph, device, NULL, &program));
  double value[MOST_VALUES];
  int64_t size = 0;
  for (int32_t i = 0; i < n; i++, size = 0) {
    flatten(member(member(inputs, name[i]), "data"), value, &size);
    put(program, name[i], TCT_F64, value, size);
  }
  flatten(member(member(member(c, "upstream"), "y0"), "data"), value, &size);
  put(program, "upstream", TCT_F64, value, size);
  OK(tct_program_run(program));
  const double relative = op->relative > 0 ? op->relative : 1e-10;
  check_output(op->name, program, "y", TCT_F64, relative, member(y0, "data"));
  for (int32_t i = 0; i < n; i++) {
    const json_t *golden = json_object_get(grads, name[i]);
    if (golden != NULL) check_output(op->name, program, gradient[i], TCT_F64, relative, member(golden, "data"));
  }
  tct_program_free(program);
  tct_graph_free(graph);
}

TEST(golden_gradients, ops) {
  DATA_OR_SKIP();
  json_t *root = open_goldens(folder, "op-gradients-sample.json");
  const json_t *all = member(root, "cases");
  tct_device *device = device_make("ref");
  int n = 0;
  for (size_t i = 0; i < json_array_size(all); i++) {
    const json_t *c = json_array_get(all, i);
    for (size_t o = 0; o < sizeof golden_ops / sizeof *golden_ops; o++) {
      if (strcmp(golden_ops[o].name, text_of(c, "op")) != 0) continue;
      check_op(c, &golden_ops[o], device);
      n++;
    }
  }
  CHECK(n == (int)(sizeof golden_ops / sizeof *golden_ops), "%d ops", n);
  tct_device_close(device);
  json_decref(root);
}
