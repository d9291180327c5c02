/* The graph as text and as Graphviz. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/text.h"
#include "graph/graph.h"

typedef struct printer {
  tct_write_fn write;
  void *user;
} printer;

static void print(const printer *p, const char *format, ...) TCT_PRINTF(2, 3);
static void print(const printer *p, const char *format, ...) {
  char text[1024];
  va_list args;
  va_start(args, format);
  const int length = tct_vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (length > 0) p->write(p->user, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
}

static int format_number(char *text, size_t bytes, const char *format, ...) TCT_PRINTF(3, 4);
static int format_number(char *text, size_t bytes, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const int length = tct_vsnprintf(text, bytes, format, args);
  va_end(args);
  return length;
}

/* Short where that comes back as the same bits: a checkpoint's text of the graph tells settings apart. */
static void print_number(const printer *p, const char *name, double value) {
  char text[32];
  double back = 0;
  const int n = format_number(text, sizeof text, "%g", value);
  const bool exact = n > 0 && tct_parse_double(text, (size_t)n, &back) && back == value;
  print(p, " %s=%.*g", name, exact ? 6 : 17, value);
}

static void print_pair(const printer *p, const char *name, const int64_t *v, int n) {
  print(p, " %s=", name);
  for (int i = 0; i < n; i++) print(p, "%s%lld", i > 0 ? "," : "", (long long)v[i]);
}

static void print_activation(const printer *p, tct_op activation) {
  if (activation != TCT_OP_NONE) print(p, " activation=%s", tct_op_name(activation));
}

/* One printer per attribute struct; the op table says which is whose. */
static void print_none(const printer *p, const tct_desc *out, const void *attrs) { (void)p, (void)out, (void)attrs; }
static void print_constant(const printer *p, const tct_desc *out, const void *attrs) {
  const tct_constant_attrs *a = attrs;
  if (out->shape.rank == 0 && out->dtype == TCT_F32) print_number(p, "value", (double)*(const float *)a->data);
}
static void print_unary(const printer *p, const tct_desc *out, const void *attrs) {
  (void)out;
  const tct_unary_attrs *a = attrs;
  if (a->p0 == 0 && a->p1 == 0) return;
  print_number(p, "p0", a->p0);
  print_number(p, "p1", a->p1);
}
static void print_cast(const printer *p, const tct_desc *out, const void *attrs) {
  (void)out;
  print(p, " dtype=%s", tct_dtype_name(((const tct_cast_attrs *)attrs)->dtype));
}
static void print_chain(const printer *p, const tct_desc *out, const void *attrs) {
  (void)out;
  const tct_chain_attrs *a = attrs;
  for (int32_t s = 0; s < a->n_steps; s++) print(p, "%s%s", s == 0 ? " " : "·", tct_op_name(a->step[s].op));
}
static void print_dropout(const printer *p, const tct_desc *out, const void *attrs) {
  (void)out;
  print_number(p, "rate", ((const tct_dropout_attrs *)attrs)->rate);
}
static void print_matmul(const printer *p, const tct_desc *out, const void *attrs) {
  (void)out;
  const tct_matmul_attrs *a = attrs;
  if (a->transpose_a) print(p, " transpose_a");
  if (a->transpose_b) print(p, " transpose_b");
  print_activation(p, a->activation);
}
static void print_conv2d(const printer *p, const tct_desc *out, const void *attrs) {
  (void)out;
  const tct_conv2d_attrs *a = attrs;
  print_pair(p, "stride", a->stride, 2);
  print_pair(p, "pad", a->pad, 4);
  if (a->dilation[0] != 1 || a->dilation[1] != 1) print_pair(p, "dilation", a->dilation, 2);
  if (a->groups != 1) print(p, " groups=%lld", (long long)a->groups);
  print_activation(p, a->activation);
}
static void print_pool2d(const printer *p, const tct_desc *out, const void *attrs) {
  (void)out;
  const tct_pool2d_attrs *a = attrs;
  print_pair(p, "window", a->window, 2);
  print_pair(p, "stride", a->stride, 2);
  print_pair(p, "pad", a->pad, 4);
}
static void print_reduce(const printer *p, const tct_desc *out, const void *attrs) {
  (void)out;
  const tct_reduce_attrs *a = attrs;
  for (int32_t i = 0, n = 0; i < TCT_MAX_RANK; i++) {
    if (a->axes >> i & 1u) print(p, "%s%d", n++ == 0 ? " axes=" : ",", i);
  }
  if (a->keepdims) print(p, " keepdims");
}
static void print_arg(const printer *p, const tct_desc *out, const void *attrs) {
  (void)out;
  print(p, " axis=%d", ((const tct_arg_attrs *)attrs)->axis);
}
static void print_axis(const printer *p, const tct_desc *out, const void *attrs) {
  (void)out;
  print(p, " axis=%d", ((const tct_axis_attrs *)attrs)->axis);
}
static void print_cumsum(const printer *p, const tct_desc *out, const void *attrs) {
  (void)out;
  const tct_cumsum_attrs *a = attrs;
  print(p, " axis=%d%s%s", a->axis, a->exclusive ? " exclusive" : "", a->reverse ? " reverse" : "");
}
static void print_top_k(const printer *p, const tct_desc *out, const void *attrs) {
  (void)out;
  print(p, " k=%lld", (long long)((const tct_top_k_attrs *)attrs)->k);
}
static void print_norm(const printer *p, const tct_desc *out, const void *attrs) {
  (void)out;
  print_number(p, "epsilon", ((const tct_norm_attrs *)attrs)->epsilon);
}
static void print_attention(const printer *p, const tct_desc *out, const void *attrs) {
  (void)out;
  const tct_attention_attrs *a = attrs;
  print_number(p, "scale", a->scale);
  if (a->causal) print(p, " causal");
}
static void print_recurrent(const printer *p, const tct_desc *out, const void *attrs) {
  (void)out;
  if (((const tct_recurrent_attrs *)attrs)->reverse) print(p, " reverse");
}
static void print_gather(const printer *p, const tct_desc *out, const void *attrs) {
  (void)out;
  print(p, " axis=%d", ((const tct_gather_attrs *)attrs)->axis);
}
static void print_one_hot(const printer *p, const tct_desc *out, const void *attrs) {
  (void)out;
  print(p, " depth=%lld", (long long)((const tct_one_hot_attrs *)attrs)->depth);
}
static void print_shape(const printer *p, const tct_desc *out, const void *attrs) { (void)p, (void)out, (void)attrs; }
static void print_transpose(const printer *p, const tct_desc *out, const void *attrs) {
  const tct_transpose_attrs *a = attrs;
  for (int32_t i = 0; i < out->shape.rank; i++) print(p, "%s%d", i == 0 ? " perm=" : ",", a->perm[i]);
}
static void print_slice(const printer *p, const tct_desc *out, const void *attrs) {
  const tct_slice_attrs *a = attrs;
  print_pair(p, "start", a->start, out->shape.rank);
  print_pair(p, "step", a->step, out->shape.rank);
}
static void print_pad(const printer *p, const tct_desc *out, const void *attrs) {
  const tct_pad_attrs *a = attrs;
  print_pair(p, "before", a->before, out->shape.rank);
  print_pair(p, "after", a->after, out->shape.rank);
}
static void print_cross_entropy(const printer *p, const tct_desc *out, const void *attrs) {
  (void)out;
  const double smoothing = ((const tct_cross_entropy_attrs *)attrs)->label_smoothing;
  if (smoothing != 0) print_number(p, "label_smoothing", smoothing);
}
static void print_update(const printer *p, const tct_desc *out, const void *attrs) {
  (void)out;
  print(p, " writes=%d", ((const tct_update_attrs *)attrs)->n_state);
}

