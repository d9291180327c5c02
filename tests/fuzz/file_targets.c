/* Model files and checkpoints: everything that a file says is checked before it is believed. */
#include "fuzz/targets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/checkpoint.h"
#include "io/safetensors.h"

void fuzz_safetensors(const uint8_t *data, size_t bytes) {
  tct_safetensors *file = NULL;
  const tct_status status = tct_safetensors_read(fuzz_file(0, data, bytes), &file);
  if (fuzz_passed(status)) {
    uint64_t sum = 0;
    for (size_t i = 0; i < tct_safetensors_count(file); i++) {
      const tct_named_array *const array = tct_safetensors_at(file, i);
      const int64_t size = tct_shape_size(&array->desc.shape);
      fuzz_expect(size >= 0 && tct_safetensors_find(file, array->name) == array, "a tensor is found by its name");
      const unsigned char *const byte = array->data;
      for (size_t b = 0; b < (size_t)size * tct_dtype_bytes(array->desc.dtype); b++) sum += byte[b];
    }
    fuzz_expect(sum <= 255 * (uint64_t)bytes, "tensors do not overlap");
    (void)tct_safetensors_metadata(file, "tercet.job");
  }
  tct_safetensors_free(file);
}

/* Dense 3 → 2 on the reference device, made once. */
static tct_model *small_model(void) {
  static tct_model *model;
  if (model) return model;
  tct_model *const made = tct_model_create("small", TCT_F32);
  const tct_layer x = tct_layer_input(made, "x", TCT_F32, TCT_SHAPE(3));
  (void)tct_layer_dense(x, &(tct_dense_layer){.name = "fc1", .units = 2});
  const tct_training training = {.device = "ref", .loss = "mse"};
  fuzz_expect(fuzz_passed(tct_model_compile(made, &training)), "a small model");
  model = made;
  return model;
}

void fuzz_weights(const uint8_t *data, size_t bytes) {
  const char *const path = fuzz_file(0, data, bytes);
  tct_job *job = NULL;
  (void)fuzz_passed(tct_model_load(small_model(), path));
  const tct_status status = tct_job_from_model(path, NULL, &job);
  fuzz_expect((status == TCT_OK) == (job != NULL), "a job or an error");
  (void)fuzz_passed(status);
  tct_job_free(job);
}

/* ---- checkpoints ---- */

static void write_file(const char *path, const void *data, size_t bytes) {
  FILE *const file = fopen(path, "wb");
  fuzz_expect(file != NULL && fwrite(data, 1, bytes, file) == bytes && fclose(file) == 0, path);
}

/* The sidecar's frame around the bytes, with their checksum, so that the fuzzer reaches what is behind it. */
static void write_framed(const char *path, const uint8_t *data, size_t bytes) {
  tct_checksum sum = {0};
  tct_checksum_add(&sum, data, bytes);
  FILE *const file = fopen(path, "wb");
  fuzz_expect(file != NULL, path);
  (void)fprintf(file, "{\"format\":\"tercet.checkpoint.1\",\"crc32\":\"%08x\",\"body\":", (unsigned)sum.crc32);
  (void)fwrite(data, 1, bytes, file);
  (void)fputc('}', file);
  fuzz_expect(fclose(file) == 0, path);
}

static char folder[64], sidecar[128], tensors[128];

static void remove_folder(void) {
  (void)unlink(sidecar);
  (void)unlink(tensors);
  (void)rmdir(folder);
}

void fuzz_checkpoint(const uint8_t *data, size_t bytes) {
  if (bytes < 1) return;
  if (!folder[0]) {
    static const float weight[2] = {1, 2};
    const tct_named_array array = {"w", {TCT_F32, {.rank = 1, .dim = {2}}}, weight};
    int64_t number = 0;
    (void)snprintf(folder, sizeof folder, "/dev/shm/fuzz-%d", (int)getpid());
    (void)snprintf(sidecar, sizeof sidecar, "%s/checkpoint-00000001.json", folder);
    (void)snprintf(tensors, sizeof tensors, "%s/checkpoint-00000001.safetensors", folder);
    (void)atexit(remove_folder);
    fuzz_expect(mkdir(folder, 0700) == 0, folder);
    fuzz_expect(fuzz_passed(tct_checkpoint_write(folder, &array, 1, "{}", &number)) && number == 1, "a checkpoint");
  }
  if (data[0] & 1)
    write_framed(sidecar, data + 1, bytes - 1);
  else
    write_file(sidecar, data + 1, bytes - 1);
  tct_checkpoint checkpoint;
  if (fuzz_passed(tct_checkpoint_read(folder, &checkpoint)))
    fuzz_expect(checkpoint.number == 1 && json_is_object(checkpoint.run), "a run's state");
  tct_checkpoint_close(&checkpoint);
}
