/* Fusion: which ops join a chain or a product's epilogue, which must not, and that the values are the same. */
#include "graphs.h"
#include "test.h"

/* ---- chains ---- */

TEST(fuse_chain, a_tree_becomes_one_node) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = graph_make();
  const tct_tensor x = INPUT(graph, "x", 3, 5), row = INPUT(graph, "row", 5), column = INPUT(graph, "column", 3, 1);
  const tct_tensor left = tct_tanh(tct_add(x, row)), right = tct_leaky_relu(tct_mul(x, column), 0.25);
  tct_output(graph, "y", tct_clip(tct_sub(left, right), -0.4, 0.6));
  tct_graph *out = passed(graph, ref, tct_pass_fuse_chain);
  CHECK(count_op(out, TCT_OP_chain) == 1 && out->n_nodes == 4, "%d nodes", (int)out->n_nodes);
  const tct_chain_attrs *attrs = node_of(out, TCT_OP_chain)->attrs;
  CHECK(attrs->n_steps == 6);
  check_same_output(graph, out, ref, "y");
  tct_graph_free(out);
  tct_graph_free(graph);
  tct_device_close(ref);
}

TEST(fuse_chain, what_others_read_is_kept) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = graph_make();
  const tct_tensor x = INPUT(graph, "x", 7), shared = tct_exp(tct_neg(x));
  tct_output(graph, "y", tct_sin(tct_square(shared)));
  tct_output(graph, "z", tct_cos(tct_square(tct_neg(shared))));
  tct_output(graph, "shared", shared);
  tct_graph *out = passed(graph, ref, tct_pass_fuse_chain);
  CHECK(count_op(out, TCT_OP_chain) == 3, "%d chains", (int)count_op(out, TCT_OP_chain));
  for (int32_t i = 0; i < graph->n_outputs; i++) check_same_output(graph, out, ref, graph->outputs[i].name);
  tct_graph_free(out);
  tct_graph_free(graph);
  tct_device_close(ref);
}

TEST(fuse_chain, long_and_wide_chains_are_cut) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = graph_make();
  tct_tensor x = INPUT(graph, "x", 5), wide = tct_sin(x);
  for (int i = 0; i < 40; i++) x = i % 2 == 0 ? tct_sin(x) : tct_scale(x, 1.5, 0.1);
  for (int i = 0; i < 20; i++) {
    char name[16];
    snprintf(name, sizeof name, "w%d", i);
    wide = tct_add(wide, INPUT(graph, name, 5));
  }
  tct_output(graph, "long", x);
  tct_output(graph, "wide", wide);
  tct_graph *out = passed(graph, ref, tct_pass_fuse_chain);
  int32_t n_steps = 0;
  for (int32_t n = 0; n < out->n_nodes; n++) {
    const tct_node *node = &out->nodes[n];
    n_steps += node->op == TCT_OP_chain     ? ((const tct_chain_attrs *)node->attrs)->n_steps
               : tct_op_is_source(node->op) ? 0
                                            : 1;
    CHECK(node->op != TCT_OP_chain || node->n_in <= TCT_CHAIN_INPUTS);
  }
  CHECK(n_steps == 61, "%d steps of 61", (int)n_steps);
  check_same_output(graph, out, ref, "long");
  check_same_output(graph, out, ref, "wide");
  tct_graph_free(out);
  tct_graph_free(graph);
  tct_device_close(ref);
}

TEST(fuse_chain, conditions_inside_join_those_outside_do_not) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = graph_make();
  const tct_tensor x = INPUT(graph, "x", 9), y = INPUT(graph, "y", 9);
  const tct_tensor given = tct_input(graph, "labels", TCT_I32, TCT_SHAPE(9));
  tct_output(graph, "inside", tct_select(tct_less(x, y), tct_neg(x), tct_square(y)));
  tct_output(graph, "outside", tct_neg(tct_select(tct_cast(given, TCT_BOOL), tct_exp(x), tct_sin(y))));
  tct_graph *out = passed(graph, ref, tct_pass_fuse_chain);
  CHECK(count_op(out, TCT_OP_less) == 0 && count_op(out, TCT_OP_select) == 1);
  check_same_output(graph, out, ref, "inside");
  check_same_output(graph, out, ref, "outside");
  tct_graph_free(out);
  tct_graph_free(graph);
  tct_device_close(ref);
}

