/* tercet shadow JOB: opens the job on both devices and prints what the walk found. */
#include "tool.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "perf/compare/plan.h"
#include "perf/shadow/shadow.h"
#include "perf/shadow/values.h"

enum { SHOWN_ROWS = 12 };

typedef struct view {
  const tool_options *options;
  const char *device[2]; /* in the plan */
  tct_job_info info; /* the second device's */
  shadow_report report;
} view;

/* ---- text ---- */

static const char *print_share(char *text, size_t size, const shadow_row *row) {
  if (!row->judged) (void)snprintf(text, size, "not judged");
  else if (row->judgement.share > 1) (void)snprintf(text, size, "%.3g times", row->judgement.share);
  else (void)snprintf(text, size, "%.2g %%", 100 * row->judgement.share);
  return text;
}

/* As many columns as `width`, whatever the bytes: names are cut in front, where the layers are. */
static void print_name(const char *name, int width) {
  const int n = (int)strlen(name);
  if (n > width) printf("…%s", name + n - width + 1);
  else printf("%-*s", width, name);
}

static void print_row(const shadow_row *row) {
  char share[32], at[160] = "";
  if (row->judgement.at >= 0) (void)values_place(&row->desc.shape, row->judgement.at, at, sizeof at);
  print_name(row->name, 34);
  printf(" %-20.20s %10.4g %12s %9.2g  %s\n", row->op, row->judgement.ulps, print_share(share, sizeof share, row), row->drift, at);
}

static double rank_of(const shadow_row *row) { return row->judged ? row->judgement.share : -1; }

/* All rows in the order of execution, or the worst in theirs. */
static void print_rows(const view *v) {
  const shadow_report *const r = &v->report;
  int32_t worst[SHOWN_ROWS], n = 0;
  for (int32_t i = 0; i < r->n_rows; i++) {
    if (v->options->all) print_row(&r->rows[i]);
    int32_t at = n < SHOWN_ROWS ? n++ : SHOWN_ROWS;
    for (; at > 0 && rank_of(&r->rows[worst[at - 1]]) < rank_of(&r->rows[i]); at--)
      if (at < SHOWN_ROWS) worst[at] = worst[at - 1];
    if (at < SHOWN_ROWS) worst[at] = i;
  }
  if (v->options->all) return;
  for (int32_t i = 0; i < n; i++) print_row(&r->rows[worst[i]]);
  if (n < r->n_rows) printf("and %d more with no greater share of their budget (--all)\n", (int)(r->n_rows - n));
}

static void print_operand(const shadow_operand *o) {
  char shape[160];
  printf("  %s %s%s", o->name, tct_dtype_name(o->desc.dtype), tct_shape_print(&o->desc.shape, shape, sizeof shape));
  if (o->least <= o->most) printf(" from %.6g to %.6g", o->least, o->most);
  if (o->has_value) printf(", %.9g at this element", o->value);
  putchar('\n');
}

static void print_first(const view *v) {
  const shadow_report *const r = &v->report;
  const shadow_row *const row = &r->first_row;
  const judgement *const j = &row->judgement;
  char at[160];
  printf("\nfirst to leave its budget, in step %lld: '%s' (%s)", (long long)row->step, row->name, row->op);
  if (row->result > 0) printf(", result %d", (int)row->result);
  printf(", element %s\n  %s makes %.9g, %s makes %.9g of the same operands: %.3g apart, %.3g allowed\n",
         values_place(&row->desc.shape, j->at, at, sizeof at), v->device[1], j->got, v->device[0], j->want,
         fabs(j->got - j->want), j->allowed);
  if (j->budget.kind == BUDGET_EXACT) puts("  (the op computes nothing, so every bit is to be the same)");
  else if (j->budget.length > 0) printf("  (sums of %.0f terms)\n", j->budget.length);
  puts("it reads");
  for (int32_t i = 0; i < r->n_operands; i++) print_operand(&r->operands[i]);
}

static void print_text(const view *v) {
  const shadow_report *const r = &v->report;
  printf("%s, %lld step%s of batch %lld: %s beside %s, each op from the same operands\n\n", v->info.name, (long long)r->steps,
         r->steps == 1 ? "" : "s", (long long)r->batch, v->device[1], v->device[0]);
  printf("%-34s %-20s %10s %12s %9s  %s\n", "result of", "op", "most ULP", "of budget", "drift", "worst at");
  print_rows(v);
  if (r->first >= 0) print_first(v);
  else printf("\nevery op stays in its budget\n");
  if (r->n_left > 1) printf("results over their budget: %d\n", (int)r->n_left);
  if (r->n_unjudged > 0)
    printf("%d result%s not judged: %s refuses the op\n", (int)r->n_unjudged, r->n_unjudged == 1 ? "" : "s",
           v->device[0]);
}

/* ---- JSON ---- */

static json_t *shape_json(const tct_shape *shape) {
  json_t *const dims = json_array();
  for (int32_t d = 0; d < shape->rank; d++) json_array_append_new(dims, json_integer(shape->dim[d]));
  return dims;
}

