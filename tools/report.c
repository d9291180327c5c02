/* Errors, exit codes, results in text and JSON, and opening the job that every subcommand begins with. */
#include "tool.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <tercet/forecast.h>

static const struct {
  tct_status status;
  tool_exit code;
} exits[] = {
    {TCT_OK, TOOL_OK},
    {TCT_INVALID, TOOL_INVALID},
    {TCT_NOT_FOUND, TOOL_NOT_FOUND},
    {TCT_BAD_DATA, TOOL_BAD_DATA},
    {TCT_UNSUPPORTED, TOOL_UNSUPPORTED},
    {TCT_UNAVAILABLE, TOOL_UNAVAILABLE},
    {TCT_NUMERIC, TOOL_NUMERIC},
    {TCT_CANCELLED, TOOL_INTERRUPTED},
    {TCT_IO, TOOL_IO},
    {TCT_OUT_OF_MEMORY, TOOL_OUT_OF_MEMORY},
};

int tool_exit_code(tct_status status) {
  for (size_t i = 0; i < sizeof exits / sizeof exits[0]; i++)
    if (exits[i].status == status) return (int)exits[i].code;
  return TOOL_INTERNAL;
}

int tool_fail(void) {
  fprintf(stderr, "tercet: %s\n", tct_error_message());
  return tool_exit_code(tct_error_status());
}

int tool_out_of_memory(void) {
  fputs("tercet: out of memory\n", stderr);
  return TOOL_OUT_OF_MEMORY;
}

enum { MOST_COUNTERS = 32 };

/* 0 for a device whose time is measured. */
static int32_t modelled_counters(tct_device *device, tct_counter *out) {
  tct_device_info info;
  if (!device) return 0;
  tct_device_describe(device, &info);
  return info.time_is_modelled ? tct_device_counters(device, out, MOST_COUNTERS) : 0;
}

static json_t *modelled_json(tct_device *device) {
  tct_counter counters[MOST_COUNTERS];
  const int32_t n = modelled_counters(device, counters);
  if (n == 0) return NULL;
  json_t *const object = json_object();
  for (int32_t i = 0; i < n; i++) {
    char key[96];
    snprintf(key, sizeof key, "%s [%s]", counters[i].name, counters[i].unit);
    json_object_set_new(object, key, tool_number(counters[i].value));
  }
  return object;
}

static void add_refusal(void *user, const char *name, const char *text) {
  if (strncmp(name, "refused.", 8) == 0) json_array_append_new(user, json_string(text));
}

void tool_add_device_json(json_t *object, tct_device *device) {
  json_t *const modelled = modelled_json(device), *const refused = json_array();
  if (device) tct_device_facts(device, add_refusal, refused);
  tct_device_info info = {.name = ""};
  if (device) tct_device_describe(device, &info);
  if (info.name[0] != '\0') json_object_set_new(object, "description", json_string(info.name));
  if (modelled) json_object_set_new(object, "modelled", modelled);
  if (json_array_size(refused) > 0) json_object_set(object, "refused", refused);
  json_decref(refused);
}

void tool_modelled_line(tct_device *device, char *text, size_t size) {
  tct_forecast_run run;
  text[0] = '\0';
  if (device && tct_forecast_so_far(device, &run) && run.seconds > 0)
    snprintf(text, size, "  modelled %.4g s  %.1f%% useful  %.4g J  %.3g USD", run.seconds, 100 * run.useful, run.joules, run.dollars);
}

void tool_print_modelled(tct_device *device, const char *what) {
  tct_counter counters[MOST_COUNTERS];
  const int32_t n = modelled_counters(device, counters);
  if (n == 0) return;
  double total = 0;
  for (int32_t i = 0; i < n; i++)
    if (strcmp(counters[i].name, "total") == 0) total = counters[i].value;
  printf("modelled on %s, %s (not measured):\n", tct_device_spec(device), what);
  for (int32_t i = 0; i < n; i++) {
    const tct_counter *const c = &counters[i];
    if (strcmp(c->unit, "cycles") == 0 && total > 0 && strcmp(c->name, "total") != 0)
      printf("  %-22s %5.1f %%\n", c->name, 100 * c->value / total);
    else
      printf("  %-22s %.4g %s%s\n", c->name, c->value, c->unit, strcmp(c->name, "compiling") == 0 ? ", apart from the time" : "");
  }
}

int tool_file_fail(const char *doing, const char *path) {
  const tct_error_kind *const kind = tct_error_kind_of_errno(errno);
  fprintf(stderr, "tercet: cannot %s '%s': %s [%s]\n", doing, path, strerror(errno), kind->code);
  return tool_exit_code(kind->status);
}

