/* Jobs at work: the model that a job makes, what it learns from its data and keeps, training with its callbacks. */
#include "test.h"

#include <tercet/tercet.h>

#include "base/status.h"
#include "faults.h"
#include "train/job.h"
#include "train/jobs.h"

#include <unistd.h>

/* ---- models ------------------------------------------------------------------------------------------- */

static tct_model *model_of(const char *text, tct_job **out) {
  tct_model *model = NULL;
  OK(parse(text, NULL, 0, out));
  OK(tct_job_model(*out, &model));
  return model;
}

TEST(job, layers_take_their_keys) {
  tct_job *job = NULL;
  tct_model *const model = model_of(
      DATA REF LOSS "model:\n"
                    "  width: 6\n"
                    "  slope: 0.1\n"
                    "  layers:\n"
                    "    - Conv2D: {filters: \"${width}\", kernel_size: [3, 5], strides: 2, use_bias: no, name: c}\n"
                    "    - LeakyReLU: {negative_slope: $slope}\n"
                    "    - {type: Reshape, target_shape: [-1, 6]}\n"
                    "    - Flatten\n"
                    "    - dense: {units: 10, trainable: false, kernel_regularizer: {l1: 0.5, l2: 0.25}}\n",
      &job);
  CHECK(tct_model_n_parameters(model) == 3);
  const tct_parameter *const kernel = tct_model_parameter(model, 0), *const dense = tct_model_parameter(model, 1);
  const tct_shape shape = TCT_SHAPE(3, 5, 1, 6);
  CHECK(strcmp(kernel->name, "c/kernel") == 0 && tct_shape_equal(&kernel->desc.shape, &shape));
  CHECK(kernel->trainable && !dense->trainable);
  CHECK(dense->penalty.l1 == 0.5 && dense->penalty.l2 == 0.25);
  tct_job_free(job);
}

TEST(job, functional_models_name_their_inputs) {
  tct_job *job = NULL;
  tct_model *const model = model_of(
      DATA REF LOSS "model:\n"
                    "  layers:\n"
                    "    - Flatten: {name: flat}\n"
                    "    - Dense: {name: a, units: 10, inputs: flat}\n"
                    "    - Dense: {name: b, units: 10, inputs: [flat]}\n"
                    "    - Add: {inputs: [a, b]}\n"
                    "    - Activation: {activation: softmax}\n",
      &job);
  CHECK(tct_model_n_parameters(model) == 4 && strcmp(tct_layer_name(tct_model_last(model)), "activation") == 0);
  tct_job_free(job);
}

TEST(job, a_layer_that_the_model_refuses_is_named) {
  static const struct {
    const char *text, *message, *place;
  } rows[] = {
      {DATA REF LOSS "model:\n  layers:\n    - Dense: {units: 10, inputs: nothing}\n",
       "input 'nothing' is no input or layer above it", "job.yaml:6:7: model.layers[0]"},
      {DATA REF LOSS "model:\n  layers:\n    - Flatten: {name: flat}\n    - Dense: {units: 10, inputs: flt}\n",
       "did you mean 'flat'?", "job.yaml:7:7: model.layers[1]"},
      {DATA REF LOSS "model:\n  layers:\n    - Flatten\n    - Conv2D: {filters: 3, kernel_size: 3}\n", "Conv2D",
       "job.yaml:7:7: model.layers[1]"},
      {DATA REF LOSS "model:\n  layers:\n    - Flatten\n    - Dense: {units: 3, activation: rleu}\n", "relu",
       "job.yaml:7:7: model.layers[1]"},
      {DATA REF LOSS "model:\n  inputs: [z]\n  layers:\n    - Flatten\n", "input 'z': the data has no such field",
       "job.yaml:5:3: model"},
  };
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    tct_job *job = NULL;
    tct_model *model = NULL;
    OK(parse(rows[i].text, NULL, 0, &job));
    FAILS(tct_job_model(job, &model), TCT_INVALID, rows[i].message);
    CHECK(strstr(tct_error_message(), rows[i].place), "row %zu: %s", i, tct_error_message());
    tct_job_free(job);
  }
}

/* ---- data --------------------------------------------------------------------------------------------- */

