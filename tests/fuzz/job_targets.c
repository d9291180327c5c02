/* Job files, overrides, and what the environment and a device's name may say. */
#include "fuzz/targets.h"

#include <stdlib.h>
#include <string.h>

static const char plain_job[] = "data: {type: glyphs, samples: 20}\n"
                                "model:\n  width: 4\n  layers: [Flatten, {Dense: {units: $width, name: fc1}}, "
                                "{Dense: {units: 10, activation: softmax}}]\n"
                                "loss: sparse_categorical_crossentropy\ntrain: {epochs: 2}\n";

/* What was read is printed and read again: the same text comes out. */
static void check_round_trip(tct_job *job) {
  const char *text = NULL;
  tct_job *again = NULL;
  if (!fuzz_passed(tct_job_text(job, &text))) return;
  fuzz_expect(fuzz_passed(tct_job_parse(text, strlen(text), "printed", NULL, &again)), "a printed job is a job");
  const char *twice = NULL;
  fuzz_expect(fuzz_passed(tct_job_text(again, &twice)) && strcmp(text, twice) == 0, "printing changes nothing");
  tct_job_free(again);
}

void fuzz_job(const uint8_t *data, size_t bytes) {
  char *const text = fuzz_text(data, bytes);
  tct_job *job = NULL;
  const tct_status status = tct_job_parse(text, bytes, "job.yaml", NULL, &job);
  fuzz_expect((status == TCT_OK) == (job != NULL), "a job or an error");
  if (fuzz_passed(status)) {
    tct_job_info info;
    tct_job_describe(job, &info);
    fuzz_expect(info.batch_size >= 1 && info.epochs >= 1, "sizes that can be used");
    check_round_trip(job);
  }
  tct_job_free(job);
  free(text);
}

enum { MOST_LINES = 8 };

/* Cuts the text at its line ends; returns how many lines. */
static int32_t cut(char *text, const char *lines[MOST_LINES]) {
  int32_t n = 0;
  for (char *at = text; n < MOST_LINES && at != NULL; at = strchr(at, '\n')) {
    if (n > 0) *at++ = '\0';
    lines[n++] = at;
  }
  return n;
}

void fuzz_set(const uint8_t *data, size_t bytes) {
  char *const text = fuzz_text(data, bytes);
  const char *lines[MOST_LINES];
  const int32_t n = cut(text, lines);
  tct_job *job = NULL;
  const tct_job_options options = {.set = lines, .n_set = n};
  if (fuzz_passed(tct_job_parse(plain_job, sizeof plain_job - 1, "job.yaml", &options, &job))) check_round_trip(job);
  tct_job_free(job);
  free(text);
}

/* One step of a small graph under whatever the variables say. */
static void compute(void) {
  tct_device *device = NULL;
  tct_graph *graph = NULL;
  tct_program *program = NULL;
  float y = 0;
  fuzz_expect(fuzz_passed(tct_device_open("ref", NULL, &device)), "the reference device is always here");
  fuzz_expect(fuzz_passed(tct_graph_create(&graph)), "a graph");
  const tct_tensor two = tct_scalar(graph, TCT_F32, 2);
  tct_output(graph, "y", tct_add(tct_mul(two, two), tct_scalar(graph, TCT_F32, 1)));
  tct_status status = tct_compile(graph, device, NULL, &program);
  if (status == TCT_OK) status = tct_program_run(program);
  if (status == TCT_OK) status = tct_program_get(program, "y", &y, sizeof y);
  if (fuzz_passed(status)) fuzz_expect(y == 5, "2 x 2 + 1 = 5");
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(device);
}

void fuzz_environment(const uint8_t *data, size_t bytes) {
  static const char *const names[] = {"TERCET_DISABLE", "TERCET_SKIP", "TERCET_THREADS"};
  char *const text = fuzz_text(data, bytes);
  const char *lines[MOST_LINES] = {"", "", "", "ref"};
  const int32_t n = cut(text, lines);
  for (int i = 0; i < 3; i++) (void)setenv(names[i], lines[i], 1);
  compute();
  /* Thousands of threads say nothing about parsing. */
  if (strlen(lines[2]) < 2 || strspn(lines[2], "0123456789") == 0) {
    tct_device *device = NULL;
    const char *const spec = n > 3 ? lines[3] : "ref";
    const tct_status status = tct_device_open(spec, NULL, &device);
    fuzz_expect((status == TCT_OK) == (device != NULL), "a device or an error");
    (void)fuzz_passed(status);
    tct_device_close(device);
  }
  for (int i = 0; i < 3; i++) (void)unsetenv(names[i]);
  free(text);
}
