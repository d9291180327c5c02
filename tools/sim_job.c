/* tercet sim JOB: a job's step on a simulated TPU: where the time goes by op, layer or phase, the instructions, a timeline, what is
 * compiled. Nothing is run. */
#include "modelled.h"
#include "sim.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_ROWS = 20 };

typedef struct view {
  modelled m;
  tct_forecast_by by;
  const tct_forecast_program *programs; /* NULL: the data could not be opened */
  int32_t n_programs;
} view;

/* "210 us" */
static const char *print_seconds(char text[32], double seconds) {
  const bool micro = seconds < 1e-3, milli = seconds < 1;
  (void)snprintf(text, 32, "%.4g %s", seconds * (micro ? 1e6 : milli ? 1e3 : 1), micro ? "us" : milli ? "ms" : "s");
  return text;
}

static const tct_forecast_row *row_at(const view *v, int32_t i) { return tct_forecast_row_at(v->m.forecast, v->by, i); }

/* The class with the most cycles. */
static int32_t bound_of(const tct_forecast_cost *cost) {
  int32_t most = 0;
  for (int32_t class = 1; class < TCT_FORECAST_CLASSES; class++) {
    if (cost->by_class[class] > cost->by_class[most]) most = class;
  }
  return most;
}

/* ---- text ---- */

static int longer(const void *a, const void *b) {
  const tct_forecast_row *const x = *(const tct_forecast_row *const *)a, *const y = *(const tct_forecast_row *const *)b;
  return x->cost.cycles < y->cost.cycles ? 1 : x->cost.cycles > y->cost.cycles ? -1 : x < y ? -1 : 1;
}

static void print_row(const view *v, const tct_forecast_row *row) {
  char time[32];
  printf("%-34.34s %-20.20s %10s %5.1f %% %5.1f %%  %s\n", row->name, row->op, print_seconds(time, row->cost.seconds),
         100 * row->cost.cycles / v->m.info.total.cycles, row->cost.cycles > 0 ? 100 * row->cost.by_class[0] / row->cost.cycles : 0,
         tct_forecast_class(bound_of(&row->cost)));
}

/* Those that take longest. */
static bool print_longest(const view *v) {
  static const char *const heads[] = {"step", "layer", "phase"};
  const tct_forecast_row **const order = malloc(((size_t)v->m.info.n_ops + 1) * sizeof *order);
  if (order == NULL) return false;
  int32_t n = 0;
  while ((order[n] = row_at(v, n)) != NULL) n++;
  qsort(order, (size_t)n, sizeof *order, longer);
  printf("%-34s %-20s %10s %7s %7s  %s\n", heads[v->by], v->by == TCT_FORECAST_OPS ? "op" : "", "time", "share", "useful", "most cycles");
  for (int32_t i = 0; i < n && i < MOST_ROWS; i++) print_row(v, order[i]);
  if (n > MOST_ROWS) printf("… and %d shorter ones\n", (int)(n - MOST_ROWS));
  free(order);
  return true;
}

static void print_phases(const view *v) {
  const tct_forecast_row *row;
  for (int32_t i = 0; (row = tct_forecast_row_at(v->m.forecast, TCT_FORECAST_PHASES, i)) != NULL; i++) {
    char time[32];
    printf("  %-22s %5.1f %%  %s\n", row->name, 100 * row->cost.cycles / v->m.info.total.cycles, print_seconds(time, row->cost.seconds));
  }
}

static void print_programs(const view *v) {
  if (v->programs == NULL) {
    puts("\nto compile: not known without the data");
    return;
  }
  printf("\nto compile: %d program%s, %.4g s, apart from the step (%.4g s each)\n", (int)v->n_programs, v->n_programs == 1 ? "" : "s",
         (double)v->n_programs * v->m.info.chip.compile, v->m.info.chip.compile);
  for (int32_t i = 0; i < v->n_programs; i++) printf("  %-25s batch %lld\n", v->programs[i].what, (long long)v->programs[i].batch);
}