TEST(fuse_chain, integers_and_smaller_operands_stay) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = graph_make();
  const tct_tensor i = tct_input(graph, "i", TCT_I32, TCT_SHAPE(4)), row = INPUT(graph, "row", 4),
                   x = INPUT(graph, "x", 3, 4);
  tct_output(graph, "integers", tct_cast(tct_neg(tct_add(i, i)), TCT_F64));
  tct_output(graph, "y", tct_add(x, tct_exp(tct_neg(row)))); /* computed per row, not per element */
  tct_graph *out = passed(graph, ref, tct_pass_fuse_chain);
  CHECK(count_op(out, TCT_OP_chain) == 1 && count_op(out, TCT_OP_add) == 2);
  check_same_output(graph, out, ref, "y");
  check_same_output(graph, out, ref, "integers");
  tct_graph_free(out);
  tct_graph_free(graph);
  tct_device_close(ref);
}

/* ---- epilogues ---- */

TEST(fuse_epilogue, bias_and_activation_join_the_product) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = graph_make();
  const tct_tensor x = INPUT(graph, "x", 3, 4), w = VARIABLE(graph, "w", 4, 5), b = VARIABLE(graph, "b", 5);
  const tct_tensor image = INPUT(graph, "image", 1, 5, 5, 2), filter = VARIABLE(graph, "filter", 3, 3, 2, 5);
  tct_output(graph, "dense", tct_relu(tct_add(tct_matmul(x, w), b)));
  tct_output(graph, "conv", tct_leaky_relu(tct_add(b, tct_conv2d(image, filter, NULL)), 0.1));
  tct_output(graph, "no bias", tct_sigmoid(tct_matmul(x, tct_neg(w))));
  tct_graph *out = passed(graph, ref, tct_pass_fuse_epilogue);
  CHECK(count_op(out, TCT_OP_add) == 0 && count_op(out, TCT_OP_relu) == 0 && count_op(out, TCT_OP_sigmoid) == 0);
  const tct_conv2d_attrs *conv = node_of(out, TCT_OP_conv2d)->attrs;
  CHECK(conv->activation == TCT_OP_leaky_relu && conv->activation_attrs.p0 == 0.1);
  CHECK(node_of(out, TCT_OP_matmul)->n_in == 3);
  for (int32_t i = 0; i < graph->n_outputs; i++) check_same_output(graph, out, ref, graph->outputs[i].name);
  tct_graph_free(out);
  tct_graph_free(graph);
  tct_device_close(ref);
}

TEST(fuse_epilogue, what_others_read_is_kept) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = graph_make();
  const tct_tensor x = INPUT(graph, "x", 3, 4), w = VARIABLE(graph, "w", 4, 5), b = VARIABLE(graph, "b", 5);
  const tct_tensor before = tct_add(tct_matmul(x, w), b);
  tct_output(graph, "y", tct_gelu(before));
  tct_output(graph, "before", before);
  tct_output(graph, "not a bias", tct_add(tct_matmul(x, w), INPUT(graph, "column", 3, 1)));
  tct_graph *out = passed(graph, ref, tct_pass_fuse_epilogue);
  CHECK(count_op(out, TCT_OP_gelu) == 1 && count_op(out, TCT_OP_add) == 1);
  for (int32_t i = 0; i < graph->n_outputs; i++) check_same_output(graph, out, ref, graph->outputs[i].name);
  tct_graph_free(out);
  tct_graph_free(graph);
  tct_device_close(ref);
}

/* relu's gradient reads its result, so a training step fuses too; gelu's reads what relu's does not, and must keep it.
 */
