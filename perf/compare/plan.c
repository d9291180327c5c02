/* Lists of devices and axes, taken apart. */
#include "perf/compare/plan.h"

#include <string.h>
#include "perf/compare/prices.h"

/* Whether a word begins a device: a known kind, alone or before a colon. What does not is an option of the device before,
 * "array=256x256", or a mistake that opening the device will name. */
static bool begins_device(const char *word, size_t n) {
  const size_t kind = strcspn(word, ":,=");
  return kind == n || word[kind] == ':';
}

bool perf_plan_devices(const char *text, perf_plan *plan, perf_problem *problem) {
  plan->n_devices = 0;
  for (const char *at = text; *at != '\0';) {
    const size_t n = strcspn(at, ",");
    const bool begins = plan->n_devices == 0 || begins_device(at, n);
    if (n == 0) return perf_fails(problem, TCT_INVALID, "--devices '%s': an empty name; needs a list such as cpu,gpu,tpu:v3", text);
    if (begins && plan->n_devices == PERF_MOST_DEVICES) return perf_fails(problem, TCT_INVALID, "--devices: more than %d", (int)PERF_MOST_DEVICES);
    char *const device = begins ? plan->device[plan->n_devices++] : plan->device[plan->n_devices - 1];
    if (begins) device[0] = '\0';
    const size_t before = strlen(device), room = sizeof plan->device[0] - before;
    const int wrote = snprintf(device + before, room, "%s%.*s", before > 0 ? "," : "", (int)n, at);
    if (wrote < 0 || (size_t)wrote >= room) return perf_fails(problem, TCT_INVALID, "--devices: a name longer than %d characters", TCT_DEVICE_SPEC - 1);
    at += n + (at[n] == ',');
  }
  for (int i = 0; i < plan->n_devices; i++) {
    const char *const sheet = perf_datasheet_called(plan->device[i]);
    if (sheet != NULL) (void)snprintf(plan->device[i], sizeof plan->device[i], "%s", sheet);
  }
  if (plan->n_devices == 0) return perf_fails(problem, TCT_INVALID, "--devices names none; needs a list such as cpu,gpu,tpu:v3");
  for (int i = 0; i < plan->n_devices; i++) {
    for (int j = 0; j < i; j++) {
      if (strcmp(plan->device[i], plan->device[j]) == 0) return perf_fails(problem, TCT_INVALID, "--devices: '%s' is there twice", plan->device[i]);
    }
  }
  return true;
}

bool perf_plan_target(const char *text, perf_target *out, perf_problem *problem) {
  return perf_target_of(text, out) || perf_fails(problem, TCT_INVALID, "--target '%s': needs METRIC>=NUMBER or METRIC<=NUMBER, such as 'val_accuracy>=0.90'", text);
}

/* "batch" is short for the job's key. */
static const char *key_of(const char *name, size_t n, char *text, size_t size) {
  if (n == 5 && strncmp(name, "batch", 5) == 0) return "train.batch_size";
  (void)snprintf(text, size, "%.*s", (int)n, name);
  return text;
}

/* The points so far times the axis's values. */
static bool multiply(const char *axis, perf_plan *plan, perf_problem *problem) {
  const size_t n_name = strcspn(axis, "=");
  char own[128];
  static perf_plan before; /* large */
  if (axis[n_name] == '\0' || n_name == 0 || n_name >= sizeof own || axis[n_name + 1] == '\0')
    return perf_fails(problem, TCT_INVALID, "--sweep '%s': needs KEY=VALUE,VALUE, such as batch=8,32,128 or model.width=16,32", axis);
  const char *const key = key_of(axis, n_name, own, sizeof own);
  static const char *const own_keys[] = {"device", "seed", "checkpoint", "save", "train.steps"};
  for (size_t k = 0; k < sizeof own_keys / sizeof own_keys[0]; k++) {
    if (strncmp(key, own_keys[k], strlen(own_keys[k])) == 0)
      return perf_fails(problem, TCT_INVALID, "--sweep %s: a comparison sets '%s' itself (--devices, --runs, --steps)", key, own_keys[k]);
  }
  before = *plan;
  plan->n_points = 0;
  for (int i = 0; i < before.n_points; i++) {
    for (const char *value = axis + n_name + 1; value != NULL;) {
      const size_t n = strcspn(value, ",");
      if (n == 0) return perf_fails(problem, TCT_INVALID, "--sweep '%s': an empty value", axis);
      if (plan->n_points == PERF_MOST_POINTS) return perf_fails(problem, TCT_INVALID, "--sweep: more than %d points", (int)PERF_MOST_POINTS);
      char *const point = plan->point[plan->n_points++];
      const int wrote = snprintf(point, sizeof plan->point[0], "%s%s%s=%.*s", before.point[i], before.point[i][0] != '\0' ? "," : "", key, (int)n, value);
      if (wrote < 0 || (size_t)wrote >= sizeof plan->point[0]) return perf_fails(problem, TCT_INVALID, "--sweep '%.60s…': too long", axis);
      value = value[n] == ',' ? value + n + 1 : NULL;
    }
  }
  return true;
}

bool perf_plan_points(const char *const *axes, perf_plan *plan, perf_problem *problem) {
  plan->n_points = 1;
  plan->point[0][0] = '\0';
  for (int i = 0; i < PERF_MOST_AXES && axes[i] != NULL; i++) {
    if (!multiply(axes[i], plan, problem)) return false;
  }
  for (int i = 0; i < plan->n_points; i++) {
    for (int j = 0; j < i; j++) {
      if (strcmp(plan->point[i], plan->point[j]) == 0) return perf_fails(problem, TCT_INVALID, "--sweep: '%s' is there twice", plan->point[i]);
    }
  }
  return true;
}

int perf_plan_overrides(const char *point, char *text, size_t size, const char **out, int most) {
  int n = 0;
  (void)snprintf(text, size, "%s", point);
  for (char *at = text; *at != '\0' && n < most;) {
    char *const comma = strchr(at, ',');
    out[n++] = at;
    if (comma == NULL) break;
    *comma = '\0';
    at = comma + 1;
  }
  return n;
}
