/* Ops that a program registers: refusals, use in graphs on each device, gradients of the first order and no second, wrong
 * kernels and gradients found, registration from many threads. */
#include <pthread.h>
#include <string.h>
#include "device/device.h"
#include "graphs.h"
#include "faults.h"
#include "base/alloc.h"
#include "test.h"

/* cube: y = k·x³, its gradient an op of its own, (x, dy) → 3·k·x²·dy. */
typedef struct cube_attrs {
  double k;
} cube_attrs;

static tct_op cube_op, cube_grad_op;

static bool infer_cube(tct_infer *infer) {
  const tct_dtype dtype = infer->in[0].dtype;
  if (dtype != TCT_F32 && dtype != TCT_F64) return tct_refuse(infer, "x is %s, needs f32 or f64", tct_dtype_name(dtype));
  infer->out[0] = infer->in[0];
  return true;
}

static void gradient_cube(tct_grad *grad) {
  const tct_tensor in[] = {grad->in[0], grad->dout[0]};
  grad->din[0] = tct_emit(grad->graph, cube_grad_op, grad->attrs, in, 2, NULL);
}

static double read_float(const tct_launch *launch, int32_t i, int64_t e) {
  return launch->node->in[i].dtype == TCT_F64 ? ((const double *)launch->in[i])[e]
                                              : (double)((const float *)launch->in[i])[e];
}
static void write_float(const tct_launch *launch, int64_t e, double value) {
  if (launch->node->out[0].dtype == TCT_F64)
    ((double *)launch->out[0])[e] = value;
  else
    ((float *)launch->out[0])[e] = (float)value;
}

static tct_status launch_cube(tct_device_impl *device, const tct_launch *launch) {
  (void)device;
  const double k = ((const cube_attrs *)launch->node->attrs)->k;
  for (int64_t e = 0; e < tct_shape_size(&launch->node->in[0].shape); e++) {
    const double x = read_float(launch, 0, e);
    write_float(launch, e, k * x * x * x);
  }
  return TCT_OK;
}
static tct_status launch_cube_grad(tct_device_impl *device, const tct_launch *launch) {
  (void)device;
  const double k = ((const cube_attrs *)launch->node->attrs)->k;
  for (int64_t e = 0; e < tct_shape_size(&launch->node->in[0].shape); e++) {
    const double x = read_float(launch, 0, e);
    write_float(launch, e, 3 * k * x * x * read_float(launch, 1, e));
  }
  return TCT_OK;
}
/* Writes one element too few. */
static tct_status launch_short(tct_device_impl *device, const tct_launch *launch) {
  (void)device;
  for (int64_t e = 0; e + 1 < tct_shape_size(&launch->node->in[0].shape); e++) write_float(launch, e, read_float(launch, 0, e));
  return TCT_OK;
}

#define DEFINITION(op_name, inputs, ...)                                                                               \
  {.abi = TCT_OP_ABI, .name = op_name, .version = 1, .attrs_bytes = sizeof(cube_attrs), .min_in = inputs,              \
   .max_in = inputs, .n_out = 1, .infer = infer_cube, __VA_ARGS__}
static const tct_op_def cube = DEFINITION("test_cube", 1, .gradient = gradient_cube);
static const tct_op_def cube_grad = DEFINITION("test_cube_grad", 2, .gradient = NULL);
static const tct_op_kernel cube_kernels[] = {{.device = "ref", .kernel = {.launch = launch_cube}},
                                             {.device = "cpu", .kernel = {.launch = launch_cube}}};
static const tct_op_kernel cube_grad_kernels[] = {{.device = "ref", .kernel = {.launch = launch_cube_grad}},
                                                  {.device = "cpu", .kernel = {.launch = launch_cube_grad}}};

static void register_cube(void) {
  OK(tct_op_register(&cube, cube_kernels, 2, &cube_op));
  OK(tct_op_register(&cube_grad, cube_grad_kernels, 2, &cube_grad_op));
}

