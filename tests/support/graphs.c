/* See graphs.h. */
#include "graphs.h"

#include <stdio.h>
#include "base/text.h"
#include "exec/exec.h"
#include "test.h"

tct_graph *graph_make(void) {
  tct_graph *graph = NULL;
  OK(tct_graph_create(&graph));
  return graph;
}

tct_device *device_make(const char *spec) {
  tct_device *device = NULL;
  OK(tct_device_open(spec, NULL, &device));
  return device;
}

const char *spec_of(const tct_device_kind *kind) {
  return strcmp(kind->name, "tpu") == 0 ? "tpu:v3,passes=6" : kind->name;
}

tct_tensor sum_of(tct_tensor x) {
  return tct_reduce_sum(x, NULL, 0, false);
}

/* ---- looking ---- */

int32_t count_op(const tct_graph *graph, tct_op op) {
  int32_t count = 0;
  for (int32_t n = 0; n < graph->n_nodes; n++) count += graph->nodes[n].op == op;
  return count;
}

const tct_node *node_of(const tct_graph *graph, tct_op op) {
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    if (graph->nodes[n].op == op) return &graph->nodes[n];
  }
  CHECK(false, "no %s in the graph", tct_op_name(op));
  return NULL;
}

const tct_node *node_named(const tct_graph *graph, const char *name) {
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    if (strcmp(graph->nodes[n].name, name) == 0) return &graph->nodes[n];
  }
  return NULL;
}

tct_graph *passed(const tct_graph *graph, tct_device *device, pass_fn pass) {
  const tct_pass_context context = {.device = device};
  tct_graph *out = NULL;
  OK(tct_graph_status(graph));
  OK((pass != NULL ? pass : tct_run_passes)(graph, &context, &out));
  OK(tct_graph_verify(out));
  return out;
}

/* ---- running ---- */

void poison_arena(tct_program *program) {
  const size_t bytes = program->memory->bytes;
  tct_device *device = program->device;
  void *pattern = malloc(bytes + 1);
  memset(pattern, 0xff, bytes + 1);
  OK(device->backend->upload(device->impl, program->memory->data, pattern, bytes));
  OK(device->backend->sync(device->impl));
  free(pattern);
}

/* Values in (-1, 1) from the input's name; labels 0, 1, 2. */
void feed(tct_program *program) {
  for (int32_t i = 0; i < program->n_inputs; i++) {
    const tct_port *port = &program->inputs[i];
    const int64_t n = tct_shape_size(&port->desc.shape);
    void *data = calloc((size_t)n + 1, 8);
    uint64_t state = tct_hash(port->name, strlen(port->name));
    for (int64_t e = 0; e < n; e++) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const double value = (double)(state >> 33) * 0x1p-30 - 1;
      if (port->desc.dtype == TCT_F64) ((double *)data)[e] = value;
      if (port->desc.dtype == TCT_F32) ((float *)data)[e] = (float)value;
      if (port->desc.dtype == TCT_I32) ((int32_t *)data)[e] = (int32_t)(e % 3);
    }
    OK(tct_program_set(program, port->name, data, port->bytes));
    free(data);
  }
}

void evaluate(const tct_graph *graph, tct_device *device, const char *skip, const char *output, double *value,
              int64_t n) {
  tct_program *program = NULL;
  setenv("TERCET_SKIP", skip, 1);
  OK(tct_compile(graph, device, NULL, &program));
  unsetenv("TERCET_SKIP");
  feed(program);
  OK(tct_program_run(program));
  OK(tct_program_get(program, output, value, (size_t)n * sizeof *value));
  tct_program_free(program);
}

void check_same_output(const tct_graph *a, const tct_graph *b, tct_device *device, const char *output) {
  double values[2][4096], largest = 0;
  int64_t n = -1;
  for (int32_t i = 0; i < a->n_outputs; i++) {
    if (strcmp(a->outputs[i].name, output) == 0) n = tct_shape_size(&a->values[a->outputs[i].value].desc.shape);
  }
  CHECK(n >= 0 && n <= 4096, "output '%s'", output);
  evaluate(a, device, "constants,simplify,fuse_bias_gradient,fuse_epilogue,fuse_chain", output, values[0], n);
  evaluate(b, device, "constants,simplify,fuse_bias_gradient,fuse_epilogue,fuse_chain", output, values[1], n);
  for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs(values[0][i]));
  for (int64_t i = 0; i < n; i++) {
    CHECK(fabs(values[0][i] - values[1][i]) <= 1e-12 * largest, "%s[%lld]: %.17g and %.17g", output, (long long)i,
          values[0][i], values[1][i]);
  }
}

