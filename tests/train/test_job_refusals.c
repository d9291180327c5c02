/* More of what job files get wrong, by section; models that the reader takes and the builder refuses; and jobs on every format
 * of data, with inputs of a file alone. */
#include "test.h"

#include <tercet/tercet.h>

#include "faults.h"
#include "io/npy.h"
#include "io/safetensors.h"
#include "base/status.h"
#include "train/job.h"
#include "train/jobs.h"

#define LAYERS(text) DATA LOSS REF "model:\n  layers:\n    - " text "\n"

static const struct {
  const char *text, *part;
} refused[] = {
    /* sections */
    {DATA MODEL LOSS "metrics: {accuracy: [1]}\n", "metrics: needs the name of a metric, such as accuracy or top_k=5"},
    {DATA MODEL LOSS "metrics: [[1]]\n", "metrics[0]: needs the name of a metric"},
    {DATA MODEL LOSS "metrics: zzzzzzzzzz\n", "unknown metric 'zzzzzzzzzz'; known: accuracy, top_k=5"},
    {DATA MODEL LOSS "checkpoint: {folder: c, keep: 65}\n", "checkpoint.keep: needs 2 to 64"},
    {DATA MODEL LOSS "optimizer: zzzzzzzzzz\n", "unknown type 'zzzzzzzzzz'"},
    {DATA MODEL LOSS "train: {shuffle: [1]}\n", "train.shuffle: is a list, needs true or false"},
    {DATA MODEL LOSS "train: {shuffle: \"true\"}\n", "train.shuffle: is 'true', needs true or false"},
    {DATA MODEL LOSS "train: {epochs: {a: 1}}\n", "train.epochs: is a mapping, needs a whole number, 1 or more"},
    {DATA MODEL LOSS "train: {loss_scale: none}\n", "train.loss_scale: is 'none', needs a number greater than 0"},
    {DATA MODEL LOSS "train: {class_weight: [1]}\n", "class_weight"},
    {DATA MODEL LOSS "train: {class_weight: {0: heavy}}\n", "class_weight"},
    {DATA MODEL LOSS "train: {class_weight: {0: -1}}\n", "class_weight"},
    {DATA MODEL LOSS "train: {class_weight: {0: [1]}}\n", "class_weight"},
    {DATA MODEL LOSS "callbacks: [{EarlyStopping: {baseline: [1]}}]\n", "baseline: needs a number"},
    {DATA MODEL LOSS "callbacks: [{EarlyStopping: {}, CSVLogger: {}}]\n", "callbacks[0]"},
    {DATA MODEL LOSS "callbacks: [[1]]\n", "callbacks[0]"},
    /* data */
    {"data: {type: glyphs, standardize: {mean: [1, x], std: [1, 1]}}\n" MODEL LOSS, "data.standardize.mean[1]: needs a number"},
    {"data: {type: glyphs, standardize: {mean: [1, [2]], std: [1, 1]}}\n" MODEL LOSS, "data.standardize.mean[1]: needs a number"},
    {"data: {type: glyphs, standardize: {mean: [1], std: [1, 1]}}\n" MODEL LOSS, "of equal length"},
    {"data: {type: glyphs, standardize: {mean: [], std: []}}\n" MODEL LOSS, "of equal length"},
    {"data: {type: glyphs, standardize: {mean: 1, std: 1}}\n" MODEL LOSS, "of equal length"},
    {"data: {type: glyphs, standardize: [1]}\n" MODEL LOSS, "data.standardize: needs true, false, or {mean:"},
    {"data: {type: glyphs, standardize: {means: [1]}}\n" MODEL LOSS, "unknown key 'means'; did you mean 'mean'?"},
    {"data: {type: glyphs, class_names: cat}\n" MODEL LOSS, "class_names: needs a list of names"},
    {"data: {type: glyphs, class_names: []}\n" MODEL LOSS, "class_names: needs a list of names"},
    {"data: {type: glyphs, class_names: [[1], b]}\n" MODEL LOSS, "class_names[0]: needs a name"},
    {"data: {type: glyphs, test: 5}\n" MODEL LOSS, "data.test"},
    {"data: [glyphs]\n" MODEL LOSS, "data: is a list"},
    {"data: {type: csv, file: x, delimiter: ';;'}\n" MODEL LOSS, "delimiter is ';;', needs one character"},
    /* layers */
    {DATA "model: {layers: Flatten}\n" LOSS, "'layers' must be a list"},
    {DATA "model: {width: 3}\n" LOSS, "'layers' must be a list"},
    {DATA "model: {inputs: x, layers: [Flatten]}\n" LOSS, "model.inputs: is 'x', needs up to 16 inputs"},
    {DATA "model: {inputs: [a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q], layers: [Flatten]}\n" LOSS, "needs up to 16 inputs"},
    {DATA "model: {inputs: [[x]], layers: [Flatten]}\n" LOSS, "model.inputs[0]: is a list, needs the name of a field of the data"},
    {DATA "model: {inputs: {x: {shape: [[1]]}}, layers: [Flatten]}\n" LOSS, "needs a list of whole numbers"},
    {DATA "model: {inputs: {x: [1, b]}, layers: [Flatten]}\n" LOSS, "needs a list of whole numbers"},
    {DATA "model: {inputs: {x: {dtype: [f32]}}, layers: [Flatten]}\n" LOSS, "needs f32, f64 or i32"},
    {DATA "model: {inputs: {x: {shape: $n}}, layers: [Flatten]}\n" LOSS, "unknown parameter '$n'"},
    {LAYERS("Dense: {units: $zzzzzzzzzz}"), "unknown parameter '$zzzzzzzzzz'; parameters are keys of 'model', such as width: 32"},
    {LAYERS("Dense: {units: \"${}\"}"), "unknown parameter '${}'"},
    {LAYERS("Dense: {units: [3]}"), "units: is a list, needs a whole number, 1 or more"},
    {LAYERS("Dense: {units: 0}"), "units: is '0', needs a whole number, 1 or more"},
    {LAYERS("Dense: {units: -3}"), "units: is '-3', needs a whole number, 1 or more"},
    {LAYERS("GroupNormalization: {groups: 0}"), "groups"},
    {LAYERS("Concatenate: {axis: 0}"), "axis: is '0', needs a whole number other than 0"},
    {LAYERS("Dropout: {rate: [0.5]}"), "rate: is a list, needs a number"},
    {LAYERS("Conv2D: {filters: 3, kernel_size: [3, -1]}"), "kernel_size: is a list, needs a whole number, or two of them, 1 or more"},
    {LAYERS("Conv2D: {filters: 3, kernel_size: [3, x]}"), "needs a whole number, or two of them"},
    {LAYERS("Conv2D: {filters: 3, kernel_size: 0}"), "kernel_size: is '0'"},
    {LAYERS("Conv2D: {filters: 3, kernel_size: [$k, 3]}"), "unknown parameter '$k'"},
    {LAYERS("Conv2D: {filters: 3, kernel_size: [3, $k]}"), "unknown parameter '$k'"},
    {LAYERS("Conv2D: {filters: 3, kernel_size: []}"), "kernel_size: is a list"},
    {LAYERS("Conv2D: {filters: 3, kernel_size: {a: 1}}"), "kernel_size: is a mapping"},
    {LAYERS("Reshape: {target_shape: [1, $k]}"), "unknown parameter '$k'"},
    {LAYERS("Reshape: {target_shape: [1,1,1,1,1,1,1,1,1]}"), "target_shape: is a list, needs a list of whole numbers"},
    {LAYERS("Reshape: {target_shape: [1, [2]]}"), "needs a list of whole numbers"},
    {LAYERS("Dense: {units: 3, kernel_regularizer: [0.1]}"), "kernel_regularizer: is a list"},
    {LAYERS("Dense: {units: 3, kernel_regularizer: -0.1}"), "kernel_regularizer: is '-0.1'"},
    {LAYERS("Dense: {units: 3, kernel_regularizer: {l1: -1}}"), "l1"},
    {LAYERS("Dense: {units: 3, kernel_regularizer: {l1: x}}"), "l1"},
    {LAYERS("Dense: {units: 3, kernel_regularizer: {l1: $k}}"), "unknown parameter '$k'"},
    {LAYERS("Dense: {units: 3, name: [a]}"), "name: is a list, needs a text"},
    {LAYERS("Dense: {units: 3, trainable: perhaps}"), "trainable: is 'perhaps', needs true or false"},
    {LAYERS("Dense: {units: 3, trainable: $k}"), "trainable: is '$k', needs true or false"},
    {LAYERS("Dense: {units: 3, inputs: {a: 1}}"), "inputs: is a mapping"},
    {LAYERS("Dense: {units: 3, inputs: [[a]]}"), "inputs"},
    {LAYERS("zzzzzzzzzzzzzzz"), "unknown layer 'zzzzzzzzzzzzzzz'"},
    {LAYERS("{zzzzzzzzzzzzzzz: {}}"), "unknown layer 'zzzzzzzzzzzzzzz'"},
    {LAYERS("{type: [Dense]}"), "model.layers[0]"},
    {LAYERS("[Dense]"), "model.layers[0]: is a list, needs one layer"},
    {LAYERS("Dense: 3"), "needs a mapping, such as {units: 10}"},
    {LAYERS("Dense"), "Dense: 'units' is missing"},
    {LAYERS("Dense:"), "Dense: 'units' is missing"},
    {"text\n", "job.yaml:1:1: is 'text', needs a mapping"},
};