static void write_file(const char *folder, const char *name, const char *text) {
  char path[SCRATCH_BYTES + 64];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *const file = fopen(path, "w");
  CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void read_field(tct_dataset *data, const char *name, int64_t i, void *out) {
  void *fields[8];
  char scratch[8][256];
  for (int32_t f = 0; f < tct_dataset_n_fields(data); f++) fields[f] = scratch[f];
  fields[tct_dataset_find(data, name)] = out;
  OK(tct_dataset_read(data, &i, 1, fields));
}

TEST(job, moments_and_classes_are_the_training_splits_and_travel_with_the_model) {
  static const char job_text[] = "device: ref\n"
                                 "data: {type: csv, file: train.csv, standardize: true, validation_split: 0.5, test: {file: test.csv}}\n"
                                 "model: {layers: [{Dense: {units: 2, activation: softmax}}]}\n" LOSS;
  char folder[SCRATCH_BYTES];
  scratch_make(folder);
  write_file(folder, "train.csv", "a,b,kind\n0,10,dog\n2,10,cat\n100,1,cat\n200,2,dog\n");
  write_file(folder, "test.csv", "a,b,kind\n1,11,dog\n");
  write_file(folder, "new.csv", "a,b\n3,12\n");
  write_file(folder, "job.yaml", job_text);
  char job_path[SCRATCH_BYTES + 64], model_path[SCRATCH_BYTES + 64], new_path[SCRATCH_BYTES + 64];
  snprintf(job_path, sizeof job_path, "%s/job.yaml", folder);
  snprintf(model_path, sizeof model_path, "%s/m.safetensors", folder);
  snprintf(new_path, sizeof new_path, "%s/new.csv", folder);

  tct_job *job = NULL;
  tct_dataset *data = NULL;
  float x[2];
  int32_t y = -1;
  OK(tct_job_load(job_path, NULL, &job));
  OK(tct_job_dataset(job, TCT_JOB_TEST, &data));
  read_field(data, "x", 0, x);
  read_field(data, "y", 0, &y);
  CHECK(x[0] == 0 && x[1] == 1, "standardised test row is %g %g", (double)x[0], (double)x[1]); /* mean 1, 10; std 1, 1 */
  CHECK(y == 1 && tct_job_n_classes(job) == 2 && strcmp(tct_job_class_name(job, 1), "dog") == 0);
  OK(tct_job_dataset(job, TCT_JOB_VALIDATION, &data));
  read_field(data, "x", 0, x);
  CHECK(tct_dataset_samples(data) == 2 && x[0] == 99 && x[1] == -9);
  OK(tct_job_train(job, NULL));
  OK(tct_job_save(job, model_path));
  tct_job_free(job);

  /* Without the training data: shapes, moments and names come from the model file. */
  char train_path[SCRATCH_BYTES + 64];
  snprintf(train_path, sizeof train_path, "%s/train.csv", folder);
  CHECK(remove(train_path) == 0);
  OK(tct_job_from_model(model_path, &(tct_job_options){.directory = folder}, &job));
  tct_model *model = NULL;
  OK(tct_job_model(job, &model));
  OK(tct_job_dataset(job, TCT_JOB_TEST, &data));
  read_field(data, "x", 0, x);
  read_field(data, "y", 0, &y);
  CHECK(x[0] == 0 && x[1] == 1 && y == 1);
  OK(tct_job_open_inputs(job, new_path, &data));
  read_field(data, "x", 0, x);
  CHECK(x[0] == 2 && x[1] == 2 && tct_dataset_find(data, "y") < 0);
  FAILS(tct_job_dataset(job, TCT_JOB_TRAIN, &data), TCT_NOT_FOUND, "train.csv");
  tct_job_free(job);
  scratch_remove(folder);
}

TEST(job, another_texts_characters_are_refused) {
  char folder[SCRATCH_BYTES], path[SCRATCH_BYTES + 64];
  scratch_make(folder);
  write_file(folder, "a.txt", "abc\nabc\xe9");
  write_file(folder, "b.txt", "abd\nabd\xe9");
  write_file(folder, "job.yaml", "device: ref\ndata: {type: text, file: a.txt, window: 2, test: {file: b.txt}}\n"
                                 "model: {layers: [{Embedding: {input_dim: 5, output_dim: 5}}]}\n" LOSS);
  snprintf(path, sizeof path, "%s/job.yaml", folder);
  tct_job *job = NULL;
  tct_dataset *data = NULL;
  OK(tct_job_load(path, NULL, &job));
  OK(tct_job_train(job, NULL));
  CHECK(tct_job_n_classes(job) == 5 && strcmp(tct_job_class_name(job, 0), "\n") == 0 &&
        strcmp(tct_job_class_name(job, 4), "0xe9") == 0);
  FAILS(tct_job_dataset(job, TCT_JOB_TEST, &data), TCT_BAD_DATA, "the text has 5 different characters");
  tct_job_free(job);
  scratch_remove(folder);
}

TEST(job, paths_take_environment_variables) {
  tct_job *job = NULL;
  tct_dataset *data = NULL;
  const char text[] = "data: {type: npy, x: \"${TERCET_TEST_NO_SUCH}/x.npy\"}\n" MODEL LOSS;
  unsetenv("TERCET_TEST_NO_SUCH");
  OK(parse(text, NULL, 0, &job));
  FAILS(tct_job_dataset(job, TCT_JOB_TRAIN, &data), TCT_NOT_FOUND, "environment variable TERCET_TEST_NO_SUCH, which is not set");
  CHECK(strstr(tct_error_message(), "job.yaml:1:22: data.x"), "%s", tct_error_message());
  setenv("TERCET_TEST_NO_SUCH", "/nowhere", 1);
  FAILS(tct_job_dataset(job, TCT_JOB_TRAIN, &data), TCT_NOT_FOUND, "/nowhere/x.npy");
  FAILS(tct_job_dataset(job, TCT_JOB_TEST, &data), TCT_NOT_FOUND, "the job has no test data");
  unsetenv("TERCET_TEST_NO_SUCH");
  tct_job_free(job);
}

TEST(job, targets_become_what_the_loss_reads) {
  char folder[SCRATCH_BYTES];
  scratch_make(folder);
  write_file(folder, "d.csv", "1,0\n2,1\n3,1\n");
  static const struct {
    const char *loss;
    tct_dtype dtype;
    int32_t rank;
  } rows[] = {{"sparse_categorical_crossentropy", TCT_I32, 0}, {"mse", TCT_F32, 1}, {"binary_crossentropy", TCT_F32, 1}};
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    char text[SCRATCH_BYTES + 256];
    snprintf(text, sizeof text, "device: ref\ndata: {type: csv, file: %s/d.csv}\nloss: %s\n"
             "model: {layers: [{Dense: {units: %d}}]}\n", folder, rows[i].loss, i == 0 ? 2 : 1);
    tct_job *job = NULL;
    tct_dataset *data = NULL;
    OK(parse(text, NULL, 0, &job));
    OK(tct_job_dataset(job, TCT_JOB_TRAIN, &data));
    const tct_field *const y = tct_dataset_field(data, tct_dataset_find(data, "y"));
    CHECK(y->dtype == rows[i].dtype && y->shape.rank == rows[i].rank, "%s: %s rank %d", rows[i].loss,
          tct_dtype_name(y->dtype), (int)y->shape.rank);
    OK(tct_job_train(job, NULL));
    tct_job_free(job);
  }
  scratch_remove(folder);
}

