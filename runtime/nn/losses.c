/* Losses: rows of name, kind of target and formula. */
#include "nn/losses.h"

#include <string.h>
#include "base/status.h"
#include "base/text.h"

static tct_tensor mean_last(tct_tensor x) { return tct_reduce_mean(x, (int32_t[]){-1}, 1, false); }

static tct_tensor sparse_categorical(tct_tensor logits, tct_tensor labels, const tct_loss_settings *s) {
  return tct_sparse_softmax_cross_entropy(logits, labels, s->label_smoothing);
}

static tct_tensor categorical(tct_tensor logits, tct_tensor targets, const tct_loss_settings *s) {
  return tct_softmax_cross_entropy(logits, targets, s->label_smoothing);
}

/* Smoothing moves targets towards 1/2, as in Keras: t·(1 − s) + s/2. */
static tct_tensor binary(tct_tensor logits, tct_tensor targets, const tct_loss_settings *s) {
  if (s->label_smoothing != 0) targets = tct_scale(targets, 1 - s->label_smoothing, s->label_smoothing / 2);
  return mean_last(tct_sigmoid_cross_entropy(logits, targets));
}

static tct_tensor mean_squared(tct_tensor output, tct_tensor targets, const tct_loss_settings *s) {
  (void)s;
  return mean_last(tct_square(tct_sub(output, targets)));
}

static tct_tensor mean_absolute(tct_tensor output, tct_tensor targets, const tct_loss_settings *s) {
  (void)s;
  return mean_last(tct_abs(tct_sub(output, targets)));
}

/* |e| <= δ ? e²/2 : δ|e| − δ²/2 (Huber, 1964), as e²/2 − max(|e| − δ, 0)²/2. */
static tct_tensor huber(tct_tensor output, tct_tensor targets, const tct_loss_settings *s) {
  const double delta = s->huber_delta != 0 ? s->huber_delta : 1;
  const tct_tensor e = tct_sub(output, targets);
  const tct_tensor beyond = tct_relu(tct_scale(tct_abs(e), 1, -delta));
  return mean_last(tct_scale(tct_sub(tct_square(e), tct_square(beyond)), 0.5, 0));
}

/* Keras takes targets of only 0 and 1 as −1 and 1; what a batch holds decides, each time it runs. */
static tct_tensor signs_of(tct_tensor targets) {
  const tct_dtype dtype = tct_tensor_dtype(targets);
  if (!tct_tensor_ok(targets)) return targets;
  const tct_tensor zero = tct_scalar(targets.graph, dtype, 0), one = tct_scalar(targets.graph, dtype, 1);
  const tct_tensor binary_one = tct_logical_or(tct_equal(targets, zero), tct_equal(targets, one));
  const tct_tensor all = tct_reduce_min(tct_cast(binary_one, dtype), NULL, 0, false);
  return tct_select(tct_equal(all, one), tct_scale(targets, 2, -1), targets);
}

/* max(1 − t·y, 0) */
static tct_tensor margins(tct_tensor output, tct_tensor targets) {
  return tct_relu(tct_scale(tct_mul(signs_of(targets), output), -1, 1));
}

static tct_tensor hinge(tct_tensor output, tct_tensor targets, const tct_loss_settings *s) {
  (void)s;
  return mean_last(margins(output, targets));
}

static tct_tensor squared_hinge(tct_tensor output, tct_tensor targets, const tct_loss_settings *s) {
  (void)s;
  return mean_last(tct_square(margins(output, targets)));
}

/* max(1 + max((1 − t)·y) − Σ t·y, 0) */
static tct_tensor categorical_hinge(tct_tensor output, tct_tensor targets, const tct_loss_settings *s) {
  static const int32_t last = -1;
  (void)s;
  const tct_tensor right = tct_reduce_sum(tct_mul(targets, output), &last, 1, false);
  const tct_tensor wrong = tct_reduce_max(tct_mul(tct_scale(targets, -1, 1), output), &last, 1, false);
  return tct_relu(tct_scale(tct_sub(wrong, right), 1, 1));
}

/* Σ t·ln(t/p) with t and p clipped to [ε, 1], ε = 1e-7 (Keras) */
static tct_tensor kl_divergence(tct_tensor output, tct_tensor targets, const tct_loss_settings *s) {
  static const int32_t last = -1;
  (void)s;
  const tct_tensor t = tct_clip(targets, 1e-7, 1), p = tct_clip(output, 1e-7, 1);
  return tct_reduce_sum(tct_mul(t, tct_sub(tct_log(t), tct_log(p))), &last, 1, false);
}

static const tct_loss_type rows[] = {
    {"sparse_categorical_crossentropy", "sparse_categorical_crossentropy", TCT_TARGET_CLASS, true, "softmax",
     sparse_categorical},
    {"categorical_crossentropy", "categorical_crossentropy", TCT_TARGET_DENSE, true, "softmax", categorical},
    {"binary_crossentropy", "bce", TCT_TARGET_DENSE, true, "sigmoid", binary},
    {"mean_squared_error", "mse", TCT_TARGET_DENSE, false, NULL, mean_squared},
    {"mean_absolute_error", "mae", TCT_TARGET_DENSE, false, NULL, mean_absolute},
    {"huber", "huber_loss", TCT_TARGET_DENSE, false, NULL, huber},
    {"hinge", "hinge", TCT_TARGET_DENSE, false, NULL, hinge},
    {"squared_hinge", "squared_hinge", TCT_TARGET_DENSE, false, NULL, squared_hinge},
    {"categorical_hinge", "categorical_hinge", TCT_TARGET_DENSE, false, NULL, categorical_hinge},
    {"kl_divergence", "kld", TCT_TARGET_DENSE, false, NULL, kl_divergence},
};

const tct_loss_type *tct_loss_find(const char *name) {
  const char *names[TCT_COUNT_OF(rows)];
  if (name == NULL) {
    (void)tct_fail(TCT_E_UNKNOWN_LOSS,
                   "a loss is required; sparse_categorical_crossentropy for classes, mse for numbers");
    return NULL;
  }
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    names[i] = rows[i].name;
    if (strcmp(rows[i].name, name) == 0 || strcmp(rows[i].alias, name) == 0) return &rows[i];
  }
  const char *near = tct_nearest(name, names, TCT_COUNT_OF(rows));
  (void)tct_fail(TCT_E_UNKNOWN_LOSS, "unknown loss '%s'%s%s%s", name, TCT_DID_YOU_MEAN(near));
  return NULL;
}