TEST(job_refusals, by_section) {
  for (size_t i = 0; i < TCT_COUNT_OF(refused); i++) {
    tct_job *job = NULL;
    const tct_status status = parse(refused[i].text, NULL, 0, &job);
    CHECK(status == TCT_INVALID && job == NULL, "row %zu: got %s:\n%s", i, tct_status_name(status), refused[i].text);
    CHECK(strstr(tct_error_message(), refused[i].part) != NULL, "row %zu lacks '%s': %s", i, refused[i].part, tct_error_message());
  }
}

/* A key of a model and a parameter of 63 characters and more: names for suggestions are cut. */
TEST(job_refusals, parameters_of_any_length) {
  tct_job *job = NULL;
  FAILS(parse(DATA LOSS "model:\n  layers: [{Dense: {units: "
              "$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}}]\n", NULL, 0, &job),
        TCT_INVALID, "unknown parameter '$aaaa");
  tct_text text = {0};
  tct_text_append(&text, DATA LOSS "model:\n  layers: [{Dense: {units: $p69x}}]\n");
  for (int i = 0; i < 70; i++) tct_text_printf(&text, "  p%d: 3\n", i);
  FAILS(parse(text.data, NULL, 0, &job), TCT_INVALID, "unknown parameter '$p69x'; parameters are keys of 'model'"); /* among the first 64 */
  tct_text_free(&text);
  FAILS(parse(DATA REF "loss: mse\nmodel:\n  w: 4\n  s: [2, 3]\n  layers: [{Conv2D: {filters: \"${w}\", kernel_size: [$w, 2]}}, Flatten, {Dense: {units: 1}}]\n"
           "  t: 1\n", NULL, 0, &job), TCT_INVALID, "'s' is no key of a model");
  CHECK(strstr(tct_error_message(), "'t' is no key of a model") != NULL, "%s", tct_error_message());
}

