/* tercet lint --tpu JOB: how ready a job is for a TPU. The findings are the library's (<tercet/forecast.h>). */
#include "modelled.h"

#include <math.h>
#include <string.h>

typedef struct report {
  modelled m;
  const tct_forecast_finding *findings;
  int32_t n;
  double flops_share, arrays_share, useful_share; /* on the arrays; of the time; of the arrays' work */
} report;

static void sum_up(report *r) {
  const tct_forecast_cost *const total = &r->m.info.total;
  const double busy = total->by_class[0] + total->by_class[1];
  double flops = 0;
  for (int32_t i = 0; i < r->m.info.n_ops; i++) {
    const tct_forecast_row *const op = tct_forecast_row_at(r->m.forecast, TCT_FORECAST_OPS, i);
    flops += op->cost.macs > 0 ? op->cost.flops : 0;
  }
  r->flops_share = total->flops > 0 ? flops / total->flops : 0;
  r->arrays_share = busy / total->cycles;
  r->useful_share = busy > 0 ? total->by_class[0] / busy : 0;
}

static void print_text(const report *r) {
  const tct_forecast_info *const info = &r->m.info;
  printf("%s on %s, training step, batch %lld: %.4g ms (modelled, not measured)\n", r->m.job_info.name, info->device, (long long)info->batch,
         info->total.seconds * 1e3);
  printf("  %.1f %% of the flops are the arrays'; these work %.1f %% of the time, %.1f %% of that on products that are needed;\n"
         "  vector unit %.1f %%, waiting for HBM %.1f %%\n",
         100 * r->flops_share, 100 * r->arrays_share, 100 * r->useful_share, 100 * info->total.by_class[3] / info->total.cycles,
         100 * info->total.by_class[4] / info->total.cycles);
  if (r->n == 0) printf("nothing found\n");
  for (int32_t i = 0; i < r->n; i++) {
    const tct_forecast_finding *const x = &r->findings[i];
    printf("\n%d. %s: %s\n   instead: %s\n", (int)i + 1, x->where, x->what, x->instead);
    if (x->saves > 0) printf("   predicted: %.0f %% of the step's time saved\n", 100 * x->saves);
    else if (x->saves == 0) printf("   predicted: no more time for it\n");
    if (x->saves_programs > 0)
      printf("   predicted: up to %d program%s less to compile, %.4g s\n", (int)x->saves_programs, x->saves_programs == 1 ? "" : "s",
             (double)x->saves_programs * info->chip.compile);
  }
}

static void print_json(const report *r) {
  json_t *const object = json_object(), *const rows = json_array();
  json_object_set_new(object, "modelled", json_true());
  json_object_set_new(object, "device", json_string(r->m.info.device));
  json_object_set_new(object, "batch", json_integer(r->m.info.batch));
  json_object_set_new(object, "seconds", tool_number(r->m.info.total.seconds));
  json_object_set_new(object, "flops_share", tool_number(r->flops_share));
  json_object_set_new(object, "arrays_share", tool_number(r->arrays_share));
  json_object_set_new(object, "useful_share", tool_number(r->useful_share));
  for (int32_t i = 0; i < r->n; i++) {
    const tct_forecast_finding *const x = &r->findings[i];
    json_t *const row = json_object();
    json_object_set_new(row, "where", json_string(x->where));
    json_object_set_new(row, "what", json_string(x->what));
    json_object_set_new(row, "instead", json_string(x->instead));
    json_object_set_new(row, "saves", tool_number(x->saves));
    json_object_set_new(row, "saves_compiling", tool_number((double)x->saves_programs * r->m.info.chip.compile));
    json_array_append_new(rows, row);
  }
  json_object_set_new(object, "findings", rows);
  tool_print_json(object);
}

/* What the chip refuses is a finding with its cost, not the end: it is modelled on the host unless the command line says
 * otherwise, which comes behind and so counts. */
static int open_with_host(const tool_options *options, modelled *out) {
  tool_options with_host = *options;
  if (with_host.n_set == TOOL_MOST_SETS) return tool_usage("more than %d overrides", TOOL_MOST_SETS);
  memmove(&with_host.set[1], &with_host.set[0], (size_t)with_host.n_set++ * sizeof with_host.set[0]);
  with_host.set[0] = "fallback=host";
  return modelled_open(&with_host, true, out);
}

static int run_lint(const tool_options *options) {
  if (!options->tpu) return tool_usage("lint: for what? --tpu is the only kind");
  report r = {.n = 0};
  if (!options->verbose) tct_set_log(NULL, NULL, TCT_LOG_ERROR); /* what runs on the host is a finding */
  int code = open_with_host(options, &r.m);
  if (code == TOOL_OK && tct_forecast_lint(r.m.forecast, &r.findings, &r.n) != TCT_OK) code = tool_fail();
  if (code == TOOL_OK) {
    sum_up(&r);
    if (options->json) print_json(&r);
    else print_text(&r);
  }
  modelled_free(&r.m);
  return code == TOOL_OK ? tool_finish() : code;
}

const tool_command tool_lint = {
    .name = "lint",
    .letter = 'l',
    .argument = "JOB.yaml",
    .summary = "what keeps a job from running well on a TPU",
    .about = "Compiles the job's training step for a simulated TPU (--device tpu:CHIP; tpu:v3 where the job names none),\n"
             "runs nothing, and lists what costs time there: channels and widths that leave the array idle, a batch too\n"
             "small, the vector unit or the optimizer in the way, padding in memory, input over PCIe, shapes that are\n"
             "compiled once more, ops that only the host has (modelled there, unless --fallback none refuses them). Each\n"
             "finding names the rewrite and, where the model can tell, what it saves. Times are modelled, never measured.\n\n"
             "Examples:\n"
             "  tercet lint --tpu examples/glyphs.yaml\n"
             "  tercet lint --tpu examples/glyphs.yaml --device tpu:v5e --batch 512 --json\n",
    .run = run_lint};
