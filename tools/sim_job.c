/* tercet sim JOB: a job's step on a simulated TPU, op by op: where the time goes, the instructions, a timeline. Nothing is run. */
#include "modelled.h"
#include "sim.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_ROWS = 20 };

/* "210 us" */
static const char *print_seconds(char text[32], double seconds) {
  const bool micro = seconds < 1e-3, milli = seconds < 1;
  (void)snprintf(text, 32, "%.4g %s", seconds * (micro ? 1e6 : milli ? 1e3 : 1), micro ? "us" : milli ? "ms" : "s");
  return text;
}

static int longer(const void *a, const void *b) {
  const modelled_step *const x = *(const modelled_step *const *)a, *const y = *(const modelled_step *const *)b;
  return x->cycles < y->cycles ? 1 : x->cycles > y->cycles ? -1 : x < y ? -1 : 1;
}

static void print_row(const modelled *m, const modelled_step *s) {
  char time[32];
  printf("%-34.34s %-20.20s %10s %5.1f %% %5.1f %%  %s\n", s->info.name, s->info.op, print_seconds(time, s->seconds),
         100 * s->cycles / m->sum.cycles, s->cycles > 0 ? 100 * s->of[0] / s->cycles : 0, modelled_class[modelled_bound(s)]);
}

/* The steps that take longest. */
static bool print_longest(const modelled *m) {
  const modelled_step **const order = malloc(((size_t)m->n + 1) * sizeof *order);
  if (order == NULL) return false;
  for (int32_t i = 0; i < m->n; i++) order[i] = &m->step[i];
  qsort(order, (size_t)m->n, sizeof *order, longer);
  const int32_t rows = m->n < MOST_ROWS ? m->n : MOST_ROWS;
  printf("%-34s %-20s %10s %7s %7s  %s\n", "step", "op", "time", "share", "useful", "most cycles");
  for (int32_t i = 0; i < rows; i++) print_row(m, order[i]);
  if (rows < m->n) printf("… and %d shorter ones\n", (int)(m->n - rows));
  free(order);
  return true;
}

static void print_phases(const modelled *m) {
  modelled_step sum[MODELLED_PHASES] = {{.seconds = 0}};
  for (int32_t i = 0; i < m->n; i++) {
    sum[m->step[i].phase].seconds += m->step[i].seconds;
    sum[m->step[i].phase].of[0] += m->step[i].of[0];
    sum[m->step[i].phase].cycles += m->step[i].cycles;
  }
  for (int p = 0; p < MODELLED_PHASES; p++) {
    char time[32];
    if (sum[p].cycles > 0)
      printf("  %-22s %5.1f %%  %s\n", modelled_phase_name[p], 100 * sum[p].cycles / m->sum.cycles, print_seconds(time, sum[p].seconds));
  }
}

static void print_sum(const modelled *m) {
  char time[32];
  printf("\nthe step: %s, %.4g samples/s, %.4g J, %.4g USD per 1000 steps\n", print_seconds(time, m->sum.seconds),
         (double)(m->batch * m->chip.chips) / m->sum.seconds, m->sum.joules,
         (double)m->chip.chips * m->chip.price * m->sum.seconds / 3.6);
  print_phases(m);
  for (int class = 0; class < MODELLED_CLASSES; class++)
    printf("  %-22s %5.1f %%\n", modelled_class[class], 100 * m->sum.of[class] / m->sum.cycles);
  if (m->chip.chips > 1) {
    printf("  gradients' sums over %lld chips: %s on the links; energy, cost and samples are those of all chips\n",
           (long long)m->chip.chips, print_seconds(time, m->sum.all_reduce / m->chip.clock));
  }
}

static void print_line(void *user, const char *text) {
  (void)user;
  printf("    %s\n", text);
}

static void print_listing(const modelled *m) {
  for (int32_t i = 0; i < m->n; i++) {
    char time[32];
    printf("%s  %s  %s\n", m->step[i].info.name, m->step[i].info.op, print_seconds(time, m->step[i].seconds));
    tct_program_step_listing(m->program, i, print_line, NULL);
  }
}

static json_t *step_json(const modelled_step *s) {
  json_t *const classes = json_object(), *const row = json_object();
  for (int class = 0; class < MODELLED_CLASSES; class++) json_object_set_new(classes, modelled_class[class], tool_number(s->of[class]));
  if (s->info.name != NULL) {
    json_object_set_new(row, "step", json_string(s->info.name));
    json_object_set_new(row, "op", json_string(s->info.op));
    json_object_set_new(row, "layer", json_string(s->layer));
    json_object_set_new(row, "phase", json_string(modelled_phase_name[s->phase]));
  }
  json_object_set_new(row, "seconds", tool_number(s->seconds));
  json_object_set_new(row, "cycles", tool_number(s->cycles));
  json_object_set_new(row, "by_class", classes);
  json_object_set_new(row, "all_reduce_cycles", tool_number(s->all_reduce));
  json_object_set_new(row, "hbm_bytes", tool_number(s->bytes));
  json_object_set_new(row, "products_issued", tool_number(s->macs));
  json_object_set_new(row, "joules", tool_number(s->joules));
  return row;
}