static void print_sum(const view *v) {
  const tct_forecast_info *const info = &v->m.info;
  char time[32];
  printf("\nthe step: %s, %.4g samples/s, %.4g J, %.4g USD per 1000 steps\n", print_seconds(time, info->total.seconds),
         (double)(info->batch * info->chip.chips) / info->total.seconds, info->total.joules, 1000 * info->dollars);
  print_phases(v);
  for (int32_t class = 0; class < TCT_FORECAST_CLASSES; class++)
    printf("  %-22s %5.1f %%\n", tct_forecast_class(class), 100 * info->total.by_class[class] / info->total.cycles);
  if (info->chip.chips > 1) {
    printf("  gradients' sums over %lld chips: %s on the links; energy, cost and samples are those of all chips\n",
           (long long)info->chip.chips, print_seconds(time, info->total.all_reduce / info->chip.clock));
  }
  print_programs(v);
}

static void print_line(void *user, const char *text) {
  (void)user;
  printf("    %s\n", text);
}

static void print_listing(const view *v) {
  const tct_forecast_row *row;
  puts("over PCIe, beside the step before");
  tct_forecast_listing(v->m.forecast, -1, print_line, NULL);
  for (int32_t i = 0; (row = tct_forecast_row_at(v->m.forecast, TCT_FORECAST_OPS, i)) != NULL; i++) {
    char time[32];
    printf("%s  %s  %s\n", row->name, row->op, print_seconds(time, row->cost.seconds));
    tct_forecast_listing(v->m.forecast, i, print_line, NULL);
  }
}

static int print_text(const tool_options *options, const view *v) {
  printf("%s on %s, %s, batch %lld (modelled, not measured)\n\n", v->m.job_info.name, v->m.info.device,
         v->m.info.training ? "training step" : "forward pass", (long long)v->m.info.batch);
  if (options->list) {
    print_listing(v);
  } else if (!print_longest(v)) {
    return tool_out_of_memory();
  }
  print_sum(v);
  return tool_finish();
}

/* ---- JSON, CSV ---- */

static json_t *cost_json(const tct_forecast_cost *cost) {
  json_t *const classes = json_object(), *const row = json_object();
  for (int32_t class = 0; class < TCT_FORECAST_CLASSES; class++)
    json_object_set_new(classes, tct_forecast_class(class), tool_number(cost->by_class[class]));
  json_object_set_new(row, "seconds", tool_number(cost->seconds));
  json_object_set_new(row, "cycles", tool_number(cost->cycles));
  json_object_set_new(row, "by_class", classes);
  json_object_set_new(row, "all_reduce_cycles", tool_number(cost->all_reduce));
  json_object_set_new(row, "hbm_bytes", tool_number(cost->hbm_bytes));
  json_object_set_new(row, "products_issued", tool_number(cost->macs));
  json_object_set_new(row, "joules", tool_number(cost->joules));
  return row;
}

static json_t *rows_json(const view *v, tct_forecast_by by) {
  json_t *const rows = json_array();
  const tct_forecast_row *row;
  for (int32_t i = 0; (row = tct_forecast_row_at(v->m.forecast, by, i)) != NULL; i++) {
    json_t *const object = cost_json(&row->cost);
    if (by == TCT_FORECAST_OPS) {
      json_object_set_new(object, "step", json_string(row->name));
      json_object_set_new(object, "op", json_string(row->op));
    }
    if (by != TCT_FORECAST_PHASES) json_object_set_new(object, "layer", json_string(row->layer));
    if (by != TCT_FORECAST_LAYERS) json_object_set_new(object, "phase", json_string(tct_forecast_phase_name(row->phase)));
    json_array_append_new(rows, object);
  }
  return rows;
}

static json_t *programs_json(const view *v) {
  if (v->programs == NULL) return json_null();
  json_t *const rows = json_array();
  for (int32_t i = 0; i < v->n_programs; i++)
    json_array_append_new(rows, json_pack("{s:s,s:I}", "what", v->programs[i].what, "batch", (json_int_t)v->programs[i].batch));
  return rows;
}

