/* Rows from the lines of DeepBench (https://github.com/baidu-research/DeepBench, its lists of training problems as tables). */
#include "perf/bench/rows.h"

#include <stdlib.h>
#include <string.h>

static const double MOST_ELEMENTS = 64 << 20;

typedef struct reading {
  const char *only;
  double limit;
  bench_rows *rows;
} reading;

static bool grow(bench_row **row, int32_t *room) {
  const int32_t wanted = *room > 0 ? 2 * *room : 256;
  bench_row *const more = realloc(*row, (size_t)wanted * sizeof *more);
  if (more == NULL) return false;
  *row = more;
  *room = wanted;
  return true;
}

static bool add(reading *r, const bench_row *row) {
  bench_rows *const rows = r->rows;
  if (r->only != NULL && strstr(row->op, r->only) == NULL) return true;
  if (rows->n == rows->room && !grow(&rows->row, &rows->room)) return false;
  memcpy(rows->row + rows->n++, row, sizeof *row);
  return true;
}

static bool fits(reading *r, double flops, double elements) {
  const bool ok = flops <= r->limit * 1e9 && elements <= MOST_ELEMENTS;
  r->rows->n_left_out += ok ? 0 : 1;
  return ok;
}

static double greater(double a, double b) { return a > b ? a : b; }

/* m,n,k,a_trans,b_trans,flops */
static bool add_gemm(reading *r, bench_row *row, const char *rest) {
  const double *const v = row->v;
  (void)rest;
  if (!fits(r, v[5], greater(v[0], v[1]) * greater(v[2], v[0]))) return true;
  row->op = "matmul";
  (void)snprintf(row->label, sizeof row->label, "DeepBench %.0fx%.0f%s . %.0fx%.0f%s", v[0], v[2], v[3] != 0 ? "'" : "", v[2], v[1],
                 v[4] != 0 ? "'" : "");
  return add(r, row);
}

/* w,h,c,n,k,filter_w,filter_h,pad_w,pad_h,stride_w,stride_h,out_w,out_h,fwd_flops */
static bool add_conv(reading *r, bench_row *row, const char *rest) {
  static const char *const ops[] = {"conv2d", "conv2d_grad_input", "conv2d_grad_filter"};
  const double *const v = row->v;
  (void)rest;
  if (!fits(r, v[13], greater(v[0] * v[1] * v[2], v[11] * v[12] * v[4]) * v[3])) return true;
  (void)snprintf(row->label, sizeof row->label, "DeepBench %.0fx%.0fx%.0fx%.0f, %.0fx%.0f, %.0f, stride %.0f", v[3], v[1], v[0], v[2],
                 v[6], v[5], v[4], v[9]);
  for (int i = 0; i < 3; i++) {
    row->op = ops[i];
    if (!add(r, row)) return false;
  }
  return true;
}

/* hidden,batch,timesteps,cell,fwd_gemm_flops: the cell is a word, and `rest` begins with it. The flops are those of h·u alone; inputs
 * are as wide as the hidden state, so x·w takes as many again. */
static bool add_rnn(reading *r, bench_row *row, const char *rest) {
  static const struct {
    const char *cell, *ops[2];
    double gates;
  } cells[] = {{"lstm", {"lstm", "lstm_grad"}, 4}, {"gru", {"gru", "gru_grad"}, 3}};
  const double *const v = row->v;
  for (size_t c = 0; c < sizeof cells / sizeof cells[0]; c++) {
    const size_t n = strlen(cells[c].cell);
    if (strncmp(rest, cells[c].cell, n) != 0 || rest[n] != ',') continue;
    const double steps = v[1] * v[2];
    if (!fits(r, 4 * cells[c].gates * v[0] * v[0] * steps, greater(4 * v[0] * steps, cells[c].gates * v[0] * v[0]))) return true;
    (void)snprintf(row->label, sizeof row->label, "DeepBench hidden %.0f, batch %.0f, %.0f steps", v[0], v[1], v[2]);
    for (int i = 0; i < 2; i++) {
      row->op = cells[c].ops[i];
      if (!add(r, row)) return false;
    }
    return true;
  }
  r->rows->n_without++;
  return true;
}

