/* The metrics' sums and formulas. */
#include "train/metrics.h"

#include <stdio.h>
#include <string.h>
#include "base/status.h"
#include "base/text.h"

static tct_tensor sum_all(tct_tensor x) { return tct_reduce_sum(x, NULL, 0, false); }
static tct_tensor count_true(tct_tensor condition, tct_tensor like) {
  return sum_all(tct_cast(condition, tct_tensor_dtype(like)));
}

/* Class ids of the target: itself, or the largest of a dense one. */
static tct_tensor true_class(const tct_metric_inputs *in) {
  return in->loss->target == TCT_TARGET_CLASS ? in->target : tct_argmax(in->target, -1, false);
}

bool tct_metrics_binary(const tct_loss_type *loss) { return strcmp(loss->name, "binary_crossentropy") == 0; }

static void accuracy(const tct_metric_inputs *in, tct_tensor *out_sums) {
  if (tct_metrics_binary(in->loss)) {
    const tct_dtype dtype = tct_tensor_dtype(in->logits);
    const tct_tensor zero = tct_scalar(in->logits.graph, dtype, 0), half = tct_scalar(in->logits.graph, dtype, 0.5);
    const tct_tensor says = tct_cast(tct_greater(in->logits, zero), TCT_I32);
    out_sums[0] = count_true(tct_equal(says, tct_cast(tct_greater(in->target, half), TCT_I32)), in->logits);
    return;
  }
  out_sums[0] = count_true(tct_equal(tct_argmax(in->logits, -1, false), true_class(in)), in->logits);
}

/* A hit: fewer than k logits are larger than the true class's. */
static void top_k(const tct_metric_inputs *in, tct_tensor *out_sums) {
  const tct_shape shape = tct_tensor_shape(in->logits);
  const tct_dtype dtype = tct_tensor_dtype(in->logits);
  const int64_t classes = shape.rank > 0 ? shape.dim[shape.rank - 1] : 0;
  const tct_tensor hot = tct_one_hot(true_class(in), classes, 1, 0, dtype);
  const tct_tensor own = tct_reduce_sum(tct_mul(hot, in->logits), (int32_t[]){-1}, 1, true);
  const tct_tensor larger = tct_cast(tct_greater(in->logits, own), dtype);
  const tct_tensor rank = tct_reduce_sum(larger, (int32_t[]){-1}, 1, false);
  out_sums[0] = count_true(tct_less(rank, tct_scalar(in->logits.graph, dtype, (double)in->k)), in->logits);
}

static tct_tensor error_of(const tct_metric_inputs *in) {
  const tct_tensor target = in->loss->target == TCT_TARGET_CLASS
                                ? tct_one_hot(in->target, tct_tensor_shape(in->output).dim[tct_tensor_shape(in->output).rank - 1],
                                              1, 0, tct_tensor_dtype(in->output))
                                : in->target;
  return tct_sub(in->output, target);
}

static void mse(const tct_metric_inputs *in, tct_tensor *out_sums) { out_sums[0] = sum_all(tct_square(error_of(in))); }
static void mae(const tct_metric_inputs *in, tct_tensor *out_sums) { out_sums[0] = sum_all(tct_abs(error_of(in))); }

static void r2(const tct_metric_inputs *in, tct_tensor *out_sums) {
  out_sums[0] = sum_all(tct_square(error_of(in)));
  out_sums[1] = sum_all(in->target);
  out_sums[2] = sum_all(tct_square(tct_sub(in->target, tct_reduce_mean(in->target, NULL, 0, false))));
}

/* At the threshold ½ of the probability: true positives, what was said, what is. */
static void positives(const tct_metric_inputs *in, tct_tensor *out_sums) {
  const tct_dtype dtype = tct_tensor_dtype(in->logits);
  const tct_tensor said = tct_greater(in->logits, tct_scalar(in->logits.graph, dtype, 0));
  const tct_tensor are = tct_greater(in->target, tct_scalar(in->logits.graph, dtype, 0.5));
  out_sums[0] = count_true(tct_logical_and(said, are), in->logits);
  out_sums[1] = count_true(said, in->logits);
  out_sums[2] = count_true(are, in->logits);
}

static double finish_mean(const double *sums, double count) { return count > 0 ? sums[0] / count : 0; }

/* Squares of a far-off target cancel in f32, so the device sums (y − its batch's mean)², and Σy² is put together here, in
 * double: Σ(y − m)² + (Σy)²/n. */
