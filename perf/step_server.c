/* A training step under a stopwatch, driven over standard input, so that a script can alternate rounds with a peer's in
 * one run: step_server MODEL BATCH THREADS, then commands, one a line:
 *   export PREFIX   writes each parameter and the fixed batch as PREFIX-<name>.npy ('/' becomes '.')
 *   run N           N training steps; prints {"seconds": …, "loss": …} (loss of the last step, before its update)
 * Models: mlp (784-512-256-10, ReLU), lenet5, yardstick (the CNN that ggml publishes), all with Adam at 0.001. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tercet/tercet.h>

#define ADAM {.type = "adam", .learning_rate = 1e-3, .epsilon = 1e-30}

static void mlp(tct_layer x) {
  x = tct_layer_flatten(x, NULL);
  x = tct_layer_dense(x, &(tct_dense_layer){.name = "fc1", .units = 512, .activation = "relu"});
  x = tct_layer_dense(x, &(tct_dense_layer){.name = "fc2", .units = 256, .activation = "relu"});
  tct_layer_dense(x, &(tct_dense_layer){.name = "fc3", .units = 10});
}

static void lenet5(tct_layer x) {
  x = tct_layer_conv2d(x, &(tct_conv2d_layer){.name = "c1", .filters = 6, .kernel_size = {{5}}, .padding = "same",
                                              .activation = "relu"});
  x = tct_layer_max_pooling2d(x, NULL);
  x = tct_layer_conv2d(x, &(tct_conv2d_layer){.name = "c2", .filters = 16, .kernel_size = {{5}}, .activation = "relu"});
  x = tct_layer_max_pooling2d(x, NULL);
  x = tct_layer_flatten(x, NULL);
  x = tct_layer_dense(x, &(tct_dense_layer){.name = "fc1", .units = 120, .activation = "relu"});
  x = tct_layer_dense(x, &(tct_dense_layer){.name = "fc2", .units = 84, .activation = "relu"});
  tct_layer_dense(x, &(tct_dense_layer){.name = "fc3", .units = 10});
}

static void yardstick(tct_layer x) {
  x = tct_layer_conv2d(x, &(tct_conv2d_layer){.name = "c1", .filters = 8, .kernel_size = {{3}}, .padding = "same",
                                              .activation = "relu"});
  x = tct_layer_max_pooling2d(x, NULL);
  x = tct_layer_conv2d(x, &(tct_conv2d_layer){.name = "c2", .filters = 16, .kernel_size = {{3}}, .padding = "same",
                                              .activation = "relu"});
  x = tct_layer_max_pooling2d(x, NULL);
  x = tct_layer_flatten(x, NULL);
  tct_layer_dense(x, &(tct_dense_layer){.name = "fc", .units = 10});
}

static const struct {
  const char *name;
  void (*build)(tct_layer x);
} models[] = {{"mlp", mlp}, {"lenet5", lenet5}, {"yardstick", yardstick}};

static int fail(const char *what) {
  fprintf(stderr, "step_server: %s: %s\n", what, tct_error_message());
  return 1;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* NumPy's format, version 1. */
static int write_npy(const char *prefix, const char *name, const char *type, const tct_shape *shape, const void *data,
                     size_t bytes) {
  char path[512], header[256], dims[128] = "";
  snprintf(path, sizeof path, "%s-%s.npy", prefix, name);
  for (char *c = path + strlen(prefix); *c != '\0'; c++) *c = *c == '/' ? '.' : *c;
  for (int32_t i = 0; i < shape->rank; i++) {
    snprintf(dims + strlen(dims), sizeof dims - strlen(dims), "%lld,", (long long)shape->dim[i]);
  }
  int length = snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", type, dims);
  while ((length + 11) % 64 != 0) header[length++] = ' ';
  header[length++] = '\n';
  FILE *file = fopen(path, "wb");
  if (file == NULL) return 1;
  const unsigned char start[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)(length & 255),
                                   (unsigned char)(length >> 8)};
  const size_t written = fwrite(start, 1, sizeof start, file) + fwrite(header, 1, (size_t)length, file) +
                         fwrite(data, 1, bytes, file);
  return (fclose(file) != 0) | (written != sizeof start + (size_t)length + bytes);
}