static tct_tensor cubed(tct_tensor x, double k) {
  const cube_attrs attrs = {k};
  return tct_emit(x.graph, cube_op, &attrs, &x, 1, NULL);
}

static const tct_op_code good_code = {.source = "text", .entry = "k", .options = "-DA"};

TEST(custom_op, registration_refusals) {
  register_cube();
  tct_op op = TCT_OP_NONE;
  tct_op_def def = cube;
  FAILS(tct_op_register(NULL, NULL, 0, &op), TCT_INVALID, "definition is NULL");
  def.abi = TCT_OP_ABI + 1;
  FAILS(tct_op_register(&def, NULL, 0, &op), TCT_UNSUPPORTED, "is of interface version 3, this library's is 2");
  def = cube, def.version = 3;
  FAILS(tct_op_register(&def, NULL, 0, &op), TCT_INVALID,
        "op 'test_cube' version 3: the name is taken by another definition, version 1");
  def = cube, def.name = "matmul";
  FAILS(tct_op_register(&def, NULL, 0, &op), TCT_INVALID, "op 'matmul': the library has an op of that name");
  static const char *const names[] = {"", "9lives", "My Op", "Upper", NULL};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    def = cube, def.name = names[i];
    FAILS(tct_op_register(&def, NULL, 0, &op), TCT_INVALID, "needs 1 to 60 of a-z, 0-9 and _");
  }
  def = cube, def.name = "test_other", def.infer = NULL;
  FAILS(tct_op_register(&def, NULL, 0, &op), TCT_INVALID, "its shape rule is NULL");
  def = cube, def.name = "test_other", def.n_out = 0;
  FAILS(tct_op_register(&def, NULL, 0, &op), TCT_INVALID, "n_out 0");
  def = cube, def.name = "test_other";
  FAILS(tct_op_register(&def, &(tct_op_kernel){.device = "cpu"}, 1, &op), TCT_INVALID, "kernel 0 has no launch function and no code");
  FAILS(tct_op_register(&def, &(tct_op_kernel){.kernel = {.launch = launch_cube}}, 1, &op), TCT_INVALID, "no device name");
  FAILS(tct_op_register(&def, (tct_op_kernel[]){cube_kernels[0], cube_kernels[0]}, 2, &op), TCT_INVALID,
        "two kernels for device 'ref'");
  static const tct_op_code bad_codes[] = {{.source = "", .entry = "k"}, {.entry = "k"}, {.source = "text"}, {.source = "text", .entry = ""},
                                          {.language = (tct_op_language)7, .source = "text", .entry = "k"}};
  for (size_t i = 0; i < sizeof bad_codes / sizeof *bad_codes; i++)
    FAILS(tct_op_register(&def, &(tct_op_kernel){.device = "gpu", .code = &bad_codes[i]}, 1, &op), TCT_INVALID,
          "op 'test_other': its code for 'gpu' needs a language (TCT_OP_CUDA, TCT_OP_PTX), the source's text and the name of the kernel in it");
  FAILS(tct_op_register(&def, &(tct_op_kernel){.device = "gpu", .kernel = {.launch = launch_cube}, .code = &good_code}, 1, &op), TCT_INVALID,
        "op 'test_other': its kernel for 'gpu' has functions and code; give it either");
  CHECK(op == TCT_OP_NONE && tct_op_find("test_other") == TCT_OP_NONE, "nothing was registered");
  OK(tct_op_register(&cube, cube_kernels, 2, &op));
  CHECK(op == cube_op && tct_op_find("test_cube") == cube_op && strcmp(tct_op_name(cube_op), "test_cube") == 0,
        "the same definition has one number");
}

