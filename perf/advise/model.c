/* The roofline with a weight for each class of ops, and its fit. */
#include "perf/advise/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "perf/compare/statistics.h"
#include "perf/support/json.h"

enum { ROUNDS = 60, SPREAD_ROUNDS = 200, MOST_CELLS = 4096 };
static const double PULL = 0.03;  /* of the prior: as much as a thirtieth of a cell */
static const double DONE = 1e-10; /* a round that makes the cost smaller by no greater part is the last */

static const char *const names[PERF_N_FEATURES] = {
    "matmul_flops", "matmul_bytes", "conv_flops", "conv_bytes", "conv_gradient_flops", "conv_gradient_bytes", "recurrent_flops", "recurrent_bytes", "attention_flops",
    "attention_bytes", "update_flops", "update_bytes", "pool_flops", "pool_bytes", "function_flops", "function_bytes", "rest_flops", "rest_bytes", "ops", "forks", "input",
    "conv_tiles", "conv_gradient_tiles", "attention_rows", "function_elements", "recurrent_steps"};
/* Ops at their roofline; a third of a microsecond to start one, ten to have threads at it; a tenth for a row of scores, a nanosecond for an
 * element of a function, a microsecond for a step of time. */
static const double prior[PERF_N_FEATURES] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3e-7, 1e-5, 2, 1, 1, 1e-7, 1e-9, 1e-6};
/* Whose error each is: a class's, or one of its own. */
static const int part_of[PERF_N_FEATURES] = {PERF_MATMUL, PERF_MATMUL, PERF_CONV, PERF_CONV, PERF_CONV_GRADIENT, PERF_CONV_GRADIENT, PERF_RECURRENT, PERF_RECURRENT, PERF_ATTENTION,
    PERF_ATTENTION, PERF_UPDATE, PERF_UPDATE, PERF_POOL, PERF_POOL, PERF_FUNCTION, PERF_FUNCTION, PERF_REST, PERF_REST, PERF_PART_OPS, PERF_PART_FORKS, PERF_PART_INPUT,
    PERF_CONV, PERF_CONV_GRADIENT, PERF_ATTENTION, PERF_FUNCTION, PERF_RECURRENT};

const perf_weights perf_own_weights = {
#include "perf/advise/weights.def"
};

const char *perf_part_name(int i) {
  static const char *const parts[PERF_N_PARTS] = {"matmul", "conv", "conv_gradient", "recurrent", "attention", "update", "pool", "function", "rest", "ops", "forks", "input", "all"};
  return i >= 0 && i < PERF_N_PARTS ? parts[i] : NULL;
}

const char *perf_feature_name(int i) { return i >= 0 && i < PERF_N_FEATURES ? names[i] : NULL; }

double perf_model_seconds(const perf_weights *weights, const perf_features *features) {
  double sum = 0;
  for (int j = 0; j < PERF_N_FEATURES; j++) sum += weights->w[j] * features->f[j];
  return sum;
}

/* Squares of the parts' shares of the predicted time; the last is 1. */
static void squared_shares(const perf_weights *weights, const perf_features *features, double out[PERF_N_PARTS]) {
  const double t = perf_model_seconds(weights, features);
  memset(out, 0, PERF_N_PARTS * sizeof *out);
  for (int j = 0; j < PERF_N_FEATURES; j++) out[part_of[j]] += t > 0 ? weights->w[j] * features->f[j] / t : 0;
  for (int p = 0; p < PERF_N_PARTS; p++) out[p] *= out[p];
  out[PERF_PART_ALL] = 1;
}

static double variance_of(const double spread[PERF_N_PARTS], const double shares[PERF_N_PARTS]) {
  double sum = 0;
  for (int p = 0; p < PERF_N_PARTS; p++) sum += spread[p] * shares[p];
  return sum;
}

