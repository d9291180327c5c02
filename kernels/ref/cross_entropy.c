/* Cross-entropy on logits: loss = Σ_c t_c·(ln Σ e^x - x_c) for each row of C classes, where the targets t are those
 * given, or 1 at the label, after smoothing: t ← (1 - s)·t + s/C (Szegedy et al., 2016). */
#include <math.h>

#include "kernels/ref/layout.h"
#include "kernels/ref/ref.h"

/* One row of targets: dense ones, or a label. */
typedef struct targets {
  const double *dense; /* [C], or NULL */
  double label;
  double smoothing;
  int64_t n; /* C */
} targets;

static double target_of(const targets *t, int64_t c) {
  const double given = t->dense != NULL ? t->dense[c] : t->label == (double)c ? 1.0 : 0.0;
  return (1.0 - t->smoothing) * given + t->smoothing / (double)t->n;
}

/* A label that names no class makes the loss and its gradient NaN: wrong data must show. */
static bool is_valid(const targets *t) {
  return t->dense != NULL || (t->label >= 0.0 && t->label < (double)t->n);
}

static double log_sum_exp(const double *x, int64_t n) {
  double most = -INFINITY, sum = 0.0;
  for (int64_t c = 0; c < n; c++) most = x[c] > most ? x[c] : most;
  for (int64_t c = 0; c < n; c++) sum += exp(x[c] - most);
  /* cppcheck-suppress invalidFunctionArg ; of no classes: -∞ */
  return most + log(sum);
}

/* Classes with target 0 take no part, even where their logit is -∞. */
static double row_loss(const double *x, const targets *t) {
  if (!is_valid(t)) return NAN;
  const double total = log_sum_exp(x, t->n);
  double loss = 0.0;
  for (int64_t c = 0; c < t->n; c++)
    if (target_of(t, c) != 0.0) loss += target_of(t, c) * (total - x[c]);
  return loss;
}

/* dx_c = dloss·(softmax(x)_c·Σt - t_c); Σt is 1 where the targets are probabilities */
static void row_grad(const double *x, const targets *t, double dloss, double *dx) {
  const double total = log_sum_exp(x, t->n);
  double sum = 0.0;
  for (int64_t c = 0; c < t->n; c++) sum += target_of(t, c);
  for (int64_t c = 0; c < t->n; c++) dx[c] = is_valid(t) ? dloss * (exp(x[c] - total) * sum - target_of(t, c)) : NAN;
}

/* The targets of row i, from the second input. */
static targets targets_of(const tct_ref_args *args, bool sparse, int64_t n, int64_t i) {
  const tct_cross_entropy_attrs *attrs = args->attrs;
  const double *given = args->in[1].data;
  return (targets){.dense = sparse ? NULL : given + i * n,
                   .label = sparse ? given[i] : 0.0,
                   .smoothing = attrs->label_smoothing,
                   .n = n};
}

static void loss(const tct_ref_args *args, bool sparse) {
  const tct_shape *shape = &args->in[0].shape;
  const int64_t n_rows = tct_ref_extent(shape, 0, shape->rank - 1), n = shape->dim[shape->rank - 1];
  for (int64_t i = 0; i < n_rows; i++) {
    const targets t = targets_of(args, sparse, n, i);
    args->out[0].data[i] = row_loss(args->in[0].data + i * n, &t);
  }
}

static void loss_grad(const tct_ref_args *args, bool sparse) {
  const tct_shape *shape = &args->in[0].shape;
  const int64_t n_rows = tct_ref_extent(shape, 0, shape->rank - 1), n = shape->dim[shape->rank - 1];
  for (int64_t i = 0; i < n_rows; i++) {
    const targets t = targets_of(args, sparse, n, i);
    row_grad(args->in[0].data + i * n, &t, args->in[2].data[i], args->out[0].data + i * n);
  }
}

/* (logits [..,C], labels [..]) → [..] */
void tct_ref_sparse_softmax_cross_entropy(const tct_ref_args *args) {
  loss(args, true);
}
/* (logits [..,C], labels [..], dloss [..]) → dlogits [..,C] */
void tct_ref_sparse_softmax_cross_entropy_grad(const tct_ref_args *args) {
  loss_grad(args, true);
}
/* (logits [..,C], targets [..,C]) → [..] */
void tct_ref_softmax_cross_entropy(const tct_ref_args *args) {
  loss(args, false);
}
/* (logits [..,C], targets [..,C], dloss [..]) → dlogits [..,C] */
void tct_ref_softmax_cross_entropy_grad(const tct_ref_args *args) {
  loss_grad(args, false);
}
