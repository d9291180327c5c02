/* Identities between ops, on every device: what an op and its reference could both have wrong shows here. */
#include "exec/exec.h"
#include "graphs.h"
#include "test.h"

/* ---- building blocks ---- */

#define F32(name, ...) tct_input(graph, name, TCT_F32, TCT_SHAPE(__VA_ARGS__))
#define AXIS(...)                                                                                                      \
  (const int32_t[]) {                                                                                                  \
    __VA_ARGS__                                                                                                        \
  }

static float *outputs(const tct_graph *graph, tct_device *device, const char *name, int64_t *out_n) {
  tct_program *program = NULL;
  OK(tct_compile(graph, device, NULL, &program));
  feed(program);
  OK(tct_program_run(program));
  const tct_port *port = NULL;
  for (int32_t i = 0; i < program->n_outputs; i++) {
    if (strcmp(program->outputs[i].name, name) == 0) port = &program->outputs[i];
  }
  CHECK(port != NULL && port->desc.dtype == TCT_F32, "output '%s'", name);
  float *value = malloc(port->bytes + 1);
  OK(tct_program_get(program, name, value, port->bytes));
  *out_n = tct_shape_size(&port->desc.shape);
  tct_program_free(program);
  return value;
}

/* The two sides of an identity, built into one graph. */
typedef struct sides {
  tct_tensor left, right;
} sides;

/* Both sides agree within `roundings`·u of the largest element, on every device. */
static void check_identity(sides (*build)(tct_graph *graph), double roundings) {
  tct_device_kind kind;
  for (int32_t d = 0; tct_device_list(d, &kind); d++) {
    if (kind.n_devices == 0) continue;
    tct_device *device = device_make(spec_of(&kind));
    tct_graph *graph = graph_make();
    const sides both = build(graph);
    tct_output(graph, "left", both.left);
    tct_output(graph, "right", both.right);
    int64_t n = 0, n_right = 0;
    float *left = outputs(graph, device, "left", &n), *right = outputs(graph, device, "right", &n_right);
    double largest = 0;
    CHECK(n == n_right && n > 0, "%d and %d elements", (int)n, (int)n_right);
    for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs((double)left[i]));
    for (int64_t i = 0; i < n; i++) {
      const double difference = fabs((double)left[i] - (double)right[i]);
      CHECK(difference <= roundings * 0x1p-24 * largest, "%s: at %d: %.9g and %.9g", kind.name, (int)i, (double)left[i],
            (double)right[i]);
    }
    free(left);
    free(right);
    tct_graph_free(graph);
    tct_device_close(device);
  }
}

/* ---- products ---- */

/* The patches of x under a 3×3 filter as rows [N·P·Q, 9·C], by slices. */
static tct_tensor patches(tct_tensor x, int64_t p, int64_t q, int64_t stride) {
  const tct_shape s = tct_tensor_shape(x);
  tct_tensor part[9];
  for (int64_t i = 0; i < 9; i++) {
    const int64_t start[] = {0, i / 3, i % 3, 0}, size[] = {s.dim[0], p, q, s.dim[3]}, step[] = {1, stride, stride, 1};
    part[i] = tct_slice(x, start, size, step);
  }
  return tct_reshape(tct_concat(part, 9, 3), TCT_SHAPE(s.dim[0] * p * q, 9 * s.dim[3]));
}

static sides convolve(tct_graph *graph, int64_t c, int64_t k, int64_t stride) {
  const tct_tensor x = F32("x", 2, 9, 7, c), w = F32("w", 3, 3, c, k);
  const int64_t p = (9 - 3) / stride + 1, q = (7 - 3) / stride + 1;
  const tct_tensor direct = tct_conv2d(x, w, &(tct_conv2d_options){.stride = {stride, stride}});
  const tct_tensor product = tct_matmul(patches(x, p, q, stride), tct_reshape(w, TCT_SHAPE(9 * c, k)));
  return (sides){direct, tct_reshape(product, tct_tensor_shape(direct))};
}
static sides conv_c1(tct_graph *graph) {
  return convolve(graph, 1, 8, 1);
}
static sides conv_c3(tct_graph *graph) {
  return convolve(graph, 3, 5, 2);
}
static sides conv_c16(tct_graph *graph) {
  return convolve(graph, 16, 17, 1);
}
TEST(identities, convolution_is_a_product_of_patches) {
  check_identity(conv_c1, 2 * 9);
  check_identity(conv_c3, 2 * 27);
  check_identity(conv_c16, 2 * 144);
}

