/* The machine as the system describes it (/proc, /sys, sysconf): for `tercet doctor`, whose readers compare machines. */
#include "tool.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* The file's first line, without its end; false when there is none. */
static bool first_line(const char *path, char *text, size_t bytes) {
  FILE *const file = fopen(path, "r");
  if (!file) return false;
  const bool found = fgets(text, (int)bytes, file) != NULL;
  (void)fclose(file);
  if (found) text[strcspn(text, "\n")] = '\0';
  return found;
}

/* The value of the first line "key : value" of the file; keys are tried in their order. */
static bool value_of(const char *path, const char *const *keys, size_t n_keys, char *text, size_t bytes) {
  for (size_t i = 0; i < n_keys; i++) {
    FILE *const file = fopen(path, "r");
    if (!file) return false;
    const size_t n = strlen(keys[i]);
    bool found = false;
    while (!found && fgets(text, (int)bytes, file)) {
      const char *const colon = strchr(text, ':');
      found = colon && strncmp(text, keys[i], n) == 0 && text + n + strspn(text + n, " \t") == colon;
    }
    (void)fclose(file);
    if (!found) continue;
    const char *value = strchr(text, ':') + 1;
    value += strspn(value, " \t");
    memmove(text, value, strlen(value) + 1);
    text[strcspn(text, "\n")] = '\0';
    return true;
  }
  return false;
}

static json_t *processor(void) {
  static const char *const keys[] = {"model name", "Model", "cpu model", "CPU part"};
  char text[4096];
  struct utsname names;
  if (value_of("/proc/cpuinfo", keys, sizeof keys / sizeof keys[0], text, sizeof text)) return json_string(text);
  return uname(&names) == 0 ? json_string(names.machine) : json_null();
}

/* Of the processor's features those that kernels and libraries choose by. */
static json_t *features(void) {
  static const char *const keys[] = {"flags", "Features"};
  static const char known[] = " sse4_2 avx f16c fma bmi1 bmi2 avx2 avx_vnni avx512f avx512bw avx512cd avx512dq avx512vl "
                              "avx512_vnni avx512_bf16 avx512_fp16 amx_tile amx_bf16 amx_int8 asimd asimdhp asimddp "
                              "i8mm bf16 sve sve2 ";
  static char text[16384];
  json_t *const list = json_array();
  if (!value_of("/proc/cpuinfo", keys, sizeof keys / sizeof keys[0], text, sizeof text)) return list;
  char *rest = NULL;
  for (const char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
    char spaced[64];
    if (snprintf(spaced, sizeof spaced, " %s ", word) < (int)sizeof spaced && strstr(known, spaced))
      json_array_append_new(list, json_string(word));
  }
  return list;
}

/* "48K" as the kernel writes sizes. */
static json_int_t bytes_of(const char *text) {
  char *end = NULL;
  const long long n = strtoll(text, &end, 10);
  return *end == 'K' ? n << 10 : *end == 'M' ? n << 20 : n;
}

static json_t *caches(void) {
  static const char *const members[] = {"level", "type", "size", "shared_cpu_list"};
  json_t *const list = json_array();
  for (int i = 0; i < 16; i++) {
    char path[128], text[4][64];
    for (int m = 0; m < 4; m++) {
      snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", i, members[m]);
      if (!first_line(path, text[m], sizeof text[m])) return list;
    }
    for (char *c = text[1]; *c; c++) *c = (char)tolower((unsigned char)*c);
    json_array_append_new(list, json_pack("{s:I, s:s, s:I, s:s}", "level", (json_int_t)strtoll(text[0], NULL, 10), "type",
                                          text[1], "bytes", bytes_of(text[2]), "cpus", text[3]));
  }
  return list;
}

static json_t *memory_bytes(const char *key) {
  char text[256];
  if (!value_of("/proc/meminfo", &key, 1, text, sizeof text)) return json_null();
  return json_integer((json_int_t)strtoll(text, NULL, 10) << 10); /* in KiB */
}

static json_t *operating_system(void) {
  struct utsname names;
  char text[256], libc[64] = "";
  if (uname(&names) != 0) return json_null();
#ifdef _CS_GNU_LIBC_VERSION
  if (confstr(_CS_GNU_LIBC_VERSION, libc, sizeof libc) == 0) libc[0] = '\0';
#endif
  snprintf(text, sizeof text, "%.60s %.60s %.30s%s%s", names.sysname, names.release, names.machine, *libc ? ", " : "", libc);
  return json_string(text);
}

json_t *tool_machine_json(void) {
  tct_cpu_limits limits;
  tct_cpu_limits_of_process(&limits);
  json_t *const quota = limits.quota > 0 ? json_integer(limits.quota) : json_null();
  json_t *const cpus = json_pack("{s:i, s:i, s:i, s:o}", "usable", (int)limits.usable, "online",
                                 (int)sysconf(_SC_NPROCESSORS_ONLN), "affinity", (int)limits.affinity, "quota", quota);
  return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "processor", processor(), "features", features(), "caches",
                   caches(), "cpus", cpus, "memory_bytes", memory_bytes("MemTotal"), "available_bytes",
                   memory_bytes("MemAvailable"), "system", operating_system());
}
