/* The cases of op_cases.def on every device that is here: forward against the double reference, gradients along a
 * random direction, with and without the optional passes; that no op escapes; which device takes what; and how long it
 * takes. */
#include "ops/cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/number.h"
#include "exec/exec.h"
#include "graph/graph.h"
#include "graphs.h"
#include "ops/conformance.h"
#include "test.h"

#define ALL_OPTIONAL "constants,simplify,fuse_bias_gradient,fuse_epilogue,fuse_chain"

/* ---- devices ---- */

static tct_device *open_device(const char *name) {
  tct_device *device = NULL;
  OK(tct_device_open(name, &(tct_device_options){.n_threads = 2}, &device));
  return device;
}

/* Calls `check` with every device that is here; with the one of TEST_DEVICE, if that is set. */
static void on_each_device(void (*check)(tct_device *device, case_report *report)) {
  case_report report = {0};
  tct_device_kind kind;
  const char *only = getenv("TEST_DEVICE");
  for (int32_t i = 0; tct_device_list(i, &kind); i++) {
    if (kind.n_devices == 0 || (only != NULL && strcmp(only, kind.name) != 0)) continue;
    tct_device *device = open_device(spec_of(&kind));
    check(device, &report);
    tct_device_close(device);
  }
  CHECK(report.n_failed == 0, "%d failures:\n%s", (int)report.n_failed, report.text);
  CHECK(report.n_compared > 0);
}

TEST(op_devices, reference_and_cpu_are_here) {
  tct_device_close(open_device("ref"));
  tct_device_close(open_device("cpu"));
}

/* ---- forward ---- */

/* The case's results by the specification: the reference in double, the graph as it was built. */
static void specify(const op_case *c, tct_dtype dtype, case_mode mode, tct_device *ref, arrays *operands, arrays *out) {
  case_run run;
  CHECK(case_compile(c, case_spec_dtype(c, dtype), mode, ref, ALL_OPTIONAL, &run));
  case_execute(c, &run, operands, out);
  case_run_free(&run);
}

static void check_case(const op_case *c, tct_dtype dtype, case_mode mode, const char *skip, tct_device *device,
                       tct_device *ref, case_report *report) {
  case_run run;
  if (!case_compile(c, dtype, mode, device, skip, &run)) return;
  char what[200];
  snprintf(what, sizeof what, "%s in %s on %s%s", c->label, tct_dtype_name(dtype), tct_device_spec(device),
           skip[0] != '\0' ? ", no optional passes" : "");
  arrays operands, want, got, again;
  case_operands(c, dtype, &operands);
  specify(c, dtype, mode, ref, &operands, &want);
  case_execute(c, &run, &operands, &got);
  const case_error error = {dtype, case_length(run.graph), case_roundings(run.graph)};
  case_report own = {0};
  compare(&own, what, error, &want, &got);

  case_execute(c, &run, &operands, &again);
  snprintf(what + strlen(what), sizeof what - strlen(what), ", the second run");
  compare(&own, what, (case_error){0}, &got, &again); /* the same bits */
  const conformance_kind kind = mode == CASE_FORWARD ? CONFORMANCE_FAILS : CONFORMANCE_FAILS_GRADIENT;
  report->n_compared += own.n_compared;
  if (own.n_failed > 0 && !conformance_lists_case(conformance_of(device), kind, c->label, dtype))
    report_failure(report, "%s", own.text);
  case_run_free(&run);
  arrays_free(&operands);
  arrays_free(&want);
  arrays_free(&got);
  arrays_free(&again);
}

static bool takes(const op_case *c, int dtype) {
  return (c->dtypes >> dtype & 1u) != 0;
}

static void check_forward(tct_device *device, const char *skip, case_report *report) {
  tct_device *ref = open_device("ref");
  for (int32_t i = 0; i < n_op_cases; i++) {
    for (int dtype = 1; dtype < TCT_N_DTYPES; dtype++) {
      if (!takes(&op_cases[i], dtype)) continue;
      check_case(&op_cases[i], (tct_dtype)dtype, CASE_FORWARD, skip, device, ref, report);
    }
  }
  tct_device_close(ref);
}

static void forward(tct_device *device, case_report *report) {
  check_forward(device, "", report);
  conformance_finish(conformance_of(device), CONFORMANCE_FAILS, report);
}
static void forward_plain(tct_device *device, case_report *report) {
  check_forward(device, ALL_OPTIONAL, report);
}
TEST(op_cases, forward) {
  on_each_device(forward);
}
TEST(op_cases, forward_without_optional_passes) {
  on_each_device(forward_plain);
}

