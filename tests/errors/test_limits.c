/* Limits of names, ranks, sizes and counts: one below, the limit, one above. */
#include <tercet/tercet.h>

#include "base/alloc.h"
#include "base/status.h"
#include "base/text.h"
#include "graph/graph.h"
#include "io/safetensors.h"
#include "io/yaml.h"
#include "faults.h"
#include "test.h"

#include <unistd.h>

static void repeat(tct_text *text, const char *what, int n) {
  for (int i = 0; i < n; i++) tct_text_append(text, what);
}

/* ---- job files ---- */

static const char job_end[] = "data: {type: glyphs, samples: 20}\nmodel: {layers: [Flatten, {Dense: {units: 10}}]}\n"
                              "loss: sparse_categorical_crossentropy\n";

/* Whether the text is YAML that a job file may hold: other problems do not count. */
static bool is_yaml(const tct_text *text) {
  tct_job *job = NULL;
  CHECK(!text->failed);
  const bool parsed = tct_job_parse(text->data, text->length, "job.yaml", NULL, &job) == TCT_OK;
  const bool yaml = parsed || tct_error_code() != TCT_E_YAML;
  tct_job_free(job);
  return yaml;
}

TEST(limits, depth_of_a_job) {
  for (int depth = 31; depth <= 33; depth++) {
    tct_text text = {0};
    tct_text_append(&text, "a: ");
    repeat(&text, "[", depth - 1); /* the mapping is one */
    repeat(&text, "]", depth - 1);
    CHECK(is_yaml(&text) == (depth <= 32), "%d deep: %s", depth, tct_error_message());
    tct_text_free(&text);
  }
}

TEST(limits, keys_of_a_mapping) {
  for (int n = 999; n <= 1001; n++) {
    tct_text text = {0};
    for (int i = 0; i < n; i++) tct_text_printf(&text, "k%d: 1\n", i);
    CHECK(is_yaml(&text) == (n <= 1000), "%d keys: %s", n, tct_error_message());
    tct_text_free(&text);
  }
}

TEST(limits, values_of_a_job) {
  const int scalars = TCT_YAML_MOST_NODES - 2; /* the mapping and its list are two */
  for (int n = scalars - 1; n <= scalars + 1; n++) {
    tct_text text = {0};
    tct_text_append(&text, "a: [");
    repeat(&text, "1,", n);
    tct_text_append(&text, "]");
    tct_arena arena = {0};
    tct_yaml *root = NULL;
    const tct_status status = tct_yaml_parse(&arena, text.data, text.length, "job.yaml", 0, &root);
    CHECK((status == TCT_OK) == (n <= scalars), "%d values: %s", n, tct_error_message());
    if (n > scalars) CHECK(strstr(tct_error_message(), "more than 2 000 000 values") != NULL, "%s", tct_error_message());
    tct_arena_free(&arena);
    tct_text_free(&text);
  }
}

TEST(limits, numbers_of_a_job) {
  static const struct {
    const char *set;
    bool good;
  } rows[] = {{"threads=1023", true},
              {"threads=4096", true},
              {"threads=4097", false},
              {"seed=9223372036854775806", true},
              {"seed=9223372036854775807", true},
              {"seed=9223372036854775808", false},
              {"seed=-1", false},
              {"seed=0", true},
              {"train.batch_size=0", false},
              {"train.batch_size=1", true},
              {"train.batch_size=2", true},
              {"data.validation_split=0", true},
              {"data.validation_split=0.999", true},
              {"data.validation_split=1", false},
              {"data.validation_split=1.001", false}};
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    tct_job *job = NULL;
    const tct_status status = tct_job_parse(job_end, sizeof job_end - 1, "job.yaml",
                                            &(tct_job_options){.set = &rows[i].set, .n_set = 1}, &job);
    CHECK((status == TCT_OK) == rows[i].good, "%s: %s", rows[i].set, tct_error_message());
    tct_job_free(job);
  }
}

/* ---- graphs ---- */

TEST(limits, rank_and_elements_of_a_tensor) {
  for (int32_t rank = TCT_MAX_RANK - 1; rank <= TCT_MAX_RANK + 1; rank++) {
    tct_graph *graph = NULL;
    tct_shape shape = {.rank = rank};
    for (int32_t i = 0; i < rank && i < TCT_MAX_RANK; i++) shape.dim[i] = 1;
    OK(tct_graph_create(&graph));
    (void)tct_input(graph, "x", TCT_U8, shape);
    CHECK((tct_graph_status(graph) == TCT_OK) == (rank <= TCT_MAX_RANK), "rank %d", (int)rank);
    tct_graph_free(graph);
  }
  for (int64_t over = -1; over <= 1; over++) {
    tct_graph *graph = NULL;
    OK(tct_graph_create(&graph));
    (void)tct_input(graph, "x", TCT_U8, TCT_SHAPE(INT64_MAX / 16 + over));
    CHECK((tct_graph_status(graph) == TCT_OK) == (over <= 0), "%lld beyond", (long long)over);
    tct_graph_free(graph);
  }
}

