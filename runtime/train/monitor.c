/* Finding and judging the monitored value. */
#include "train/monitor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/status.h"
#include "base/text.h"
#include "train/session.h"

tct_status tct_monitor_create(const char *monitor, const char *mode, double min_delta, tct_monitor *out) {
  static const char *const modes[] = {"auto", "min", "max"};
  if (monitor == NULL) monitor = "val_loss";
  if (mode == NULL) mode = "auto";
  *out = (tct_monitor){.min_delta = min_delta};
  if ((size_t)snprintf(out->name, sizeof out->name, "%s", monitor) >= sizeof out->name) {
    return tct_fail(TCT_INVALID, "monitor '%.60s' is longer than any value's name", monitor);
  }
  if (!(min_delta >= 0)) return tct_fail(TCT_INVALID, "min_delta is %g, needs to be at least 0", min_delta);
  for (unsigned i = 0; i < TCT_COUNT_OF(modes); i++) {
    if (strcmp(modes[i], mode) != 0) continue;
    out->mode = i;
    return TCT_OK;
  }
  return tct_fail(TCT_INVALID, "mode is '%s', needs auto, min or max", mode);
}

static int32_t find(const tct_monitor *monitor, const tct_progress *progress) {
  for (int32_t i = 0; i < progress->n_values; i++) {
    if (strcmp(progress->names[i], monitor->name) == 0) return i;
  }
  return -1;
}

static bool metric_rises(const tct_model *model, const char *name) {
  const tct_metric_list *metrics = &model->session->metrics;
  if (strncmp(name, "val_", 4) == 0) name += 4;
  for (int32_t m = 0; m < metrics->n; m++) {
    if (strcmp(metrics->metric[m].name, name) == 0) return metrics->metric[m].type->rises;
  }
  return false; /* the loss */
}

bool tct_monitor_begin(tct_monitor *monitor, const tct_model *model, const tct_progress *progress) {
  monitor->rises = monitor->mode == TCT_MONITOR_MAX ||
                   (monitor->mode == TCT_MONITOR_AUTO && metric_rises(model, monitor->name));
  return find(monitor, progress) >= 0;
}

tct_status tct_monitor_missing(const tct_monitor *monitor, const tct_progress *progress) {
  char known[512] = "";
  size_t used = 0;
  for (int32_t i = 0; i < progress->n_values && used < sizeof known; i++) {
    used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "", progress->names[i]);
  }
  const bool unheld = strncmp(monitor->name, "val_", 4) == 0 && strstr(known, "val_") == NULL;
  const char *near = tct_nearest(monitor->name, progress->names, (size_t)progress->n_values);
  return tct_fail(TCT_INVALID, "monitor '%s' is not among the fit's values %s%s%s%s%s", monitor->name, known,
                  unheld ? "; give validation data, or monitor one of these" : "", unheld ? "" : near ? "; did you mean '" : "",
                  unheld || !near ? "" : near, unheld || !near ? "" : "'?");
}

double tct_monitor_value(const tct_monitor *monitor, const tct_progress *progress) {
  const int32_t i = find(monitor, progress);
  return i >= 0 ? progress->values[i] : (double)NAN;
}

bool tct_monitor_better(const tct_monitor *monitor, double value, double than) {
  if (!isfinite(value)) return false;
  return monitor->rises ? value - monitor->min_delta > than : value + monitor->min_delta < than;
}