static int export_all(tct_model *model, const char *prefix, int64_t batch, const float *x, const int32_t *y) {
  for (int32_t i = 0; i < tct_model_n_parameters(model); i++) {
    const tct_parameter *p = tct_model_parameter(model, i);
    const size_t bytes = (size_t)tct_shape_size(&p->desc.shape) * sizeof(float);
    float *data = malloc(bytes);
    const bool bad = data == NULL || tct_model_read(model, p->name, data, bytes) != TCT_OK ||
                     write_npy(prefix, p->name, "<f4", &p->desc.shape, data, bytes) != 0;
    free(data);
    if (bad) return 1;
  }
  const tct_shape images = TCT_SHAPE(batch, 28, 28, 1), labels = TCT_SHAPE(batch);
  return write_npy(prefix, "x", "<f4", &images, x, (size_t)batch * 784 * sizeof(float)) |
         write_npy(prefix, "y", "<i4", &labels, y, (size_t)batch * sizeof(int32_t));
}

static tct_status run_steps(tct_program *program, int64_t batch, const float *x, const int32_t *y, long n, float *sums) {
  tct_status status = TCT_OK;
  for (long i = 0; i < n && status == TCT_OK; i++) {
    status = tct_program_set(program, "x", x, (size_t)batch * 784 * sizeof(float));
    if (status == TCT_OK) status = tct_program_set(program, "y", y, (size_t)batch * sizeof(int32_t));
    if (status == TCT_OK) status = tct_program_run(program);
    if (status == TCT_OK) status = tct_program_get(program, "sums", sums, 2 * sizeof(float));
  }
  return status;
}

static int serve(tct_model *model, tct_program *program, int64_t batch, const float *x, const int32_t *y) {
  char line[512];
  while (fgets(line, sizeof line, stdin) != NULL) {
    float sums[2] = {0, 0};
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "run ", 4) == 0) {
      const double begin = now();
      if (run_steps(program, batch, x, y, strtol(line + 4, NULL, 10), sums) != TCT_OK) return fail("run");
      printf("{\"seconds\": %.9f, \"loss\": %.9g}\n", now() - begin, (double)sums[1]);
    } else if (strncmp(line, "profile ", 8) == 0) {
      tct_program_profile(program, true);
      if (run_steps(program, batch, x, y, strtol(line + 8, NULL, 10), sums) != TCT_OK) return fail("profile");
      tct_program_profile(program, false);
      tct_step_info step;
      for (int32_t i = 0; tct_program_step(program, i, &step); i++) {
        printf("%8.1f us %8.2f GFLOP/s %8.2f GB/s  %-26s %s\n", step.seconds * 1e6, step.flops / step.seconds * 1e-9,
               step.bytes / step.seconds * 1e-9, step.kernel, step.name);
      }
      printf("{}\n");
    } else if (strncmp(line, "export ", 7) == 0) {
      if (export_all(model, line + 7, batch, x, y) != 0) return fail("export");
      printf("{}\n");
    } else {
      fprintf(stderr, "step_server: unknown command '%s'; there are run N, profile N, export PREFIX\n", line);
      return 2;
    }
    fflush(stdout);
  }
  return 0;
}

int main(int argc, char **argv) {
  const int64_t batch = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
  const size_t n_models = sizeof models / sizeof models[0];
  size_t m = 0;
  while (m < n_models && (argc < 4 || strcmp(models[m].name, argv[1]) != 0)) m++;
  if (m == n_models || batch < 1 || batch > 65536) {
    fprintf(stderr, "usage: step_server mlp|lenet5|yardstick BATCH THREADS\n");
    return 2;
  }
  tct_model *model = tct_model_create(models[m].name, TCT_F32);
  models[m].build(tct_layer_input(model, "x", TCT_F32, TCT_SHAPE(28, 28, 1)));
  const tct_training training = {.loss = "sparse_categorical_crossentropy", .optimizer = ADAM, .seed = 1,
                                 .n_threads = (int32_t)strtol(argv[3], NULL, 10)};
  tct_program *program = NULL;
  const float rate = 1e-3f;
  if (tct_model_compile(model, &training) != TCT_OK || tct_model_program(model, batch, true, &program) != TCT_OK ||
      tct_variables_write(tct_program_variables(program), "optimizer/learning_rate", &rate, sizeof rate) != TCT_OK) {
    return fail("compile");
  }
  float *x = malloc((size_t)batch * 784 * sizeof *x);
  int32_t *y = malloc((size_t)batch * sizeof *y);
  tct_dataset *data = NULL;
  int64_t *index = malloc((size_t)batch * sizeof *index);
  for (int64_t i = 0; index != NULL && i < batch; i++) index[i] = i;
  if (x == NULL || y == NULL || index == NULL ||
      tct_dataset_glyphs(&(tct_glyphs_options){.n_samples = batch, .seed = 1}, &data) != TCT_OK ||
      tct_dataset_read(data, index, batch, (void *[]){x, y}) != TCT_OK) {
    return fail("data");
  }
  const int code = serve(model, program, batch, x, y);
  tct_dataset_free(data);
  tct_model_free(model);
  free(index);
  free(y);
  free(x);
  return code;
}
