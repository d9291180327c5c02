/* A fit's checkpoints: when they are due, what they hold, and going on from one. They hold every variable (weights, the
 * optimizer's state, its step, which is also the counter of every random draw), where the fit stands, the sums of the epoch
 * so far, the history, and the states of the callbacks; and the settings that the next fit must share. */
#ifndef TCT_TRAIN_SAVER_H
#define TCT_TRAIN_SAVER_H

#include "train/settings.h"

/* Where a fit stands between two steps. */
typedef struct tct_position {
  int64_t epoch, epoch_step; /* the epoch that runs or comes, and its steps done */
  int64_t step;              /* since the fit began: epoch × steps of an epoch + epoch_step */
  bool stopped;              /* by tct_fit_stop: no step comes after */
  tct_totals totals;         /* of this epoch */
  double step_loss;          /* the last step's */
} tct_position;

typedef struct tct_saver {
  tct_model *model;
  const tct_fit_options *options;
  tct_checkpoint_options when; /* with the defaults; folder NULL: no checkpoints */
  tct_settings settings;
  const tct_fit_facts *facts;
  int64_t saved_epoch, saved_step, saved_ns;
  bool saved_stopped;
  int64_t damaged_after, damaged_until; /* numbers of checkpoints that could not be read */
  char last[48];                        /* name of the last checkpoint; "" before */
} tct_saver;

/* Checks the options; with `resume` reads the newest checkpoint, if there is one, into the model, *history (which has its
 * names and room for all epochs, and becomes the model's after this), *position and the callbacks. `facts` stays the caller's.
 * Errors: TCT_INVALID for a checkpoint of another run (with all differences), or one in the folder of a fit that does not
 * resume. tct_saver_free in any case. */
tct_status tct_saver_begin(tct_saver *saver, tct_model *model, const tct_fit_options *options, const tct_fit_facts *facts,
                           tct_history *history, tct_position *position, bool *out_resumed) TCT_CHECKED;
void tct_saver_free(tct_saver *saver);
/* Saves when it is due. What fails is an error line in the log, and tried again when it is due the next time. */
void tct_saver_tick(tct_saver *saver, const tct_position *position, bool epoch_end);
/* Saves in any case, unless the last one is of this position. */
tct_status tct_saver_save(tct_saver *saver, const tct_position *position) TCT_CHECKED;

#endif
