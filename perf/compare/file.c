/* Reading treats every line as a stranger's; writing is one line at a time. */
#include "perf/compare/file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <tercet/tercet.h>
#include "perf/support/json.h"

enum { LONGEST_LINE = 64 << 20 };

bool perf_fails(perf_problem *problem, int status, const char *format, ...) {
  va_list args;
  va_start(args, format);
  (void)vsnprintf(problem->text, sizeof problem->text, format, args);
  va_end(args);
  problem->status = status;
  return false;
}

bool perf_file_append(FILE *to, const char *path, json_t *record, perf_problem *problem) {
  if (record == NULL) return perf_fails(problem, TCT_OUT_OF_MEMORY, "'%s': no memory for a record", path);
  char *const line = json_dumps(record, JSON_COMPACT | JSON_PRESERVE_ORDER);
  json_decref(record);
  if (line == NULL) return perf_fails(problem, TCT_OUT_OF_MEMORY, "'%s': no memory for a record", path);
  errno = EIO;
  const bool ok = fputs(line, to) >= 0 && fputc('\n', to) != EOF && fflush(to) == 0;
  free(line);
  return ok || perf_fails(problem, TCT_IO, "cannot write to '%s': %s; what stands there is kept, and --resume goes on", path, strerror(errno));
}

static bool check_first(const json_t *record, const char *path, perf_problem *problem) {
  if (!perf_is(record, "record", "comparison"))
    return perf_fails(problem, TCT_BAD_DATA, "'%s': the first line is no comparison; needs a file that tercet compare wrote", path);
  const json_t *const schema = json_object_get(record, "schema");
  if (json_is_integer(schema) && json_integer_value(schema) == PERF_SCHEMA) return true;
  char *const got = json_dumps(schema, JSON_ENCODE_ANY);
  (void)perf_fails(problem, TCT_BAD_DATA, "'%s': its schema is %.40s, this version reads %d; use the version that wrote it", path,
                   got != NULL ? got : "missing", (int)PERF_SCHEMA);
  free(got);
  return false;
}

static bool add_line(json_t *records, const char *path, int number, const char *line, size_t length, perf_problem *problem) {
  json_error_t error;
  json_t *const record = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
  if (!json_is_object(record)) {
    json_decref(record);
    return perf_fails(problem, TCT_BAD_DATA, "'%s', line %d: %s; needs a JSON object a line", path, number,
                      record == NULL ? error.text : "another JSON value");
  }
  const bool ok = perf_json_clean(record);
  if (json_array_append_new(records, record) != 0 || !ok) return perf_fails(problem, TCT_OUT_OF_MEMORY, "'%s': no memory for its records", path);
  return json_array_size(records) > 1 || check_first(record, path, problem);
}

static bool read_lines(FILE *from, const char *path, json_t *records, bool *out_torn, long *out_whole, perf_problem *problem) {
  char *line = NULL;
  size_t room = 0;
  ssize_t n;
  bool ok = true;
  for (int number = 1; ok && (n = getline(&line, &room, from)) > 0; number++) {
    *out_torn = line[n - 1] != '\n';
    if (n > LONGEST_LINE) ok = perf_fails(problem, TCT_BAD_DATA, "'%s', line %d: longer than %d MiB", path, number, LONGEST_LINE >> 20);
    else if (!*out_torn) ok = add_line(records, path, number, line, (size_t)n, problem);
    if (ok && !*out_torn) *out_whole += (long)n;
  }
  free(line);
  if (ok && ferror(from)) return perf_fails(problem, TCT_IO, "cannot read '%s': %s", path, strerror(errno));
  if (ok && json_array_size(records) == 0) return perf_fails(problem, TCT_BAD_DATA, "'%s' holds no whole line; needs a file that tercet compare wrote", path);
  return ok;
}

bool perf_file_read(const char *path, json_t **out, bool *out_torn, long *out_whole, perf_problem *problem) {
  FILE *const from = fopen(path, "r");
  *out = NULL;
  *out_torn = false;
  *out_whole = 0;
  if (from == NULL) return perf_fails(problem, errno == ENOENT ? TCT_NOT_FOUND : TCT_IO, "cannot open '%s': %s", path, strerror(errno));
  struct stat about;
  if (fstat(fileno(from), &about) != 0 || !S_ISREG(about.st_mode)) {
    (void)fclose(from);
    return perf_fails(problem, TCT_BAD_DATA, "'%s' is no file of lines; needs a file that tercet compare wrote", path);
  }
  json_t *const records = json_array();
  const bool ok = read_lines(from, path, records, out_torn, out_whole, problem);
  (void)fclose(from);
  if (ok) *out = records;
  else json_decref(records);
  return ok;
}