static json_t *row_json(const shadow_row *row) {
  const judgement *const j = &row->judgement;
  json_t *const object = json_pack("{s:s, s:s, s:i, s:s, s:o, s:I, s:b}", "name", row->name, "op", row->op, "result", (int)row->result,
                                   "dtype", tct_dtype_name(row->desc.dtype), "shape", shape_json(&row->desc.shape), "step",
                                   (json_int_t)row->step, "judged", (int)row->judged);
  json_object_set_new(object, "drift", tool_number(row->drift));
  if (!row->judged) return object;
  json_object_set_new(object, "ulps", tool_number(j->ulps));
  json_object_set_new(object, "share", isinf(j->share) ? json_string("infinite") : tool_number(j->share));
  json_object_set_new(object, "terms", tool_number(j->budget.length));
  if (j->at < 0) return object;
  char at[160];
  json_object_set_new(object, "element", json_integer(j->at));
  json_object_set_new(object, "at", json_string(values_place(&row->desc.shape, j->at, at, sizeof at)));
  json_object_set_new(object, "got", tool_number(j->got));
  json_object_set_new(object, "want", tool_number(j->want));
  json_object_set_new(object, "allowed", tool_number(j->allowed));
  return object;
}

static json_t *first_json(const shadow_report *r) {
  if (r->first < 0) return json_null();
  json_t *const object = row_json(&r->first_row), *const operands = json_array();
  for (int32_t i = 0; i < r->n_operands; i++) {
    const shadow_operand *const o = &r->operands[i];
    json_t *const row = json_pack("{s:s, s:s, s:o}", "name", o->name, "dtype", tct_dtype_name(o->desc.dtype), "shape",
                                  shape_json(&o->desc.shape));
    json_object_set_new(row, "least", tool_number(o->least));
    json_object_set_new(row, "most", tool_number(o->most));
    json_object_set_new(row, "value", o->has_value ? tool_number(o->value) : json_null());
    json_array_append_new(operands, row);
  }
  json_object_set_new(object, "operands", operands);
  return object;
}

static void print_json(const view *v) {
  const shadow_report *const r = &v->report;
  json_t *const rows = json_array();
  for (int32_t i = 0; i < r->n_rows; i++) json_array_append_new(rows, row_json(&r->rows[i]));
  tool_print_json(json_pack("{s:s, s:[s, s], s:I, s:I, s:o, s:o, s:i, s:i}", "job", v->info.name, "devices", v->device[0],
                            v->device[1], "steps", (json_int_t)r->steps, "batch", (json_int_t)r->batch, "tensors", rows,
                            "first", first_json(r), "left", (int)r->n_left, "unjudged", (int)r->n_unjudged));
}

/* ---- the command ---- */

static int split(const tool_options *options, perf_plan *plan, view *out) {
  perf_problem problem = {.status = TCT_OK};
  if (!options->positional) return tool_usage("shadow: which job? tercet shadow JOB.yaml --devices cpu,tpu:v3");
  if (!options->devices) return tool_usage("shadow: --devices A,B is missing, such as cpu,tpu:v3");
  if (!perf_plan_devices(options->devices, plan, &problem)) return tool_usage("shadow: %s", problem.text);
  if (plan->n_devices != 2) return tool_usage("shadow: --devices '%s' names %d device%s, needs two, such as cpu,tpu:v3", options->devices,
                                              plan->n_devices, plan->n_devices == 1 ? "" : "s");
  out->device[0] = plan->device[0];
  out->device[1] = plan->device[1];
  return TOOL_OK;
}

/* The command line's device counts, as it comes last. */
static tct_status open_on(const tool_options *options, const char *device, tct_job **out) {
  tool_options with = *options;
  char set[TCT_DEVICE_SPEC + 16];
  (void)snprintf(set, sizeof set, "device=%s", device);
  with.set[with.n_set++] = set;
  return tool_open_job(&with, out);
}

static int walk(view *v) {
  tct_job *jobs[3] = {NULL};
  tct_status status = TCT_OK;
  for (int i = 0; i < 3 && status == TCT_OK; i++) status = open_on(v->options, v->device[i / 2], &jobs[i]);
  if (status == TCT_OK) {
    tct_job_describe(jobs[2], &v->info);
    status = shadow_run(&(shadow_options){.a = jobs[0], .judge = jobs[1], .b = jobs[2], .steps = v->options->steps < 0 ? 1 : v->options->steps}, &v->report);
  }
  int code = TOOL_OK;
  if (status != TCT_OK) {
    code = status == TCT_OUT_OF_MEMORY && tct_error_status() == TCT_OK ? tool_out_of_memory() : tool_fail();
  } else {
    if (v->options->json) print_json(v);
    else print_text(v);
    code = tool_finish();
    if (code == TOOL_OK && v->report.first >= 0) code = TOOL_NUMERIC;
  }
  for (int i = 0; i < 3; i++) tct_job_free(jobs[i]);
  return code;
}

static int run_planned(const tool_options *options, perf_plan *plan) {
  if (options->steps == 0) return tool_usage("shadow: --steps is 0, needs at least 1");
  view v = {.options = options, .report = {.first = -1}};
  int code = split(options, plan, &v);
  if (code == TOOL_OK && options->n_set == TOOL_MOST_SETS) code = tool_usage("more than %d overrides", TOOL_MOST_SETS);
  if (code != TOOL_OK) return code;
  if (!options->verbose) tct_set_log(NULL, NULL, TCT_LOG_ERROR); /* each line would come three times */
  code = walk(&v);
  shadow_free(&v.report);
  return code;
}

int perf_shadow(const tool_options *options) {
  perf_plan *const plan = calloc(1, sizeof *plan); /* large */
  const int code = plan ? run_planned(options, plan) : tool_out_of_memory();
  free(plan);
  return code;
}
