/* What the tests of resuming share: a model with everything that has a state, a fit of it that saves checkpoints, ways to
 * interrupt it, and a hash of what came out. */
#ifndef TCT_TESTS_TRAIN_RESUME_H
#define TCT_TESTS_TRAIN_RESUME_H

#include <tercet/tercet.h>

enum { N = 50, BATCH = 8, EPOCHS = 3, PER_EPOCH = 5, STEPS = EPOCHS * PER_EPOCH }; /* 40 samples train, 10 validate */

/* Of the test at hand: where its checkpoints are, and its log. */
const char *resume_folder(void);
const char *resume_log(void);
void begin(void); /* makes the folder, empties the log */

/* Everything that has a state: batch norm's moving statistics, dropout, shuffling, Adam's moments, a schedule. 0: the
 * default. */
typedef struct recipe {
  const char *device, *loss_metrics, *precision;
  double rate, dropout, penalty;
  int64_t units, epochs, steps;
  int32_t prefetch;
  bool constant;
} recipe;
tct_model *make_model(const recipe *r);
tct_fit_options options_of(const recipe *r);

tct_dataset *make_data(float bend);
tct_dataset *make_data_but(float bend, int changed); /* `changed` ≥ 0: a sample that differs */

/* One fit with a fresh model, which gives `wanted`; the hash after it of weights, moving statistics and the whole history. */
uint64_t run_fit(const recipe *r, const tct_fit_options *options, tct_status wanted);
uint64_t uninterrupted(const recipe *r); /* the hash */

/* on_step of a fit, with the interruption as user: after one step sets the flag, and without by_flag gives the answer. */
typedef struct interruption {
  int64_t after; /* this step, from 0 */
  tct_status answer;
  int flag;
  bool by_flag;
} interruption;
tct_status interrupt(void *user, int64_t step, double loss);

#endif
