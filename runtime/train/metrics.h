/* Metrics: each is a few sums over a batch, built into the graph and added up in double on the host, and a formula that
 * ends them. So an epoch's value is exact whatever the batch sizes were. */
#ifndef TCT_TRAIN_METRICS_H
#define TCT_TRAIN_METRICS_H

#include <tercet/ops.h>
#include <tercet/train.h>
#include "nn/losses.h"

#define TCT_MAX_SUMS 4

typedef struct tct_metric_inputs {
  tct_tensor logits, output, target;
  const tct_loss_type *loss;
  int64_t k; /* of top_k */
} tct_metric_inputs;

typedef struct tct_metric_type {
  const char *name;
  int32_t n_sums;
  bool classes; /* needs a cross-entropy loss */
  bool rises;   /* more is better */
  void (*build)(const tct_metric_inputs *in, tct_tensor *out_sums); /* 0-d each; NULL: a ranking of the whole pass */
  double (*finish)(const double *sums, double count);               /* count: rows (classes) or elements */
  void (*fold)(double *sums, double count); /* makes a batch's sums such that add up; NULL: they do */
  bool binary;                              /* needs binary_crossentropy, or an average over classes */
} tct_metric_type;

/* Over classes, as scikit-learn has it: of all their sums; of their values; of these by their numbers of samples. */
typedef enum tct_average { TCT_AVERAGE_NONE, TCT_AVERAGE_MICRO, TCT_AVERAGE_MACRO, TCT_AVERAGE_WEIGHTED } tct_average;

typedef struct tct_metric {
  const tct_metric_type *type; /* NULL: the confusion matrix, which has an output of its own */
  char name[32];               /* "accuracy", "top_5" */
  int64_t k;
  tct_average average;
} tct_metric;

/* The first n_running are sums of batches; those behind them are known at the end of an evaluation only. */
typedef struct tct_metric_list {
  int32_t n, n_running;
  tct_metric metric[TCT_MAX_METRICS - 1];
  bool confusion; /* asked for */
  bool averages;  /* made from the confusion matrix */
  bool ranks;
} tct_metric_list;

bool tct_metrics_binary(const tct_loss_type *loss);
/* An average over the classes of confusion[n, n] (rows: the true class). Those that no sample is of or is taken for are left
 * out, as scikit-learn leaves out labels that do not occur. */
double tct_metric_average(const tct_metric *metric, const int64_t *confusion, int64_t n);
/* From "accuracy,top_k=5". */
tct_status tct_metrics_parse(const char *text, const tct_loss_type *loss, tct_metric_list *out) TCT_CHECKED;

#endif
