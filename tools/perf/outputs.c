/* A summary in the forms that were asked for. */
#include "outputs.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "perf/claims/file.h"
#include "perf/compare/prices.h"
#include "perf/compare/show.h"
#include "perf/compare/summary.h"
#include "perf/report/report.h"

int outputs_fail(const perf_problem *problem) {
  fprintf(stderr, "tercet: %s\n", problem->text);
  return tool_exit_code((tct_status)problem->status);
}

int outputs_prices(const tool_options *options, json_t **out) {
  perf_problem problem;
  *out = NULL;
  if (options->prices == NULL || perf_prices_read(options->prices, out, &problem)) return TOOL_OK;
  return outputs_fail(&problem);
}

int outputs_limits(const tool_options *o, perf_limits *out) {
  *out = (perf_limits){.cost = (double)NAN, .deadline = (double)NAN, .latency = (double)NAN, .joules = (double)NAN};
  if (o->max_cost != NULL && !perf_read_cost(o->max_cost, out)) return tool_usage("%s: --max-cost is '%s', needs dollars such as 0.5 or $1%s", tool_arguments[1], o->max_cost,
                                                                                       strcmp(tool_arguments[1], "advise") == 0 ? ", or +10%" : "");
  if (o->deadline != NULL && !perf_read_seconds(o->deadline, &out->deadline))
    return tool_usage("%s: --deadline is '%s', needs a time such as 90s, 10m or 2h", tool_arguments[1], o->deadline);
  if (o->max_energy != NULL && !perf_read_joules(o->max_energy, &out->joules))
    return tool_usage("%s: --max-energy is '%s', needs an energy such as 50kJ or 1kWh", tool_arguments[1], o->max_energy);
  return TOOL_OK;
}

/* Of what was measured there is no present device to be dearer than. */
static int read_limits(const tool_options *options, perf_limits *out) {
  const int code = outputs_limits(options, out);
  if (code != TOOL_OK || !out->cost_is_share) return code;
  return tool_usage("%s: --max-cost is '%s', needs dollars such as 0.5 or $1; a share is of tercet advise", tool_arguments[1], options->max_cost);
}

/* --claims; NULL where there is none. */
static int read_claims(const tool_options *options, json_t **out) {
  perf_problem problem;
  *out = NULL;
  if (options->claims == NULL || perf_claims_read(options->claims, out, &problem)) return TOOL_OK;
  return outputs_fail(&problem);
}

static bool read_file(const char *path, json_t **out, perf_problem *problem) {
  bool torn = false;
  long whole = 0;
  if (!perf_file_read(path, out, &torn, &whole, problem)) return false;
  if (torn) fprintf(stderr, "tercet: warning: the last line of '%s' has no end and is left out; it was being written when its writer ended\n", path);
  return true;
}

int outputs_read(const char *path, json_t **out) {
  perf_problem problem;
  return read_file(path, out, &problem) ? TOOL_OK : outputs_fail(&problem);
}

static bool summarize(const tool_options *options, const char *path, const json_t *prices, json_t **out, perf_problem *problem) {
  json_t *records[TOOL_MOST_ITEMS + 1] = {NULL};
  const json_t *quoted[TOOL_MOST_ITEMS];
  const int n = options->with.n;
  bool ok = read_file(path, &records[TOOL_MOST_ITEMS], problem);
  for (int i = 0; ok && i < n; i++) {
    ok = read_file(options->with.item[i], &records[i], problem);
    quoted[i] = records[i];
  }
  *out = ok ? perf_summary(records[TOOL_MOST_ITEMS], quoted, options->with.item, n, prices, problem) : NULL;
  for (int i = 0; i <= TOOL_MOST_ITEMS; i++) json_decref(records[i]);
  return *out != NULL;
}

static void write_csv(const void *what, FILE *to) { perf_csv(what, to); }

/* Why a page could not be made; the text of the last one. */
static char page_why[600];
static bool page_made;
static void write_html(const void *what, FILE *to) { page_made = perf_report_html(what, to, page_why, sizeof page_why); }