int tool_finish(void) {
  errno = EIO;
  if (fflush(stdout) == 0 && !ferror(stdout)) return TOOL_OK;
  return tool_file_fail("write to", "standard output");
}

int tool_write_file(const char *path, void (*write)(const void *what, FILE *to), const void *what) {
  const bool to_file = path && strcmp(path, "-") != 0;
  FILE *const to = to_file ? fopen(path, "wb") : stdout;
  if (!to) return tool_file_fail("write", path);
  write(what, to);
  if (!to_file) return tool_finish();
  struct stat info;
  const bool regular = fstat(fileno(to), &info) == 0 && S_ISREG(info.st_mode); /* a device is not ours to remove */
  const bool failed = ferror(to) != 0;
  if (fclose(to) == 0 && !failed) return TOOL_OK;
  const int code = tool_file_fail("write", path);
  if (regular) (void)remove(path);
  return code;
}

void tool_print_csv_text(FILE *to, const char *text) {
  if (!strpbrk(text, ",\"\r\n")) {
    fputs(text, to);
    return;
  }
  fputc('"', to);
  for (; *text; text++) {
    if (*text == '"') fputc('"', to);
    fputc(*text, to);
  }
  fputc('"', to);
}

/* ---- the job ------------------------------------------------------------------------------------------ */

static bool is_model_file(const char *path) {
  const char *const dot = strrchr(path, '.');
  return dot && strcmp(dot, ".safetensors") == 0;
}

tct_status tool_open_job(const tool_options *options, tct_job **out) {
  const tct_job_options job_options = {
      .directory = options->job_dir, .set = options->set, .n_set = options->n_set};
  tct_status status = is_model_file(options->positional)
                          ? tct_job_from_model(options->positional, &job_options, out)
                          : tct_job_load(options->positional, &job_options, out);
  if (status != TCT_OK || !options->init) return status;
  tct_model *model = NULL;
  status = tct_job_model(*out, &model);
  if (status == TCT_OK) status = tct_model_load(model, options->init);
  if (status != TCT_OK) {
    tct_job_free(*out);
    *out = NULL;
  }
  return status;
}

static const char *const part_names[TCT_JOB_N_PARTS] = {"train", "validation", "test"};

const char *tool_part_name(tct_job_part part) { return part_names[part]; }

bool tool_part(const tool_options *options, const tct_job *job, tct_job_part *out) {
  tct_job_info info;
  tct_job_describe(job, &info);
  *out = info.has_test ? TCT_JOB_TEST : TCT_JOB_TRAIN;
  if (!options->part) return true;
  for (int p = 0; p < TCT_JOB_N_PARTS; p++)
    if (strcmp(options->part, part_names[p]) == 0) {
      *out = (tct_job_part)p;
      return true;
    }
  const char *const nearest = tool_nearest(options->part, part_names, TCT_JOB_N_PARTS);
  (void)tool_usage("--part is '%s', needs train, validation or test%s%s%s", options->part,
                   nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
  return false;
}

/* ---- results ------------------------------------------------------------------------------------------ */

json_t *tool_number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

void tool_print_json(json_t *object) {
  json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(17));
  fputc('\n', stdout);
  json_decref(object);
}

json_t *tool_evaluation_json(const tct_evaluation *e) {
  json_t *const object = json_object();
  json_object_set_new(object, "samples", json_integer(e->n_samples));
  for (int32_t i = 0; i < e->n_values; i++) json_object_set_new(object, e->names[i], tool_number(e->values[i]));
  if (e->n_classes == 0) return object;
  json_t *const matrix = json_array();
  for (int32_t t = 0; t < e->n_classes; t++) {
    json_t *const row = json_array();
    for (int32_t p = 0; p < e->n_classes; p++) json_array_append_new(row, json_integer(e->confusion[t * e->n_classes + p]));
    json_array_append_new(matrix, row);
  }
  json_object_set_new(object, "confusion_matrix", matrix);
  return object;
}

static void print_confusion(const tct_job *job, const tct_evaluation *e) {
  printf("confusion matrix (rows: true class, columns: predicted)\n");
  for (int32_t t = 0; t < e->n_classes; t++) {
    const char *const name = tct_job_class_name(job, t);
    if (name)
      printf("%16.16s", name);
    else
      printf("%16d", (int)t);
    for (int32_t p = 0; p < e->n_classes; p++) printf(" %6lld", (long long)e->confusion[t * e->n_classes + p]);
    printf("\n");
  }
}

void tool_print_evaluation(const char *what, const tct_job *job, const tct_evaluation *e) {
  printf("%s:", what);
  for (int32_t i = 0; i < e->n_values; i++) printf("  %s %.6g", e->names[i], e->values[i]);
  printf("  (%lld samples)\n", (long long)e->n_samples);
  if (e->n_classes > 0) print_confusion(job, e);
}