TEST(custom_op, runs_and_differentiates_on_each_device) {
  static const char *const devices[] = {"ref", "cpu", "check:ref", "check:cpu"};
  register_cube();
  for (size_t d = 0; d < sizeof devices / sizeof *devices; d++) {
    tct_graph *graph = graph_make();
    tct_device *device = device_make(devices[d]);
    const float x0[3] = {1, -2, 3}, want[3] = {3, 12, 27};
    float y[3], g[3];
    const tct_tensor x = tct_input(graph, "x", TCT_F32, TCT_SHAPE(3));
    const tct_tensor twice = cubed(x, 0.5);
    tct_tensor gradient;
    tct_gradients(tct_reduce_sum(tct_add(twice, cubed(x, 0.5)), NULL, 0, false), &x, 1, &gradient);
    tct_output(graph, "y", twice);
    tct_output(graph, "g", gradient);
    tct_program *program = NULL;
    OK(tct_compile(graph, device, NULL, &program));
    OK(tct_program_set(program, "x", x0, sizeof x0));
    OK(tct_program_run(program));
    OK(tct_program_get(program, "y", y, sizeof y));
    OK(tct_program_get(program, "g", g, sizeof g));
    for (int i = 0; i < 3; i++)
      CHECK(y[i] == 0.5f * x0[i] * x0[i] * x0[i] && g[i] == want[i], "%s: y %g, g %g at %g", devices[d], (double)y[i],
            (double)g[i], (double)x0[i]);
    tct_program_free(program);
    tct_device_close(device);
    tct_graph_free(graph);
  }
}

TEST(custom_op, a_second_gradient_is_refused) {
  register_cube();
  tct_graph *graph = graph_make();
  const tct_tensor x = tct_variable(graph, "x", TCT_F32, TCT_SHAPE(3), (tct_init){TCT_INIT_ONES, 0, 0, 0});
  tct_tensor first, second;
  tct_gradients(tct_reduce_sum(cubed(x, 1), NULL, 0, false), &x, 1, &first);
  tct_gradients(tct_reduce_sum(first, NULL, 0, false), &x, 1, &second);
  FAILS(tct_graph_status(graph), TCT_INVALID, "test_cube_grad");
  CHECK(strstr(tct_error_message(), "second-order gradients are not available") != NULL, "%s", tct_error_message());
  tct_graph_free(graph);
}

TEST(custom_op, shape_rules_speak) {
  register_cube();
  tct_graph *graph = graph_make();
  (void)cubed(tct_input(graph, "n", TCT_I32, TCT_SHAPE(2)), 1);
  FAILS(tct_graph_status(graph), TCT_INVALID, "test_cube 'test_cube': x is i32, needs f32 or f64");
  tct_graph_free(graph);
}

/* A device without a kernel refuses, or the reference's runs. */
TEST(custom_op, placement) {
  static const tct_op_def def = DEFINITION("test_on_ref", 1, .gradient = NULL);
  tct_op op;
  OK(tct_op_register(&def, cube_kernels, 1, &op));
  tct_graph *graph = graph_make();
  tct_device *device = device_make("cpu");
  const cube_attrs attrs = {1};
  const tct_tensor x = tct_input(graph, "x", TCT_F32, TCT_SHAPE(3));
  tct_output(graph, "y", tct_emit(graph, op, &attrs, &x, 1, NULL));
  tct_program *program = NULL;
  FAILS(tct_compile(graph, device, NULL, &program), TCT_UNSUPPORTED, "cpu has no kernel for test_on_ref");
  OK(tct_compile(graph, device, &(tct_compile_options){.fallback_host = true}, &program));
  tct_program_info info;
  tct_program_describe(program, &info);
  CHECK(info.n_fallback == 1, "%d steps on the host", info.n_fallback);
  tct_program_free(program);
  tct_device_close(device);
  tct_graph_free(graph);
}

