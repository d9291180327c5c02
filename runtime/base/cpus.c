/* How many CPUs this process may use: the affinity mask, cut by the quotas of its control groups (v1 and v2). A
 * container with 2 CPUs' worth of time on a 64-core machine must not start 64 threads. */
#ifdef __linux__
#define _GNU_SOURCE /* CPU_COUNT_S */
#include <sched.h>
#endif
#include "base/env.h"
#include "base/file.h"
#include "base/pool.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <tercet/system.h>
#include <unistd.h>

#ifdef __linux__

enum { PATH_BYTES = 1024, MASK_SETS = 8 };

static int32_t affinity_cpus(void) {
  cpu_set_t mask[MASK_SETS]; /* room for 8192 CPUs: the call fails when the machine has more than fit */
  memset(mask, 0, sizeof mask);
  if (sched_getaffinity(0, sizeof mask, mask) != 0) return TCT_MAX_THREADS;
  return (int32_t)CPU_COUNT_S(sizeof mask, mask);
}

/* A number at *text, moved behind it and behind one separator; -1 when there is none ("max"). */
static int64_t next_number(const char **text) {
  const size_t length = strspn(*text, "-0123456789");
  int64_t value = -1;
  const bool found = tct_parse_i64(*text, length, &value);
  *text += length;
  if (**text == ' ') ++*text;
  return found ? value : -1;
}

/* CPUs' worth of time in the quota, rounded up; TCT_MAX_THREADS without one. */
static int32_t cpus_of_quota(int64_t quota_us, int64_t period_us) {
  if (quota_us <= 0 || period_us <= 0 || quota_us / period_us >= TCT_MAX_THREADS) return TCT_MAX_THREADS;
  return (int32_t)((quota_us + period_us - 1) / period_us);
}

/* v2: "QUOTA PERIOD" or "max PERIOD" in one file. */
static int32_t quota_v2(const char *folder) {
  char path[PATH_BYTES + 32], text[64];
  (void)snprintf(path, sizeof path, "%s/cpu.max", folder);
  if (!tct_file_peek(path, text, sizeof text)) return TCT_MAX_THREADS;
  const char *rest = text;
  const int64_t quota_us = next_number(&rest);
  return cpus_of_quota(quota_us, next_number(&rest));
}

/* v1: a file each; a quota of -1 is none. */
static int32_t quota_v1(const char *folder) {
  char path[PATH_BYTES + 32], quota[64], period[64];
  (void)snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
  if (!tct_file_peek(path, quota, sizeof quota)) return TCT_MAX_THREADS;
  (void)snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
  if (!tct_file_peek(path, period, sizeof period)) return TCT_MAX_THREADS;
  const char *quota_at = quota, *period_at = period;
  return cpus_of_quota(next_number(&quota_at), next_number(&period_at));
}

/* The least quota on the way from the group up to the mount. In a container the group's own path may not be visible:
 * the mount's top is then the container's group. */
static int32_t least_quota(const char *mount, const char *group, int32_t (*quota)(const char *folder)) {
  char folder[PATH_BYTES];
  const int length = snprintf(folder, sizeof folder, "%s%s", mount, group);
  if (length < 0 || (size_t)length >= sizeof folder) return quota(mount);
  int32_t least = TCT_MAX_THREADS;
  for (;;) {
    const int32_t cpus = quota(folder);
    if (cpus < least) least = cpus;
    char *slash = strrchr(folder + strlen(mount), '/');
    if (!slash) return least;
    *slash = '\0';
  }
}

/* `controllers` is the middle of a /proc/self/cgroup line: empty for v2, else a list such as "cpu,cpuacct". */
static int32_t group_quota(const char *controllers, const char *group) {
  static const char *const mounts_v2[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
  static const char *const mounts_v1[] = {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"};
  const bool v2 = controllers[0] == '\0';
  if (!v2 && !tct_list_has(controllers, "cpu")) return TCT_MAX_THREADS;
  int32_t least = TCT_MAX_THREADS;
  for (int i = 0; i < 2; i++) {
    const int32_t cpus = least_quota(v2 ? mounts_v2[i] : mounts_v1[i], group, v2 ? quota_v2 : quota_v1);
    if (cpus < least) least = cpus;
  }
  return least;
}

/* Each line is "number:controllers:/group". */
static int32_t cgroup_cpus(void) {
  char text[4096];
  if (!tct_file_peek("/proc/self/cgroup", text, sizeof text)) return TCT_MAX_THREADS;
  int32_t least = TCT_MAX_THREADS;
  for (char *line = text; line && *line != '\0';) {
    char *const end = strchr(line, '\n');
    if (end) *end = '\0';
    char *const controllers = strchr(line, ':');
    char *const group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (group) {
      *group = '\0';
      const int32_t cpus = group_quota(controllers + 1, group + 1);
      if (cpus < least) least = cpus;
    }
    line = end ? end + 1 : NULL;
  }
  return least;
}

#else

static int32_t affinity_cpus(void) {
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 && online < TCT_MAX_THREADS ? (int32_t)online : 1;
}

static int32_t cgroup_cpus(void) {
  return TCT_MAX_THREADS;
}

#endif

void tct_cpu_limits_of_process(tct_cpu_limits *out) {
  const int32_t mask = affinity_cpus(), quota = cgroup_cpus();
  const int32_t least = mask < quota ? mask : quota;
  *out = (tct_cpu_limits){
      .affinity = mask, .quota = quota < TCT_MAX_THREADS ? quota : 0, .usable = least < 1 ? 1 : least};
}

int32_t tct_usable_cpus(void) {
  tct_cpu_limits limits;
  tct_cpu_limits_of_process(&limits);
  return limits.usable;
}