TEST(fuse_epilogue, the_backward_pass_still_has_what_it_reads) {
  tct_device *ref = device_make("ref");
  for (int smooth = 0; smooth < 2; smooth++) {
    tct_graph *graph = graph_make();
    const tct_tensor w = VARIABLE(graph, "w", 4, 5), b = VARIABLE(graph, "b", 5), wrt[] = {w, b};
    const tct_tensor z = tct_add(tct_matmul(INPUT(graph, "x", 3, 4), w), b);
    tct_tensor d[2];
    const tct_tensor loss = sum_of(tct_square(smooth ? tct_gelu(z) : tct_relu(z)));
    tct_gradients(loss, wrt, 2, d);
    tct_output(graph, "dw", d[0]);
    tct_output(graph, "db", d[1]);
    tct_graph *out = passed(graph, ref, tct_pass_fuse_epilogue);
    CHECK(count_op(out, TCT_OP_relu) == 0 && count_op(out, TCT_OP_gelu) == smooth);
    check_same_output(graph, out, ref, "dw");
    check_same_output(graph, out, ref, "db");
    tct_graph_free(out);
    tct_graph_free(graph);
  }
  tct_device_close(ref);
}

/* ---- a dense layer's training step ---- */

enum { ROWS = 6, IN = 4, HIDDEN = 8 };

typedef struct dense_step {
  tct_graph *graph;
  tct_tensor x, w[2], b[2], z, dz; /* dz: that of the second layer's sum */
} dense_step;

/* Two dense layers with gelu_tanh between, over rows [2,3]; every gradient is an output. Variables are built in another shape than they
 * are used in, as attention's are. */
static dense_step dense_step_make(tct_dtype dtype) {
  dense_step s = {.graph = graph_make()};
  const tct_init normal = {TCT_INIT_NORMAL, 1, 0, 0};
  tct_tensor d[5];
  s.x = tct_input(s.graph, "x", dtype, TCT_SHAPE(2, 3, IN));
  s.w[0] = tct_variable(s.graph, "w0", dtype, TCT_SHAPE(IN, 2, HIDDEN / 2), normal);
  s.b[0] = tct_variable(s.graph, "b0", dtype, TCT_SHAPE(2, HIDDEN / 2), normal);
  s.w[1] = tct_variable(s.graph, "w1", dtype, TCT_SHAPE(HIDDEN, IN), normal);
  s.b[1] = tct_variable(s.graph, "b1", dtype, TCT_SHAPE(IN), normal);
  s.z = tct_add(tct_matmul(s.x, tct_reshape(s.w[0], TCT_SHAPE(IN, HIDDEN))), tct_reshape(s.b[0], TCT_SHAPE(HIDDEN)));
  const tct_tensor y = tct_add(tct_matmul(tct_gelu_tanh(s.z), s.w[1]), s.b[1]);
  tct_gradients(sum_of(tct_mul(y, tct_mul(y, y))), (const tct_tensor[]){s.w[0], s.b[0], s.w[1], s.b[1], s.x}, 5, d);
  static const char *const names[] = {"dw0", "db0", "dw1", "db1", "dx"};
  for (int i = 0; i < 5; i++) tct_output(s.graph, names[i], d[i]);
  OK(tct_graph_status(s.graph));
  return s;
}

static tct_graph *all_passes(const tct_graph *graph, const char *device, tct_dtype precision) {
  tct_device *const opened = device_make(device);
  tct_graph *out = NULL;
  OK(tct_run_passes(graph, &(tct_pass_context){.device = opened, .precision = precision}, &out));
  tct_device_close(opened);
  return out;
}

TEST(fuse_gradient, a_training_step_of_two_dense_layers) {
  tct_device *ref = device_make("ref");
  const dense_step s = dense_step_make(TCT_F64);
  tct_graph *out = all_passes(s.graph, "ref", TCT_DTYPE_NONE);
  CHECK(count_op(out, TCT_OP_matmul_gelu) == 1 && count_op(out, TCT_OP_matmul_dgelu) == 1 && count_op(out, TCT_OP_matmul_bgrad) == 2);
  CHECK(count_op(out, TCT_OP_gelu_tanh) == 0 && count_op(out, TCT_OP_gelu_tanh_grad) == 0 && count_op(out, TCT_OP_reduce_sum) == 0);
  CHECK(count_op(out, TCT_OP_matmul) == 2 && count_op(out, TCT_OP_add) == 0, "%d products", (int)count_op(out, TCT_OP_matmul));
  CHECK(node_of(out, TCT_OP_matmul_gelu)->n_in == 3 && node_of(out, TCT_OP_matmul_dgelu)->in[2] == node_of(out, TCT_OP_matmul_gelu)->out + 1);
  for (int32_t i = 0; i < s.graph->n_outputs; i++) check_same_output(s.graph, out, ref, s.graph->outputs[i].name);
  tct_graph_free(out);
  tct_graph_free(s.graph);
  tct_device_close(ref);
}