/* Code has no functions until its backend brings them; each op that is registered, before or after, has them from then on. */
TEST(custom_op, code_is_run_by_its_backend) {
  static const tct_op_def defs[] = {DEFINITION("test_code_before", 1, .gradient = NULL), DEFINITION("test_code_after", 1, .gradient = NULL)};
  static const tct_kernel by = {.launch = launch_cube};
  const tct_op_kernel kernels[] = {{.device = "cpu", .code = &good_code}, {.device = "other", .kernel = {.in_place = true}, .code = &good_code}};
  tct_op ops[2];
  OK(tct_op_register(&defs[0], kernels, 2, &ops[0]));
  tct_graph *const graph = graph_make();
  tct_device *const device = device_make("cpu");
  const cube_attrs attrs = {1};
  tct_program *program = NULL;
  const tct_tensor x = tct_input(graph, "x", TCT_F32, TCT_SHAPE(3));
  tct_output(graph, "y", tct_emit(graph, ops[0], &attrs, &x, 1, NULL));
  FAILS(tct_compile(graph, device, NULL, &program), TCT_UNSUPPORTED,
        "cpu has no kernel for test_code_before: it runs no device code, give it a launch function");
  tct_device_close(device);
  tct_graph_free(graph);
  CHECK(tct_op_kernel_of(ops[0], "other") == NULL && tct_op_kernel_at("other", 0) == NULL);
  tct_op_code_run_by("other", &by);
  OK(tct_op_register(&defs[1], kernels, 2, &ops[1]));
  for (int i = 0; i < 2; i++) {
    size_t attrs_bytes = 0;
    const tct_kernel *const kernel = tct_op_kernel_of(ops[i], "other");
    CHECK(kernel != NULL && kernel == tct_op_kernel_at("other", i) && kernel->launch == launch_cube && kernel->in_place, "op %d", i);
    CHECK(tct_op_kernel_of(ops[i], "cpu") == NULL, "another backend's");
    const tct_op_code *const code = tct_op_code_of(ops[i], "other", &attrs_bytes);
    CHECK(code != &good_code && strcmp(code->source, "text") == 0 && strcmp(code->entry, "k") == 0 && strcmp(code->options, "-DA") == 0 &&
          attrs_bytes == sizeof attrs, "texts are copied");
  }
  CHECK(tct_op_code_of(TCT_OP_NONE, "other", NULL) == NULL && tct_op_code_of(ops[0], "gpu", NULL) == NULL);
}

TEST(custom_op, mixed_precision_keeps_it_in_f32) {
  register_cube();
  tct_graph *graph = graph_make(), *narrow = NULL;
  tct_device *device = device_make("cpu");
  const tct_tensor x = tct_input(graph, "x", TCT_F32, TCT_SHAPE(4, 4));
  tct_output(graph, "y", tct_matmul(cubed(tct_matmul(x, x), 1), x));
  OK(tct_pass_precision(graph, &(tct_pass_context){.device = device, .precision = TCT_BF16}, &narrow));
  const tct_node *node = node_of(narrow, cube_op);
  CHECK(narrow->values[node->out].desc.dtype == TCT_F32 && narrow->values[node->in[0]].desc.dtype == TCT_F32);
  tct_graph_free(narrow);
  tct_device_close(device);
  tct_graph_free(graph);
}

/* ---- tct_op_check ---- */

TEST(custom_op, every_allocation_of_a_check_fails_in_turn) {
  const tct_desc in[] = {{TCT_F32, TCT_SHAPE(3, 4)}, {TCT_F32, TCT_SHAPE(4, 2)}};
  OK(tct_op_check(TCT_OP_matmul, &(tct_matmul_attrs){0}, in, 2, "cpu"));
  bool struck = true;
  int64_t nth = 1;
  fault_pieces(true);
  for (; struck; nth += 1 + nth / 80) {
    const int64_t live = tct_alloc_live();
    (void)fault_alloc(nth);
    const tct_status status = tct_op_check(TCT_OP_matmul, &(tct_matmul_attrs){0}, in, 2, "cpu");
    struck = fault_alloc(0);
    CHECK(status == (struck ? TCT_OUT_OF_MEMORY : TCT_OK), "allocation %d: %s: %s", (int)nth, tct_status_name(status), tct_error_message());
    CHECK(tct_alloc_live() == live, "allocation %d leaks", (int)nth);
  }
  fault_pieces(false);
  CHECK(nth > 300, "only %d allocations", (int)nth);
}