TEST(job_refusals, models_that_cannot_be_built) {
  static const struct {
    const char *text, *message;
  } rows[] = {
      {DATA REF LOSS "model: {inputs: [zzzzzzzzzz], layers: [Flatten]}\n", "input 'zzzzzzzzzz': the data has no such field"},
      {DATA REF LOSS "model: {inputs: [xx], layers: [Flatten]}\n", "did you mean 'x'?"},
      {DATA REF LOSS "model: {inputs: {x: [2], z: [2]}, layers: [Flatten]}\n", "the model has 2 inputs; say which this layer takes, such as inputs: [x]"},
      {DATA REF LOSS "model: {inputs: {x: [-2]}, layers: [Flatten]}\n", "negative extent"},
      {DATA REF LOSS "model: {inputs: {x: null}, layers: [Flatten, {Dense: {units: 10, inputs: zzzzzzzzzzzz}}]}\n",
       "input 'zzzzzzzzzzzz' is no input or layer above it; a layer gets its name from `name:`"},
      {"data: {type: glyphs, samples: 1, validation_split: 0.5}\n" REF LOSS MODEL, "validation_split 0.5 cuts 1 samples into 0 and 1"},
      {"data: {type: glyphs, samples: 3, validation_split: 1e-17}\n" REF LOSS MODEL, "each part needs at least one"},
      {"data: {type: glyphs, samples: 3, standardize: {mean: [1], std: [1]}}\n" REF LOSS MODEL, "the data has 784 features, the moments are of 1"},
      {"data: {type: csv, file: \"${TERCET_NO_SUCH_VARIABLE}/x.csv\"}\n" REF LOSS MODEL, "needs the environment variable TERCET_NO_SUCH_VARIABLE"},
      {"data: {type: csv, file: nowhere.csv}\n" REF LOSS MODEL, "nowhere.csv"},
      {"data: {type: idx, images: \"${TERCET_NO_SUCH_VARIABLE}\"}\n" REF LOSS MODEL, "TERCET_NO_SUCH_VARIABLE"},
      {"data: {type: idx, images: a, labels: \"${TERCET_NO_SUCH_VARIABLE}\"}\n" REF LOSS MODEL, "TERCET_NO_SUCH_VARIABLE"},
      {"data: {type: npy, x: a, y: \"${TERCET_NO_SUCH_VARIABLE}\"}\n" REF LOSS MODEL, "TERCET_NO_SUCH_VARIABLE"},
      {"data: {type: npy, x: \"${TERCET_NO_SUCH_VARIABLE}\"}\n" REF LOSS MODEL, "TERCET_NO_SUCH_VARIABLE"},
      {"data: {type: text, file: \"${TERCET_NO_SUCH_VARIABLE}\", window: 3}\n" REF LOSS MODEL, "TERCET_NO_SUCH_VARIABLE"},
      {DATA "device: zzzzzzzzzz\n" LOSS MODEL, "zzzzzzzzzz"},
      {DATA REF LOSS MODEL "train: {class_weight: {11: 2}}\n", "11"},
  };
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    tct_job *job = NULL;
    OK(parse(rows[i].text, NULL, 0, &job));
    const tct_status status = tct_job_train(job, NULL);
    CHECK(status != TCT_OK && strstr(tct_error_message(), rows[i].message) != NULL, "row %zu lacks '%s': %s: %s", i, rows[i].message,
          tct_status_name(status), tct_error_message());
    tct_job_free(job);
  }
}