/* Sums and weight gradients are f32, from operands in bf16: neither a copy of dz in f32 nor one of dw is left. */
TEST(fuse_gradient, mixed_precision_keeps_sums_wide) {
  const dense_step s = dense_step_make(TCT_F32);
  tct_graph *out = all_passes(s.graph, "ref", TCT_BF16);
  CHECK(count_op(out, TCT_OP_matmul_gelu) == 1 && count_op(out, TCT_OP_matmul_dgelu) == 1 && count_op(out, TCT_OP_matmul_bgrad) == 2);
  CHECK(count_op(out, TCT_OP_reduce_sum) == 0 && node_of(out, TCT_OP_matmul_gelu)->n_in == 3);
  for (int32_t n = 0; n < out->n_nodes; n++) {
    const tct_node *const node = &out->nodes[n];
    if (node->op == TCT_OP_cast && out->values[node->out].desc.dtype == TCT_F32) /* y for the loss, and dx */
      CHECK(out->values[node->in[0]].desc.shape.dim[2] == IN, "%s", node->name);
    if (node->op != TCT_OP_matmul_bgrad) continue;
    CHECK(out->values[node->in[0]].desc.dtype == TCT_BF16 && out->values[node->in[1]].desc.dtype == TCT_BF16);
    CHECK(out->values[node->out].desc.dtype == TCT_F32 && out->values[node->out + 1].desc.dtype == TCT_F32);
  }
  OK(tct_graph_verify(out));
  tct_graph_free(out);
  tct_graph_free(s.graph);
}

TEST(fuse_gradient, only_where_the_device_has_a_kernel) {
  const dense_step s = dense_step_make(TCT_F32);
  tct_graph *out = all_passes(s.graph, "cpu", TCT_BF16);
  CHECK(count_op(out, TCT_OP_matmul_gelu) + count_op(out, TCT_OP_matmul_dgelu) + count_op(out, TCT_OP_matmul_bgrad) == 0);
  CHECK(count_op(out, TCT_OP_gelu_tanh) == 1 && count_op(out, TCT_OP_gelu_tanh_grad) == 1 && count_op(out, TCT_OP_reduce_sum) == 2);
  tct_graph_free(out);
  tct_graph_free(s.graph);
}

/* The bias' sum is read before its product can be made; another sum, another operand, a result that is read narrow too. */
TEST(fuse_gradient, what_does_not_fit_is_kept) {
  tct_device *ref = device_make("ref");
  for (int which = 0; which < 5; which++) {
    tct_graph *graph = graph_make();
    const bool narrow = which == 4;
    const tct_dtype dtype = narrow ? TCT_BF16 : TCT_F64;
    const tct_tensor x = tct_input(graph, "x", narrow ? TCT_F32 : TCT_F64, TCT_SHAPE(6, 4)), dz = tct_cast(x, dtype);
    const tct_tensor wide = narrow ? tct_cast(dz, TCT_F32) : dz, sum = tct_reduce_sum(wide, (const int32_t[]){which == 1 ? 1 : 0}, 1, false);
    tct_tensor other = tct_cast(tct_input(graph, "other", narrow ? TCT_F32 : TCT_F64, TCT_SHAPE(6, 4)), dtype);
    if (which == 0) other = tct_add(other, sum);
    const tct_tensor a = which == 2 ? dz : other, b = which == 2 ? other : dz;
    const tct_tensor dw = which == 3 ? tct_matmul_transposed(a, b, false, true) : tct_matmul_transposed(a, b, true, false);
    tct_output(graph, "sum", sum);
    tct_output(graph, "dw", narrow ? tct_cast(tct_exp(dw), TCT_F32) : dw);
    if (narrow) tct_output(graph, "wide", tct_cast(dw, TCT_F32));
    OK(tct_graph_status(graph));
    tct_graph *out = passed(graph, ref, tct_pass_fuse_bias_gradient);
    CHECK(count_op(out, TCT_OP_matmul_bgrad) == 0 && count_op(out, TCT_OP_reduce_sum) == 1, "%d", which);
    tct_graph_free(out);
    tct_graph_free(graph);
  }
  tct_device_close(ref);
}