static void gradient_wrong(tct_grad *grad) { grad->din[0] = tct_mul(grad->dout[0], tct_square(grad->in[0])); }

TEST(custom_op, check_finds_what_is_wrong) {
  register_cube();
  const cube_attrs attrs = {0.7};
  const tct_desc in = {TCT_F32, TCT_SHAPE(3, 5)};
  OK(tct_op_check(cube_op, &attrs, &in, 1, "cpu"));
  OK(tct_op_check(cube_op, &attrs, &in, 1, "check:cpu"));
  OK(tct_op_check(TCT_OP_matmul, &(tct_matmul_attrs){0}, (tct_desc[]){{TCT_F32, TCT_SHAPE(3, 4)}, {TCT_F32, TCT_SHAPE(4, 2)}},
                  2, "cpu"));

  static const tct_op_def bad_gradient = DEFINITION("test_bad_gradient", 1, .gradient = gradient_wrong);
  static const tct_op_def bad_kernel = DEFINITION("test_bad_kernel", 1, .gradient = NULL);
  static const tct_op_def short_kernel = DEFINITION("test_short_kernel", 1, .gradient = NULL);
  static const tct_op_kernel unlike[] = {{.device = "ref", .kernel = {.launch = launch_cube}},
                                         {.device = "cpu", .kernel = {.launch = launch_short}}};
  tct_op op;
  OK(tct_op_register(&bad_gradient, cube_kernels, 2, &op));
  FAILS(tct_op_check(op, &attrs, &in, 1, "cpu"), TCT_NUMERIC, "op 'test_bad_gradient': its gradient along a random direction");
  OK(tct_op_register(&bad_kernel, unlike, 2, &op));
  FAILS(tct_op_check(op, &attrs, &in, 1, "cpu"), TCT_NUMERIC, "op 'test_bad_kernel': output 0, element 0");
  OK(tct_op_register(&short_kernel, unlike, 2, &op));
  CHECK(tct_op_check(op, &attrs, &in, 1, "check:cpu") != TCT_OK);
  CHECK(strstr(tct_error_message(), "test_short_kernel.cpu") != NULL, "%s", tct_error_message());
  FAILS(tct_op_check(TCT_OP_NONE, NULL, &in, 1, "cpu"), TCT_INVALID, "needs a registered op");
}

/* ---- threads ---- */

enum { THREADS = 8, EACH = 12 };
static tct_op_def many[EACH];
static char many_names[EACH][16];

static void *register_many(void *user) {
  tct_op *ops = user;
  for (int i = 0; i < EACH; i++) OK(tct_op_register(&many[i], cube_kernels, 2, &ops[i]));
  return NULL;
}

TEST(custom_op, threads_register_the_same_ops_once) {
  pthread_t thread[THREADS];
  static tct_op ops[THREADS][EACH];
  for (int i = 0; i < EACH; i++) {
    snprintf(many_names[i], sizeof many_names[i], "test_many_%d", i);
    many[i] = cube, many[i].name = many_names[i];
  }
  for (int t = 0; t < THREADS; t++) CHECK(pthread_create(&thread[t], NULL, register_many, ops[t]) == 0);
  for (int t = 0; t < THREADS; t++) CHECK(pthread_join(thread[t], NULL) == 0);
  for (int i = 0; i < EACH; i++) {
    CHECK(tct_op_find(many_names[i]) == ops[0][i], "%s", many_names[i]);
    for (int t = 1; t < THREADS; t++) CHECK(ops[t][i] == ops[0][i], "thread %d sees another %s", t, many_names[i]);
  }
}