/* Equal patches give equal bits wherever they lie: the first of equal maxima depends on it in images with a plain
 * ground. */
static void check_plain_image(const char *spec, int64_t c, int64_t k, int64_t size) {
  tct_device *device = device_make(spec);
  tct_graph *graph = graph_make();
  const tct_tensor pixel = F32("pixel", 1, 1, 1, c), w = F32("w", 3, 3, c, k), b = F32("b", k);
  const tct_tensor image = tct_broadcast_to(pixel, TCT_SHAPE(2, size, size, c));
  const tct_tensor y = tct_conv2d(image, w, &(tct_conv2d_options){.padding = TCT_PADDING_SAME});
  tct_output(graph, "y", tct_relu(tct_add(y, b)));
  int64_t n = 0;
  float *value = outputs(graph, device, "y", &n);
  for (int64_t i = 0; i < n; i++) {
    const int64_t column = i / k % size, row = i / k / size % size, first = (size + 1) * k + i % k;
    if (row == 0 || column == 0 || row == size - 1 || column == size - 1) continue;
    CHECK(value[i] == value[first], "%s, %d to %d channels: row %d, column %d: %.9g, elsewhere %.9g", spec, (int)c,
          (int)k, (int)row, (int)column, (double)value[i], (double)value[first]);
  }
  free(value);
  tct_graph_free(graph);
  tct_device_close(device);
}

TEST(identities, equal_patches_give_equal_bits) {
  tct_device_kind kind;
  for (int32_t d = 0; tct_device_list(d, &kind); d++) {
    if (kind.n_devices == 0) continue;
    for (int64_t size = 7; size <= 28; size += 7) {
      check_plain_image(spec_of(&kind), 1, 8, size);
      check_plain_image(spec_of(&kind), 8, 16, size);
      check_plain_image(spec_of(&kind), 3, 16, size);
      check_plain_image(spec_of(&kind), 16, 17, size);
      check_plain_image(spec_of(&kind), 16, 32, size);
    }
  }
}

static sides depthwise(tct_graph *graph) {
  const tct_tensor x = F32("x", 2, 6, 5, 4), w = F32("w", 3, 3, 4, 1);
  tct_tensor channel[4], filter[4], y[4];
  tct_split(x, 4, 3, channel);
  tct_split(w, 4, 2, filter);
  for (int i = 0; i < 4; i++) y[i] = tct_conv2d(channel[i], filter[i], NULL);
  return (sides){tct_depthwise_conv2d(x, w, NULL), tct_concat(y, 4, 3)};
}
TEST(identities, depthwise_is_a_convolution_per_channel) {
  check_identity(depthwise, 18);
}

static sides grouped(tct_graph *graph) {
  const tct_tensor x = F32("x", 2, 6, 5, 6), w = F32("w", 3, 3, 3, 8);
  tct_tensor part[2], filter[2], y[2];
  tct_split(x, 2, 3, part);
  tct_split(w, 2, 3, filter);
  for (int i = 0; i < 2; i++) y[i] = tct_conv2d(part[i], filter[i], NULL);
  return (sides){tct_conv2d(x, w, &(tct_conv2d_options){.groups = 2}), tct_concat(y, 2, 3)};
}
TEST(identities, groups_are_convolutions_side_by_side) {
  check_identity(grouped, 54);
}

/* <conv(x, w), y> = <x, conv_grad_input(y, w)> = <w, conv_grad_filter(x, y)> */
static sides adjoint(tct_graph *graph) {
  const tct_tensor x = F32("x", 2, 7, 6, 3), w = F32("w", 3, 3, 3, 8), y = F32("y", 2, 4, 3, 8), wrt[] = {x, w};
  const tct_conv2d_options options = {.padding = TCT_PADDING_SAME, .stride = {2, 2}};
  const tct_tensor product = sum_of(tct_mul(tct_conv2d(x, w, &options), y));
  tct_tensor d[2];
  tct_gradients(product, wrt, 2, d);
  const tct_tensor left[] = {tct_reshape(product, TCT_SHAPE(1)), tct_reshape(product, TCT_SHAPE(1))};
  const tct_tensor right[] = {tct_reshape(sum_of(tct_mul(d[0], x)), TCT_SHAPE(1)),
                              tct_reshape(sum_of(tct_mul(d[1], w)), TCT_SHAPE(1))};
  return (sides){tct_concat(left, 2, 0), tct_concat(right, 2, 0)};
}
TEST(identities, gradients_of_convolution_are_its_adjoints) {
  check_identity(adjoint, 8 * 192);
}