/* ---- calls --------------------------------------------------------------------------------------------- */

TEST(job_refusals, calls) {
  tct_job *job = NULL;
  tct_dataset *data = NULL;
  tct_evaluation result;
  tct_job_info info;
  OK(parse(DATA REF LOSS MODEL "save: \"${TERCET_NO_SUCH_VARIABLE}/m\"\ncheckpoint: {folder: \"${TERCET_NO_SUCH_VARIABLE}/c\"}\n", NULL, 0, &job));
  FAILS(tct_job_dataset(job, (tct_job_part)7, &data), TCT_INVALID, "job: no part 7 of the data");
  FAILS(tct_job_dataset(job, (tct_job_part)-1, &data), TCT_INVALID, "job: no part -1 of the data");
  CHECK(tct_job_dataset(job, TCT_JOB_TEST, &data) != TCT_OK && strstr(tct_error_message(), "give it under data.test") != NULL);
  CHECK(tct_job_evaluate(job, TCT_JOB_VALIDATION, &result) != TCT_OK);
  tct_job_use(job, (tct_job_part)7, NULL);
  tct_job_use(job, (tct_job_part)-1, NULL);
  tct_job_use(job, TCT_JOB_TEST, NULL);
  tct_job_describe(job, &info);
  CHECK(!info.has_test && strstr(info.checkpoint, "/c") != NULL && strstr(info.save, "/m") != NULL, "the texts as they stand");
  CHECK(tct_job_train(job, NULL) != TCT_OK && strstr(tct_error_message(), "TERCET_NO_SUCH_VARIABLE") != NULL, "%s", tct_error_message());
  CHECK(tct_job_save(job, NULL) != TCT_OK && strstr(tct_error_message(), "TERCET_NO_SUCH_VARIABLE") != NULL, "%s", tct_error_message());
  CHECK(tct_job_class_name(job, -1) == NULL && tct_job_class_name(job, 99) == NULL);
  tct_job_free(job);
  tct_job_free(NULL);
  OK(parse(DATA REF LOSS MODEL, NULL, 0, &job));
  FAILS(tct_job_save(job, NULL), TCT_INVALID, "save");
  FAILS(tct_job_train(job, &(tct_fit_options){.n_callbacks = -1}), TCT_INVALID, "n_callbacks is -1");
  FAILS(tct_job_train(job, &(tct_fit_options){.n_callbacks = 1}), TCT_INVALID, "n_callbacks is 1, callbacks NULL");
  tct_job_free(job);
  CHECK(tct_job_load("no/such/job.yaml", NULL, &job) != TCT_OK && strstr(tct_error_message(), "no/such/job.yaml") != NULL);
  CHECK(tct_job_from_model("no/such.safetensors", NULL, &job) != TCT_OK && strstr(tct_error_message(), "no/such.safetensors") != NULL);
}