static void print_json(const modelled *m, bool training) {
  json_t *const object = json_object(), *const rows = json_array();
  json_object_set_new(object, "modelled", json_true());
  json_object_set_new(object, "device", json_string(m->device));
  json_object_set_new(object, "job", json_string(m->info.name));
  json_object_set_new(object, "training", json_boolean(training));
  json_object_set_new(object, "batch", json_integer(m->batch));
  json_object_set_new(object, "clock", tool_number(m->chip.clock));
  for (int32_t i = 0; i < m->n; i++) json_array_append_new(rows, step_json(&m->step[i]));
  json_object_set_new(object, "steps", rows);
  json_object_set_new(object, "total", step_json(&m->sum));
  tool_print_json(object);
}

static void write_csv(const void *what, FILE *to) {
  const modelled *const m = what;
  fputs("step,op,layer,phase,seconds,cycles", to);
  for (int class = 0; class < MODELLED_CLASSES; class++) {
    fputc(',', to);
    tool_print_csv_text(to, modelled_class[class]);
  }
  fputs(",all_reduce_cycles,hbm_bytes,products_issued,joules\n", to);
  for (int32_t i = 0; i < m->n; i++) {
    const modelled_step *const s = &m->step[i];
    tool_print_csv_text(to, s->info.name);
    fprintf(to, ",%s,", s->info.op);
    tool_print_csv_text(to, s->layer);
    fprintf(to, ",%s,%.9g,%.9g", modelled_phase_name[s->phase], s->seconds, s->cycles);
    for (int class = 0; class < MODELLED_CLASSES; class++) fprintf(to, ",%.9g", s->of[class]);
    fprintf(to, ",%.9g,%.9g,%.9g,%.9g\n", s->all_reduce, s->bytes, s->macs, s->joules);
  }
}

/* Chrome's trace format: one row of the ops, one of their classes. Open it in chrome://tracing or ui.perfetto.dev. */
static void write_trace(const void *what, FILE *to) {
  const modelled *const m = what;
  json_t *const events = json_array(), *const object = json_object();
  double now = 0;
  for (int32_t i = 0; i < m->n; i++) {
    const modelled_step *const s = &m->step[i];
    const double us = s->seconds * 1e6;
    json_array_append_new(events, json_pack("{s:s,s:s,s:s,s:f,s:f,s:i,s:i}", "name", s->info.name, "cat", modelled_phase_name[s->phase],
                                            "ph", "X", "ts", now, "dur", us, "pid", 1, "tid", 1));
    double at = now;
    for (int class = 0; class < MODELLED_CLASSES; class++) {
      const double took = s->cycles > 0 ? us * s->of[class] / s->cycles : 0;
      if (took > 0)
        json_array_append_new(events, json_pack("{s:s,s:s,s:s,s:f,s:f,s:i,s:i}", "name", modelled_class[class], "cat", "class", "ph", "X",
                                                "ts", at, "dur", took, "pid", 1, "tid", 2));
      at += took;
    }
    now += us;
  }
  static const char *const rows[] = {"ops", "classes of cycles"};
  for (int r = 0; r < 2; r++)
    json_array_append_new(events, json_pack("{s:s,s:s,s:i,s:i,s:{s:s}}", "name", "thread_name", "ph", "M", "pid", 1, "tid", r + 1, "args",
                                            "name", rows[r]));
  json_object_set_new(object, "traceEvents", events);
  json_object_set_new(object, "otherData", json_pack("{s:s,s:s}", "modelled on", m->device, "job", m->info.name));
  (void)json_dumpf(object, to, JSON_COMPACT);
  fputc('\n', to);
  json_decref(object);
}

static int report(const tool_options *options, const modelled *m, bool training) {
  if (options->trace) {
    const int code = tool_write_file(options->trace, write_trace, m);
    if (code != TOOL_OK) return code;
  }
  if (options->csv) return tool_write_file(options->csv, write_csv, m);
  if (options->json) {
    print_json(m, training);
    return tool_finish();
  }
  printf("%s on %s, %s, batch %lld (modelled, not measured)\n\n", m->info.name, m->device, training ? "training step" : "forward pass",
         (long long)m->batch);
  if (options->list) {
    print_listing(m);
  } else if (!print_longest(m)) {
    return tool_out_of_memory();
  }
  print_sum(m);
  return tool_finish();
}

int sim_job(const tool_options *options) {
  modelled m;
  int code = modelled_open(options, !options->forward, &m);
  if (code == TOOL_OK) code = report(options, &m, !options->forward);
  modelled_free(&m);
  return code;
}