static sides batched(tct_graph *graph) {
  const tct_tensor a = F32("a", 3, 5, 7), b = F32("b", 7, 4);
  return (sides){tct_matmul(a, b), tct_reshape(tct_matmul(tct_reshape(a, TCT_SHAPE(15, 7)), b), TCT_SHAPE(3, 5, 4))};
}
static sides transposed(tct_graph *graph) {
  const tct_tensor a = F32("a", 17, 33), b = F32("b", 33, 15);
  return (sides){tct_matmul(a, b), tct_transpose(tct_matmul_transposed(b, a, true, true), NULL)};
}
TEST(identities, products) {
  check_identity(batched, 14);
  check_identity(transposed, 66);
}

/* ---- rows ---- */

static sides softmax_sums(tct_graph *graph) {
  const tct_tensor x = tct_scale(F32("x", 17, 10), 5, 0);
  return (sides){tct_reduce_sum(tct_softmax(x, -1), AXIS(-1), 1, false), tct_full(graph, TCT_F32, TCT_SHAPE(17), 1)};
}
static sides softmax_logs(tct_graph *graph) {
  const tct_tensor x = tct_scale(F32("x", 17, 10), 5, 0);
  return (sides){tct_exp(tct_log_softmax(x, 1)), tct_softmax(x, 1)};
}
static sides softmax_shift(tct_graph *graph) {
  const tct_tensor x = F32("x", 17, 10);
  return (sides){tct_softmax(x, 0), tct_softmax(tct_add(x, F32("row", 10)), 0)};
}
TEST(identities, softmax) {
  check_identity(softmax_sums, 20);
  check_identity(softmax_logs, 64);
  check_identity(softmax_shift, 32);
}

static sides losses(tct_graph *graph) {
  const tct_tensor x = tct_scale(F32("x", 17, 5), 4, 0), labels = tct_input(graph, "y", TCT_I32, TCT_SHAPE(17));
  return (sides){tct_sparse_softmax_cross_entropy(x, labels, 0.1),
                 tct_softmax_cross_entropy(x, tct_one_hot(labels, 5, 1, 0, TCT_F32), 0.1)};
}
static sides loss_by_hand(tct_graph *graph) {
  const tct_tensor x = tct_scale(F32("x", 17, 5), 4, 0), labels = tct_input(graph, "y", TCT_I32, TCT_SHAPE(17));
  const tct_tensor hot = tct_one_hot(labels, 5, 1, 0, TCT_F32);
  return (sides){tct_sparse_softmax_cross_entropy(x, labels, 0),
                 tct_sub(tct_logsumexp(x, AXIS(1), 1, false), tct_reduce_sum(tct_mul(hot, x), AXIS(1), 1, false))};
}
TEST(identities, cross_entropies) {
  check_identity(losses, 64);
  check_identity(loss_by_hand, 64);
}

/* ---- attention ---- */

static const tct_tensor no_mask = {NULL, -1};

/* softmax(q·kᵀ/√D)·v, head by head. */
static sides attention_by_hand(tct_graph *graph) {
  const tct_tensor q = F32("q", 2, 9, 3, 16), k = F32("k", 2, 11, 3, 16), v = F32("v", 2, 11, 3, 5);
  tct_tensor y[3];
  for (int64_t h = 0; h < 3; h++) {
    const int64_t start[] = {0, 0, h, 0}, size[] = {-1, -1, 1, -1};
    const tct_tensor own_q = tct_reshape(tct_slice(q, start, size, NULL), TCT_SHAPE(2, 9, 16));
    const tct_tensor own_k = tct_reshape(tct_slice(k, start, size, NULL), TCT_SHAPE(2, 11, 16));
    const tct_tensor own_v = tct_reshape(tct_slice(v, start, size, NULL), TCT_SHAPE(2, 11, 5));
    const tct_tensor p = tct_softmax(tct_scale(tct_matmul_transposed(own_q, own_k, false, true), 0.25, 0), -1);
    y[h] = tct_reshape(tct_matmul(p, own_v), TCT_SHAPE(2, 9, 1, 5));
  }
  return (sides){tct_attention(q, k, v, no_mask, NULL), tct_concat(y, 3, 2)};
}

