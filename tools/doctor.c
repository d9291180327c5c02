/* tercet doctor: what is here and what is not, why, and what to do about it. The report is a JSON document first; the text
 * is a view of it, so that both say the same. */
#include "tool.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

/* ---- the report ---------------------------------------------------------------------------------------- */

static json_t *versions_json(void) {
  char headers[32];
  const char *name, *version;
  snprintf(headers, sizeof headers, "%d.%d.%d", TCT_VERSION_MAJOR, TCT_VERSION_MINOR, TCT_VERSION_PATCH);
  json_t *const object = json_pack("{s:s, s:s, s:i}", "library", tct_version(), "command", headers, "backend_interface",
                                   (int)TCT_BACKEND_ABI);
  for (int32_t i = 0; tct_dependency(i, &name, &version); i++) json_object_set_new(object, name, json_string(version));
  return object;
}

static void add_fact(void *user, const char *name, const char *text) {
  json_object_set_new(user, name, json_string(text));
}

/* Opens a device that is here; what it tells, or why it did not open. */
static void ask_device(json_t *object, const char *name) {
  tct_device *device = NULL;
  if (tct_device_open(name, NULL, &device) != TCT_OK) {
    json_object_set_new(object, "why", json_string(tct_error_message()));
    return;
  }
  json_t *const facts = json_object();
  tct_device_facts(device, add_fact, facts);
  json_object_set_new(object, "facts", facts);
  tct_device_close(device);
}

static json_t *devices_json(void) {
  json_t *const list = json_array();
  tct_device_kind kind;
  for (int32_t i = 0; tct_device_list(i, &kind); i++) {
    json_t *const object = tool_kind_json(&kind);
    if (kind.n_devices > 0) ask_device(object, kind.name);
    json_array_append_new(list, object);
  }
  return list;
}

static json_t *environment_json(void) {
  json_t *const list = json_array();
  tct_environment_row row;
  for (int32_t i = 0; tct_environment(i, &row); i++)
    json_array_append_new(list, json_pack("{s:s, s:s?, s:s, s:s}", "name", row.name, "value", row.value, "default",
                                          row.fallback, "meaning", row.meaning));
  return list;
}

/* ---- findings ------------------------------------------------------------------------------------------ */