static int write_page(const tool_options *options, const json_t *summary) {
  page_made = true;
  const int code = tool_write_file(options->html, write_html, summary);
  if (code != TOOL_OK || page_made) return code;
  fprintf(stderr, "tercet: --html: %s\n", page_why);
  return TOOL_INTERNAL;
}

static int write_dawnbench(const tool_options *options, const json_t *summary) {
  int n = 0;
  if (!perf_dawnbench(summary, options->dawnbench, &n)) return tool_file_fail("write into", options->dawnbench);
  if (n == 0) fprintf(stderr, "tercet: warning: --dawnbench: no device has a curve of an accuracy, so there is no file; needs --mode epochs or target\n");
  return TOOL_OK;
}

static bool is_stdout(const char *path) { return path != NULL && strcmp(path, "-") == 0; }

/* The last part of the path; the folder before it, "." where there is none. */
static const char *split_path(const char *path, char *folder, size_t size) {
  const char *const slash = strrchr(path, '/');
  (void)snprintf(folder, size, "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1, slash != NULL ? path : ".");
  return slash != NULL ? slash + 1 : path;
}

/* What cannot be written is better known before an hour of runs. */
int outputs_check_file(const char *path) {
  char folder[4096];
  struct stat there;
  if (path == NULL || is_stdout(path)) return TOOL_OK;
  (void)split_path(path, folder, sizeof folder);
  if (access(folder, W_OK | X_OK) != 0) return tool_file_fail("write into the folder", folder);
  if (stat(path, &there) != 0 || !S_ISDIR(there.st_mode)) return TOOL_OK;
  errno = EISDIR;
  return tool_file_fail("write", path);
}

static bool is_same_file(const char *a, const char *b) {
  struct stat of_a, of_b;
  if (strcmp(a, b) == 0) return true;
  const bool has_a = stat(a, &of_a) == 0, has_b = stat(b, &of_b) == 0;
  if (has_a && has_b) return of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino && S_ISREG(of_a.st_mode);
  if (has_a || has_b) return false;
  /* Neither is there yet: one name in one folder. */
  char folder_a[4096], folder_b[4096];
  return strcmp(split_path(a, folder_a, sizeof folder_a), split_path(b, folder_b, sizeof folder_b)) == 0 && stat(folder_a, &of_a) == 0 && stat(folder_b, &of_b) == 0 &&
         of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

/* What is read, and the data that took an hour to gather, is not written over. */
static int check_overwrites(const tool_options *options, const char *data, const char *option, const char *path) {
  const char *const read[] = {data, options->positional, options->prices, options->claims};
  if (path == NULL || is_stdout(path)) return TOOL_OK;
  for (size_t i = 0; i < sizeof read / sizeof read[0]; i++) {
    if (read[i] != NULL && is_same_file(path, read[i])) return tool_usage("%s: %s '%s' would overwrite '%s'; give another file", tool_arguments[1], option, path, read[i]);
  }
  for (int32_t i = 0; i < options->with.n; i++) {
    if (is_same_file(path, options->with.item[i])) return tool_usage("%s: %s '%s' would overwrite what --with reads; give another file", tool_arguments[1], option, path);
  }
  return TOOL_OK;
}

static int check_files(const tool_options *options, const char *data) {
  if (is_stdout(options->csv) + is_stdout(options->html) + options->json > 1)
    return tool_usage("%s: only one of --json, --csv - and --html - can have standard output", tool_arguments[1]);
  if (options->csv != NULL && options->html != NULL && !is_stdout(options->csv) && is_same_file(options->csv, options->html))
    return tool_usage("%s: --csv and --html are both '%s'; give each a file of its own", tool_arguments[1], options->html);
  struct stat dawnbench;
  if (options->dawnbench != NULL && stat(options->dawnbench, &dawnbench) == 0 && !S_ISDIR(dawnbench.st_mode))
    return tool_usage("%s: --dawnbench '%s' is a file; needs a folder, which it makes where there is none", tool_arguments[1], options->dawnbench);
  const char *const files[] = {options->csv, options->html}, *const names[] = {"--csv", "--html"};
  for (int i = 0; i < 2; i++) {
    int code = check_overwrites(options, data, names[i], files[i]);
    if (code == TOOL_OK) code = outputs_check_file(files[i]);
    if (code != TOOL_OK) return code;
  }
  return TOOL_OK;
}

int outputs_check(const tool_options *options, const char *data) {
  perf_limits limits;
  json_t *claims = NULL;
  int code = read_limits(options, &limits);
  if (code == TOOL_OK) code = read_claims(options, &claims);
  json_decref(claims);
  return code == TOOL_OK ? check_files(options, data) : code;
}

/* No device has a figure: all were absent, or none could run. */
static int nothing_ran(const json_t *summary) {
  size_t i, j;
  json_t *device, *point;
  bool present = false;
  json_array_foreach(json_object_get(summary, "devices"), i, device) {
    present = present || json_is_true(json_object_get(device, "available"));
    json_array_foreach(json_object_get(device, "points"), j, point) {
      if (isfinite(perf_median(point, "step_p50"))) return TOOL_OK;
    }
  }
  return present ? TOOL_INVALID : TOOL_UNAVAILABLE;
}

int outputs_write(const tool_options *options, const char *path, bool ran_now) {
  json_t *prices = NULL, *summary = NULL, *claims = NULL;
  perf_limits limits;
  perf_problem problem;
  int code = check_files(options, path); /* again: now the data file is there, whatever its name */
  if (code == TOOL_OK) code = outputs_prices(options, &prices);
  if (code == TOOL_OK && !summarize(options, path, prices, &summary, &problem)) code = outputs_fail(&problem);
  json_decref(prices);
  if (code == TOOL_OK) code = read_limits(options, &limits);
  if (code == TOOL_OK) code = read_claims(options, &claims);
  if (code != TOOL_OK) {
    json_decref(summary);
    return code;
  }
  perf_constrain(summary, &limits);
  if (claims != NULL) json_object_set_new(summary, "claims", claims);
  if (options->json) tool_print_json(json_incref(summary));
  else if (!is_stdout(options->csv) && !is_stdout(options->html)) perf_table(summary, stdout);
  code = tool_finish();
  if (code == TOOL_OK && options->csv) code = tool_write_file(options->csv, write_csv, summary);
  if (code == TOOL_OK && options->html) code = write_page(options, summary);
  if (code == TOOL_OK && options->dawnbench) code = write_dawnbench(options, summary);
  if (code == TOOL_OK && ran_now) code = nothing_ran(summary);
  json_decref(summary);
  return code;
}

const char *outputs_name(const char *job, const char *ending, char *text, size_t size) {
  const char *const slash = strrchr(job, '/'), *const name = slash != NULL ? slash + 1 : job, *const dot = strrchr(name, '.');
  (void)snprintf(text, size, "%.*s.%s", (int)(dot != NULL && dot > name ? (size_t)(dot - name) : strlen(name)), name, ending);
  return text;
}

/* In quotes where a shell would read something else; a quote itself as '\\''. */
static size_t put_word(char *text, size_t size, const char *word) {
  const bool plain = word[0] != '\0' && strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%") == strlen(word);
  size_t n = 0;
  if (!plain && n + 1 < size) text[n++] = '\'';
  for (; *word != '\0' && n + 5 < size; word++) {
    if (*word == '\'' && !plain) {
      memcpy(text + n, "'\\''", 4);
      n += 4;
    } else {
      text[n++] = *word;
    }
  }
  if (!plain && n + 1 < size) text[n++] = '\'';
  text[n] = '\0';
  return n;
}

const char *outputs_command(char *text, size_t size) {
  size_t at = (size_t)snprintf(text, size, "tercet");
  for (char **word = tool_arguments + 1; *word != NULL && at + 8 < size; word++) {
    text[at++] = ' ';
    at += put_word(text + at, size - at, *word);
  }
  return text;
}
