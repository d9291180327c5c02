/* The roofline with a weight for each class of ops, and its fit. */
#include "perf/advise/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/backend.h>
#include "perf/compare/statistics.h"
#include "perf/support/json.h"

enum { LANES = 16, FITS_CACHE = 32 << 20, ROUNDS = 60, MOST_CELLS = 4096 };
static const double PULL = 0.03;       /* of the prior: as much as a thirtieth of a cell */
static const double WORTH_SHARING = 1e-4; /* seconds of an op on one thread, from which on it is taken to run on several */
static const double STAYS = 4;         /* a step that moves at most so many times what the threads' own caches hold leaves its variables there */

static const char *const names[PERF_N_FEATURES] = {
    "matmul_flops", "matmul_bytes", "conv_flops",   "conv_bytes",   "conv_gradient_flops", "conv_gradient_bytes", "recurrent_flops",
    "recurrent_bytes", "attention_flops", "attention_bytes", "update_flops", "update_bytes", "pool_flops", "pool_bytes",
    "function_flops", "function_bytes", "rest_flops", "rest_bytes", "ops", "forks", "input"};
/* Ops at their roofline; a third of a microsecond to start one, ten to have threads at it. */
static const double prior[PERF_N_FEATURES] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3e-7, 1e-5, 2};

const perf_weights perf_own_weights = {
#include "perf/advise/weights.def"
};

const char *perf_feature_name(int i) { return i >= 0 && i < PERF_N_FEATURES ? names[i] : NULL; }

static bool contains(const char *text, const char *part) { return strstr(text, part) != NULL; }

/* Several steps of arithmetic for each element, exp among them, or several passes. */
static bool is_function(const char *op) {
  static const char *const all[] = {"tanh", "sigmoid", "gelu", "softmax", "layer_norm", "batch_norm", "chain", "dropout"};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
    const size_t n = strlen(all[i]);
    if (strncmp(op, all[i], n) == 0 && (op[n] == '\0' || strcmp(op + n, "_grad") == 0)) return true;
  }
  return false;
}

static perf_class class_of(const char *op) {
  if (contains(op, "lstm") || contains(op, "gru")) return PERF_RECURRENT;
  if (contains(op, "attention")) return PERF_ATTENTION;
  if (contains(op, "_update")) return PERF_UPDATE;
  if (contains(op, "conv")) return contains(op, "grad") ? PERF_CONV_GRADIENT : PERF_CONV;
  if (contains(op, "matmul")) return PERF_MATMUL;
  return contains(op, "pool") ? PERF_POOL : is_function(op) ? PERF_FUNCTION : PERF_REST;
}

/* By how much the vectors of a product's kernel are longer than what they hold. */
static double padding_of(perf_class c, const tct_node_view *node) {
  const tct_shape *shape = NULL;
  int from_end = 1;
  if (c == PERF_MATMUL || c == PERF_CONV || c == PERF_CONV_GRADIENT) shape = &node->out[0].shape;
  if (c == PERF_ATTENTION && node->n_in > 1) {
    shape = &node->in[1].shape; /* [B,S,H,D] */
    from_end = 3;
  }
  if (shape == NULL || shape->rank < from_end) return 1;
  const double extent = (double)shape->dim[shape->rank - from_end];
  return extent > 0 ? LANES * ceil(extent / LANES) / extent : 1;
}

/* Seconds to move the op's bytes; `reach`: how much lies between two uses of them. */
static double seconds_of_bytes(const perf_peaks *p, double bytes, double reach) {
  if (reach <= p->near_size && p->near_bytes > 0) return bytes / p->near_bytes;
  return bytes / (reach <= FITS_CACHE && p->cache_bytes > 0 ? p->cache_bytes : p->bytes);
}

void perf_features_of(const tct_program *program, const perf_peaks *one, const perf_peaks *all, double input_bytes, perf_features *out) {
  tct_step_info step;
  double moved = 0;
  *out = (perf_features){{0}};
  for (int32_t i = 0; tct_program_step(program, i, &step); i++) moved += step.bytes;
  for (int32_t i = 0; tct_program_step(program, i, &step); i++) {
    const perf_class c = class_of(step.op);
    const double flops = step.flops * padding_of(c, step.node), reach = c == PERF_UPDATE ? fmax(step.bytes, moved / STAYS) : step.bytes;
    const bool shared = all != one && fmax(flops / one->flops, seconds_of_bytes(one, step.bytes, reach)) >= WORTH_SHARING;
    const perf_peaks *const p = shared ? all : one;
    out->f[2 * c] += flops / p->flops;
    out->f[2 * c + 1] += seconds_of_bytes(p, step.bytes, reach);
    out->f[PERF_OPS] += 1;
    out->f[PERF_FORKS] += shared ? 1 : 0;
  }
  out->f[PERF_INPUT] = input_bytes / one->bytes;
}

double perf_model_seconds(const perf_weights *weights, const perf_features *features) {
  double sum = 0;
  for (int j = 0; j < PERF_N_FEATURES; j++) sum += weights->w[j] * features->f[j];
  return sum;
}

/* ---- the fit: Gauss–Newton on the logarithms of the weights, damped ---- */

typedef struct normal {
  double a[PERF_N_FEATURES][PERF_N_FEATURES], b[PERF_N_FEATURES];
} normal;

