/* Every reader and view with every allocation and every file call failing in turn: an error comes out, nothing leaks,
 * and a file that was to be written is there whole or not at all. */
#include <errno.h>

#include "data/data_helpers.h"
#include "base/status.h"
#include "faults.h"
#include "io/npy.h"
#include "io/safetensors.h"

static char scratch[SCRATCH_BYTES];

static const char *in_scratch(char path[640], const char *name) {
  snprintf(path, 640, "%s/%s", scratch, name);
  return path;
}

static tct_status make_arrays(tct_dataset **out) {
  const tct_field fields[2] = {{"x", TCT_F64, TCT_SHAPE(2)}, {"y", TCT_I64, tct_shape_of(0, NULL)}};
  static const double x[6] = {1, 2, 3, 4, 5, 7};
  static const int64_t y[3] = {0, 1, 2};
  return tct_dataset_arrays(3, 2, fields, (const void *const[]){x, y}, false, out);
}

static tct_status read_csv(tct_dataset **out) {
  char path[640];
  return tct_dataset_csv(in_scratch(path, "t.csv"), NULL, out);
}

/* As a test file is read: the classes are those of another. */
static tct_status read_csv_like(tct_dataset **out) {
  tct_dataset *train = NULL;
  *out = NULL;
  TCT_TRY(read_csv(&train));
  char path[640];
  const tct_status status = tct_dataset_csv(in_scratch(path, "t.csv"), &(tct_csv_options){.like = train}, out);
  tct_dataset_free(train);
  return status;
}

static tct_status read_idx(tct_dataset **out) {
  char images[640], labels[640];
  return tct_dataset_idx(in_scratch(images, "train-images-idx3-ubyte"), in_scratch(labels, "train-labels-idx1-ubyte"),
                         NULL, out);
}

static tct_status read_text(tct_dataset **out) {
  char path[640];
  const tct_text_options options = {.window = 2};
  return tct_dataset_text(in_scratch(path, "t.csv"), &options, out);
}

static tct_status read_npy(tct_dataset **out) {
  char path[640];
  in_scratch(path, "x.npy");
  return tct_dataset_npy(path, path, out);
}

static tct_status draw_glyphs(tct_dataset **out) {
  const tct_glyphs_options options = {.n_samples = 3};
  return tct_dataset_glyphs(&options, out);
}

/* A chain of all views over arrays, read through a loader. */
static tct_status view_and_load(tct_dataset **out) {
  *out = NULL;
  tct_dataset *data = NULL, *part = NULL, *scaled = NULL, *view = NULL;
  tct_loader *loader = NULL;
  tct_status status = make_arrays(&data);
  if (status == TCT_OK) status = tct_dataset_slice(data, 1, 3, &part);
  double mean[2], std[2];
  if (status == TCT_OK) status = tct_dataset_moments(part, 0, mean, std);
  if (status == TCT_OK) status = tct_dataset_standardize(part, 0, mean, std, &scaled);
  const tct_field fields[2] = {{"x", TCT_F32, TCT_SHAPE(2)}, {"y", TCT_I32, tct_shape_of(0, NULL)}};
  if (status == TCT_OK) status = tct_dataset_select(scaled, 2, (const int32_t[]){0, 1}, fields, &view);
  const tct_loader_options options = {.batch_size = 1, .shuffle = true};
  if (status == TCT_OK) status = tct_loader_create(view, &options, &loader);
  if (status == TCT_OK) status = tct_loader_start(loader, 0, 0);
  tct_batch batch = {.n = 1};
  while (status == TCT_OK && batch.n > 0) status = tct_loader_next(loader, &batch);
  tct_loader_free(loader);
  tct_dataset_free(view);
  tct_dataset_free(scaled);
  tct_dataset_free(part);
  tct_dataset_free(data);
  return status;
}