/* A causal mask is what `causal` is. */
static sides attention_causal_mask(tct_graph *graph) {
  static bool past[70 * 70];
  for (int i = 0; i < 70 * 70; i++) past[i] = i % 70 <= i / 70;
  const tct_tensor q = F32("q", 1, 70, 2, 8), k = F32("k", 1, 70, 2, 8), v = F32("v", 1, 70, 2, 8);
  const tct_tensor mask = tct_constant(graph, TCT_BOOL, TCT_SHAPE(1, 1, 70, 70), past);
  return (sides){tct_attention(q, k, v, no_mask, &(tct_attention_options){.causal = true}),
                 tct_attention(q, k, v, mask, NULL)};
}

/* The first query of a causal attention sees itself alone: it gives its own value, and no other value has a gradient
 * from it. */
static sides first_sees_itself(tct_graph *graph) {
  const tct_tensor q = F32("q", 2, 5, 2, 8), k = F32("k", 2, 5, 2, 8), v = F32("v", 2, 5, 2, 8);
  const int64_t start[] = {0, 0, 0, 0}, size[] = {-1, 1, -1, -1}, before[] = {0, 0, 0, 0}, after[] = {0, 4, 0, 0};
  const tct_tensor y = tct_slice(tct_attention(q, k, v, no_mask, &(tct_attention_options){.causal = true}), start, size, NULL);
  tct_tensor dv;
  tct_gradients(sum_of(y), &v, 1, &dv);
  const tct_tensor left[] = {y, dv};
  const tct_tensor one = tct_full(graph, TCT_F32, TCT_SHAPE(2, 1, 2, 8), 1);
  const tct_tensor right[] = {tct_slice(v, start, size, NULL), tct_pad(one, before, after, 0)};
  return (sides){tct_concat(left, 2, 1), tct_concat(right, 2, 1)};
}

/* Adding one vector to all keys moves every score of a query alike and changes nothing. */
static sides keys_shift(tct_graph *graph) {
  const tct_tensor q = F32("q", 1, 7, 2, 8), k = F32("k", 1, 6, 2, 8), v = F32("v", 1, 6, 2, 8);
  return (sides){tct_attention(q, k, v, no_mask, NULL),
                 tct_attention(q, tct_add(k, F32("shift", 1, 1, 2, 8)), v, no_mask, NULL)};
}

/* Composites and their gradients are opened into simpler ops where their kernels are missing: the same values. */
static void check_expansion(tct_graph *(*build)(void), const char *disabled) {
  tct_device *device = device_make("cpu");
  tct_graph *graph = build();
  int64_t n = 0, n_opened = 0;
  float *whole = outputs(graph, device, "out", &n);
  setenv("TERCET_DISABLE", disabled, 1);
  float *opened = outputs(graph, device, "out", &n_opened);
  tct_graph *expanded = passed(graph, device, tct_pass_expand);
  unsetenv("TERCET_DISABLE");
  for (int32_t i = 0; i < expanded->n_nodes; i++) {
    CHECK(strstr(disabled, tct_op_name(expanded->nodes[i].op)) == NULL, "%s is still there",
          tct_op_name(expanded->nodes[i].op));
  }
  double largest = 0;
  for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs((double)whole[i]));
  CHECK(n == n_opened && largest > 0);
  for (int64_t i = 0; i < n; i++) {
    CHECK(fabs((double)whole[i] - (double)opened[i]) <= 256 * 0x1p-24 * largest, "at %d: %.9g, opened %.9g", (int)i,
          (double)whole[i], (double)opened[i]);
  }
  free(whole);
  free(opened);
  tct_graph_free(expanded);
  tct_graph_free(graph);
  tct_device_close(device);
}

static tct_graph *attention_step(void) {
  tct_graph *graph = graph_make();
  const tct_tensor q = F32("q", 2, 9, 2, 8), k = F32("k", 2, 9, 2, 8), v = F32("v", 2, 9, 2, 8), wrt[] = {q, k, v};
  const tct_tensor y = tct_attention(q, k, v, no_mask, &(tct_attention_options){.causal = true});
  tct_tensor d[4] = {y};
  tct_gradients(sum_of(tct_square(y)), wrt, 3, d + 1);
  tct_output(graph, "out", tct_concat(d, 4, 0));
  return graph;
}
TEST(identities, attention_opened) {
  check_expansion(attention_step, "attention,attention_grad");
}

