/* Three training runs, repeated step by step from weights that a hash defines: the losses are those that PyTorch gave,
 * to 1e-9 in double on the reference and to 1e-4 relative in f32 on the CPU. The runs, and how their weights are made,
 * stand in training-trajectories.json beside the real data. */
#include <tercet/tercet.h>
#include "goldens.h"
#include "test.h"

/* Under a sanitizer, which is slow and looks at memory, not at numbers, a run is its first steps. */
#if defined(__SANITIZE_ADDRESS__)
enum { MOST_STEPS = 20 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { MOST_STEPS = 20 };
#else
enum { MOST_STEPS = 1000000 };
#endif
#else
enum { MOST_STEPS = 1000000 };
#endif

/* ---- the golden file ---- */

/* Of an object, member prefix_key: "f64_loss". */
static const json_t *member_of(const json_t *object, const char *prefix, const char *key) {
  char name[64];
  snprintf(name, sizeof name, "%s_%s", prefix, key);
  return member(object, name);
}

/* ---- weights ---- */

/* How the golden's layout becomes ours. */
typedef enum golden_layout {
  AS_IS,
  DENSE, /* [out, in] → [in, out] */
  CONV,  /* [out, in, h, w] → [h, w, in, out] */
  FLAT,  /* DENSE behind a flatten of [C,H,W], ours of [H,W,C]: 16 channels of 7×7 */
} golden_layout;
typedef struct weight {
  const char *name; /* ours */
  golden_layout layout;
} weight;

/* Where element i of the golden's row-major order stands in ours. */
static int64_t place(golden_layout layout, const int64_t *dim, int64_t i) {
  const int64_t o = dim[0], in = dim[1], row = i / in, column = i % in;
  switch (layout) {
  case DENSE:
    return column * o + row;
  case FLAT:
    return (column % 49 * 16 + column / 49) * o + row;
  case CONV: {
    const int64_t area = dim[2] * dim[3], channel = i / area % in;
    return (i % area * in + channel) * o + i / (in * area);
  }
  default:
    return i;
  }
}

/* Element i of tensor t, in [-bound, bound]: the hash that the golden file describes. */
static double hashed(uint32_t t, uint32_t i, double bound) {
  uint32_t s = i * 2654435761u + (t + 1) * 40503u * 65537u + 12345u;
  s ^= s >> 16;
  s *= 2246822519u;
  s ^= s >> 13;
  s *= 3266489917u;
  s ^= s >> 16;
  return (double)(float)((2 * ((double)s / 4294967296.0) - 1) * bound);
}

static double *read_doubles(tct_model *model, const char *name, int64_t n, tct_dtype dtype) {
  double *value = malloc((size_t)n * sizeof *value);
  float *narrow = malloc((size_t)n * sizeof *narrow);
  const bool wide = dtype == TCT_F64;
  OK(tct_model_read(model, name, wide ? (void *)value : narrow, (size_t)n * (wide ? sizeof *value : sizeof *narrow)));
  for (int64_t i = 0; i < n && !wide; i++) value[i] = (double)narrow[i];
  free(narrow);
  return value;
}

static int64_t size_of(const json_t *parameter, int64_t dim[4]) {
  const json_t *shape = member(parameter, "shape");
  int64_t size = 1;
  for (size_t k = 0; k < 4; k++) {
    dim[k] = k < json_array_size(shape) ? json_integer_value(json_array_get(shape, k)) : 1;
    size *= dim[k];
  }
  return size;
}

static void fill(tct_model *model, tct_dtype dtype, const json_t *run, const weight *weights) {
  const json_t *parameters = member(run, "params");
  CHECK((size_t)tct_model_n_parameters(model) == json_array_size(parameters));
  for (size_t t = 0; t < json_array_size(parameters); t++) {
    const json_t *parameter = json_array_get(parameters, t);
    const double bound = json_real_value(member(member(parameter, "init"), "uniform_bound"));
    int64_t dim[4];
    const int64_t n = size_of(parameter, dim);
    double *wide = calloc((size_t)n, sizeof *wide);
    float *narrow = calloc((size_t)n, sizeof *narrow);
    for (int64_t i = 0; i < n; i++) {
      const int64_t at = place(weights[t].layout, dim, i);
      wide[at] = hashed((uint32_t)t, (uint32_t)i, bound);
      narrow[at] = (float)wide[at];
    }
    OK(tct_model_write(model, weights[t].name, dtype == TCT_F64 ? (const void *)wide : narrow,
                       (size_t)n * tct_dtype_bytes(dtype)));
    free(wide);
    free(narrow);
  }
}

/* ---- a run ---- */

typedef struct trace {
  const json_t *want;
  double relative;
  int64_t last; /* steps behind it are not compared */
  int64_t n;
  double worst;
  int64_t worst_at;
} trace;

static tct_status note(void *user, int64_t step, double loss) {
  trace *t = user;
  const double want = json_real_value(json_array_get(t->want, (size_t)step));
  const double off = fabs(loss - want) / want;
  if (step < t->last && !(off <= t->worst)) {
    t->worst = off;
    t->worst_at = step;
  }
  t->n++;
  return TCT_OK;
}

static void check_losses(tct_model *model, tct_dataset *data, const json_t *run, tct_dtype dtype, int64_t batch,
                         int64_t last) {
  const char *prefix = tct_dtype_name(dtype);
  const int64_t all = json_integer_value(member(run, "steps")), steps = all < MOST_STEPS ? all : MOST_STEPS;
  trace t = {.want = member_of(run, prefix, "loss"), .relative = dtype == TCT_F64 ? 1e-9 : 1e-4, .last = last};
  OK(tct_fit(model, data,
             &(tct_fit_options){.batch_size = batch, .no_shuffle = true, .steps = steps, .on_step = note, .user = &t}));
  CHECK(t.n == steps && json_array_size(t.want) == (size_t)all, "%d of %d steps", (int)t.n, (int)steps);
  CHECK(t.worst <= t.relative, "%s: step %d is off by %.3g of the golden loss, allowed %.1g", prefix, (int)t.worst_at,
        t.worst, t.relative);
}

/* Norm and sum of every parameter after the last step. A sum's terms cancel: it is compared by the norm's size. */
static void check_weights(tct_model *model, const json_t *run, tct_dtype dtype, const weight *weights) {
  const char *prefix = tct_dtype_name(dtype);
  const double relative = dtype == TCT_F64 ? 1e-9 : 1e-4;
  if (json_integer_value(member(run, "steps")) > MOST_STEPS) return;
  for (int32_t t = 0; t < tct_model_n_parameters(model); t++) {
    int64_t dim[4];
    const int64_t n = size_of(json_array_get(member(run, "params"), (size_t)t), dim);
    double *value = read_doubles(model, weights[t].name, n, dtype), squares = 0, sum = 0;
    for (int64_t i = 0; i < n; i++) {
      squares += value[i] * value[i];
      sum += value[i];
    }
    free(value);
    const double norm = json_real_value(json_array_get(member_of(run, prefix, "final_param_l2"), (size_t)t));
    const double total = json_real_value(json_array_get(member_of(run, prefix, "final_param_sum"), (size_t)t));
    CHECK(fabs(sqrt(squares) - norm) <= relative * norm, "%s: ‖%s‖ is %.15g, not %.15g", prefix, weights[t].name,
          sqrt(squares), norm);
    CHECK(fabs(sum - total) <= relative * fmax(norm, fabs(total)), "%s: Σ %s is %.15g, not %.15g", prefix,
          weights[t].name, sum, total);
  }
}

static void check_test_set(tct_model *model, const json_t *run, tct_dtype dtype, tct_dataset *test) {
  const json_t *want = member_of(run, tct_dtype_name(dtype), "test");
  const double relative = dtype == TCT_F64 ? 1e-9 : 1e-4;
  const double loss = json_real_value(member(want, "test_ce"));
  const int64_t n = json_integer_value(member(want, "test_n")),
                correct = json_integer_value(member(want, "test_correct"));
  tct_evaluation got;
  if (json_integer_value(member(run, "steps")) > MOST_STEPS) return;
  OK(tct_evaluate(model, test, 500, &got));
  CHECK(got.n_samples == n);
  CHECK(fabs(got.values[0] - loss) <= relative * loss, "test loss %.15g, not %.15g", got.values[0], loss);
  CHECK(fabs(got.values[1] * (double)n - (double)correct) < (dtype == TCT_F64 ? 0.5 : 2.5), "%g of %d right, not %d",
        got.values[1] * (double)n, (int)n, (int)correct);
}

static const char *device_of(tct_dtype dtype) {
  return dtype == TCT_F64 ? "ref" : "cpu";
}

/* ---- Fashion-MNIST ---- */

static tct_dataset *fashion(const char *folder, const char *part, tct_dtype dtype) {
  char images[1024], labels[1024];
  tct_dataset *data = NULL;
  snprintf(images, sizeof images, "%s/fashion-mnist/%s-images-idx3-ubyte.gz", folder, part);
  snprintf(labels, sizeof labels, "%s/fashion-mnist/%s-labels-idx1-ubyte.gz", folder, part);
  OK(tct_dataset_idx(images, labels, &(tct_idx_options){.dtype = dtype}, &data));
  return data;
}

static void run_mlp(const char *folder, tct_dtype dtype) {
  static const weight weights[] = {
      {"fc1/kernel", DENSE}, {"fc1/bias", AS_IS}, {"fc2/kernel", DENSE}, {"fc2/bias", AS_IS}};
  json_t *root = open_goldens(folder, "training-trajectories.json");
  const json_t *run = member(member(root, "trajectories"), "mlp_fashion_sgd");
  tct_dataset *train = fashion(folder, "train", dtype), *test = fashion(folder, "t10k", dtype);
  tct_model *model = tct_model_create("mlp", dtype);
  tct_layer x = tct_layer_flatten(tct_layer_input(model, "x", dtype, TCT_SHAPE(28, 28, 1)), NULL);
  x = tct_layer_dense(x, &(tct_dense_layer){.name = "fc1", .units = 128, .activation = "relu"});
  tct_layer_dense(x, &(tct_dense_layer){.name = "fc2", .units = 10});
  OK(tct_model_compile(model, &(tct_training){.loss = "sparse_categorical_crossentropy",
                                              .metrics = "accuracy",
                                              .optimizer = {.type = "sgd", .learning_rate = 0.1},
                                              .device = device_of(dtype)}));
  fill(model, dtype, run, weights);
  check_losses(model, train, run, dtype, 64, 200);
  check_weights(model, run, dtype, weights);
  check_test_set(model, run, dtype, test);
  tct_model_free(model);
  tct_dataset_free(train);
  tct_dataset_free(test);
  json_decref(root);
}
TEST(goldens, mlp_f64) {
  DATA_OR_SKIP();
  run_mlp(folder, TCT_F64);
}
TEST(goldens, mlp_f32) {
  DATA_OR_SKIP();
  run_mlp(folder, TCT_F32);
}

/* In f32 the run is chaotic: behind step 60, two correct implementations part. It has near ties in relu and pooling from
 * step 24 on: of 12 starts that differ from this one by a unit in the last place, 5 part from it before step 60. A change of
 * rounding alone, as of the order of a sum, may therefore fail this test; one that parts before step 24 is wrong. */
static void run_cnn(const char *folder, tct_dtype dtype) {
  static const weight weights[] = {{"c1/kernel", CONV}, {"c1/bias", AS_IS},  {"c2/kernel", CONV},
                                   {"c2/bias", AS_IS},  {"fc/kernel", FLAT}, {"fc/bias", AS_IS}};
  json_t *root = open_goldens(folder, "training-trajectories.json");
  const json_t *run = member(member(root, "trajectories"), "cnn_fashion_momentum");
  tct_dataset *train = fashion(folder, "train", dtype);
  tct_model *model = tct_model_create("cnn", dtype);
  tct_layer x = tct_layer_input(model, "x", dtype, TCT_SHAPE(28, 28, 1));
  const char *const names[] = {"c1", "c2"};
  for (int i = 0; i < 2; i++) {
    x = tct_layer_conv2d(x, &(tct_conv2d_layer){.name = names[i],
                                                .filters = i == 0 ? 8 : 16,
                                                .kernel_size = {{3, 3}},
                                                .padding = "same",
                                                .activation = "relu"});
    x = tct_layer_max_pooling2d(x, NULL);
  }
  tct_layer_dense(tct_layer_flatten(x, NULL), &(tct_dense_layer){.name = "fc", .units = 10});
  OK(tct_model_compile(model,
                       &(tct_training){.loss = "sparse_categorical_crossentropy",
                                       .optimizer = {.type = "sgd", .learning_rate = 0.05, .momentum = 0.9, .l2 = 1e-4},
                                       .device = device_of(dtype)}));
  fill(model, dtype, run, weights);
  check_losses(model, train, run, dtype, 64, dtype == TCT_F64 ? 150 : 60);
  if (dtype == TCT_F64) check_weights(model, run, dtype, weights);
  tct_model_free(model);
  tct_dataset_free(train);
  json_decref(root);
}
TEST(goldens, cnn_f64) {
  DATA_OR_SKIP();
  run_cnn(folder, TCT_F64);
}
TEST(goldens, cnn_f32) {
  DATA_OR_SKIP();
  run_cnn(folder, TCT_F32);
}

/* ---- names ---- */

enum { CONTEXT = 3, N_EXAMPLES = 500 * 32 };

/* Three characters and the one behind them, name after name; 0 stands before and behind a name. */
static tct_dataset *name_windows(const char *folder) {
  static int32_t x[N_EXAMPLES][CONTEXT], y[N_EXAMPLES];
  char path[1024], line[64];
  snprintf(path, sizeof path, "%s/text/names.txt", folder);
  FILE *file = fopen(path, "r");
  CHECK(file != NULL, "%s", path);
  int n = 0;
  while (n < N_EXAMPLES && fgets(line, sizeof line, file) != NULL) {
    int32_t context[CONTEXT] = {0};
    for (const char *at = line; n < N_EXAMPLES; at++) {
      const int32_t next = *at >= 'a' && *at <= 'z' ? *at - 'a' + 1 : 0;
      memcpy(x[n], context, sizeof context);
      y[n++] = next;
      if (next == 0) break;
      memmove(context, context + 1, sizeof context - sizeof *context);
      context[CONTEXT - 1] = next;
    }
  }
  fclose(file);
  CHECK(n == N_EXAMPLES);
  const tct_field fields[] = {{"x", TCT_I32, TCT_SHAPE(CONTEXT)}, {"y", TCT_I32, {0}}};
  tct_dataset *data = NULL;
  OK(tct_dataset_arrays(n, 2, fields, (const void *[]){x, y}, false, &data));
  return data;
}

static void run_names(const char *folder, tct_dtype dtype) {
  static const weight weights[] = {{"embedding/embeddings", AS_IS},
                                   {"h/kernel", DENSE},
                                   {"h/bias", AS_IS},
                                   {"out/kernel", DENSE},
                                   {"out/bias", AS_IS}};
  json_t *root = open_goldens(folder, "training-trajectories.json");
  const json_t *run = member(member(root, "trajectories"), "makemore_mlp_names_sgd");
  tct_dataset *data = name_windows(folder);
  tct_model *model = tct_model_create("names", dtype);
  tct_layer x = tct_layer_input(model, "x", TCT_I32, TCT_SHAPE(CONTEXT));
  x = tct_layer_embedding(x, &(tct_embedding_layer){.name = "embedding", .input_dim = 27, .output_dim = 10});
  x = tct_layer_dense(tct_layer_flatten(x, NULL), &(tct_dense_layer){.name = "h", .units = 64, .activation = "tanh"});
  tct_layer_dense(x, &(tct_dense_layer){.name = "out", .units = 27});
  OK(tct_model_compile(model, &(tct_training){.loss = "sparse_categorical_crossentropy",
                                              .optimizer = {.type = "sgd", .learning_rate = 0.1},
                                              .device = device_of(dtype)}));
  fill(model, dtype, run, weights);
  check_losses(model, data, run, dtype, 32, 500);
  check_weights(model, run, dtype, weights);
  tct_model_free(model);
  tct_dataset_free(data);
  json_decref(root);
}
TEST(goldens, names_f64) {
  DATA_OR_SKIP();
  run_names(folder, TCT_F64);
}
TEST(goldens, names_f32) {
  DATA_OR_SKIP();
  run_names(folder, TCT_F32);
}
