/* One value of a fit that a callback watches, and when it counts as better. */
#ifndef TCT_TRAIN_MONITOR_H
#define TCT_TRAIN_MONITOR_H

#include <tercet/train.h>

typedef struct tct_monitor {
  char name[40];
  enum { TCT_MONITOR_AUTO, TCT_MONITOR_MIN, TCT_MONITOR_MAX } mode;
  bool rises; /* more is better; known from tct_monitor_begin on */
  double min_delta;
} tct_monitor;

/* monitor NULL: "val_loss"; mode NULL: "auto". */
tct_status tct_monitor_create(const char *monitor, const char *mode, double min_delta, tct_monitor *out) TCT_CHECKED;
/* Whether the fit will have the value; settles mode "auto" by the model's metrics. */
bool tct_monitor_begin(tct_monitor *monitor, const tct_model *model, const tct_progress *progress);
/* The error for a value that the fit does not have. */
tct_status tct_monitor_missing(const tct_monitor *monitor, const tct_progress *progress) TCT_CHECKED;
double tct_monitor_value(const tct_monitor *monitor, const tct_progress *progress); /* NaN: not there */
/* By more than min_delta. */
bool tct_monitor_better(const tct_monitor *monitor, double value, double than);

#endif