static void fold_r2(double *sums, double count) { sums[2] += sums[1] * sums[1] / count; }

/* 1 − Σe²/Σ(y − ȳ)²; 0 when the target never varies. */
static double finish_r2(const double *sums, double count) {
  const double spread = count > 0 ? sums[2] - sums[1] * sums[1] / count : 0;
  return spread > 1e-14 * sums[2] ? 1 - sums[0] / spread : 0;
}

/* True positives of those that were said, or are; 0 when there is none (scikit-learn's zero_division = 0). */
static double finish_precision(const double *sums, double count) {
  (void)count;
  return sums[1] > 0 ? sums[0] / sums[1] : 0;
}

static double finish_recall(const double *sums, double count) {
  (void)count;
  return sums[2] > 0 ? sums[0] / sums[2] : 0;
}

/* 2·TP/(said + are): the harmonic mean of precision and recall (van Rijsbergen 1979). */
static double finish_f1(const double *sums, double count) {
  (void)count;
  return sums[1] + sums[2] > 0 ? 2 * sums[0] / (sums[1] + sums[2]) : 0;
}

static const tct_metric_type types[] = {
    {"accuracy", 1, true, true, accuracy, finish_mean, NULL, false},
    {"top_k", 1, true, true, top_k, finish_mean, NULL, false},
    {"mse", 1, false, false, mse, finish_mean, NULL, false},
    {"mae", 1, false, false, mae, finish_mean, NULL, false},
    {"r2", 3, false, true, r2, finish_r2, fold_r2, false},
    {"precision", 3, true, true, positives, finish_precision, NULL, true},
    {"recall", 3, true, true, positives, finish_recall, NULL, true},
    {"f1", 3, true, true, positives, finish_f1, NULL, true},
    {"roc_auc", 0, true, true, NULL, NULL, NULL, false},
    {"pr_auc", 0, true, true, NULL, NULL, NULL, false},
};

double tct_metric_average(const tct_metric *metric, const int64_t *confusion, int64_t n) {
  double all[3] = {0}, total = 0, weights = 0;
  for (int64_t c = 0; c < n; c++) {
    double sums[3] = {(double)confusion[c * n + c]};
    for (int64_t other = 0; other < n; other++) {
      sums[1] += (double)confusion[other * n + c];
      sums[2] += (double)confusion[c * n + other];
    }
    const double weight = metric->average == TCT_AVERAGE_WEIGHTED ? sums[2] : sums[1] + sums[2] > 0 ? 1 : 0;
    total += weight * metric->type->finish(sums, 0);
    weights += weight;
    for (int i = 0; i < 3; i++) all[i] += sums[i];
  }
  if (metric->average == TCT_AVERAGE_MICRO) return metric->type->finish(all, 0);
  return weights > 0 ? total / weights : 0;
}

static tct_status unknown_metric(const char *name) {
  const char *names[TCT_COUNT_OF(types) + 1];
  for (size_t i = 0; i < TCT_COUNT_OF(types); i++) names[i] = types[i].name;
  names[TCT_COUNT_OF(types)] = "confusion_matrix";
  const char *near = tct_nearest(name, names, TCT_COUNT_OF(names));
  return tct_fail(TCT_E_UNKNOWN_METRIC,
                  "unknown metric '%s'; there are accuracy, top_k=K, mse, mae, r2, precision, recall, f1, roc_auc, pr_auc, "
                  "confusion_matrix%s%s%s", name,
                  TCT_DID_YOU_MEAN(near));
}

static const char *const averages[] = {[TCT_AVERAGE_MICRO] = "micro", [TCT_AVERAGE_MACRO] = "macro",
                                       [TCT_AVERAGE_WEIGHTED] = "weighted"};

/* What stands behind the = of precision, recall or f1; `value` NULL: nothing. */
static tct_status parse_average(const char *name, const char *value, const tct_loss_type *loss, tct_average *out) {
  const bool binary = tct_metrics_binary(loss);
  if (binary && value == NULL) return TCT_OK;
  if (binary) {
    return tct_fail(TCT_E_METRIC_LOSS, "metric %s=%s averages over classes, the loss is %s; leave out =%s", name, value,
                    loss->name, value);
  }
  if (value == NULL) {
    return tct_fail(TCT_E_METRIC_LOSS, "metric %s needs binary_crossentropy, the loss is %s; over its classes there are %s=macro, "
                    "%s=micro and %s=weighted", name, loss->name, name, name, name);
  }
  for (int a = TCT_AVERAGE_MICRO; a <= TCT_AVERAGE_WEIGHTED; a++) {
    if (strcmp(averages[a], value) == 0) *out = (tct_average)a;
  }
  if (*out != TCT_AVERAGE_NONE) return TCT_OK;
  return tct_fail(TCT_E_TRAINING_OPTION, "metric '%s=%s': needs micro, macro or weighted behind the =", name, value);
}