/* No query sees the one key whose value is not 0 before its turn comes, at positions that bf16 cannot tell apart. */
TEST(identities, attention_opened_in_bf16_hides_the_future) {
  enum { T = 260, KEY = 256 };
  static float value[T];
  value[KEY] = 1;
  tct_device *device = device_make("ref");
  tct_graph *graph = graph_make();
  const tct_tensor q = tct_full(graph, TCT_BF16, TCT_SHAPE(1, T, 1, 1), 0);
  const tct_tensor v = tct_cast(tct_constant(graph, TCT_F32, TCT_SHAPE(1, T, 1, 1), value), TCT_BF16);
  tct_tensor y[2] = {no_mask, no_mask};
  const tct_attention_attrs attrs = {.causal = true, .scale = 1};
  tct_op_definition(TCT_OP_attention)->decompose(graph, &attrs, (const tct_tensor[]){q, q, v}, 3, y);
  tct_output(graph, "y", tct_cast(y[0], TCT_F32));
  int64_t n = 0;
  float *seen = outputs(graph, device, "y", &n);
  CHECK(n == T);
  for (int t = 0; t < T; t++) CHECK((seen[t] > 0) == (t >= KEY), "query %d gets %g", t, (double)seen[t]);
  free(seen);
  tct_graph_free(graph);
  tct_device_close(device);
}

/* y, c and all gradients of a layer with a first state, of both directions. */
static tct_graph *lstm_step(void) {
  tct_graph *graph = graph_make();
  const tct_tensor x = F32("x", 3, 5, 4), w = F32("w", 4, 28), u = F32("u", 7, 28), b = F32("b", 28);
  const tct_tensor h = F32("h", 3, 7), c = F32("c", 3, 7), wrt[] = {x, w, u, b, h, c};
  tct_tensor cells, d[6], flat[8];
  const tct_tensor y = tct_lstm(x, w, u, b, h, c, false, &cells);
  const tct_tensor z = tct_lstm(y, u, u, b, no_mask, no_mask, true, NULL);
  tct_gradients(tct_add(sum_of(tct_square(z)), sum_of(cells)), wrt, 6, d);
  for (int i = 0; i < 6; i++) flat[i] = tct_reshape(d[i], TCT_SHAPE(-1));
  flat[6] = tct_reshape(z, TCT_SHAPE(-1));
  flat[7] = tct_reshape(cells, TCT_SHAPE(-1));
  tct_output(graph, "out", tct_concat(flat, 8, 0));
  return graph;
}
static tct_graph *gru_step(void) {
  tct_graph *graph = graph_make();
  const tct_tensor x = F32("x", 3, 5, 4), w = F32("w", 4, 21), u = F32("u", 7, 21), b = F32("b", 2, 21);
  const tct_tensor h = F32("h", 3, 7), wrt[] = {x, w, u, b, h};
  tct_tensor d[5], flat[6];
  const tct_tensor y = tct_gru(x, w, u, b, h, false), z = tct_gru(y, u, u, b, no_mask, true);
  tct_gradients(sum_of(tct_square(z)), wrt, 5, d);
  for (int i = 0; i < 5; i++) flat[i] = tct_reshape(d[i], TCT_SHAPE(-1));
  flat[5] = tct_reshape(z, TCT_SHAPE(-1));
  tct_output(graph, "out", tct_concat(flat, 6, 0));
  return graph;
}
TEST(identities, recurrent_layers_opened) {
  check_expansion(lstm_step, "lstm,lstm_grad");
  check_expansion(gru_step, "gru,gru_grad");
}