static void print_json(const view *v) {
  const tct_forecast_info *const info = &v->m.info;
  json_t *const object = json_object();
  json_object_set_new(object, "modelled", json_true());
  json_object_set_new(object, "device", json_string(info->device));
  json_object_set_new(object, "job", json_string(v->m.job_info.name));
  json_object_set_new(object, "training", json_boolean(info->training));
  json_object_set_new(object, "batch", json_integer(info->batch));
  json_object_set_new(object, "clock", tool_number(info->chip.clock));
  json_object_set_new(object, "steps", rows_json(v, TCT_FORECAST_OPS));
  json_object_set_new(object, "layers", rows_json(v, TCT_FORECAST_LAYERS));
  json_object_set_new(object, "phases", rows_json(v, TCT_FORECAST_PHASES));
  json_object_set_new(object, "total", cost_json(&info->total));
  json_object_set_new(object, "dollars", tool_number(info->dollars));
  json_object_set_new(object, "programs", programs_json(v));
  json_object_set_new(object, "compiling", v->programs ? tool_number((double)v->n_programs * info->chip.compile) : json_null());
  tool_print_json(object);
}

static void write_csv(const void *what, FILE *to) {
  static const char *const heads[] = {"step,op,layer,phase", "layer", "phase"};
  const view *const v = what;
  const tct_forecast_row *row;
  fprintf(to, "%s,seconds,cycles", heads[v->by]);
  for (int32_t class = 0; class < TCT_FORECAST_CLASSES; class++) {
    fputc(',', to);
    tool_print_csv_text(to, tct_forecast_class(class));
  }
  fputs(",all_reduce_cycles,hbm_bytes,products_issued,joules\n", to);
  for (int32_t i = 0; (row = row_at(v, i)) != NULL; i++) {
    const tct_forecast_cost *const c = &row->cost;
    tool_print_csv_text(to, row->name);
    if (v->by == TCT_FORECAST_OPS) {
      fprintf(to, ",%s,", row->op);
      tool_print_csv_text(to, row->layer);
      fprintf(to, ",%s", tct_forecast_phase_name(row->phase));
    }
    fprintf(to, ",%.9g,%.9g", c->seconds, c->cycles);
    for (int32_t class = 0; class < TCT_FORECAST_CLASSES; class++) fprintf(to, ",%.9g", c->by_class[class]);
    fprintf(to, ",%.9g,%.9g,%.9g,%.9g\n", c->all_reduce, c->hbm_bytes, c->macs, c->joules);
  }
}

/* ---- the timeline ---- */

typedef struct trace {
  const tct_forecast *forecast;
  FILE *to;
  tct_status *status;
} trace;

static void put(void *user, const char *text, size_t length) { (void)fwrite(text, 1, length, ((const trace *)user)->to); }

static void write_trace(const void *what, FILE *to) {
  trace t = *(const trace *)what;
  t.to = to;
  *t.status = tct_forecast_trace(t.forecast, put, &t);
  fputc('\n', to);
}

static int report(const tool_options *options, const view *v) {
  if (options->trace) {
    tct_status status = TCT_OK;
    const trace t = {.forecast = v->m.forecast, .status = &status};
    const int code = tool_write_file(options->trace, write_trace, &t);
    if (code != TOOL_OK) return code;
    if (status != TCT_OK) return tool_fail();
  }
  if (options->csv) return tool_write_file(options->csv, write_csv, v);
  if (!options->json) return print_text(options, v);
  print_json(v);
  return tool_finish();
}

static bool read_by(const char *text, tct_forecast_by *out) {
  static const char *const words[] = {"op", "layer", "phase"};
  *out = TCT_FORECAST_OPS;
  for (int i = 0; i < 3 && text; i++) {
    if (strcmp(text, words[i]) != 0) continue;
    *out = (tct_forecast_by)i;
    return true;
  }
  if (text) (void)tool_usage("sim: --by is '%s', needs op, layer or phase", text);
  return text == NULL;
}

int sim_job(const tool_options *options) {
  view v = {.programs = NULL};
  if (!read_by(options->by, &v.by)) return TOOL_USAGE;
  int code = modelled_open(options, !options->forward, &v.m);
  if (code == TOOL_OK && tct_forecast_programs(v.m.forecast, &v.programs, &v.n_programs) != TCT_OK) tct_error_clear(); /* the step is known without its data */
  if (code == TOOL_OK) code = report(options, &v);
  modelled_free(&v.m);
  return code;
}
