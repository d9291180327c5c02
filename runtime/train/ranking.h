/* How well scores rank the samples of a whole pass, exactly: every score is kept on the host and sorted once. */
#ifndef TCT_TRAIN_RANKING_H
#define TCT_TRAIN_RANKING_H

#include "train/session.h"

typedef struct tct_ranking {
  int64_t n_columns;   /* of the scores */
  int64_t rows_each;   /* of a sample */
  int64_t n_rows, most_rows;
  bool per_column;     /* truth is 0 or 1, [rows, columns]; else class ids [rows] */
  tct_dtype dtype;
  void *scores;        /* [most_rows, columns]; owned */
  int32_t *truth;      /* owned */
} tct_ranking;

/* Room for a pass over n_samples. */
tct_status tct_ranking_begin(const tct_model *model, int64_t n_samples, tct_ranking *out) TCT_CHECKED;
void tct_ranking_free(tct_ranking *ranking);
/* The program's "scores" and "truth" of a batch. */
tct_status tct_ranking_add(tct_ranking *ranking, tct_program *program, int64_t n_samples) TCT_CHECKED;

typedef struct tct_ranks {
  double roc_auc, pr_auc; /* NaN: undefined */
  char why[96];           /* it is */
} tct_ranks;
/* Of one column, or of the second of two classes; of more, the mean over the columns, each against the rest.
 * ROC-AUC: the probability that a positive's score is above a negative's, a tie counted ½ (Hanley & McNeil 1982; the
 * Mann–Whitney U ÷ positives × negatives). PR-AUC: average precision, Σ (Rₙ − Rₙ₋₁)·Pₙ over the distinct scores, falling. */
tct_status tct_ranking_finish(const tct_ranking *ranking, tct_ranks *out) TCT_CHECKED;

#endif