/* Every launch watched: no kernel writes or reads what is not its own. */
static void on_watched(const char *spec, bool gradients) {
  case_report report = {0};
  tct_device *device = open_device(spec), *ref = open_device("ref");
  for (int32_t i = 0; i < n_op_cases; i++) {
    const op_case *c = &op_cases[i];
    for (int dtype = 1; dtype < TCT_N_DTYPES; dtype++) {
      if (takes(c, dtype)) check_case(c, (tct_dtype)dtype, CASE_FORWARD, "", device, ref, &report);
    }
    if (gradients && c->gradient) check_case(c, TCT_F32, CASE_GRADIENT, "", device, ref, &report);
  }
  tct_device_close(ref);
  tct_device_close(device);
  CHECK(report.n_failed == 0, "%d failures:\n%s", (int)report.n_failed, report.text);
  CHECK(report.n_compared > 0);
}
TEST(op_cases, watched_cpu) {
  on_watched("check:cpu", true);
}
TEST(op_cases, watched_ref) {
  on_watched("check:ref", true);
}

/* ---- gradients ---- */

/* Element by element against the reference's double gradient, which the next test checks against differences. */
static void gradient(tct_device *device, case_report *report) {
  tct_device *ref = open_device("ref");
  for (int32_t i = 0; i < n_op_cases; i++) {
    const op_case *c = &op_cases[i];
    if (!c->gradient) continue;
    check_case(c, TCT_F32, CASE_GRADIENT, "", device, ref, report);
    check_case(c, TCT_F32, CASE_GRADIENT, ALL_OPTIONAL, device, ref, report);
    check_case(c, TCT_F64, CASE_GRADIENT, "", device, ref, report);
    check_case(c, TCT_BF16, CASE_GRADIENT, "", device, ref, report);
    check_case(c, TCT_F16, CASE_GRADIENT, "", device, ref, report);
  }
  tct_device_close(ref);
  conformance_finish(conformance_of(device), CONFORMANCE_FAILS_GRADIENT, report);
}
TEST(op_cases, gradient) {
  on_each_device(gradient);
}

static double loss_at(const op_case *c, case_run *run, const arrays *operands, const arrays *direction, double t) {
  arrays moved = {.n = operands->n}, results;
  for (int32_t i = 0; i < operands->n; i++) {
    moved.at[i] = operands->at[i];
    moved.at[i].value = calloc((size_t)moved.at[i].n + 1, sizeof(double));
    for (int64_t e = 0; e < moved.at[i].n; e++) {
      moved.at[i].value[e] = operands->at[i].value[e] + t * direction->at[i].value[e];
    }
  }
  case_execute(c, run, &moved, &results);
  const double loss = arrays_find(&results, "loss")->value[0];
  arrays_free(&moved);
  arrays_free(&results);
  return loss;
}

/* For each REAL operand a direction in [-1, 1] per element; zero for the others. */
static void random_direction(const op_case *c, const arrays *operands, arrays *out) {
  *out = (arrays){.n = operands->n};
  uint64_t state = 1;
  for (int32_t i = 0; i < operands->n; i++) {
    out->at[i] = operands->at[i];
    out->at[i].value = calloc((size_t)out->at[i].n + 1, sizeof(double));
    for (int64_t e = 0; c->operands[i].kind == KIND_REAL && e < out->at[i].n; e++) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      out->at[i].value[e] = (double)(state >> 33) * 0x1p-30 - 1;
    }
  }
}

/* Central differences at h and h/2, extrapolated: what is left of the expansion is of order h⁴ = 1e-16, and of rounding
 * about u·|loss|·√n/h, some 1e-11 of the sum of the loss's terms. */
static double slope_of(const op_case *c, case_run *run, const arrays *operands, const arrays *direction) {
  const double h = 1e-4;
  const double wide = loss_at(c, run, operands, direction, h) - loss_at(c, run, operands, direction, -h);
  const double narrow = loss_at(c, run, operands, direction, h / 2) - loss_at(c, run, operands, direction, -h / 2);
  return (4 * narrow / h - wide / (2 * h)) / 3;
}