/* Backwards over a sequence is forwards over the turned one, results turned back. */
static tct_tensor turned(tct_graph *graph, tct_tensor x) {
  static const int32_t order[] = {4, 3, 2, 1, 0};
  return tct_gather(x, tct_constant(graph, TCT_I32, TCT_SHAPE(5), order), 1);
}
static sides lstm_reversed(tct_graph *graph) {
  const tct_tensor x = F32("x", 3, 5, 4), w = F32("w", 4, 28), u = F32("u", 7, 28), b = F32("b", 28);
  return (sides){tct_lstm(x, w, u, b, no_mask, no_mask, true, NULL),
                 turned(graph, tct_lstm(turned(graph, x), w, u, b, no_mask, no_mask, false, NULL))};
}
static sides gru_reversed(tct_graph *graph) {
  const tct_tensor x = F32("x", 3, 5, 4), w = F32("w", 4, 21), u = F32("u", 7, 21), b = F32("b", 2, 21);
  return (sides){tct_gru(x, w, u, b, no_mask, true), turned(graph, tct_gru(turned(graph, x), w, u, b, no_mask, false))};
}
/* Two halves of a sequence, the second from the first's last state, are the whole. */
static sides lstm_halves(tct_graph *graph) {
  const tct_tensor x = F32("x", 3, 5, 4), w = F32("w", 4, 28), u = F32("u", 7, 28), b = F32("b", 28);
  const int64_t head[] = {0, 0, 0}, tail[] = {0, 3, 0}, last[] = {0, 2, 0}, three[] = {-1, 3, -1}, rest[] = {-1, -1, -1};
  const int64_t one[] = {-1, 1, -1};
  tct_tensor c, y[2];
  y[0] = tct_lstm(tct_slice(x, head, three, NULL), w, u, b, no_mask, no_mask, false, &c);
  y[1] = tct_lstm(tct_slice(x, tail, rest, NULL), w, u, b, tct_reshape(tct_slice(y[0], last, one, NULL), TCT_SHAPE(3, 7)),
                  tct_reshape(tct_slice(c, last, one, NULL), TCT_SHAPE(3, 7)), false, NULL);
  return (sides){tct_lstm(x, w, u, b, no_mask, no_mask, false, NULL), tct_concat(y, 2, 1)};
}
TEST(identities, recurrent_layers) {
  check_identity(lstm_reversed, 0);
  check_identity(gru_reversed, 0);
  check_identity(lstm_halves, 32);
}

TEST(identities, attention) {
  check_identity(attention_by_hand, 64);
  check_identity(attention_causal_mask, 0);
  check_identity(first_sees_itself, 2);
  check_identity(keys_shift, 64);
}

/* ---- normalisation ---- */

/* Mean 0 and variance σ²/(σ² + ε) of what a batch norm gives. */
static sides moments(tct_graph *graph, double offset) {
  const tct_tensor x = tct_scale(F32("x", 65, 16), 1, offset);
  const tct_tensor one = tct_full(graph, TCT_F32, TCT_SHAPE(16), 1), zero = tct_full(graph, TCT_F32, TCT_SHAPE(16), 0);
  tct_tensor mean, variance;
  const tct_tensor y = tct_batch_norm(x, one, zero, 1e-3, &mean, &variance);
  const tct_tensor left[] = {tct_reduce_mean(y, AXIS(0), 1, true), tct_reduce_mean(tct_square(y), AXIS(0), 1, true)};
  const tct_tensor ratio = tct_div(variance, tct_scale(variance, 1, 1e-3));
  const tct_tensor right[] = {tct_full(graph, TCT_F32, TCT_SHAPE(1, 16), 0), tct_reshape(ratio, TCT_SHAPE(1, 16))};
  return (sides){tct_concat(left, 2, 0), tct_concat(right, 2, 0)};
}
static sides moments_near(tct_graph *graph) {
  return moments(graph, 0);
}
static sides moments_far(tct_graph *graph) {
  return moments(graph, 100);
}
/* σ is about 0.58: an offset of 100 is 170 deviations, and the mean's rounding 170·u of one. The difference of two sums
 * of squares would lose 170² of it, and fail. */
TEST(identities, batch_norm_gives_mean_0_and_variance_1) {
  check_identity(moments_near, 16 + 65);
  check_identity(moments_far, 170 * 16);
}

static sides norms(tct_graph *graph) {
  const tct_tensor x = F32("x", 17, 8), gamma = F32("gamma", 8), beta = F32("beta", 8);
  tct_tensor mean, variance;
  const tct_tensor y = tct_batch_norm(x, gamma, beta, 1e-3, &mean, &variance);
  return (sides){y, tct_batch_norm_inference(x, gamma, beta, mean, variance, 1e-3)};
}
static sides layer_by_hand(tct_graph *graph) {
  const tct_tensor x = F32("x", 5, 16), gamma = F32("gamma", 16), beta = F32("beta", 16);
  const tct_tensor centred = tct_sub(x, tct_reduce_mean(x, AXIS(1), 1, true));
  const tct_tensor variance = tct_reduce_mean(tct_square(centred), AXIS(1), 1, true);
  const tct_tensor normal = tct_div(centred, tct_sqrt(tct_scale(variance, 1, 1e-3)));
  return (sides){tct_layer_norm(x, gamma, beta, 1e-3), tct_add(tct_mul(normal, gamma), beta)};
}
TEST(identities, norms_by_hand) {
  check_identity(norms, 64);
  check_identity(layer_by_hand, 64);
}

