/* What a run is, as text: everything that decides its bits, so that a checkpoint is only ever continued by the run that
 * wrote it. Where the bits do not depend on something (threads, prefetching, how many epochs there are), it is left out. */
#ifndef TCT_TRAIN_SETTINGS_H
#define TCT_TRAIN_SETTINGS_H

#include <jansson.h>
#include "base/text.h"
#include "train/session.h"

typedef struct tct_settings {
  tct_arena arena;
  struct {
    const char *key, *value; /* in the arena, or static */
  } row[48];
  int32_t n;
  bool failed; /* an allocation did */
} tct_settings;

/* What a fit knows that its session does not. */
typedef struct tct_fit_facts {
  int64_t batch_size, steps_per_epoch, total_steps;
  bool shuffle, drop_remainder;
  const tct_feed *feed;          /* of the training data */
  const tct_dataset *validation; /* NULL: none */
} tct_fit_facts;

tct_status tct_settings_collect(const tct_model *model, const tct_session *session, const tct_fit_facts *facts,
                                tct_settings *out) TCT_CHECKED;
void tct_settings_free(tct_settings *settings);
/* {"seed":"7", …} */
void tct_settings_json(const tct_settings *settings, tct_text *out);
/* A line "\n'seed' is 7 in the checkpoint, 8 here" for each difference; returns how many. `saved` may be anything. */
int tct_settings_compare(const tct_settings *settings, const json_t *saved, tct_text *out);

#endif