typedef void (*attrs_printer)(const printer *, const tct_desc *, const void *);
static const attrs_printer attrs_printers[TCT_N_OPS] = {
#define UNARY(name, dtypes, text, forward, gradient, needs, flops)                                                     \
  [TCT_OP_##name] = print_unary, [TCT_OP_##name##_grad] = print_unary,
#include <tercet/elementwise.def>
#define OP(name, attrs, min_in, max_in, n_out, flags) [TCT_OP_##name] = print_##attrs,
#include <tercet/ops.def>
#undef OP
};

static void print_desc(const printer *p, const tct_desc *desc) {
  char shape[160];
  print(p, "%s%s", tct_dtype_name(desc->dtype), tct_shape_print(&desc->shape, shape, sizeof shape));
}

void tct_graph_print(const tct_graph *graph, tct_write_fn write, void *user) {
  static const tct_desc nothing = {0};
  const printer p = {write, user};
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    const tct_node *node = &graph->nodes[n];
    print(&p, "%s = %s(", node->name, tct_op_name(node->op));
    for (int32_t i = 0; i < node->n_in; i++) {
      const tct_value *value = &graph->values[node->in[i]];
      print(&p, "%s%s", i > 0 ? ", " : "", graph->nodes[value->node].name);
      if (value->output > 0) print(&p, ":%d", value->output);
    }
    print(&p, ")");
    const tct_desc *first = node->n_out > 0 ? &graph->values[node->out].desc : &nothing;
    if (node->attrs != NULL && tct_op_is_own(node->op) && attrs_printers[node->op] != NULL) attrs_printers[node->op](&p, first, node->attrs);
    for (int32_t o = 0; o < node->n_out; o++) {
      print(&p, "%s", o == 0 ? " : " : ", ");
      print_desc(&p, &graph->values[node->out + o].desc);
    }
    print(&p, "\n");
  }
  for (int32_t i = 0; i < graph->n_outputs; i++) {
    print(&p, "output %s = %s\n", graph->outputs[i].name, tct_maker(graph, graph->outputs[i].value)->name);
  }
}

/* Text inside a quoted Graphviz label. */
static void print_label(const printer *p, const char *text) {
  for (; *text != '\0'; text++) {
    if (*text == '"' || *text == '\\') print(p, "\\");
    if (*text == '\n')
      print(p, "\\n");
    else
      print(p, "%c", *text);
  }
}

void tct_graph_print_dot(const tct_graph *graph, tct_write_fn write, void *user) {
  static const char *const colours[] = {"white", "lightgrey", "lightblue"};
  const printer p = {write, user};
  print(&p, "digraph tercet {\n  rankdir=TB; node [shape=box, style=filled, fontname=Helvetica];\n");
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    const tct_node *node = &graph->nodes[n];
    print(&p, "  n%d [label=\"", n);
    print_label(&p, node->name);
    print(&p, "\\n%s", tct_op_name(node->op));
    if (node->n_out > 0) {
      print(&p, "\\n");
      print_desc(&p, &graph->values[node->out].desc);
    }
    print(&p, "\", fillcolor=%s];\n", colours[node->phase]);
    for (int32_t i = 0; i < node->n_in; i++) print(&p, "  n%d -> n%d;\n", graph->values[node->in[i]].node, n);
  }
  for (int32_t i = 0; i < graph->n_outputs; i++) {
    print(&p, "  o%d [label=\"", i);
    print_label(&p, graph->outputs[i].name);
    print(&p, "\", shape=ellipse];\n  n%d -> o%d;\n", graph->values[graph->outputs[i].value].node, i);
  }
  print(&p, "}\n");
}