/* ---- every format -------------------------------------------------------------------------------------- */

static char folder[SCRATCH_BYTES];

static const char *in_folder(const char *name) {
  static char paths[4][SCRATCH_BYTES + 64];
  static int turn;
  char *const path = paths[turn++ % 4];
  (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

static void write_bytes(const char *name, const void *bytes, size_t n) {
  FILE *const file = fopen(in_folder(name), "wb");
  CHECK(file != NULL && fwrite(bytes, 1, n, file) == n && fclose(file) == 0);
}

static void write_data(void) {
  static const unsigned char images[] = {0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 255, 9, 250, 8, 200, 255, 3};
  static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 4, 0, 1, 0, 1};
  static const char table[] = "a;b;kind\n0;10;dog\n2;10;cat\n100;1;cat\n200;2;dog\n", inputs[] = "a;b\n3;12\n", numbers[] = "1,2,3.5\n4,5,6.5\n2,2,2\n3,3,3\n";
  static const char text[] = "abcabcabdabc";
  static const int64_t y[4] = {0, 1, 1, 0};
  static const uint8_t x[4][2] = {{0, 1}, {1, 0}, {1, 1}, {0, 0}};
  write_bytes("images", images, sizeof images);
  write_bytes("labels", labels, sizeof labels);
  write_bytes("t.csv", table, sizeof table - 1);
  write_bytes("in.csv", inputs, sizeof inputs - 1);
  write_bytes("n.csv", numbers, sizeof numbers - 1);
  write_bytes("t.txt", text, sizeof text - 1);
  OK(tct_npy_write(in_folder("x.npy"), &(tct_desc){TCT_U8, TCT_SHAPE(4, 2)}, x));
  OK(tct_npy_write(in_folder("y.npy"), &(tct_desc){TCT_I64, TCT_SHAPE(4)}, y));
}

#define TAIL REF "model: {layers: [Flatten, {Dense: {units: 2, activation: softmax}}]}\n"
#define TEXT_TAIL REF "model: {layers: [{Embedding: {input_dim: 4, output_dim: 2}}, Flatten, {Dense: {units: 4, activation: softmax}}]}\n"

TEST(job_refusals, every_format_trains_predicts_and_reads_inputs_alone) {
  static const struct {
    const char *text;
    const char *inputs; /* NULL: none */
    int64_t n;          /* samples of the inputs */
    const char *part;   /* of the refusal; NULL: it trains */
  } rows[] = {
      {"data: {type: idx, images: images, labels: labels}\n" LOSS TAIL, "images", 4, NULL},
      {"data: {type: idx, images: images, labels: labels, raw: true, standardize: true, limit: 3}\n" LOSS TAIL, "images", 4, NULL},
      {"data: {type: csv, file: t.csv, delimiter: ';', limit: 99, test: {file: t.csv}}\n" LOSS TAIL, "in.csv", 1, NULL},
      {"data: {type: csv, file: t.csv, delimiter: ';', target: kind, classes: true, header: true, class_names: [cat, dog]}\n" LOSS TAIL, "in.csv", 1, NULL},
      {"data: {type: csv, file: n.csv}\nloss: mse\n" REF "model: {layers: [{Dense: {units: 1}}]}\n", NULL, 0, NULL},
      {"data: {type: csv, file: n.csv, target: none}\nloss: mse\n" REF "model: {layers: [{Dense: {units: 1}}]}\n", NULL, 0, "the data has no field 'y', which the loss needs"},
      {"data: {type: npy, x: x.npy, y: y.npy}\n" LOSS TAIL, "x.npy", 4, NULL},
      {"data: {type: npy, x: x.npy, y: y.npy, standardize: true}\n" LOSS TAIL, "x.npy", 4, NULL},
      {"data: {type: npy, x: x.npy, y: y.npy}\nloss: categorical_crossentropy\n" TAIL, NULL, 0, "one"},
      {"data: {type: npy, x: x.npy}\n" LOSS TAIL, NULL, 0, "which the loss needs; give the data its labels or targets"},
      {"data: {type: text, file: t.txt, window: 3, last_only: true, stride: 2, begin: 0.1}\n" LOSS TEXT_TAIL, "t.txt", 5, NULL},
      {"data: {type: text, file: t.txt, window: 3, standardize: true}\n" LOSS TEXT_TAIL, NULL, 0, "needs numbers with a fraction"},
      {"data: {type: text, file: t.txt, window: 3, validation_split: 0.5, last_only: true}\n" LOSS TEXT_TAIL, "t.csv", 0, NULL},
  };
  scratch_make(folder);
  write_data();
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    tct_job *job = NULL;
    tct_dataset *data = NULL, *inputs = NULL;
    tct_desc desc;
    void *values = NULL;
    OK(tct_job_parse(rows[i].text, strlen(rows[i].text), "job.yaml", &(tct_job_options){.directory = folder}, &job));
    tct_status status = tct_job_train(job, NULL);
    if (rows[i].part != NULL) {
      CHECK(status != TCT_OK && strstr(tct_error_message(), rows[i].part) != NULL, "row %zu: %s", i, tct_error_message());
      tct_job_free(job);
      continue;
    }
    CHECK(status == TCT_OK, "row %zu: %s", i, tct_error_message());
    OK(tct_job_dataset(job, TCT_JOB_TRAIN, &data));
    CHECK(tct_dataset_samples(data) > 0, "row %zu", i);
    if (rows[i].inputs != NULL) {
      status = tct_job_open_inputs(job, in_folder(rows[i].inputs), &inputs);
      if (rows[i].n > 0) {
        CHECK(status == TCT_OK && tct_dataset_samples(inputs) == rows[i].n, "row %zu: %d samples: %s", i, (int)tct_dataset_samples(inputs),
              tct_error_message());
        OK(tct_job_predict(job, inputs, &desc, &values));
        CHECK(desc.shape.dim[0] == rows[i].n, "row %zu", i);
        tct_job_release(values);
      } else {
        CHECK(status != TCT_OK && strstr(tct_error_message(), "inputs '") != NULL, "row %zu: %s", i, tct_error_message());
      }
      CHECK(tct_job_open_inputs(job, in_folder("nothing"), &inputs) != TCT_OK && inputs == NULL);
      CHECK(tct_job_open_inputs(job, in_folder("nothing.csv"), &inputs) != TCT_OK && inputs == NULL);
      CHECK(tct_job_open_inputs(job, in_folder("nothing.npy"), &inputs) != TCT_OK && inputs == NULL);
    }
    tct_job_free(job);
  }
  scratch_remove(folder);
}
