/* `tercet doctor`: the structure of its report, that the text says what the JSON says, and each thing that it can find. */
#include "shell.h"
#include "test.h"

#include <jansson.h>
#include <tercet/tercet.h>

static char out[65536];

/* Runs it with `environment` ("A=1 B=2") before it; returns the exit code, what it prints to stdout is in `out`. */
static int doctor(const char *environment, const char *arguments) {
  return shell(out, sizeof out, "env -u TERCET_THREADS -u TERCET_ISA %s '%s'/tercet doctor %s", environment, TCT_BINARY_DIR, arguments);
}

static json_t *report_of(const char *environment, int wanted) {
  json_error_t error;
  const int code = doctor(environment, "--json 2>/dev/null");
  CHECK(code == wanted, "exit code %d, wanted %d: %s", code, wanted, out);
  json_t *const report = json_loads(out, 0, &error);
  CHECK(report != NULL, "%s: %s", error.text, out);
  return report;
}

/* A member by its path "machine.cpus.usable"; a number is an index. */
static json_t *at(json_t *report, const char *path) {
  char text[128];
  (void)snprintf(text, sizeof text, "%s", path);
  for (char *word = strtok(text, "/"); word != NULL; word = strtok(NULL, "/"))
    report = json_is_array(report) ? json_array_get(report, (size_t)atoi(word)) : json_object_get(report, word);
  return report;
}

/* Members, their order and types: what programs may rely on. `?` may be null. */
TEST(doctor, structure) {
  static const struct {
    const char *path, *type;
  } rows[] = {
      {"versions/library", "string"},     {"versions/command", "string"},      {"versions/backend_interface", "integer"},
      {"versions/zlib", "string"},        {"versions/libyaml", "string"},      {"versions/jansson", "string"},
      {"machine/processor", "string"},    {"machine/features", "array"},       {"machine/caches", "array"},
      {"machine/cpus/usable", "integer"}, {"machine/cpus/online", "integer"},  {"machine/cpus/affinity", "integer"},
      {"machine/cpus/quota", "integer?"}, {"machine/memory_bytes", "integer"}, {"machine/available_bytes", "integer"},
      {"machine/system", "string"},       {"devices/0/name", "string"},        {"devices/0/devices", "integer"},
      {"devices/0/facts/isa", "string"},  {"devices/0/facts/isa.why", "string"}, {"devices/0/facts/blas.library", "string"},
      {"devices/0/facts/blas.config", "string"}, {"devices/0/facts/blas.threads", "string"},
      {"devices/2/why", "string"},        {"environment/0/name", "string"},    {"environment/0/value", "string?"},
      {"environment/0/default", "string"}, {"environment/0/meaning", "string"}, {"findings", "array"},
      {"trains_on_cpu", "boolean"},
  };
  json_t *const report = report_of("", 0);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const json_t *const member = at(report, rows[i].path);
    const bool may_be_null = strchr(rows[i].type, '?') != NULL;
    const char *const is = json_is_string(member)    ? "string"
                           : json_is_integer(member) ? "integer"
                           : json_is_array(member)   ? "array"
                           : json_is_boolean(member) ? "boolean"
                           : json_is_null(member)    ? "null"
                                                     : "missing";
    CHECK(strncmp(is, rows[i].type, strlen(is)) == 0 || (may_be_null && json_is_null(member)), "%s is %s, wanted %s",
          rows[i].path, is, rows[i].type);
  }
  CHECK(json_is_true(at(report, "trains_on_cpu")) && strcmp(json_string_value(at(report, "versions/library")), tct_version()) == 0);
  tct_environment_row row;
  int32_t n_rows = 0;
  while (tct_environment(n_rows, &row)) n_rows++;
  CHECK(n_rows > 5 && json_array_size(at(report, "environment")) == (size_t)n_rows);
  tct_cpu_limits limits;
  tct_cpu_limits_of_process(&limits);
  CHECK(limits.usable >= 1 && limits.usable <= limits.affinity && (limits.quota == 0 || limits.usable <= limits.quota));
  CHECK(json_integer_value(at(report, "machine/cpus/usable")) == limits.usable);
  json_decref(report);
}

TEST(doctor, text_says_what_the_json_says) {
  json_t *const report = report_of("TERCET_ISA=generic", 0);
  const char *const wanted[] = {"\nMachine\n",
                                "\nDevices\n",
                                "\nEnvironment\n",
                                "\nFindings\n",
                                json_string_value(at(report, "machine/processor")),
                                json_string_value(at(report, "devices/0/description")),
                                json_string_value(at(report, "devices/0/facts/blas.config")),
                                json_string_value(at(report, "devices/2/why")),
                                json_string_value(at(report, "environment/1/meaning")),
                                "TERCET_ISA             generic\n",
                                "isa                  generic\n",
                                "isa.why              TERCET_ISA asks for it\n"};
  CHECK(doctor("TERCET_ISA=generic", "2>&1") == 0, "%s", out);
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
    CHECK(wanted[i] != NULL && strstr(out, wanted[i]) != NULL, "%zu: no '%s' in:\n%s", i, wanted[i], out);
  CHECK(strncmp(out, "Versions\n", 9) == 0, "%s", out);
  json_decref(report);
}

TEST(doctor, finds) {
  static const struct {
    const char *environment;
    int code;
    const char *finding; /* NULL: nothing is found */
  } rows[] = {
      {"TERCET_THREADS=1", 0, NULL},
      {"TERCET_THREDS=1", 0, "TERCET_THREDS is set, but nothing reads it; did you mean TERCET_THREADS?"},
      {"TERCET_SOMETHING_ELSE=1", 0, "TERCET_SOMETHING_ELSE is set, but nothing reads it"},
      {"TERCET_THREADS=1000", 0, "TERCET_THREADS=1000, but the process may use "},
      {"TERCET_ISA=sse9", 7, "device cpu: TERCET_ISA=sse9: this processor and build have "},
      {"TERCET_BLAS=/nowhere.so", 7, "device cpu: TERCET_BLAS=/nowhere.so: "},
      {"TERCET_BACKEND_PATH=" TCT_BINARY_DIR "/modules/broken", 0, "device refusal: "},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    json_t *const report = report_of(rows[i].environment, rows[i].code);
    const size_t n = json_array_size(at(report, "findings"));
    CHECK(json_is_true(at(report, "trains_on_cpu")) == (rows[i].code == 0), "%s", out);
    if (rows[i].finding == NULL) CHECK(n == 0, "%s: %s", rows[i].environment, out);
    CHECK(rows[i].finding == NULL || strstr(strstr(out, "\"findings\""), rows[i].finding) != NULL, "%s: %s",
          rows[i].environment, out);
    json_decref(report);
    if (rows[i].finding == NULL) continue;
    CHECK(doctor(rows[i].environment, "2>&1") == rows[i].code && strstr(strstr(out, "\nFindings\n"), rows[i].finding) != NULL, "%s", out);
  }
}

TEST(doctor, wrong_flags) {
  static const struct {
    const char *arguments, *said;
  } rows[] = {
      {"--jsn 2>&1", "tercet: doctor: unknown option '--jsn'; did you mean '--json'?"},
      {"--device cpu 2>&1", "tercet: doctor: unknown option '--device'"},
      {"cpu 2>&1", "tercet: doctor: 'cpu' is one argument too many"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    CHECK(doctor("", rows[i].arguments) == 2 && strncmp(out, rows[i].said, strlen(rows[i].said)) == 0, "%s: %s",
          rows[i].arguments, out);
}