/* The gradient of `dtype` on `device` times the direction, against the slope of the double reference. */
static void check_direction(const op_case *c, tct_dtype dtype, tct_device *device, tct_device *ref,
                            case_report *report) {
  case_run run, loss_run;
  if (!case_compile(c, dtype, CASE_GRADIENT, device, "", &run)) return;
  arrays operands, direction, results;
  case_operands(c, dtype, &operands);
  random_direction(c, &operands, &direction);
  case_execute(c, &run, &operands, &results);
  double product = 0, sizes = 0;
  for (int32_t i = 0; i < operands.n; i++) {
    char name[16];
    snprintf(name, sizeof name, "g%d", (int)i);
    const array *g = arrays_find(&results, name);
    for (int64_t e = 0; g != NULL && e < g->n; e++) {
      product += g->value[e] * direction.at[i].value[e];
      sizes += fabs(g->value[e] * direction.at[i].value[e]);
    }
  }
  CHECK(case_compile(c, TCT_F64, CASE_LOSS, ref, ALL_OPTIONAL, &loss_run));
  const double slope = slope_of(c, &loss_run, &operands, &direction);
  /* f64: what differences leave. f32: each element's own error, by the rule that compare() states. */
  const double relative = dtype == TCT_F64 ? 1e-8 : 0x1p-24 * (16 + case_length(run.graph)) * 4;
  const double allowed = relative * sizes + 1e-9;
  report->n_compared++;
  if (!(fabs(product - slope) <= allowed)) {
    report_failure(report,
                   "%s in %s on %s: gradient along the direction is %.12g, differences say %.12g, tolerance %.3g",
                   c->label, tct_dtype_name(dtype), tct_device_spec(device), product, slope, allowed);
  }
  case_run_free(&run);
  case_run_free(&loss_run);
  arrays_free(&operands);
  arrays_free(&direction);
  arrays_free(&results);
}

static void along_a_direction(tct_device *device, case_report *report) {
  tct_device *ref = open_device("ref");
  for (int32_t i = 0; i < n_op_cases; i++) {
    if (!op_cases[i].gradient) continue;
    check_direction(&op_cases[i], TCT_F64, device, ref, report);
    check_direction(&op_cases[i], TCT_F32, device, ref, report);
  }
  tct_device_close(ref);
}
TEST(op_cases, gradient_along_a_direction) {
  on_each_device(along_a_direction);
}

/* ---- coverage ---- */

static void note_ops(const op_case *c, case_mode mode, bool *seen) {
  tct_graph *graph = case_graph(c, TCT_F64, mode);
  for (int32_t n = 0; n < graph->n_nodes; n++) seen[graph->nodes[n].op] = true;
  tct_graph_free(graph);
}

/* That every op has a row is proved by the compiler; here, that every differentiable op has a row with its gradient,
 * and that these reach every gradient op. */
TEST(op_coverage, every_gradient_is_checked) {
  bool checked[TCT_N_OPS] = {false}, seen[TCT_N_OPS] = {false};
  case_report report = {0};
  for (int32_t i = 0; i < n_op_cases; i++) {
    const op_case *c = &op_cases[i];
    if (!c->gradient) continue;
    checked[c->op] = true;
    CHECK(takes(c, TCT_F64), "%s has a gradient but no f64", c->label);
    note_ops(c, CASE_GRADIENT, seen);
  }
  for (int op = TCT_OP_NONE + 1; op < TCT_N_OPS; op++) {
    const tct_op_def *def = tct_op_definition((tct_op)op);
    const char *grad = strstr(def->name, "_grad");
    const bool gradient_op = grad != NULL && (grad[5] == '\0' || grad[5] == '_');
    if (gradient_op && !seen[op]) report_failure(&report, "no gradient row reaches %s", def->name);
    if (def->gradient == NULL || op == TCT_OP_stop_gradient || checked[op]) continue;
    report_failure(&report, "the op %s has a gradient and no row that checks it in tests/ops/op_cases.def", def->name);
  }
  CHECK(report.n_failed == 0, "%s", report.text);
}

TEST(op_coverage, labels_are_unique) {
  for (int32_t i = 0; i < n_op_cases; i++) {
    for (int32_t j = 0; j < i; j++)
      CHECK(strcmp(op_cases[i].label, op_cases[j].label) != 0, "%s twice", op_cases[i].label);
  }
}

/* ---- the op × device matrix ---- */

enum { MOST_DEVICES = 8 };
typedef struct support {
  unsigned asked, taken; /* a bit per dtype */
} support;

/* Asks the device for the case's own op, in the graph as it is built. */
static void ask(const op_case *c, tct_dtype dtype, tct_device *device, support *row) {
  tct_graph *graph = case_graph(c, dtype, CASE_FORWARD);
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    const tct_node *node = &graph->nodes[n];
    if (node->op != c->op) continue;
    tct_arena arena = {0};
    char why[256] = "";
    const tct_node_view *view = tct_node_view_of(graph, node, &arena);
    bool f64 = false;
    for (int32_t k = 0; k < view->n_in; k++) f64 = f64 || view->in[k].dtype == TCT_F64;
    for (int32_t k = 0; k < view->n_out; k++) f64 = f64 || view->out[k].dtype == TCT_F64;
    const bool taken = tct_op_is_view(node->op) || tct_device_supports(device, view, why, sizeof why);
    const unsigned bit = 1u << (f64 ? TCT_F64 : dtype);
    row->taken = taken && ((row->asked & bit) == 0 || (row->taken & bit) != 0) ? row->taken | bit : row->taken & ~bit;
    row->asked |= bit;
    tct_arena_free(&arena);
  }
  tct_graph_free(graph);
}