double perf_model_factor(const perf_weights *weights, const perf_features *features) {
  double shares[PERF_N_PARTS];
  squared_shares(weights, features, shares);
  return exp(weights->quantile * sqrt(variance_of(weights->spread, shares)));
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
    int used[PERF_N_FEATURES], n_used = 0; /* a step has few of the classes */
    if (without != NULL && strcmp(cells[i].job, without) == 0) continue;
    const double t = perf_model_seconds(w, &cells[i].features), r = log(t / cells[i].seconds);
    for (int j = 0; j < PERF_N_FEATURES; j++) {
      slope[j] = w->w[j] * cells[i].features.f[j] / t;
      if (slope[j] != 0) used[n_used++] = j;
    }
    for (int u = 0; u < n_used; u++) {
      const int j = used[u];
      for (int v = 0; v <= u; v++) out->a[j][used[v]] += slope[j] * slope[used[v]];
      out->b[j] -= slope[j] * r;
    }
    cost += r * r;
  }
  for (int j = 0; j < PERF_N_FEATURES; j++) {
    for (int k = 0; k < j; k++) out->a[k][j] = out->a[j][k];
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

void perf_model_fit(const perf_cell *cells, int n, const char *without, const perf_weights *from, perf_weights *out) {
  normal m, unused;
  double damping = 1e-3;
  *out = (perf_weights){.quantile = 0};
  memcpy(out->w, from != NULL ? from->w : prior, sizeof prior);
  double cost = add_cells(cells, n, without, out, &m);
  for (int round = 0; round < ROUNDS; round++) {
    perf_weights next = *out;
    normal damped = m;
    for (int j = 0; j < PERF_N_FEATURES; j++) damped.a[j][j] *= 1 + damping;
    solve(&damped);
    for (int j = 0; j < PERF_N_FEATURES; j++) next.w[j] *= exp(fmax(-2, fmin(2, damped.b[j])));
    const double then = add_cells(cells, n, without, &next, &unused);
    if (then < cost) {
      const bool done = cost - then <= DONE * cost;
      *out = next;
      m = unused;
      cost = then;
      damping /= 3;
      if (done) break;
    } else if (then - cost <= DONE * cost) {
      break; /* as low as sums in this precision tell */
    } else {
      damping *= 4;
    }
  }
}

/* The spreads under which residuals r of variance Σ spread·share² are likeliest, as if normal: scaled by the likelihood's two parts, of
 * which one grows with a spread and the other falls, until they agree. */
static void fit_spread(const double *r, double shares[][PERF_N_PARTS], int n, double spread[PERF_N_PARTS]) {
  double mean = 0;
  for (int i = 0; i < n; i++) mean += r[i] * r[i] / n;
  for (int p = 0; p < PERF_N_PARTS; p++) spread[p] = mean;
  for (int round = 0; round < SPREAD_ROUNDS; round++) {
    double up[PERF_N_PARTS] = {0}, down[PERF_N_PARTS] = {0};
    for (int i = 0; i < n; i++) {
      const double inverse = 1 / fmax(variance_of(spread, shares[i]), 1e-12), pull = r[i] * r[i] * inverse * inverse;
      for (int p = 0; p < PERF_N_PARTS; p++) {
        up[p] += shares[i][p] * pull;
        down[p] += shares[i][p] * inverse;
      }
    }
    /* No part is taken for more exact than the mean because it was so in the jobs at hand. */
    for (int p = 0; p < PERF_N_PARTS; p++) spread[p] = fmax(spread[p] * (down[p] > 0 ? sqrt(up[p] / down[p]) : 1), p < PERF_PART_ALL ? mean : 0);
  }
}

void perf_model_calibrate(const perf_cell *cells, int n, perf_weights *out) {
  static double residual[MOST_CELLS], shares[MOST_CELLS][PERF_N_PARTS];
  perf_weights other;
  const int kept = n < MOST_CELLS ? n : MOST_CELLS;
  perf_model_fit(cells, n, NULL, NULL, out);
  for (int i = 0; i < kept; i++) {
    if (i == 0 || strcmp(cells[i].job, cells[i - 1].job) != 0) perf_model_fit(cells, n, cells[i].job, out, &other);
    residual[i] = log(perf_model_seconds(&other, &cells[i].features) / cells[i].seconds);
    squared_shares(&other, &cells[i].features, shares[i]);
  }
  fit_spread(residual, shares, kept, out->spread);
  for (int i = 0; i < kept; i++) residual[i] = fabs(residual[i]) / sqrt(fmax(variance_of(out->spread, shares[i]), 1e-12));
  perf_sort(residual, kept);
  /* The ⌈0.9·(n + 1)⌉-th of n: split conformal prediction's quantile. */
  const int at = (int)ceil(0.9 * (kept + 1)) - 1;
  out->quantile = kept > 0 ? residual[at < kept ? at : kept - 1] : 0;
}

bool perf_model_judge(const perf_cell *cells, int n, const perf_weights *own, perf_judged_fn told, void *user, perf_judged *out) {
  perf_weights w = {.quantile = 0};
  *out = (perf_judged){.n = n};
  if (n < 1 || n > MOST_CELLS) return false;
  perf_cell *const others = malloc((size_t)n * sizeof *others);
  double *const error = malloc((size_t)n * sizeof *error), *const half = malloc((size_t)n * sizeof *half);
  const bool room = others != NULL && error != NULL && half != NULL;
  if (own != NULL) w = *own;
  for (int i = 0; room && i < n; i++) {
    if (own == NULL && (i == 0 || strcmp(cells[i].job, cells[i - 1].job) != 0)) {
      int m = 0;
      for (int k = 0; k < n; k++) {
        if (strcmp(cells[k].job, cells[i].job) != 0) others[m++] = cells[k];
      }
      perf_model_calibrate(others, m, &w);
    }
    const double seconds = perf_model_seconds(&w, &cells[i].features), factor = perf_model_factor(&w, &cells[i].features);
    error[i] = fabs(seconds / cells[i].seconds - 1);
    half[i] = (factor - 1 / factor) / 2;
    out->inside += fabs(log(seconds / cells[i].seconds)) <= log(factor) ? 1 : 0;
    if (told != NULL) told(user, &cells[i], seconds, factor);
  }
  if (room) {
    perf_sort(error, n);
    perf_sort(half, n);
    out->error = perf_quantile(error, n, 0.5);
    out->half_width = perf_quantile(half, n, 0.5);
    out->narrowest = half[0];
    out->widest = half[n - 1];
  }
  free(others);
  free(error);
  free(half);
  return room;
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