/* A chain of gelu_tanh and what alone reads it writes as much as a product with two results would. */
TEST(fuse_epilogue, a_kept_gelu_goes_with_the_elementwise_op_behind_it) {
  tct_device *ref = device_make("ref");
  for (int alone = 0; alone < 2; alone++) {
    tct_graph *graph = graph_make();
    const tct_tensor z = tct_matmul(INPUT(graph, "x", 3, 4), VARIABLE(graph, "w", 4, 5)), y = tct_gelu_tanh(z);
    tct_output(graph, "z", z);
    tct_output(graph, "scaled", tct_mul(y, INPUT(graph, "s", 3, 5)));
    if (!alone) tct_output(graph, "y", y);
    tct_graph *out = passed(graph, ref, tct_pass_fuse_epilogue);
    CHECK(count_op(out, TCT_OP_matmul_gelu) == !alone && count_op(out, TCT_OP_gelu_tanh) == alone);
    for (int32_t i = 0; i < graph->n_outputs; i++) check_same_output(graph, out, ref, graph->outputs[i].name);
    tct_graph_free(out);
    tct_graph_free(graph);
  }
  tct_device_close(ref);
}

/* gelu_tanh over an activation that its product has taken, and products that bring an activation of their own, with what a fuse pass would
 * take along without one. */
TEST(fuse_epilogue, a_product_has_one_activation) {
  tct_device *ref = device_make("ref");
  const tct_matmul_attrs with_relu = {.activation = TCT_OP_relu};
  for (int which = 0; which < 5; which++) {
    tct_graph *graph = graph_make();
    const tct_tensor x[2] = {INPUT(graph, "x", 3, 4), INPUT(graph, "w", 4, 5)}, b = INPUT(graph, "b", 5);
    const tct_tensor z = which < 2 ? tct_matmul(x[0], x[1]) : tct_emit(graph, TCT_OP_matmul, &with_relu, x, 2, NULL);
    const tct_tensor taken = which == 0 ? tct_relu(z) : which == 1 ? tct_gelu_tanh(z) : z;
    if (which < 3) tct_output(graph, "gelu", tct_gelu_tanh(taken));
    if (which < 3) tct_output(graph, "other", tct_exp(taken));
    if (which == 3) tct_output(graph, "biased", tct_add(z, b));
    if (which == 4) tct_output(graph, "z", z);
    tct_output(graph, "sums", tct_reduce_sum(x[1], (const int32_t[]){0}, 1, false));
    OK(tct_graph_status(graph));
    tct_graph *out = passed(graph, ref, NULL);
    CHECK(count_op(out, TCT_OP_matmul_gelu) == 0 && count_op(out, TCT_OP_matmul_bgrad) == (which < 2), "%d", which);
    for (int32_t i = 0; i < graph->n_outputs; i++) check_same_output(graph, out, ref, graph->outputs[i].name);
    tct_graph_free(out);
    tct_graph_free(graph);
  }
  static const tct_op fused[] = {TCT_OP_matmul_gelu, TCT_OP_matmul_dgelu, TCT_OP_matmul_bgrad};
  for (int i = 0; i < 3; i++) {
    tct_graph *graph = graph_make();
    const tct_tensor x[3] = {INPUT(graph, "x", 3, 4), INPUT(graph, "w", 4, 5), INPUT(graph, "z", 3, 5)};
    tct_tensor out[2];
    (void)tct_emit(graph, fused[i], &with_relu, x, fused[i] == TCT_OP_matmul_dgelu ? 3 : 2, out);
    FAILS(tct_graph_status(graph), TCT_INVALID, "takes no activation beside its own");
    tct_graph_free(graph);
  }
  tct_device_close(ref);
}