static void print_row(const char *name, const support *row, int32_t n_devices) {
  printf("%-36s", name);
  for (int32_t d = 0; d < n_devices; d++) {
    char cell[64] = "";
    for (int dtype = 1; dtype < TCT_N_DTYPES; dtype++) {
      if ((row[d].asked >> dtype & 1u) == 0) continue;
      const size_t used = strlen(cell);
      snprintf(cell + used, sizeof cell - used, "%s%s ", (row[d].taken >> dtype & 1u) != 0 ? "" : "-",
               tct_dtype_name((tct_dtype)dtype));
    }
    printf(" | %-32s", cell);
  }
  printf("\n");
}

/* Each refusal is in the device's list, and each line of the list about refusals applies. */
static void lists(tct_device *device, case_report *report) {
  for (int32_t i = 0; i < n_op_cases; i++) {
    const op_case *c = &op_cases[i];
    for (int dtype = 1; dtype < TCT_N_DTYPES; dtype++) {
      if (!takes(c, dtype)) continue;
      for (int mode = 0; mode < (c->gradient && tct_dtype_is_float((tct_dtype)dtype) ? 2 : 1); mode++) {
        tct_graph *graph = case_graph(c, (tct_dtype)dtype, mode == 0 ? CASE_FORWARD : CASE_GRADIENT);
        (void)case_refusals(graph, device, report);
        tct_graph_free(graph);
        report->n_compared++;
      }
    }
  }
  conformance_finish(conformance_of(device), CONFORMANCE_UNSUPPORTED, report);
}
TEST(op_support, is_what_the_lists_say) {
  on_each_device(lists);
}

TEST(op_support, matrix) {
  static support matrix[TCT_N_OPS][MOST_DEVICES];
  tct_device_kind kind;
  int32_t n_devices = 0;
  printf("%-36s", "op; -dtype: refused");
  for (int32_t i = 0; tct_device_list(i, &kind) && n_devices < MOST_DEVICES; i++) {
    if (kind.n_devices == 0) continue;
    tct_device *device = open_device(spec_of(&kind));
    printf(" | %-32s", kind.name);
    for (int32_t k = 0; k < n_op_cases; k++) {
      for (int dtype = 1; dtype < TCT_N_DTYPES; dtype++) {
        if (takes(&op_cases[k], dtype)) ask(&op_cases[k], (tct_dtype)dtype, device, &matrix[op_cases[k].op][n_devices]);
      }
    }
    tct_device_close(device);
    n_devices++;
  }
  printf("\n");
  for (int op = 1; op < TCT_N_OPS; op++) {
    if (matrix[op][0].asked != 0) print_row(tct_op_name((tct_op)op), matrix[op], n_devices);
  }
}

/* ---- timing ---- */

/* Microseconds of one run: the best of a few. */
static double time_case(const op_case *c, tct_device *device) {
  case_run run;
  arrays operands, results;
  double best = 1e30;
  if (!case_compile(c, TCT_F32, CASE_FORWARD, device, "", &run)) return 0;
  case_operands(c, TCT_F32, &operands);
  case_execute(c, &run, &operands, &results);
  for (int i = 0; i < 10; i++) {
    const int64_t begin = tct_clock_ns();
    OK(tct_program_run(run.program));
    OK(device->backend->sync(device->impl));
    best = fmin(best, (double)(tct_clock_ns() - begin) * 1e-3);
  }
  case_run_free(&run);
  arrays_free(&operands);
  arrays_free(&results);
  return best;
}

TEST(op_timing, every_case) {
  if (getenv("TERCET_TEST_TIMES") == NULL) SKIP("not run: TERCET_TEST_TIMES is not set");
  tct_device_kind kind;
  for (int32_t i = 0; tct_device_list(i, &kind); i++) {
    if (kind.n_devices == 0) continue;
    tct_device *device = open_device(spec_of(&kind));
    for (int32_t k = 0; k < n_op_cases; k++) {
      if (!takes(&op_cases[k], TCT_F32)) continue;
      printf("%-6s %-40s %10.2f us\n", kind.name, op_cases[k].label, time_case(&op_cases[k], device));
    }
    tct_device_close(device);
  }
}