static double add_cells(const perf_cell *cells, int n, const char *without, const perf_weights *w, normal *out) {
  double cost = 0;
  *out = (normal){{{0}}, {0}};
  for (int i = 0; i < n; i++) {
    double slope[PERF_N_FEATURES];
    if (without != NULL && strcmp(cells[i].job, without) == 0) continue;
    const double t = perf_model_seconds(w, &cells[i].features), r = log(t / cells[i].seconds);
    for (int j = 0; j < PERF_N_FEATURES; j++) slope[j] = w->w[j] * cells[i].features.f[j] / t;
    for (int j = 0; j < PERF_N_FEATURES; j++) {
      for (int k = 0; k < PERF_N_FEATURES; k++) out->a[j][k] += slope[j] * slope[k];
      out->b[j] -= slope[j] * r;
    }
    cost += r * r;
  }
  for (int j = 0; j < PERF_N_FEATURES; j++) {
    const double r = log(w->w[j] / prior[j]);
    out->a[j][j] += PULL;
    out->b[j] -= PULL * r;
    cost += PULL * r * r;
  }
  return cost;
}

/* a·x = b by Gauss' elimination with pivots; b becomes x. */
static void solve(normal *m) {
  for (int c = 0; c < PERF_N_FEATURES; c++) {
    int pivot = c;
    for (int r = c + 1; r < PERF_N_FEATURES; r++) {
      if (fabs(m->a[r][c]) > fabs(m->a[pivot][c])) pivot = r;
    }
    for (int k = 0; k < PERF_N_FEATURES; k++) {
      const double swap = m->a[c][k];
      m->a[c][k] = m->a[pivot][k];
      m->a[pivot][k] = swap;
    }
    const double swap = m->b[c];
    m->b[c] = m->b[pivot];
    m->b[pivot] = swap;
    for (int r = c + 1; r < PERF_N_FEATURES; r++) {
      const double factor = m->a[r][c] / m->a[c][c];
      for (int k = c; k < PERF_N_FEATURES; k++) m->a[r][k] -= factor * m->a[c][k];
      m->b[r] -= factor * m->b[c];
    }
  }
  for (int r = PERF_N_FEATURES - 1; r >= 0; r--) {
    for (int k = r + 1; k < PERF_N_FEATURES; k++) m->b[r] -= m->a[r][k] * m->b[k];
    m->b[r] /= m->a[r][r];
  }
}

void perf_model_fit(const perf_cell *cells, int n, const char *without, perf_weights *out) {
  normal m, unused;
  double damping = 1e-3;
  *out = (perf_weights){.factor = 0};
  memcpy(out->w, prior, sizeof prior);
  double cost = add_cells(cells, n, without, out, &m);
  for (int round = 0; round < ROUNDS; round++) {
    perf_weights next = *out;
    normal damped = m;
    for (int j = 0; j < PERF_N_FEATURES; j++) damped.a[j][j] *= 1 + damping;
    solve(&damped);
    for (int j = 0; j < PERF_N_FEATURES; j++) next.w[j] *= exp(fmax(-2, fmin(2, damped.b[j])));
    const double then = add_cells(cells, n, without, &next, &unused);
    if (then < cost) {
      *out = next;
      m = unused;
      cost = then;
      damping /= 3;
    } else {
      damping *= 4;
    }
  }
}

void perf_model_calibrate(const perf_cell *cells, int n, perf_weights *out) {
  static double residual[MOST_CELLS];
  perf_weights other;
  int kept = 0;
  for (int i = 0; i < n && i < MOST_CELLS; i++) {
    if (i == 0 || strcmp(cells[i].job, cells[i - 1].job) != 0) perf_model_fit(cells, n, cells[i].job, &other);
    residual[kept++] = fabs(log(perf_model_seconds(&other, &cells[i].features) / cells[i].seconds));
  }
  perf_model_fit(cells, n, NULL, out);
  perf_sort(residual, kept);
  /* The ⌈0.9·(n + 1)⌉-th of n: split conformal prediction's quantile. */
  const int at = (int)ceil(0.9 * (kept + 1)) - 1;
  out->factor = kept > 0 ? exp(residual[at < kept ? at : kept - 1]) : 0;
}

bool perf_cells_read(const char *path, perf_cell **out, int *out_n) {
  json_error_t error;
  json_t *const object = json_load_file(path, 0, &error), *const rows = json_object_get(object, "cells");
  const size_t n = json_array_size(rows);
  *out = n > 0 && n <= MOST_CELLS ? calloc(n, sizeof **out) : NULL;
  *out_n = 0;
  for (size_t i = 0; *out != NULL && i < n; i++) {
    const json_t *const row = json_array_get(rows, i), *const features = json_object_get(row, "features");
    perf_cell *const cell = &(*out)[*out_n];
    (void)snprintf(cell->job, sizeof cell->job, "%s", perf_get_text(row, "job"));
    cell->batch = (int64_t)perf_get_number(row, "batch");
    cell->threads = (int32_t)perf_get_number(row, "threads");
    cell->seconds = perf_get_number(row, "seconds");
    bool whole = cell->seconds > 0;
    for (int j = 0; j < PERF_N_FEATURES; j++) {
      cell->features.f[j] = perf_get_number(features, names[j]);
      whole = whole && cell->features.f[j] >= 0;
    }
    *out_n += whole ? 1 : 0;
  }
  json_decref(object);
  return *out_n > 0;
}
