/* The kernel's own accounts: /proc/stat, getrusage, the processor's thermal and energy counters. */
#include "perf/support/noise.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include "perf/support/json.h"
#include "perf/support/machine.h"

static bool read_number(const char *path, double *out) {
  FILE *const file = fopen(path, "r");
  if (file == NULL) return false;
  const bool ok = fscanf(file, "%lf", out) == 1;
  if (!ok) errno = EINVAL;
  (void)fclose(file);
  return ok;
}

/* cpu user nice system idle iowait irq softirq steal …: guest time is within user. */
static void read_steal(perf_watch *w) {
  FILE *const file = fopen("/proc/stat", "r");
  double t[8] = {0};
  w->steal = w->jiffies = 0;
  if (file == NULL) return;
  if (fscanf(file, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) == 8) {
    for (int i = 0; i < 8; i++) w->jiffies += t[i];
    w->steal = t[7];
  }
  (void)fclose(file);
}

static double throttled(void) {
  double sum = (double)NAN;
  for (int cpu = 0; cpu < 1024; cpu++) {
    char path[128];
    double count = 0;
    (void)snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/thermal_throttle/core_throttle_count", cpu);
    if (!read_number(path, &count)) break;
    sum = (isnan(sum) ? 0 : sum) + count;
  }
  return sum;
}

static void read_energy(perf_watch *w) {
  w->n_packages = 0;
  w->why[0] = '\0';
  for (int i = 0; i < PERF_MOST_PACKAGES; i++) {
    char path[2][96];
    (void)snprintf(path[0], sizeof path[0], "/sys/class/powercap/intel-rapl:%d/energy_uj", i);
    (void)snprintf(path[1], sizeof path[1], "/sys/class/powercap/intel-rapl:%d/max_energy_range_uj", i);
    if (read_number(path[0], &w->micro_joules[i]) && read_number(path[1], &w->range[i])) {
      w->n_packages = i + 1;
      continue;
    }
    if (i == 0) (void)snprintf(w->why, sizeof w->why, "not readable: %s: %s", path[0], strerror(errno));
    break;
  }
}

void perf_watch_begin(perf_watch *w) {
  struct rusage use;
  double load = (double)NAN;
  if (getloadavg(&load, 1) != 1) load = (double)NAN;
  w->load = load;
  (void)getrusage(RUSAGE_SELF, &use);
  w->cpu_seconds = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) + 1e-6 * (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
  w->switches = (double)use.ru_nivcsw;
  w->throttled = throttled();
  read_steal(w);
  read_energy(w);
  w->seconds = perf_now();
}

json_t *perf_watch_noise(const perf_watch *begin) {
  perf_watch now;
  perf_watch_begin(&now);
  const double seconds = now.seconds - begin->seconds, jiffies = now.jiffies - begin->jiffies;
  json_t *const noise = json_object();
  json_object_set_new(noise, "load", perf_number(begin->load));
  json_object_set_new(noise, "steal", perf_number(jiffies > 0 ? (now.steal - begin->steal) / jiffies : (double)NAN));
  json_object_set_new(noise, "switches", perf_number(seconds > 0 ? (now.switches - begin->switches) / seconds : (double)NAN));
  json_object_set_new(noise, "throttled", perf_number(now.throttled - begin->throttled));
  json_object_set_new(noise, "cpu_seconds", perf_number(now.cpu_seconds - begin->cpu_seconds));
  return noise;
}

double perf_watch_joules(const perf_watch *begin) {
  perf_watch now;
  double sum = 0;
  if (begin->n_packages == 0) return (double)NAN;
  read_energy(&now);
  if (now.n_packages != begin->n_packages) return (double)NAN;
  for (int i = 0; i < now.n_packages; i++) {
    const double used = now.micro_joules[i] - begin->micro_joules[i];
    sum += 1e-6 * (used >= 0 ? used : used + begin->range[i]);
  }
  return sum;
}

static void flag(json_t *flags, bool raised, const char *format, double value) {
  char text[200];
  if (!raised) return;
  (void)snprintf(text, sizeof text, format, value);
  json_array_append_new(flags, json_string(text));
}

json_t *perf_judge_noise(double cv, double load, double steal, double throttled, double cpus) {
  /* From which on a measurement is doubted; twice as much makes it unfit. MLPerf's and nvbench's notes take 3 to 5 % of variation as noisy. */
  static const double noisy_cv = 0.05, noisy_steal = 0.02;
  const bool unfit = cv > 2 * noisy_cv || steal > 2 * noisy_steal || load > 2 * cpus || throttled > 0;
  json_t *const noise = json_object(), *const flags = json_array();
  json_object_set_new(noise, "cv", perf_number(cv));
  json_object_set_new(noise, "load", perf_number(load));
  json_object_set_new(noise, "steal", perf_number(steal));
  json_object_set_new(noise, "flags", flags);
  json_object_set_new(noise, "unfit", json_boolean(unfit));
  if (unfit) json_array_append_new(flags, json_string("unfit to be compared, for what follows"));
  flag(flags, cv > noisy_cv, "runs differ by %.1f %% (coefficient of variation)", 100 * cv);
  flag(flags, steal > noisy_steal, "other machines took %.1f %% of the processors' time", 100 * steal);
  flag(flags, load > cpus, "load average %.1f before a run: more than the processors", load);
  flag(flags, throttled > 0, "the processor throttled %.0f times", throttled);
  return noise;
}

double perf_peak_memory(void) {
  struct rusage use;
  return getrusage(RUSAGE_SELF, &use) == 0 ? 1024.0 * (double)use.ru_maxrss : (double)NAN;
}