/* ---- pooling, indexing ---- */

static sides average(tct_graph *graph) {
  const tct_tensor x = F32("x", 2, 6, 8, 3);
  const tct_tensor w = tct_full(graph, TCT_F32, TCT_SHAPE(2, 2, 3, 1), 0.25);
  return (sides){tct_avg_pool2d(x, NULL), tct_depthwise_conv2d(x, w, &(tct_conv2d_options){.stride = {2, 2}})};
}
static sides greatest(tct_graph *graph) {
  const tct_tensor x = F32("x", 2, 6, 8, 3);
  const tct_tensor blocks = tct_reshape(x, TCT_SHAPE(2, 3, 2, 4, 2, 3));
  return (sides){tct_max_pool2d(x, NULL), tct_reduce_max(blocks, AXIS(2, 4), 2, false)};
}
TEST(identities, pooling) {
  check_identity(average, 8);
  check_identity(greatest, 0);
}

static sides gathering(tct_graph *graph) {
  const tct_tensor table = F32("table", 5, 7), rows = tct_input(graph, "rows", TCT_I32, TCT_SHAPE(17));
  return (sides){tct_gather(table, rows, 0), tct_matmul(tct_one_hot(rows, 5, 1, 0, TCT_F32), table)};
}
TEST(identities, gathering_is_a_product_with_one_hot) {
  check_identity(gathering, 0);
}

/* ---- dropout ---- */

static sides masks(tct_graph *graph) {
  const tct_tensor x = F32("x", 33, 31), dy = F32("dy", 33, 31), step = tct_scalar(graph, TCT_I64, 5);
  tct_tensor dx;
  const tct_tensor y = tct_dropout(x, step, 0.3, 9, "layer");
  tct_gradients(sum_of(tct_mul(y, dy)), &x, 1, &dx);
  const tct_tensor ones = tct_dropout(tct_full(graph, TCT_F32, TCT_SHAPE(33, 31), 1), step, 0.3, 9, "layer");
  return (sides){dx, tct_mul(dy, ones)};
}
TEST(identities, dropout_drops_the_same_backward) {
  check_identity(masks, 2);
}

/* The share of kept elements is 1 - rate within five deviations, and other steps and names have other masks. */
TEST(identities, dropout_keeps_its_rate) {
  enum { N = 20000 };
  tct_device_kind kind;
  for (int32_t d = 0; tct_device_list(d, &kind); d++) {
    if (kind.n_devices == 0) continue;
    tct_device *device = device_make(spec_of(&kind));
    tct_graph *graph = graph_make();
    const tct_tensor one = tct_full(graph, TCT_F32, TCT_SHAPE(N), 1), first = tct_scalar(graph, TCT_I64, 0);
    tct_output(graph, "y", tct_dropout(one, first, 0.25, 3, "a"));
    tct_output(graph, "step", tct_dropout(one, tct_scalar(graph, TCT_I64, 1), 0.25, 3, "a"));
    tct_output(graph, "name", tct_dropout(one, first, 0.25, 3, "b"));
    const char *const names[] = {"y", "step", "name"};
    float *value[3];
    int64_t n = 0;
    for (int i = 0; i < 3; i++) {
      value[i] = outputs(graph, device, names[i], &n);
      double kept = 0, same = 0;
      for (int e = 0; e < N; e++) {
        kept += value[i][e] != 0;
        same += (value[i][e] != 0) == (value[0][e] != 0);
        CHECK(value[i][e] == 0 || fabsf(value[i][e] - 1 / 0.75f) < 1e-6f);
      }
      const double deviation = sqrt(N * 0.25 * 0.75);
      CHECK(fabs(kept - 0.75 * N) < 5 * deviation, "%s, %s: %g kept", kind.name, names[i], kept);
      CHECK(i == 0 || fabs(same - (0.75 * 0.75 + 0.25 * 0.25) * N) < 5 * sqrt(N * 0.625 * 0.375), "%s, %s: %g equal",
            kind.name, names[i], same);
    }
    for (int i = 0; i < 3; i++) free(value[i]);
    tct_graph_free(graph);
    tct_device_close(device);
  }
}