static tct_status tensors(tct_dataset **out) {
  *out = NULL;
  char path[640];
  in_scratch(path, "m.safetensors");
  const float w[2] = {1, 2};
  const uint8_t u[1] = {3};
  const tct_named_array arrays[2] = {{"u", {TCT_U8, TCT_SHAPE(1)}, u}, {"w", {TCT_F32, TCT_SHAPE(2)}, w}};
  const tct_named_text metadata[1] = {{"key", "value"}};
  TCT_TRY(tct_safetensors_write(path, arrays, 2, metadata, 1));
  tct_safetensors *file = NULL;
  TCT_TRY(tct_safetensors_read(path, &file));
  const bool fine = memcmp(tct_safetensors_find(file, "w")->data, w, sizeof w) == 0;
  tct_safetensors_free(file);
  return fine ? TCT_OK : TCT_INTERNAL;
}

static const struct {
  const char *name;
  tct_status (*run)(tct_dataset **out);
} rows[] = {{"arrays", make_arrays}, {"csv", read_csv},       {"csv like", read_csv_like}, {"idx", read_idx},        {"text", read_text},
            {"npy", read_npy},       {"glyphs", draw_glyphs}, {"views", view_and_load}, {"safetensors", tensors}};

static void write_inputs(void) {
  char path[640];
  scratch_make(scratch);
  static const char csv[] = "a,\"b\"\"c\",y\n1,2,cat\n3,4,\"d\"\"og\"\n";
  const tct_file_part part = {csv, sizeof csv - 1};
  OK(tct_file_write_atomic(in_scratch(path, "t.csv"), &part, 1));
  const double x[4] = {1, 2, 3, 4};
  const tct_desc desc = {TCT_F64, TCT_SHAPE(2, 2)};
  OK(tct_npy_write(in_scratch(path, "x.npy"), &desc, x));
  OK(tct_glyphs_write(scratch, 3, 1, 1));
}

TEST(data_faults, every_allocation_fails_in_turn) {
  write_inputs();
  fault_pieces(true);
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    int64_t nth = 1;
    for (bool struck = true; struck; nth++) {
      const int64_t before = tct_alloc_live();
      tct_dataset *data = NULL;
      (void)fault_alloc(nth);
      const tct_status status = rows[r].run(&data);
      struck = fault_alloc(0);
      CHECK(status == (struck ? TCT_OUT_OF_MEMORY : TCT_OK), "%s, allocation %d: %s: %s", rows[r].name, (int)nth,
            tct_status_name(status), tct_error_message());
      CHECK(!struck || data == NULL, "%s, allocation %d: a dataset came out", rows[r].name, (int)nth);
      tct_dataset_free(data);
      CHECK(tct_alloc_live() == before, "%s, allocation %d: leaks", rows[r].name, (int)nth);
      CHECK(nth < 200);
    }
    CHECK(nth > 3, "%s: only %d allocations were seen", rows[r].name, (int)nth);
  }
  fault_pieces(false);
  scratch_remove(scratch);
}

TEST(data_faults, every_file_call_fails_in_turn) {
  write_inputs();
  static const int errors[] = {EIO, EINTR, FAULT_SHORT};
  for (size_t r = 1; r < sizeof rows / sizeof *rows; r++)
    for (size_t e = 0; e < sizeof errors / sizeof *errors; e++) {
      bool struck = true;
      for (int64_t nth = 1; struck; nth++) {
        const int64_t before = tct_alloc_live();
        tct_dataset *data = NULL;
        (void)fault_file(nth, errors[e]);
        const tct_status status = rows[r].run(&data);
        struck = fault_file(0, 0);
        const bool may_fail = struck && errors[e] != FAULT_SHORT;
        CHECK(status == TCT_OK || (may_fail && status == TCT_IO), "%s, call %d (%s): %s", rows[r].name, (int)nth,
              fault_file_call(), tct_error_message());
        const bool must_fail = struck && errors[e] == EIO && strcmp(fault_file_call(), "close") != 0;
        CHECK(!must_fail || status == TCT_IO, "%s, call %d (%s): the fault was missed", rows[r].name, (int)nth,
              fault_file_call());
        tct_dataset_free(data);
        CHECK(tct_alloc_live() == before, "%s, call %d (%s): leaks", rows[r].name, (int)nth, fault_file_call());
        CHECK(nth < 200);
      }
    }
  scratch_remove(scratch);
}