/* The leading numbers of a line; how many. *out_rest: what stands behind them. */
static int numbers_of(const char *line, double *out, const char **out_rest) {
  int n = 0;
  const char *at = line;
  for (; n < BENCH_COLUMNS; at++) {
    char *end = NULL;
    const double value = strtod(at, &end);
    if (end == at) break;
    out[n++] = value;
    at = end;
    if (*at != ',') break;
  }
  *out_rest = at;
  return n;
}

static bool read_file(reading *r, const char *folder, const char *name, int columns, FILE *err,
                      bool (*add_row)(reading *r, bench_row *row, const char *rest)) {
  char path[1024], line[512];
  const char *rest = NULL;
  (void)snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *const file = fopen(path, "r");
  if (file == NULL) {
    (void)fprintf(err, "bench_ops: cannot open %s; --deepbench needs the folder of DeepBench's three files *_training.csv\n", path);
    return false;
  }
  bool ok = true;
  for (int number = 1; ok && fgets(line, sizeof line, file) != NULL; number++) {
    bench_row row = {.what = NULL};
    const int n = numbers_of(line, row.v, &rest);
    if (number == 1 && n == 0) continue; /* the heading */
    ok = n >= columns && row.v[0] > 0;
    if (!ok) (void)fprintf(err, "bench_ops: %s:%d: has %d numbers, needs %d\n", path, number, n, columns);
    if (ok && !add_row(r, &row, rest)) {
      (void)fprintf(err, "bench_ops: no memory for the rows\n");
      ok = false;
    }
  }
  (void)fclose(file);
  return ok;
}

bool bench_rows_read(const char *only, const char *deepbench, double limit, FILE *err, bench_rows *out) {
  *out = (bench_rows){.n = 0};
  reading r = {only, limit, out};
  for (int32_t i = 0; i < perf_n_cases; i++) {
    bench_row row = {.op = perf_cases[i].op, .what = &perf_cases[i]};
    (void)snprintf(row.label, sizeof row.label, "%s", perf_cases[i].label);
    if (!add(&r, &row)) return false;
  }
  return deepbench == NULL || (read_file(&r, deepbench, "gemm_training.csv", 6, err, add_gemm) &&
                               read_file(&r, deepbench, "conv_training.csv", BENCH_COLUMNS, err, add_conv) &&
                               read_file(&r, deepbench, "rnn_training.csv", 3, err, add_rnn));
}

void bench_rows_free(bench_rows *rows) {
  free(rows->row);
  *rows = (bench_rows){.n = 0};
}

const bench_row *bench_rows_find(const bench_rows *rows, const char *op, const char *label) {
  for (int32_t i = 0; i < rows->n; i++) {
    if (strcmp(rows->row[i].op, op) == 0 && strcmp(rows->row[i].label, label) == 0) return &rows->row[i];
  }
  return NULL;
}

void bench_row_build(const bench_row *row, tct_graph *graph) {
  int64_t d[BENCH_COLUMNS];
  if (row->what != NULL) {
    row->what->build(graph);
    return;
  }
  for (int i = 0; i < BENCH_COLUMNS; i++) d[i] = (int64_t)row->v[i];
  if (strcmp(row->op, "matmul") == 0) {
    perf_build_gemm(graph, d[0], d[1], d[2], d[3] != 0, d[4] != 0);
  } else if (strncmp(row->op, "conv2d", 6) == 0) {
    const tct_conv2d_options how = {.stride = {d[10], d[9]}, .padding = TCT_PADDING_EXPLICIT, .pad = {d[8], d[8], d[7], d[7]}};
    perf_build_conv(graph, row->op, TCT_SHAPE(d[3], d[1], d[0], d[2]), TCT_SHAPE(d[6], d[5], d[2], d[4]), &how);
  } else {
    perf_build_recurrent(graph, row->op, d[1], d[2], d[0]);
  }
}