/* ---- a training step ---- */

typedef struct step_builder {
  tct_graph *graph;
  tct_dtype dtype;
  tct_tensor parameter[16];
  int32_t n;
} step_builder;

static tct_tensor parameter(step_builder *b, const char *name, tct_shape shape, tct_init_kind kind) {
  return b->parameter[b->n++] = tct_variable(b->graph, name, b->dtype, shape, (tct_init){kind, 0, 0, 0});
}

static void add_updates(step_builder *b, tct_tensor loss, tct_tensor step) {
  tct_tensor gradient[16];
  tct_gradients(loss, b->parameter, b->n, gradient);
  const tct_tensor lr = tct_scalar(b->graph, b->dtype, 0.01);
  const tct_update_attrs options = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-7};
  for (int32_t i = 0; i < b->n; i++) {
    char name[2][64];
    tct_tensor slots[2];
    for (int s = 0; s < 2; s++) {
      snprintf(name[s], sizeof name[s], "%s/%s", tct_maker(b->graph, b->parameter[i].id)->name, s == 0 ? "m" : "v");
      slots[s] = tct_variable(b->graph, name[s], b->dtype, tct_tensor_shape(b->parameter[i]), (tct_init){0});
    }
    tct_update(TCT_OP_adam_update, b->parameter[i], slots, 2, gradient[i], lr, step, (tct_tensor){NULL, -1}, &options);
  }
  tct_assign(step, tct_add(step, tct_scalar(b->graph, TCT_I64, 1)));
}

tct_graph *training_step(tct_dtype dtype, int64_t batch) {
  step_builder b = {.graph = graph_make(), .dtype = dtype};
  const tct_conv2d_options same = {.padding = TCT_PADDING_SAME};
  const tct_tensor x = tct_input(b.graph, "x", dtype, TCT_SHAPE(batch, 8, 8, 1));
  const tct_tensor y = tct_input(b.graph, "y", TCT_I32, TCT_SHAPE(batch));
  const tct_tensor step = tct_variable(b.graph, "step", TCT_I64, tct_shape_of(0, NULL), (tct_init){0});
  tct_tensor h = tct_conv2d(x, parameter(&b, "conv/kernel", TCT_SHAPE(3, 3, 1, 4), TCT_INIT_GLOROT_UNIFORM), &same);
  h = tct_relu(tct_add(h, parameter(&b, "conv/bias", TCT_SHAPE(4), TCT_INIT_ZEROS)));
  h = tct_max_pool2d(h, NULL);
  h = tct_reshape(h, TCT_SHAPE(batch, -1));
  h = tct_matmul(h, parameter(&b, "dense/kernel", TCT_SHAPE(64, 16), TCT_INIT_GLOROT_UNIFORM));
  const tct_tensor gamma = parameter(&b, "norm/gamma", TCT_SHAPE(16), TCT_INIT_ONES);
  h = tct_batch_norm(h, gamma, parameter(&b, "norm/beta", TCT_SHAPE(16), TCT_INIT_ZEROS), 1e-3, NULL, NULL);
  h = tct_dropout(tct_gelu(h), step, 0.25, 1, "dropout");
  h = tct_matmul(h, parameter(&b, "logits/kernel", TCT_SHAPE(16, 3), TCT_INIT_GLOROT_UNIFORM));
  h = tct_add(h, parameter(&b, "logits/bias", TCT_SHAPE(3), TCT_INIT_ZEROS));
  const tct_tensor loss = tct_reduce_mean(tct_sparse_softmax_cross_entropy(h, y, 0), NULL, 0, false);
  tct_output(b.graph, "loss", loss);
  add_updates(&b, loss, step);
  OK(tct_graph_status(b.graph));
  return b.graph;
}

double counter_of(tct_device *device, const char *name) {
  tct_counter counters[32];
  const int32_t n = tct_device_counters(device, counters, 32);
  for (int32_t i = 0; i < n; i++) {
    if (strcmp(counters[i].name, name) == 0) return counters[i].value;
  }
  CHECK(false, "no counter '%s'", name);
  return 0;
}
