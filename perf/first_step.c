/* How long a program waits for its first training step: an MLP (784-512-256-10, Adam, batch 32) whose data is in memory.
 * Prints the seconds from the beginning of main to the step's loss, and the processor time of all threads since the process
 * began. Opening OpenBLAS is part of both. .ci/size.sh holds the bar. */
#include <stdio.h>
#include <stdlib.h>
#include <tercet/tercet.h>
#include <time.h>

enum { BATCH = 32, PIXELS = 784 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static tct_status tell(void *user, int64_t step, double loss) {
  const double *const began = user;
  printf("{\"seconds\": %.6f, \"cpu_seconds\": %.6f, \"step\": %lld, \"loss\": %.6f}\n", now() - *began, (double)clock() / CLOCKS_PER_SEC,
         (long long)step, loss);
  return TCT_OK;
}

int main(void) {
  double began = now();
  static float x[BATCH * PIXELS];
  static int32_t y[BATCH];
  for (int i = 0; i < BATCH * PIXELS; i++) x[i] = (float)(i * 37 % 255) / 255.0f;
  for (int i = 0; i < BATCH; i++) y[i] = i % 10;
  const tct_field fields[] = {{"x", TCT_F32, TCT_SHAPE(PIXELS)}, {"y", TCT_I32, tct_shape_of(0, NULL)}};
  const void *const arrays[] = {x, y};
  tct_dataset *data = NULL;
  tct_model *model = tct_model_create("mlp", TCT_F32);
  tct_layer layer = tct_layer_input(model, "x", TCT_F32, TCT_SHAPE(PIXELS));
  layer = tct_layer_dense(layer, &(tct_dense_layer){.units = 512, .activation = "relu"});
  layer = tct_layer_dense(layer, &(tct_dense_layer){.units = 256, .activation = "relu"});
  tct_layer_dense(layer, &(tct_dense_layer){.units = 10, .activation = "softmax"});
  const tct_training training = {.loss = "sparse_categorical_crossentropy"};
  const tct_fit_options options = {.batch_size = BATCH, .steps = 1, .on_step = tell, .user = &began};
  const bool failed = tct_dataset_arrays(BATCH, 2, fields, arrays, true, &data) || tct_model_compile(model, &training) ||
                      tct_fit(model, data, &options);
  if (failed) fprintf(stderr, "first_step: %s\n", tct_error_message());
  tct_model_free(model);
  tct_dataset_free(data);
  return failed;
}