static tct_metric *add_metric(tct_metric_list *list, bool running) {
  const int32_t at = running ? list->n_running++ : list->n;
  for (int32_t i = list->n++; i > at; i--) list->metric[i] = list->metric[i - 1];
  return &list->metric[at];
}

static tct_status parse_one(const char *word, const tct_loss_type *loss, tct_metric_list *out) {
  char name[32];
  int64_t k = 5;
  const char *equals = strchr(word, '=');
  snprintf(name, sizeof name, "%.*s", (int)(equals != NULL ? equals - word : (long)strlen(word)), word);
  if (strcmp(name, "confusion_matrix") == 0) {
    if (loss->target != TCT_TARGET_CLASS && strcmp(loss->name, "categorical_crossentropy") != 0) {
      return tct_fail(TCT_E_METRIC_LOSS, "metric confusion_matrix needs a categorical cross-entropy, the loss is %s",
                      loss->name);
    }
    out->confusion = true;
    return TCT_OK;
  }
  for (size_t i = 0; i < TCT_COUNT_OF(types); i++) {
    if (strcmp(types[i].name, name) != 0) continue;
    if (types[i].classes && !loss->from_logits) {
      return tct_fail(TCT_E_METRIC_LOSS, "metric %s needs a cross-entropy loss, the loss is %s", name, loss->name);
    }
    if (types[i].build == r2 && loss->target == TCT_TARGET_CLASS) {
      return tct_fail(TCT_E_METRIC_LOSS, "metric r2 needs a target of numbers, that of the loss %s is a class; accuracy counts classes",
                      loss->name);
    }
    tct_average average = TCT_AVERAGE_NONE;
    if (types[i].binary) {
      TCT_TRY(parse_average(name, equals != NULL ? equals + 1 : NULL, loss, &average));
    } else if (equals != NULL && types[i].build == NULL) {
      return tct_fail(TCT_E_TRAINING_OPTION, "metric '%s': nothing belongs behind %s", word, name);
    } else if (equals != NULL && (!tct_parse_i64(equals + 1, strlen(equals + 1), &k) || k < 1)) {
      return tct_fail(TCT_E_TRAINING_OPTION, "metric '%s': the number behind = needs to be 1 or more", word);
    }
    if (out->n == TCT_MAX_METRICS - 1)
      return tct_fail(TCT_E_TRAINING_OPTION, "more than %d metrics", TCT_MAX_METRICS - 1);
    tct_metric *metric = add_metric(out, average == TCT_AVERAGE_NONE && types[i].build != NULL);
    *metric = (tct_metric){.type = &types[i], .k = k, .average = average};
    out->averages = out->averages || average != TCT_AVERAGE_NONE;
    out->ranks = out->ranks || types[i].build == NULL;
    if (average != TCT_AVERAGE_NONE) {
      snprintf(metric->name, sizeof metric->name, "%.20s_%s", name, averages[average]);
    } else if (strcmp(name, "top_k") == 0) {
      snprintf(metric->name, sizeof metric->name, "top_%lld", (long long)k);
    } else {
      snprintf(metric->name, sizeof metric->name, "%s", name);
    }
    return TCT_OK;
  }
  return unknown_metric(word);
}

tct_status tct_metrics_parse(const char *text, const tct_loss_type *loss, tct_metric_list *out) {
  *out = (tct_metric_list){0};
  while (text != NULL && *text != '\0') {
    char word[64];
    text += strspn(text, " ");
    const size_t length = strcspn(text, ",");
    if (length >= sizeof word) return tct_fail(TCT_E_TRAINING_OPTION, "metrics: '%.60s…' is too long", text);
    memcpy(word, text, length);
    word[length] = '\0';
    if (length > 0) TCT_TRY(parse_one(word, loss, out));
    text += length + (text[length] == ',');
  }
  return TCT_OK;
}