TEST(limits, errors_of_a_graph) {
  for (int n = TCT_MAX_GRAPH_ERRORS - 1; n <= TCT_MAX_GRAPH_ERRORS + 1; n++) {
    tct_graph *graph = NULL;
    char last[64], title[64];
    OK(tct_graph_create(&graph));
    for (int i = 0; i < n; i++) (void)tct_input(graph, "", TCT_F32, TCT_SHAPE(1));
    (void)snprintf(title, sizeof title, "%d errors in the graph\n", n);
    (void)snprintf(last, sizeof last, "\n%d. ", n);
    CHECK(tct_graph_status(graph) == TCT_INVALID && strncmp(tct_error_message(), title, strlen(title)) == 0);
    CHECK((strstr(tct_error_message(), last) != NULL) == (n <= TCT_MAX_GRAPH_ERRORS), "%s", tct_error_message());
    tct_graph_free(graph);
  }
}

TEST(limits, depth_of_scopes) {
  for (int n = TCT_MAX_SCOPES - 1; n <= TCT_MAX_SCOPES + 1; n++) {
    tct_graph *graph = NULL;
    OK(tct_graph_create(&graph));
    for (int i = 0; i < n; i++) tct_scope_push(graph, "s");
    CHECK((tct_graph_status(graph) == TCT_OK) == (n <= TCT_MAX_SCOPES), "%d scopes: %s", n, tct_error_message());
    tct_graph_free(graph);
  }
}

/* ---- devices and datasets ---- */

TEST(limits, length_of_a_devices_name) {
  for (size_t n = TCT_DEVICE_SPEC - 2; n <= TCT_DEVICE_SPEC; n++) {
    char name[TCT_DEVICE_SPEC + 1] = "";
    tct_device *device = NULL;
    memset(name, 'x', n);
    const tct_status status = tct_device_open(name, NULL, &device);
    CHECK(status != TCT_OK && tct_error_code() == (n < TCT_DEVICE_SPEC ? TCT_E_UNKNOWN_DEVICE : TCT_E_DEVICE_OPTION), "%zu: %s", n,
          tct_error_message());
  }
}

TEST(limits, threads_of_a_device) {
  static const struct {
    int32_t n;
    bool good;
  } rows[] = {{-1, false}, {0, true}, {1, true}, {1023, true}, {1024, true}, {1025, false}};
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    tct_device *device = NULL;
    const tct_status status = tct_device_open("ref", &(tct_device_options){.n_threads = rows[i].n}, &device);
    CHECK((status == TCT_OK) == rows[i].good, "%d threads: %s", (int)rows[i].n, tct_error_message());
    tct_device_close(device);
  }
}

TEST(limits, fields_of_a_dataset) {
  static const float zero[1] = {0};
  for (int32_t n = 63; n <= 65; n++) {
    tct_field fields[65];
    const void *data[65];
    char names[65][8];
    tct_dataset *set = NULL;
    for (int32_t i = 0; i < n; i++) {
      (void)snprintf(names[i], sizeof names[i], "f%d", (int)i);
      fields[i] = (tct_field){names[i], TCT_F32, {0}};
      data[i] = zero;
    }
    const tct_status status = tct_dataset_arrays(1, n, fields, data, false, &set);
    CHECK((status == TCT_OK) == (n <= 64), "%d fields: %s", (int)n, tct_error_message());
    tct_dataset_free(set);
  }
}

TEST(limits, batch_of_a_loader) {
  static const float x[3] = {0};
  tct_dataset *set = NULL;
  const void *data[1] = {x};
  OK(tct_dataset_arrays(3, 1, &(tct_field){"x", TCT_F32, {0}}, data, false, &set));
  for (int64_t batch = 0; batch <= 4; batch++) {
    tct_loader *loader = NULL;
    const tct_status status = tct_loader_create(set, &(tct_loader_options){.batch_size = batch}, &loader);
    CHECK((status == TCT_OK) == (batch >= 1 && batch <= 3), "batch %lld: %s", (long long)batch, tct_error_message());
    if (status != TCT_OK) CHECK(tct_error_code() == TCT_E_BATCH, "%s", tct_error_message());
    tct_loader_free(loader);
  }
  tct_dataset_free(set);
}

/* ---- texts ---- */

