/* An op of a program's own: on the CPU with the kernel that came along, on a TPU not at all. */
#include "perf/claims/train.h"

#include <stdio.h>
#include <string.h>
#include <tercet/op.h>
#include <tercet/ops.h>

/* y = x³, of f32 [..]. */
static bool cube_infer(tct_infer *infer) {
  if (infer->in[0].dtype != TCT_F32) return tct_refuse(infer, "x is %s, needs f32", tct_dtype_name(infer->in[0].dtype));
  infer->out[0] = infer->in[0];
  return true;
}

static tct_status cube_launch(tct_device_impl *device, const tct_launch *launch) {
  const float *const x = launch->in[0];
  float *const y = launch->out[0];
  (void)device;
  for (int64_t i = 0; i < tct_shape_size(&launch->node->in[0].shape); i++) y[i] = x[i] * x[i] * x[i];
  return TCT_OK;
}

static const tct_op_def cube = {.abi = TCT_OP_ABI, .name = "claims_cube", .version = 1, .min_in = 1, .max_in = 1, .n_out = 1,
                                .infer = cube_infer, .gradient_why = "the experiment runs it forward only"};
static const tct_op_kernel kernels[] = {{.device = "ref", .kernel = {.launch = cube_launch}},
                                        {.device = "cpu", .kernel = {.launch = cube_launch}}};

/* Whether 2³ comes out there; that the device refuses the op is an answer, too. */
static tct_status runs(tct_op op, const char *spec, bool fallback, double *out) {
  tct_device *device = NULL;
  tct_graph *graph = NULL;
  tct_program *program = NULL;
  const float two = 2;
  float eight = 0;
  tct_status status = tct_device_open(spec, NULL, &device);
  if (status == TCT_OK) status = tct_graph_create(&graph);
  if (status == TCT_OK) {
    const tct_tensor x = tct_input(graph, "x", TCT_F32, TCT_SHAPE(1));
    tct_output(graph, "y", tct_emit(graph, op, NULL, &x, 1, NULL));
    status = tct_compile(graph, device, &(tct_compile_options){.fallback_host = fallback}, &program);
  }
  if (status == TCT_OK) status = tct_program_set(program, "x", &two, sizeof two);
  if (status == TCT_OK) status = tct_program_run(program);
  if (status == TCT_OK) status = tct_program_get(program, "y", &eight, sizeof eight);
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(device);
  *out = status == TCT_OK && eight == 8;
  if (status != TCT_UNSUPPORTED) return status;
  tct_error_clear();
  return TCT_OK;
}

static tct_status experiment(claim_numbers *out) {
  static const struct {
    const char *name, *device;
    bool fallback;
  } rows[] = {{"cpu runs it", "cpu", false}, {"tpu:v3 runs it", "tpu:v3", false}, {"tpu:v3 with the host's help runs it", "tpu:v3", true}};
  tct_op op;
  tct_status status = tct_op_register(&cube, kernels, 2, &op);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0] && status == TCT_OK; i++) {
    double ran = 0;
    status = runs(op, rows[i].device, rows[i].fallback, &ran);
    claim_set(out, rows[i].name, "", ran);
  }
  return status;
}

static bool rule(const claim_numbers *n, char *text, size_t bytes) {
  const bool cpu = claim_get(n, "cpu runs it") != 0, tpu = claim_get(n, "tpu:v3 runs it") != 0;
  (void)snprintf(text, bytes, "the CPU %s a program's own op, the TPU %s it%s", cpu ? "runs" : "does not run", tpu ? "runs" : "refuses",
                 claim_get(n, "tpu:v3 with the host's help runs it") != 0 ? "; with fallback: host it runs beside the TPU, for two trips a step" : "");
  return cpu && !tpu;
}

const claim claim_tpu_no_custom_ops = {
    .name = "tpu-no-custom-ops",
    .about = CLAIM_ABOUT_TPU,
    .says = "TPUs do not run custom operations.",
    .did = "Registers an op with a kernel for the CPU and compiles a graph of it for the CPU, for a TPU, and for a TPU that may use the host.",
    .expected = "The CPU runs it, the TPU refuses it.",
    .explains = "What runs on a TPU is compiled by its own compiler from the ops that it knows; there is no place for a kernel "
                "that somebody brings along. An op made of known ones runs (give it a decomposition); else it runs on the host, and "
                "its operands and results travel over PCIe while the chip waits, in each step. 'tercet lint --tpu' says what that costs.",
    .experiment = experiment,
    .rule = rule,
    .holds = {.n = 3, .at = {{"cpu runs it", 1, ""}, {"tpu:v3 runs it", 0, ""}, {"tpu:v3 with the host's help runs it", 1, ""}}},
    .fails = {.n = 3, .at = {{"cpu runs it", 1, ""}, {"tpu:v3 runs it", 1, ""}, {"tpu:v3 with the host's help runs it", 1, ""}}}};
