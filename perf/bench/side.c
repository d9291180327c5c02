/* A row on a device is a program of its own; its time is that of the op's step under the program's stopwatch. */
#include "perf/bench/side.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "perf/support/child.h"

static bool refuse(bench_side *side, const char *why) {
  (void)snprintf(side->why, sizeof side->why, "%s", why);
  return false;
}

tct_status bench_side_open(bench_side *side, const char *device, int32_t n_threads) {
  tct_device_info info;
  *side = (bench_side){.name = device};
  const tct_status status = tct_device_open(device, &(tct_device_options){.n_threads = n_threads}, &side->device);
  if (status == TCT_OK) {
    tct_device_describe(side->device, &info);
    side->modelled = info.time_is_modelled;
    return TCT_OK;
  }
  (void)refuse(side, tct_error_message());
  /* gpu is known, with or without its module. */
  const bool module = strncmp(device, "gpu", 3) == 0 || strncmp(device, "cuda", 4) == 0;
  return status == TCT_INVALID || (status == TCT_NOT_FOUND && !module) ? TCT_INVALID : TCT_UNAVAILABLE;
}

/* The next line without its end. */
static bool read_line(FILE *from, char *line, size_t size) {
  if (fgets(line, (int)size, from) == NULL) return false;
  line[strcspn(line, "\n")] = '\0';
  return true;
}

bool bench_side_start(bench_side *side, const char *const argv[]) {
  perf_child child;
  char line[64];
  *side = (bench_side){.name = argv[0]};
  if (!perf_child_start(argv, &child)) {
    (void)snprintf(side->why, sizeof side->why, "cannot start '%s': %s; --pair needs another build's bench_ops", argv[0], strerror(errno));
    return false;
  }
  side->pid = child.pid;
  side->to = fdopen(child.to, "w");
  side->from = fdopen(child.from, "r");
  if (side->to == NULL) (void)close(child.to);
  if (side->from == NULL) (void)close(child.from);
  if (side->to != NULL && side->from != NULL && read_line(side->from, line, sizeof line) && strcmp(line, "ready 1") == 0) return true;
  (void)snprintf(side->why, sizeof side->why, "'%s' does not answer --serve: it is no bench_ops, or of a version that cannot be paired", argv[0]);
  return false;
}

void bench_side_close(bench_side *side) {
  bench_side_drop(side);
  tct_device_close(side->device);
  if (side->to != NULL) (void)fclose(side->to);
  if (side->from != NULL) (void)fclose(side->from);
  while (side->pid > 0 && waitpid(side->pid, NULL, 0) < 0 && errno == EINTR) continue;
  side->device = NULL;
  side->to = side->from = NULL;
  side->pid = 0;
}

/* Sends a line; false: the answer was no, or none. */
static bool ask(bench_side *side, const char *request, char *line, size_t size) {
  if (fprintf(side->to, "%s\n", request) < 0 || fflush(side->to) != 0 || !read_line(side->from, line, size)) {
    return refuse(side, "the other program ended");
  }
  return strncmp(line, "no ", 3) != 0 || refuse(side, line + 3);
}

/* The program's step of the op: of several the one of the most work. */
static bool find_step(bench_side *side) {
  bool found = false;
  tct_step_info step;
  for (int32_t i = 0; tct_program_step(side->program, i, &step); i++) {
    if (strcmp(step.op, side->op) != 0 || (found && step.bytes <= side->step.bytes)) continue;
    side->step = step;
    found = true;
  }
  return found || refuse(side, "the compiled program has no step of this op");
}

bool bench_side_take(bench_side *side, const bench_row *row) {
  char line[256];
  tct_graph *graph = NULL;
  bench_side_drop(side);
  if (side->pid > 0) {
    (void)snprintf(line, sizeof line, "%s\t%s", row->op, row->label);
    return ask(side, line, line, sizeof line);
  }
  side->op = row->op;
  if (tct_graph_create(&graph) != TCT_OK) return refuse(side, tct_error_message());
  bench_row_build(row, graph);
  const bool ok = tct_compile(graph, side->device, NULL, &side->program) == TCT_OK || refuse(side, tct_error_message());
  tct_graph_free(graph);
  return ok && find_step(side);
}

bool bench_side_run(bench_side *side, double *out_seconds) {
  char line[256];
  *out_seconds = 0;
  if (side->pid > 0) {
    if (!ask(side, "run", line, sizeof line)) return false;
    *out_seconds = strtod(line, NULL);
    return true;
  }
  if (!side->modelled || side->step.seconds <= 0) {
    tct_program_profile(side->program, true);
    if (tct_program_run(side->program) != TCT_OK) return refuse(side, tct_error_message());
    if (!find_step(side)) return false;
  }
  *out_seconds = side->step.seconds;
  return true;
}

void bench_side_drop(bench_side *side) {
  tct_program_free(side->program);
  side->program = NULL;
  side->step = (tct_step_info){.seconds = 0};
}

/* A refusal in one line. */
static void answer_no(bench_side *side, FILE *out) {
  for (char *at = side->why; *at != '\0'; at++) {
    if (*at == '\n') *at = ' ';
  }
  (void)fprintf(out, "no %s\n", side->why);
}

void bench_side_serve(bench_side *side, const bench_rows *rows, FILE *in, FILE *out) {
  char line[256];
  double seconds = 0;
  (void)fprintf(out, "ready 1\n");
  (void)fflush(out);
  while (read_line(in, line, sizeof line)) {
    char *const tab = strchr(line, '\t');
    if (tab != NULL) {
      *tab = '\0';
      const bench_row *const row = bench_rows_find(rows, line, tab + 1);
      if (row == NULL) (void)fprintf(out, "no that build has no such row\n");
      else if (bench_side_take(side, row)) (void)fprintf(out, "ok\n");
      else answer_no(side, out);
    } else if (side->program == NULL) {
      (void)fprintf(out, "no no row is taken\n");
    } else if (bench_side_run(side, &seconds)) {
      (void)fprintf(out, "%.17g\n", seconds);
    } else {
      answer_no(side, out);
    }
    (void)fflush(out);
  }
}