TEST(limits, digits_of_a_number) {
  for (size_t n = 999; n <= 1001; n++) {
    char digits[1002];
    double value = 0;
    memset(digits, '0', sizeof digits);
    digits[n - 1] = '7';
    CHECK(tct_parse_double(digits, n, &value) == (n <= 1000), "%zu digits", n);
    if (n <= 1000) CHECK(value == 7);
  }
  int64_t whole = 0;
  CHECK(tct_parse_i64("9223372036854775806", 19, &whole) && tct_parse_i64("9223372036854775807", 19, &whole));
  CHECK(!tct_parse_i64("9223372036854775808", 19, &whole));
  CHECK(tct_parse_i64("-9223372036854775807", 20, &whole) && tct_parse_i64("-9223372036854775808", 20, &whole));
  CHECK(!tct_parse_i64("-9223372036854775809", 20, &whole));
}

TEST(limits, length_of_a_name_with_a_suggestion) {
  for (size_t n = 62; n <= 64; n++) {
    char word[80] = "", near[80] = "";
    const char *const candidates[] = {near};
    memset(word, 'a', n);
    memset(near, 'a', n < 64 ? n : 63);
    near[0] = 'b';
    CHECK((tct_nearest(word, candidates, 1) != NULL) == (n <= 63), "%zu characters", n);
  }
}

/* ---- files ---- */

/* A file of zeros, with a header length in front unless it is 0; takes no room on the disk. */
static void make_sparse(const char *path, uint64_t length, int64_t bytes) {
  unsigned char head[8];
  for (int i = 0; i < 8; i++) head[i] = (unsigned char)(length >> (8 * i));
  FILE *const file = fopen(path, "wb");
  CHECK(file != NULL && fwrite(head, 1, length > 0 ? sizeof head : 0, file) <= sizeof head);
  CHECK(fflush(file) == 0 && ftruncate(fileno(file), bytes) == 0 && fclose(file) == 0);
}

TEST(limits, bytes_of_a_job) {
  char folder[SCRATCH_BYTES], path[SCRATCH_BYTES + 16];
  scratch_make(folder);
  (void)snprintf(path, sizeof path, "%s/job.yaml", folder);
  for (int64_t over = -1; over <= 1; over++) {
    tct_job *job = NULL;
    make_sparse(path, 0, (int64_t)TCT_YAML_MOST_BYTES + over);
    CHECK(tct_job_load(path, NULL, &job) != TCT_OK && tct_error_code() == (over > 0 ? TCT_E_FILE_SIZE : TCT_E_YAML),
          "%d beyond: %s", (int)over, tct_error_message());
    CHECK(strstr(tct_error_message(), over > 0 ? "larger than the 67108864 bytes" : "control characters") != NULL, "%s",
          tct_error_message());
  }
  scratch_remove(folder);
}

/* Up to the limit it is read, and then found to be no JSON. */
TEST(limits, header_of_a_safetensors_file) {
  char folder[SCRATCH_BYTES], path[SCRATCH_BYTES + 16];
  scratch_make(folder);
  (void)snprintf(path, sizeof path, "%s/t", folder);
  for (int over = -1; over <= 1; over++) {
    tct_safetensors *file = NULL;
    make_sparse(path, (uint64_t)(100000000 + over), 100000000 + over + 8);
    FAILS(tct_safetensors_read(path, &file), TCT_BAD_DATA,
          over > 0 ? "takes 100000001 bytes, the format allows 100000000" : "does not begin with '{'");
  }
  scratch_remove(folder);
}

TEST(limits, rank_of_a_saved_tensor) {
  static const float one[1] = {1};
  char folder[SCRATCH_BYTES], path[SCRATCH_BYTES + 16];
  scratch_make(folder);
  (void)snprintf(path, sizeof path, "%s/t", folder);
  for (int32_t rank = TCT_MAX_RANK - 1; rank <= TCT_MAX_RANK + 1; rank++) {
    tct_named_array array = {"a", {TCT_F32, {.rank = rank}}, one};
    tct_safetensors *file = NULL;
    for (int32_t i = 0; i < TCT_MAX_RANK; i++) array.desc.shape.dim[i] = 1;
    const tct_status status = tct_safetensors_write(path, &array, 1, NULL, 0);
    CHECK((status == TCT_OK) == (rank <= TCT_MAX_RANK), "rank %d: %s", (int)rank, tct_error_message());
    if (status != TCT_OK) continue;
    OK(tct_safetensors_read(path, &file));
    CHECK(tct_safetensors_at(file, 0)->desc.shape.rank == rank);
    tct_safetensors_free(file);
  }
  scratch_remove(folder);
}