static const char *text_of(const json_t *object, const char *key) {
  const char *const text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

static void add_finding(json_t *findings, const char *format, ...) TCT_PRINTF(2, 3);
static void add_finding(json_t *findings, const char *format, ...) {
  char text[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  json_array_append_new(findings, json_string(text));
}

/* A device that ought to run and does not: one with a reason, but for the decorator's, which is how it is used. */
static bool find_devices(const json_t *devices, json_t *findings) {
  bool trains = false;
  size_t i;
  json_t *device;
  json_array_foreach(devices, i, device) {
    const char *const name = text_of(device, "name"), *const why = text_of(device, "why");
    if (*why && strcmp(name, "check") != 0) add_finding(findings, "device %s: %s", name, why);
    if (strcmp(name, "cpu") == 0) trains = !*why;
  }
  return trains;
}

/* TERCET_ variables that nobody reads: a typing error shows nowhere else. */
static void find_variables(json_t *findings) {
  const char *names[64];
  size_t n = 0;
  tct_environment_row row;
  for (int32_t i = 0; n < sizeof names / sizeof names[0] && tct_environment(i, &row); i++) names[n++] = row.name;
  for (char **entry = environ; *entry; entry++) {
    char name[64];
    if (strncmp(*entry, "TERCET_", 7) != 0) continue;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(*entry, "="), *entry);
    bool known = false;
    for (size_t i = 0; i < n; i++) known = known || strcmp(name, names[i]) == 0;
    const char *const nearest = known ? NULL : tool_nearest(name, names, n);
    if (!known)
      add_finding(findings, "%s is set, but nothing reads it%s%s%s", name, nearest ? "; did you mean " : "",
                  nearest ? nearest : "", nearest ? "?" : "");
  }
}

static void find_threads(const json_t *machine, json_t *findings) {
  const char *const wanted = getenv("TERCET_THREADS");
  const json_int_t usable = json_integer_value(json_object_get(json_object_get(machine, "cpus"), "usable"));
  if (wanted && strtoll(wanted, NULL, 10) > usable)
    add_finding(findings, "TERCET_THREADS=%s, but the process may use %d CPUs: threads will wait for each other", wanted,
                (int)usable);
}

/* ---- as text ------------------------------------------------------------------------------------------- */

static void print_row(const char *name, const char *text) {
  printf("  %-22s %s\n", name, *text ? text : "-");
}

static const char *size_text(const json_t *bytes, char *text, size_t text_bytes) {
  const double n = (double)json_integer_value(bytes);
  if (!json_is_integer(bytes))
    snprintf(text, text_bytes, "unknown");
  else if (n >= 1 << 30)
    snprintf(text, text_bytes, "%.1f GiB", n / (1 << 30));
  else if (n >= 1 << 20)
    snprintf(text, text_bytes, "%.4g MiB", n / (1 << 20));
  else
    snprintf(text, text_bytes, "%.0f KiB", n / (1 << 10));
  return text;
}

static void print_machine(const json_t *machine) {
  char text[512] = "", size[32], more[32];
  size_t i;
  json_t *item;
  const json_t *const cpus = json_object_get(machine, "cpus");
  print_row("processor", text_of(machine, "processor"));
  json_array_foreach(json_object_get(machine, "features"), i, item) {
    const size_t used = strlen(text);
    snprintf(text + used, sizeof text - used, "%s%s", used ? " " : "", json_string_value(item));
  }
  print_row("features", text);
  text[0] = '\0';
  json_array_foreach(json_object_get(machine, "caches"), i, item) {
    const size_t used = strlen(text);
    snprintf(text + used, sizeof text - used, "%sL%d %s %s", used ? ", " : "",
             (int)json_integer_value(json_object_get(item, "level")), text_of(item, "type"),
             size_text(json_object_get(item, "bytes"), size, sizeof size));
  }
  print_row("caches", text);
  const json_t *const quota = json_object_get(cpus, "quota");
  snprintf(size, sizeof size, "%d", (int)json_integer_value(quota));
  snprintf(text, sizeof text, "%d usable (%d online, %d by affinity, control groups allow %s)",
           (int)json_integer_value(json_object_get(cpus, "usable")), (int)json_integer_value(json_object_get(cpus, "online")),
           (int)json_integer_value(json_object_get(cpus, "affinity")), json_is_null(quota) ? "all" : size);
  print_row("CPUs", text);
  snprintf(text, sizeof text, "%s, %s available", size_text(json_object_get(machine, "memory_bytes"), size, sizeof size),
           size_text(json_object_get(machine, "available_bytes"), more, sizeof more));
  print_row("memory", text);
  print_row("system", text_of(machine, "system"));
}

static void print_object(const json_t *object) {
  const char *key;
  json_t *value;
  char number[32];
  /* json_object_foreach takes a mutable object and changes nothing. */
  json_object_foreach((json_t *)(uintptr_t)object, key, value) {
    snprintf(number, sizeof number, "%d", (int)json_integer_value(value));
    print_row(key, json_is_string(value) ? json_string_value(value) : number);
  }
}

static void print_devices(const json_t *devices) {
  size_t i;
  json_t *device;
  json_array_foreach(devices, i, device) {
    const char *const why = text_of(device, "why"), *const module = text_of(device, "module");
    printf("  %-8s %s%s%s%s%s\n", text_of(device, "name"), *why ? "not here: " : "", *why ? why : text_of(device, "description"),
           *module ? "  [" : "", module, *module ? "]" : "");
    const char *key;
    json_t *fact;
    json_object_foreach(json_object_get(device, "facts"), key, fact) printf("    %-20s %s\n", key, json_string_value(fact));
  }
}

static void print_environment(const json_t *environment) {
  size_t i;
  json_t *row;
  json_array_foreach(environment, i, row) {
    const char *const value = json_string_value(json_object_get(row, "value"));
    printf("  %-22s %s\n    %s\n", text_of(row, "name"), value ? value : "(not set)", text_of(row, "meaning"));
  }
}

static void print_report(const json_t *report) {
  size_t i;
  json_t *finding;
  const json_t *const findings = json_object_get(report, "findings");
  puts("Versions");
  print_object(json_object_get(report, "versions"));
  puts("\nMachine");
  print_machine(json_object_get(report, "machine"));
  puts("\nDevices");
  print_devices(json_object_get(report, "devices"));
  puts("\nEnvironment");
  print_environment(json_object_get(report, "environment"));
  puts("\nFindings");
  json_array_foreach(findings, i, finding) printf("  %s\n", json_string_value(finding));
  if (json_array_size(findings) == 0) puts("  none: everything that training on the CPU needs is here");
}

static int run_doctor(const tool_options *options) {
  json_t *const findings = json_array(), *const machine = tool_machine_json(), *const devices = devices_json();
  const bool trains = find_devices(devices, findings);
  find_variables(findings);
  find_threads(machine, findings);
  json_t *const report =
      json_pack("{s:o, s:o, s:o, s:o, s:o, s:b}", "versions", versions_json(), "machine", machine, "devices", devices,
                "environment", environment_json(), "findings", findings, "trains_on_cpu", (int)trains);
  if (!report) {
    fputs("tercet: doctor: out of memory\n", stderr);
    return TOOL_OUT_OF_MEMORY;
  }
  if (options->json) {
    tool_print_json(report);
  } else {
    print_report(report);
    json_decref(report);
  }
  const int code = tool_finish();
  return code != TOOL_OK || trains ? code : TOOL_UNAVAILABLE;
}

const tool_command tool_doctor = {
    .name = "doctor",
    .letter = 'D',
    .argument = "",
    .summary = "say what is here, what is not, why, and what to do",
    .about = "Prints versions, the machine (processor, caches, CPUs that may be used, memory), every device with what it\n"
             "found and chose (instruction-set level, BLAS) or why it is not here, the environment variables that are\n"
             "read, and findings: what is missing or looks wrong, and what to install. Attach it to a bug report.\n"
             "The exit code is 0 when a job can train on the CPU, else 7.\n\n"
             "Examples:\n"
             "  tercet doctor\n"
             "  tercet doctor --json\n",
    .run = run_doctor};