TEST(job, a_programs_own_data_takes_the_place_of_the_jobs) {
  const float x[4] = {1, 2, 3, 4}, y[4] = {2, 4, 6, 8};
  const tct_field fields[] = {{"x", TCT_F32, {.rank = 1, .dim = {1}}}, {"y", TCT_F32, {.rank = 1, .dim = {1}}}};
  const void *const arrays[] = {x, y};
  tct_dataset *data = NULL;
  tct_job *job = NULL;
  tct_evaluation before, after;
  OK(tct_dataset_arrays(4, 2, fields, arrays, false, &data));
  OK(parse(DATA REF "model: {layers: [{Dense: {units: 1}}]}\nloss: mse\noptimizer: {type: sgd, learning_rate: 0.01}\n"
                    "train: {steps: 10}\n", NULL, 0, &job));
  tct_job_use(job, TCT_JOB_TRAIN, data);
  tct_dataset_free(data);
  OK(tct_job_evaluate(job, TCT_JOB_TRAIN, &before));
  OK(tct_job_train(job, NULL));
  OK(tct_job_evaluate(job, TCT_JOB_TRAIN, &after));
  CHECK(after.values[0] < before.values[0] && after.n_samples == 4);
  tct_model *model = NULL;
  OK(tct_job_model(job, &model));
  CHECK(tct_history_n_epochs(model) == 10, "%d epochs", (int)tct_history_n_epochs(model)); /* steps decide */
  tct_job_free(job);
}

