/* What a job is, whatever it runs on: its text without device, seed and threads, and its data, each with a sum that tells it from
 * others. */
#include "perf/compare/job.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "perf/compare/run.h"
#include "perf/support/json.h"

enum { HASHED = 64 << 20, HASH_BATCH = 256, MOST_FIELDS = 64 };

/* The job as it is without what may differ between runs and machines. */
static bool open_neutral(const char *path, const char *directory, const char *const *more, int32_t n_more, tct_job **out) {
  static const char *const without[] = {"device=null", "seed=null", "threads=null", "save=null", "checkpoint=null"};
  const char *set[PERF_MOST_SETS];
  int32_t n = 0;
  for (; n < n_more && n < PERF_MOST_SETS - 8; n++) set[n] = more[n];
  for (int i = 0; i < 5; i++) set[n++] = without[i];
  return tct_job_load(path, &(tct_job_options){.directory = directory, .set = set, .n_set = n}, out) == TCT_OK;
}

static json_t *hash_text(uLong crc) { return perf_text("crc32:%08lx", (unsigned long)crc); }

/* Of each field the first bytes of every sample in order, up to HASHED. */
static bool hash_data(tct_dataset *data, uLong *out) {
  const int64_t n = tct_dataset_samples(data);
  const int32_t n_fields = tct_dataset_n_fields(data);
  size_t bytes[MOST_FIELDS], sum = 0;
  void *fields[MOST_FIELDS];
  int64_t index[HASH_BATCH];
  if (n_fields > MOST_FIELDS) return false;
  for (int32_t f = 0; f < n_fields; f++) {
    const tct_field *const field = tct_dataset_field(data, f);
    bytes[f] = tct_dtype_bytes(field->dtype) * (size_t)tct_shape_size(&field->shape);
    sum += bytes[f];
  }
  unsigned char *const memory = malloc(sum * HASH_BATCH + 1);
  bool ok = memory != NULL;
  *out = crc32(0, NULL, 0);
  for (int64_t first = 0; ok && first < n && (size_t)first * sum < HASHED; first += HASH_BATCH) {
    const int64_t many = n - first < HASH_BATCH ? n - first : HASH_BATCH;
    unsigned char *at = memory;
    for (int64_t i = 0; i < many; i++) index[i] = first + i;
    for (int32_t f = 0; f < n_fields; f++) {
      fields[f] = at;
      at += bytes[f] * (size_t)many;
    }
    ok = tct_dataset_read(data, index, many, fields) == TCT_OK;
    if (ok) *out = crc32(*out, memory, (uInt)(at - memory));
  }
  free(memory);
  return ok;
}

bool perf_put_job(const char *path, const char *directory, const char *const *set, int32_t n_set, json_t *into, perf_problem *problem) {
  tct_job *job = NULL;
  tct_job_info info;
  tct_dataset *data = NULL, *test = NULL;
  const char *text = NULL;
  uLong crc = 0;
  bool ok = open_neutral(path, directory, set, n_set, &job) && tct_job_text(job, &text) == TCT_OK;
  json_t *const about = json_object(), *const of_data = json_object();
  json_object_set_new(into, "job", about);
  json_object_set_new(into, "data", of_data);
  if (ok) {
    json_object_set_new(about, "text", json_string(text));
    json_object_set_new(about, "hash", hash_text(crc32(crc32(0, NULL, 0), (const unsigned char *)text, (uInt)strlen(text))));
    tct_job_describe(job, &info);
    json_object_set_new(about, "name", perf_text("%s", info.name));
    json_object_set_new(about, "file", perf_text("%s", path));
    ok = tct_job_dataset(job, TCT_JOB_TRAIN, &data) == TCT_OK && (!info.has_test || tct_job_dataset(job, TCT_JOB_TEST, &test) == TCT_OK);
  }
  if (ok) ok = hash_data(data, &crc);
  if (ok) {
    json_object_set_new(of_data, "hash", hash_text(crc));
    json_object_set_new(of_data, "samples", json_integer((json_int_t)tct_dataset_samples(data)));
    json_object_set_new(of_data, "test_samples", test != NULL ? json_integer((json_int_t)tct_dataset_samples(test)) : json_null());
  }
  if (!ok) (void)perf_fails(problem, tct_error_status() != TCT_OK ? (int)tct_error_status() : TCT_OUT_OF_MEMORY, "%s", tct_error_message());
  tct_job_free(job);
  return ok;
}
