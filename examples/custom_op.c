/* An op of one's own: snake, x + sin²(a·x)/a (Ziyin, Hartwig & Ueda, 2020), with its shape rule, gradient and kernels, known
 * to the whole library after one call. It is checked, then a network with it learns a wave. custom_op [DEVICE], "cpu" unless
 * given; needs nothing but the installed headers. */
#include <math.h>
#include <stdio.h>
#include <tercet/op.h>
#include <tercet/ops.h>
#include <tercet/tercet.h>

typedef struct snake_attrs {
  double a;
} snake_attrs;

static tct_op snake_op;

static tct_tensor snake(tct_tensor x, double a) {
  const snake_attrs attrs = {a};
  return tct_emit(x.graph, snake_op, &attrs, &x, 1, NULL);
}

/* x → y of x's shape and type. */
static bool snake_infer(tct_infer *infer) {
  const snake_attrs *attrs = infer->attrs;
  const tct_dtype dtype = infer->in[0].dtype;
  if (dtype != TCT_F32 && dtype != TCT_F64) return tct_refuse(infer, "x is %s, needs f32 or f64", tct_dtype_name(dtype));
  if (!(attrs->a > 0)) return tct_refuse(infer, "a is %g, needs to be positive", attrs->a);
  infer->out[0] = infer->in[0];
  return true;
}

/* dx = dy·(1 + sin(2·a·x)), from the library's ops. */
static void snake_gradient(tct_grad *grad) {
  const snake_attrs *attrs = grad->attrs;
  const tct_tensor wave = tct_sin(tct_scale(grad->in[0], 2 * attrs->a, 0));
  grad->din[0] = tct_mul(grad->dout[0], tct_scale(wave, 1, 1));
}

static double snake_of(double x, double a) {
  return x + sin(a * x) * sin(a * x) / a;
}

/* Host memory on both devices. */
static tct_status snake_launch(tct_device_impl *device, const tct_launch *launch) {
  (void)device;
  const double a = ((const snake_attrs *)launch->node->attrs)->a;
  const int64_t n = tct_shape_size(&launch->node->in[0].shape);
  if (launch->node->in[0].dtype == TCT_F64) {
    for (int64_t i = 0; i < n; i++) ((double *)launch->out[0])[i] = snake_of(((const double *)launch->in[0])[i], a);
  } else {
    for (int64_t i = 0; i < n; i++)
      ((float *)launch->out[0])[i] = (float)snake_of((double)((const float *)launch->in[0])[i], a);
  }
  return TCT_OK;
}

static const tct_op_def snake_definition = {.abi = TCT_OP_ABI,
                                            .name = "snake",
                                            .version = 1,
                                            .attrs_bytes = sizeof(snake_attrs),
                                            .min_in = 1,
                                            .max_in = 1,
                                            .n_out = 1,
                                            .infer = snake_infer,
                                            .gradient = snake_gradient};
static const tct_op_kernel snake_kernels[] = {
    {.device = "ref", .kernel = {.in_place = true, .launch = snake_launch}},
    {.device = "cpu", .kernel = {.in_place = true, .launch = snake_launch}},
};

enum { POINTS = 64, UNITS = 16, STEPS = 600 };

/* y = sin 3x on [-2, 2], by one hidden layer of snakes. */
static tct_status learn(tct_device *device, float *first, float *last) {
  float x[POINTS], y[POINTS];
  for (int i = 0; i < POINTS; i++) {
    x[i] = (float)i / 16 - 2;
    y[i] = sinf(3 * x[i]);
  }
  tct_graph *graph = NULL;
  tct_program *program = NULL;
  tct_status status = tct_graph_create(&graph);
  if (status != TCT_OK) return status;
  const tct_init normal = {.kind = TCT_INIT_NORMAL, .value = 0.5};
  const tct_tensor parameters[] = {tct_variable(graph, "w", TCT_F32, TCT_SHAPE(1, UNITS), normal),
                                   tct_variable(graph, "b", TCT_F32, TCT_SHAPE(UNITS), normal),
                                   tct_variable(graph, "v", TCT_F32, TCT_SHAPE(UNITS, 1), normal)};
  const tct_tensor in = tct_constant(graph, TCT_F32, TCT_SHAPE(POINTS, 1), x), none = {0};
  const tct_tensor hidden = snake(tct_add(tct_matmul(in, parameters[0]), parameters[1]), 2);
  const tct_tensor error = tct_sub(tct_matmul(hidden, parameters[2]), tct_constant(graph, TCT_F32, TCT_SHAPE(POINTS, 1), y));
  const tct_tensor loss = tct_reduce_mean(tct_square(error), NULL, 0, false);
  tct_tensor gradients[3];
  tct_gradients(loss, parameters, 3, gradients);
  for (int i = 0; i < 3; i++) {
    tct_update(TCT_OP_sgd_update, parameters[i], NULL, 0, gradients[i], tct_scalar(graph, TCT_F32, 0.02), none, none, NULL);
  }
  tct_output(graph, "loss", loss);
  status = tct_compile(graph, device, NULL, &program);
  for (int step = 0; status == TCT_OK && step < STEPS; step++) {
    status = tct_program_run(program);
    if (status == TCT_OK && (step == 0 || step == STEPS - 1))
      status = tct_program_get(program, "loss", step == 0 ? first : last, sizeof *first);
  }
  tct_program_free(program);
  tct_graph_free(graph);
  return status;
}

int main(int argc, char **argv) {
  const char *name = argc > 1 ? argv[1] : "cpu";
  const snake_attrs attrs = {1.5};
  const tct_desc in = {TCT_F32, TCT_SHAPE(5, 7)};
  tct_device *device = NULL;
  float first = 0, last = 0;
  tct_status status = tct_op_register(&snake_definition, snake_kernels, 2, &snake_op);
  if (status == TCT_OK) status = tct_op_check(snake_op, &attrs, &in, 1, name);
  if (status == TCT_OK) status = tct_device_open(name, NULL, &device);
  if (status == TCT_OK) status = learn(device, &first, &last);
  if (status == TCT_OK)
    printf("snake agrees with its reference and its differences; loss %.4f to %.4f\n", (double)first, (double)last);
  else
    fprintf(stderr, "custom_op: %s\n", tct_error_message());
  tct_device_close(device);
  return status == TCT_OK ? 0 : 1;
}