/* dw becomes f32 with its bias gradient; another product that would be made early, behind a reshape of dw, waits. */
TEST(fuse_gradient, what_becomes_f32_is_not_copied_as_it_was) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = graph_make();
  const tct_tensor x = tct_cast(tct_input(graph, "x", TCT_F32, TCT_SHAPE(6, 4)), TCT_BF16);
  const tct_tensor dz = tct_cast(tct_input(graph, "dz", TCT_F32, TCT_SHAPE(6, 8)), TCT_BF16), f = tct_input(graph, "f", TCT_F32, TCT_SHAPE(8, 3));
  tct_output(graph, "first", tct_reduce_sum(tct_cast(dz, TCT_F32), (const int32_t[]){0}, 1, false));
  const tct_tensor dw = tct_matmul_transposed(x, dz, true, false);
  tct_output(graph, "second", tct_reduce_sum(f, (const int32_t[]){0}, 1, false));
  tct_output(graph, "y", tct_matmul(tct_reshape(tct_cast(tct_reshape(dw, TCT_SHAPE(2, 16)), TCT_F32), TCT_SHAPE(4, 8)), f));
  OK(tct_graph_status(graph));
  tct_graph *out = passed(graph, ref, NULL);
  OK(tct_graph_verify(out));
  CHECK(count_op(out, TCT_OP_matmul_bgrad) == 1, "%d", (int)count_op(out, TCT_OP_matmul_bgrad));
  tct_graph_free(out);
  tct_graph_free(graph);
  tct_device_close(ref);
}

/* gelu_tanh's gradient and what alone reads it are a chain. */
TEST(fuse_epilogue, a_gelu_gradient_goes_with_the_elementwise_op_behind_it) {
  tct_device *ref = device_make("ref");
  for (int alone = 0; alone < 2; alone++) {
    tct_graph *graph = graph_make();
    const tct_tensor z = INPUT(graph, "z", 3, 5), dy = tct_matmul(INPUT(graph, "x", 3, 4), VARIABLE(graph, "w", 4, 5)), in[2] = {z, dy};
    const tct_unary_attrs none = {0, 0};
    const tct_tensor dz = tct_emit(graph, TCT_OP_gelu_tanh_grad, &none, in, 2, NULL);
    tct_output(graph, "scaled", tct_mul(dz, INPUT(graph, "s", 3, 5)));
    if (!alone) tct_output(graph, "dz", dz);
    OK(tct_graph_status(graph));
    tct_graph *out = passed(graph, ref, tct_pass_fuse_epilogue);
    CHECK(count_op(out, TCT_OP_matmul_dgelu) == !alone && count_op(out, TCT_OP_gelu_tanh_grad) == alone);
    for (int32_t i = 0; i < graph->n_outputs; i++) check_same_output(graph, out, ref, graph->outputs[i].name);
    tct_graph_free(out);
    tct_graph_free(graph);
  }
  tct_device_close(ref);
}

/* Compares in f64, selects in f32: no chain computes in both. */
TEST(fuse_chain, dtypes_do_not_mix_in_a_chain) {
  tct_graph *graph = graph_make();
  tct_device *device = device_make("ref");
  const tct_tensor a = INPUT(graph, "a", 4), b = INPUT(graph, "b", 4);
  const tct_tensor c = tct_input(graph, "c", TCT_F32, TCT_SHAPE(4)), d = tct_input(graph, "d", TCT_F32, TCT_SHAPE(4));
  tct_output(graph, "y", tct_exp(tct_select(tct_greater(a, b), c, d)));
  tct_graph_free(passed(graph, device, NULL));
  tct_graph_free(graph);
  tct_device_close(device);
}

/* TERCET_DISABLE takes the chain kernel away: its members run one by one. */
TEST(fuse_chain, without_the_chain_kernel_nothing_is_fused) {
  tct_graph *graph = graph_make();
  tct_device *device = device_make("cpu");
  const tct_tensor x = tct_input(graph, "x", TCT_F32, TCT_SHAPE(4));
  tct_output(graph, "y", tct_mul(tct_exp(tct_sin(x)), x));
  setenv("TERCET_DISABLE", "chain", 1);
  tct_graph *out = passed(graph, device, NULL);
  unsetenv("TERCET_DISABLE");
  CHECK(count_op(out, TCT_OP_chain) == 0 && count_op(out, TCT_OP_mul) == 1 && count_op(out, TCT_OP_sin) == 1);
  tct_graph_free(out);
  tct_graph_free(graph);
  tct_device_close(device);
}