/* Every kind, made by the job and heard in a real fit. */
TEST(job, callbacks_train_along) {
  char folder[256], set[2][320];
  snprintf(folder, sizeof folder, "%s/job_callbacks_%d", TCT_BINARY_DIR, (int)getpid());
  snprintf(set[0], sizeof set[0], "callbacks[2].filename=%s/log.csv", folder);
  snprintf(set[1], sizeof set[1], "callbacks[3].filename=%s/log.jsonl", folder);
  tct_job *job = NULL;
  char text[2048];
  snprintf(text, sizeof text, "data: {type: glyphs, samples: 40, validation_split: 0.5}\n" MODEL LOSS "train: {epochs: 9}\n"
           "optimizer: {type: sgd, learning_rate: 1e-9}\n"
           "callbacks:\n"
           "  - ModelCheckpoint: {filepath: '%s/{epoch}.safetensors', keep: 2}\n"
           "  - EarlyStopping: {monitor: val_loss, patience: 2, min_delta: 0.5, restore_best_weights: true}\n"
           "  - CSVLogger: {filename: x}\n"
           "  - {type: JSONLogger, filename: x}\n"
           "  - TensorBoard: {log_dir: '%s/board', update_freq: 1}\n"
           "  - {type: CSVLogger, filename: '%s/second.csv'}\n"
           "  - ReduceLROnPlateau: {patience: 0, min_delta: 0.5}\n"
           "  - terminateonnan\n", folder, folder, folder);
  OK(parse(text, (const char *[]){set[0], set[1]}, 2, &job));
  CHECK(job->n_callbacks == 8 && strcmp(job->callbacks[5].spec.name, "csv_logger_1") == 0);
  OK(tct_job_train(job, NULL));
  tct_model *model = NULL;
  OK(tct_job_model(job, &model));
  CHECK(tct_history_n_epochs(model) == 3, "%d epochs", (int)tct_history_n_epochs(model));
  CHECK(fabs(tct_learning_rate(model) - 1e-11) < 1e-15, "learning rate %g", tct_learning_rate(model));
  static const char *const files[] = {"1.safetensors", "2.safetensors", "3.safetensors", "log.csv", "log.jsonl", "second.csv"};
  for (size_t i = 0; i < TCT_COUNT_OF(files); i++) {
    char path[320];
    snprintf(path, sizeof path, "%s/%s", folder, files[i]);
    CHECK(access(path, F_OK) == 0, "%s is not there", path);
    remove(path);
  }
  snprintf(text, sizeof text, "test $(ls '%s'/board/*/events.out.tfevents.* | wc -l) = 2 && rm -r '%s'", folder, folder);
  CHECK(system(text) == 0);
  tct_job_free(job);
}

TEST(job, a_batch_larger_than_the_data_is_refused_only_where_it_was_asked_for) {
  tct_job *job = NULL;
  OK(parse(DATA MODEL LOSS REF "train: {batch_size: 64, epochs: 1}\n", NULL, 0, &job));
  FAILS(tct_job_train(job, NULL), TCT_INVALID, "batch size 64, the dataset has 20 samples");
  tct_job_free(job);
  OK(parse(DATA MODEL LOSS REF "train: {epochs: 1}\n", NULL, 0, &job));
  OK(tct_job_train(job, NULL));
  tct_job_free(job);
}

TEST(job, steps_that_make_too_many_epochs_are_named) {
  tct_job *job = NULL;
  OK(parse(DATA MODEL LOSS REF "train: {batch_size: 20, steps: 50000000}\n", NULL, 0, &job));
  FAILS(tct_job_train(job, NULL), TCT_INVALID, "50000000 steps are 50000000 epochs of 1 steps, needs at most 1000000 epochs");
  CHECK(strstr(tct_error_message(), "job.yaml:5:32: train.steps") != NULL, "%s", tct_error_message());
  tct_job_free(job);
}
