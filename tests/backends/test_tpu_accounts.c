/* The simulated TPU's account of every op there is: all op cases, forward and backward, compiled on several chips. The classes sum to the
 * total, useful products are those of the op's analytic cost, nothing is faster than arrays and memory can be, and what an op reads and
 * writes moves at least once. */
#include <tercet/chip.h>
#include <tercet/tercet.h>
#include "exec/exec.h"
#include "graphs.h"
#include "ops/cases.h"
#include "test.h"

/* Flops of the op's cost that are no products: what the op's file charges for softmax, gates and epilogues. NaN: it is no op of products. */
static double beside_products(const tct_node_view *node) {
  const tct_shape *first = &node->in[0].shape;
  if (strcmp(node->op_name, "matmul") == 0 || strncmp(node->op_name, "conv2d", 6) == 0) return 0;
  if (strncmp(node->op_name, "attention", 9) == 0) {
    const tct_attention_attrs *attrs = node->attrs;
    double pairs = 0;
    for (int64_t i = 0; i < first->dim[1]; i++) pairs += attrs->causal && i < node->in[1].shape.dim[1] ? (double)(i + 1) : (double)node->in[1].shape.dim[1];
    return 12 * pairs * (double)(first->dim[0] * first->dim[2]);
  }
  if (strcmp(node->op_name, "lstm") == 0 || strcmp(node->op_name, "gru") == 0)
    return 15 * (double)(first->dim[0] * first->dim[1] * node->in[1].shape.dim[1]);
  if (strcmp(node->op_name, "lstm_grad") == 0 || strcmp(node->op_name, "gru_grad") == 0)
    return 8 * (double)(node->in[1].shape.dim[0] * node->in[1].shape.dim[1] * first->dim[1]);
  return NAN;
}

static double dense_bytes(const tct_desc *d) { return (double)tct_shape_size(&d->shape) * (double)tct_dtype_bytes(d->dtype); }

/* Inputs once and outputs once. An op that picks from its first input reads no more of it than it writes. */
static double compulsory_bytes(const tct_node_view *node) {
  const bool picks = strcmp(node->op_name, "gather") == 0 || strcmp(node->op_name, "slice") == 0;
  double bytes = 0;
  for (int32_t i = picks ? 1 : 0; i < node->n_in; i++) bytes += dense_bytes(&node->in[i]);
  for (int32_t o = 0; o < node->n_out; o++) bytes += dense_bytes(&node->out[o]);
  return bytes;
}

static double counter(const tct_counter *c, int32_t n, const char *name) {
  for (int32_t i = 0; i < n; i++) {
    if (strcmp(c[i].name, name) == 0) return c[i].value;
  }
  CHECK(false, "no counter '%s'", name);
  return 0;
}

static bool check_step(const tct_chip *chip, const tct_program *program, int32_t i, const char *label) {
  tct_step_info step;
  tct_counter c[16];
  CHECK(tct_program_step(program, i, &step));
  const int32_t n = tct_program_step_counters(program, i, c, 16);
  if (n == 0) return false; /* a view, or nothing to launch */
  const double units = (double)(chip->cores * chip->arrays * chip->array_rows * chip->array_cols);
  const double total = counter(c, n, "total"), useful = counter(c, n, "arrays, useful"), bytes = counter(c, n, "HBM traffic");
  double sum = 0;
  for (int32_t k = 0; k < n; k++) {
    const bool class = strcmp(c[k].unit, "cycles") == 0 && strcmp(c[k].name, "total") != 0 && strcmp(c[k].name, "all-reduce") != 0;
    CHECK(c[k].value >= 0 && isfinite(c[k].value), "%s, %s: %s is %g", label, step.op, c[k].name, c[k].value);
    sum += class ? c[k].value : 0;
  }
  CHECK(total > 0 && fabs(sum / total - 1) < 1e-9, "%s, %s: classes of %g cycles, %g in all", label, step.op, sum, total);
  CHECK(total * (1 + 1e-9) >= bytes / chip->hbm * chip->clock, "%s, %s: faster than HBM", label, step.op);
  CHECK(bytes * (1 + 1e-9) >= compulsory_bytes(step.node), "%s, %s: %g bytes moved of %g", label, step.op, bytes, compulsory_bytes(step.node));
  const double beside = beside_products(step.node);
  if (isnan(beside)) {
    CHECK(useful == 0, "%s, %s: products", label, step.op);
  } else if (useful > 0) { /* else the vector unit does it, or it is empty */
    double epilogue = 0; /* a bias and an activation, some operations an element */
    for (int32_t o = 0; o < step.node->n_out; o++) epilogue += 40 * (double)tct_shape_size(&step.node->out[o].shape);
    const double flops = 2 * useful * units, needed = step.flops - beside;
    /* The gradient of an image leaves out windows that lie in its border, which the op's cost counts. */
    const double least = strcmp(step.op, "conv2d_grad_input") == 0 ? 0 : beside == 0 ? needed - epilogue : needed;
    CHECK(flops <= needed * (1 + 1e-9) && flops >= least * (1 - 1e-9), "%s, %s: %g flops of products, the op costs %g", label, step.op, flops, needed);
    CHECK(counter(c, n, "products issued") * (1 + 1e-9) >= flops / 2);
  }
  return true;
}

TEST(tpu_accounts, of_every_op_case) {
  static const char *const specs[] = {"v3", "v5e,hbm=20GB/s", "small,vmem=128KiB", "v4,channels=2"};
  for (size_t s = 0; s < sizeof specs / sizeof *specs; s++) {
    char spec[64];
    tct_chip chip;
    int checked = 0;
    (void)snprintf(spec, sizeof spec, "tpu:%s", specs[s]);
    OK(tct_chip_open(specs[s], &chip));
    if (chip.channels == 2) chip.hbm *= 2; /* each way */
    tct_device *device = device_make(spec);
    for (int32_t i = 0; i < n_op_cases; i++) {
      case_run run;
      const op_case *c = &op_cases[i];
      if ((c->dtypes >> TCT_F32 & 1u) == 0 || !case_compile(c, TCT_F32, c->gradient ? CASE_GRADIENT : CASE_FORWARD, device, "", &run)) continue;
      for (int32_t step = 0; step < run.program->n_steps; step++) checked += check_step(&chip, run.program, step, c->label);
      case_run_free(&run);
    }
    tct_device_close(device);
    CHECK(checked > 500, "%d steps", checked);
  }
}
