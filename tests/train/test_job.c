/* Job files: the text of every kind of problem, overrides, hostile input, what a job learns from its data and keeps. */
#include "test.h"

#include <tercet/tercet.h>

#include "base/alloc.h"
#include "base/status.h"
#include "faults.h"
#include "train/job.h"
#include "train/job_spec.h"

#include <unistd.h>

#define DATA "data: {type: glyphs, samples: 20}\n"
#define LOSS "loss: sparse_categorical_crossentropy\n"
#define MODEL "model: {layers: [Flatten, {Dense: {units: 10, activation: softmax}}]}\n"
#define REF "device: ref\n"

static tct_status parse(const char *text, const char *const *set, int32_t n_set, tct_job **out) {
  return tct_job_parse(text, strlen(text), "job.yaml", &(tct_job_options){.set = set, .n_set = n_set}, out);
}

/* ---- problems ----------------------------------------------------------------------------------------- */

static const struct {
  const char *text, *part;
} refused[] = {
    {"", "job.yaml:1:1: 'data' is missing"},
    {"- 1\n", "job.yaml:1:1: is a list, needs a mapping"},
    {DATA MODEL LOSS "devcie: cpu\n", "job.yaml:4:1: unknown key 'devcie'; did you mean 'device'?"},
    {DATA MODEL LOSS "zzz: 1\n", "unknown key 'zzz'; known here: name, seed, device"},
    {DATA MODEL "loss: mean_sqared_error\n", "job.yaml:3:7: loss: unknown type 'mean_sqared_error'; did you mean 'mean_squared_error'?"},
    {DATA MODEL "loss: {type: mse, delta: 1}\n", "job.yaml:3:19: loss: 'delta' is not an option of mse; it belongs to huber"},
    {DATA MODEL LOSS "optimizer: {type: adam, momentum: 0.9}\n", "optimizer: 'momentum' is not an option of adam; it belongs to sgd,rmsprop"},
    {DATA MODEL LOSS "optimizer: [adam]\n", "optimizer: is a list, needs a name, or a mapping with 'type'"},
    {DATA MODEL LOSS "schedule: {type: step}\n", "schedule: 'decay_steps' is missing"},
    {DATA MODEL LOSS "metrics: [accuracy, acuracy]\n", "job.yaml:4:21: metrics[1]: unknown metric 'acuracy'; did you mean 'accuracy'?"},
    {DATA MODEL LOSS "train: {batch_size: big}\n", "job.yaml:4:21: train.batch_size: is 'big', needs a whole number, 1 or more"},
    {DATA MODEL LOSS "threads: 1000000\n", "threads: at most 4096"},
    {DATA MODEL LOSS "callbacks: {EarlyStopping: 1}\n", "callbacks: needs a list"},
    {DATA MODEL LOSS "callbacks: [EarlyStoping]\n", "callbacks[0]: unknown type 'EarlyStoping'; did you mean 'EarlyStopping'?"},
    {DATA MODEL LOSS "callbacks: [{EarlyStoping: {}}]\n", "job.yaml:4:14: callbacks[0]: unknown type 'EarlyStoping'; did you mean"},
    {DATA MODEL LOSS "callbacks: [{EarlyStopping: {patence: 1}}]\n", "unknown key 'patence'; did you mean 'patience'?"},
    {DATA MODEL LOSS "callbacks: [{type: EarlyStopping, keep: 1}]\n", "'keep' is not an option of EarlyStopping; it belongs to ModelCheckpoint"},
    {DATA MODEL LOSS "callbacks: [{EarlyStopping: TerminateOnNaN}]\n", "callbacks[0].EarlyStopping: is 'TerminateOnNaN', needs a mapping of its options, or nothing"},
    {DATA MODEL LOSS "callbacks: [{EarlyStopping: [1]}]\n", "callbacks[0].EarlyStopping: is a list, needs a mapping"},
    {DATA MODEL LOSS "callbacks: [CSVLogger]\n", "callbacks[0]: 'filename' is missing: the log file"},
    {DATA MODEL LOSS "callbacks: [{CSVLogger: {}}]\n", "callbacks[0]: 'filename' is missing"},
    {DATA MODEL LOSS "callbacks: [{ModelCheckpoint: null}]\n", "callbacks[0]: 'filepath' is missing"},
    {DATA MODEL LOSS "callbacks: [{EarlyStopping: {baseline: low}}]\n", "baseline: needs a number"},
    {"data: {type: glyfs}\n" MODEL LOSS, "data.type: unknown type 'glyfs'; did you mean 'glyphs'?"},
    {"data: {samples: 5}\n" MODEL LOSS, "data: 'type' is missing"},
    {"data: {type: glyphs, images: x}\n" MODEL LOSS, "data: 'images' is not an option of glyphs; it belongs to idx"},
    {"data: {type: idx, labels: x}\n" MODEL LOSS, "data: 'images' is missing"},
    {"data: {type: glyphs, test: {type: csv}}\n" MODEL LOSS, "data.test: 'type' belongs to data itself, for all parts"},
    {"data: {type: glyphs, test: {sample: 5}}\n" MODEL LOSS, "data.test: unknown key 'sample'; did you mean 'samples'?"},
    {"data: {type: glyphs, validation_split: 0.1, validation: {first: 5}}\n" MODEL LOSS, "needs one of them"},
    {"data: {type: glyphs, validation_split: 1}\n" MODEL LOSS, "leaves nothing to train on"},
    {"data: {type: csv, file: x, delimiter: ab}\n" MODEL LOSS, "delimiter is 'ab', needs one character"},
    {"data: {type: text, file: x, window: 3, begin: 0.5, end: 0.2}\n" MODEL LOSS, "begin 0.5 is not before end 0.2"},
    {"data: {type: glyphs, standardize: {mean: [1], std: [0]}}\n" MODEL LOSS, "deviation 0 is 0, needs more than 0"},
    {"data: {type: glyphs, standardize: {mean: [1]}}\n" MODEL LOSS, "data.standardize: needs true, false, or {mean:"},
    {DATA "model: {layers: []}\n" LOSS, "'layers' must be a list"},
    {DATA "model: [Flatten]\n" LOSS, "model: is a list, needs a mapping with 'layers'"},
    {DATA "model:\n  layers:\n    - Conv2D: {filter: 8, kernel_size: 3}\n" LOSS, "job.yaml:4:16: model.layers[0]: unknown key 'filter'; did you mean 'filters'?"},
    {DATA "model:\n  layers:\n    - Conv2D: {kernel_size: 3}\n" LOSS, "job.yaml:4:7: model.layers[0]: Conv2D: 'filters' is missing"},
    {DATA "model:\n  layers: [MaxPool2D]\n" LOSS, "model.layers[0]: unknown layer 'MaxPool2D'; did you mean 'MaxPooling2D'?"},
    {DATA "model:\n  layers: [{type: Dens, units: 3}]\n" LOSS, "model.layers[0].type: unknown layer 'Dens'; did you mean 'Dense'?"},
    {DATA "model:\n  layers: [{Dense: {units: 3}, Flatten: {}}]\n" LOSS, "model.layers[0]: is a mapping, needs one layer"},
    {DATA "model:\n  layers: [{Dense: 3}]\n" LOSS, "needs a mapping, such as {units: 10}"},
    {DATA "model:\n  layers: [{Dense: {units: many}}]\n" LOSS, "model.layers[0].units: is 'many', needs a whole number, 1 or more"},
    {DATA "model:\n  layers: [{Dropout: {rate: lots}}]\n" LOSS, "model.layers[0].rate: is 'lots', needs a number"},
    {DATA "model:\n  layers: [{LeakyReLU: {negative_slope: 0}}]\n" LOSS, "is 0, which stands for the default 0.3 here"},
    {DATA "model:\n  layers: [{Dense: {units: 3, use_bias: perhaps}}]\n" LOSS, "model.layers[0].use_bias: is 'perhaps', needs true or false"},
    {DATA "model:\n  layers: [{Dense: {units: 3, activation: [relu]}}]\n" LOSS, "model.layers[0].activation: is a list, needs a text"},
    {DATA "model:\n  layers: [{MaxPooling2D: {pool_size: [2, 2, 2]}}]\n" LOSS, "model.layers[0].pool_size: is a list, needs a whole number, or two of them"},
    {DATA "model:\n  layers: [{Reshape: {target_shape: {a: 1}}}]\n" LOSS, "model.layers[0].target_shape: is a mapping, needs a list of whole numbers"},
    {DATA "model:\n  layers: [{Dense: {units: 3, kernel_regularizer: {l3: 1}}}]\n" LOSS, "unknown key 'l3'; did you mean 'l1'?"},
    {DATA "model:\n  layers: [{Dense: {units: $widht}}]\n  width: 3\n" LOSS, "unknown parameter '$widht'; did you mean '$width'?"},
    {DATA "model:\n  width: 3\n  layers: [Flatten]\n" LOSS, "job.yaml:3:3: model: 'width' is no key of a model, and as a parameter no layer uses $width"},
    {DATA "model:\n  inputs: {x: {shap: [1]}}\n  layers: [Flatten]\n" LOSS, "model.inputs.x: unknown key 'shap'; did you mean 'shape'?"},
    {DATA "model:\n  inputs: {x: {shape: [1], dtype: f16}}\n  layers: [Flatten]\n" LOSS, "model.inputs.x.dtype: is 'f16', needs f32, f64 or i32"},
    {DATA MODEL LOSS "checkpoint: {every_steps: 5}\n", "job.yaml:4:13: checkpoint: 'folder' is missing"},
    {DATA MODEL LOSS "checkpoint: {folder: c, keep: 1}\n", "checkpoint.keep: needs 2 to 64"},
    {DATA MODEL LOSS "checkpoint: {folder: c, every_step: 1}\n", "unknown key 'every_step'; did you mean 'every_steps'?"},
    {"a: &x 1\n", "job.yaml:1:4: anchors (&name) are not part of job files"},
    {"a: *x\n", "job.yaml:1:4: aliases (*name) are not part of job files"},
    {"a: !!int 1\n", "tags (!type) are not part of job files"},
    {"a: 1\na: 2\n", "job.yaml:2:1: key 'a' stands twice; it is also in line 1"},
    {"a: 1\n---\nb: 1\n", "a second document"},
    {"a: [1\nb: 2\n", "job.yaml:2:2: did not find expected ',' or ']'"},
    {"? [a]\n: 1\n", "a key must be plain text"},
    {"a: \x01\n", "control characters are not allowed"},
};

TEST(job, problems_name_place_and_remedy) {
  for (size_t i = 0; i < TCT_COUNT_OF(refused); i++) {
    tct_job *job = NULL;
    const tct_status status = parse(refused[i].text, NULL, 0, &job);
    CHECK(status == TCT_INVALID && job == NULL, "row %zu: got %s", i, tct_status_name(status));
    CHECK(strstr(tct_error_message(), refused[i].part), "row %zu lacks '%s': %s", i, refused[i].part,
          tct_error_message());
  }
}

TEST(job, problems_come_together_up_to_twenty) {
  tct_text text = {0};
  tct_text_append(&text, DATA MODEL LOSS);
  for (int i = 0; i < 25; i++) tct_text_printf(&text, "wrong_%d: 1\n", i);
  tct_job *job = NULL;
  FAILS(parse(text.data, NULL, 0, &job), TCT_INVALID, "job.yaml:4:1: unknown key 'wrong_0'");
  int n = 0;
  for (const char *at = tct_error_message(); (at = strstr(at, "unknown key")) != NULL; at++) n++;
  CHECK(n <= TCT_JOB_MOST_PROBLEMS && n >= 10, "%d problems in the message", n);
  tct_text_free(&text);
}

/* A value that no key of the kind takes, and one that every key takes. */
static const char *const bad_values[] = {
    [TCT_SPEC_TEXT] = "[1]",     [TCT_SPEC_PATH] = "{a: 1}", [TCT_SPEC_COUNT] = "0",      [TCT_SPEC_WHOLE] = "-1",
    [TCT_SPEC_POSITIVE] = "0",   [TCT_SPEC_REAL] = "-0.5",   [TCT_SPEC_FRACTION] = "1.5", [TCT_SPEC_SWITCH] = "perhaps",
    [TCT_SPEC_NODE] = NULL};
static const char *const good_values[] = {
    [TCT_SPEC_TEXT] = "a",     [TCT_SPEC_PATH] = "a/b", [TCT_SPEC_COUNT] = "3",      [TCT_SPEC_WHOLE] = "0",
    [TCT_SPEC_POSITIVE] = "2", [TCT_SPEC_REAL] = "0",   [TCT_SPEC_FRACTION] = "0.5", [TCT_SPEC_SWITCH] = "false",
    [TCT_SPEC_NODE] = NULL};

static const tct_spec_section *const sections[] = {&tct_section_job,       &tct_section_data,     &tct_section_loss,
                                                   &tct_section_optimizer, &tct_section_schedule, &tct_section_train,
                                                   &tct_section_callback,  &tct_section_checkpoint};

/* The message for `key: value`, with a type that knows the key. */
static const char *try_value(const tct_spec_section *section, const tct_spec_key *key, const char *value, char *path,
                             size_t path_bytes) {
  char type[128], set[256];
  const int word = (int)strcspn(key->only, ",");
  snprintf(type, sizeof type, "%s.type=%.*s", section->path, word, key->only);
  snprintf(path, path_bytes, "%s%s%s", section->path, *section->path ? "." : "", key->name);
  snprintf(set, sizeof set, "%s=%s", path, value);
  const char *const sets[] = {set, type};
  tct_job *job = NULL;
  tct_error_clear();
  (void)!parse(DATA MODEL "loss: {type: mse}\noptimizer: {}\nschedule: {}\ntrain: {}\n"
                "callbacks: [{type: TerminateOnNaN}]\n", sets, *key->only ? 2 : 1, &job);
  tct_job_free(job);
  return tct_error_message();
}

TEST(job, every_key_checks_its_value) {
  for (size_t s = 0; s < TCT_COUNT_OF(sections); s++)
    for (int32_t k = 0; k < sections[s]->n_keys; k++) {
      const tct_spec_key *const key = &sections[s]->keys[k];
      if (!bad_values[key->kind]) continue;
      char path[128], is[160];
      const char *message = try_value(sections[s], key, bad_values[key->kind], path, sizeof path);
      snprintf(is, sizeof is, "%s: is ", path);
      CHECK(strstr(message, is), "%s=%s: %s", path, bad_values[key->kind], message);
      if (*key->choices) continue;
      message = try_value(sections[s], key, good_values[key->kind], path, sizeof path);
      CHECK(!strstr(message, is), "%s=%s: %s", path, good_values[key->kind], message);
    }
}

/* ---- overrides ---------------------------------------------------------------------------------------- */

static const char overridable[] = DATA "model:\n"
                                       "  width: 8\n"
                                       "  layers:\n"
                                       "    - Flatten\n"
                                       "    - Dense: {units: $width, name: fc1}\n"
                                       "    - {type: Dense, units: 10, activation: softmax}\n" LOSS;

TEST(job, overrides_reach_what_they_name) {
  static const struct {
    const char *set, *line;
  } rows[] = {
      {"model.width=64", "  width: 64\n"},
      {"model.layers[1].units=5", "        units: 5\n"},
      {"model.layers.1.Dense.units=5", "        units: 5\n"},
      {"model.layers.fc1.units=5", "        units: 5\n"},
      {"model.layers[2].units=5", "      units: 5\n"},
      {"train.epochs=3", "train:\n  epochs: 3\n"},
      {"optimizer.learning_rate=1e-4", "optimizer:\n  learning_rate: 1e-4\n"},
      {"data.test={samples: 5}", "  test:\n    samples: 5\n"},
      {"metrics=[accuracy, top_k=3]", "metrics: [accuracy, top_k=3]\n"},
      {"name=\"a: b\"", "name: \"a: b\"\n"},
  };
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    /* Overriding the only use of $width leaves the parameter unused, so the row takes it away. */
    const bool unused = strstr(rows[i].set, "layers") && strstr(rows[i].set, "1");
    const char *const set[] = {rows[i].set, "model={layers: [Flatten, {Dense: {units: 10}}]}"};
    tct_job *job = NULL;
    tct_arena arena = {0};
    tct_yaml *root = NULL;
    tct_text text = {0};
    OK(tct_yaml_parse(&arena, overridable, strlen(overridable), "job.yaml", 0, &root));
    OK(tct_yaml_override(&arena, root, rows[i].set, 1));
    tct_yaml_print(root, &text);
    CHECK(strstr(text.data, rows[i].line), "%s: lacks '%s':\n%s", rows[i].set, rows[i].line, text.data);
    if (!unused) OK(parse(overridable, set, 1, &job));
    tct_job_free(job);
    tct_text_free(&text);
    tct_arena_free(&arena);
  }
}

TEST(job, wrong_overrides_say_so) {
  static const struct {
    const char *set, *part;
  } rows[] = {
      {"model.width", "needs path=value"},
      {"=3", "is not a path"},
      {"a..b=3", "is not a path"},
      {"a[x]=3", "is not a path"},
      {"a[1=3", "is not a path"},
      {"model.layers[9].units=3", "'model.layers' has no item '9'; it has 3, numbered from 0"},
      {"model.layers.fc9.units=3", "'model.layers' has no item 'fc9'"},
      {"model.width.x=3", "'model.width' is '8', which has no 'x' in it"},
      {"train.epoch=3", "--set 'train.epoch=3': train: unknown key 'epoch'; did you mean 'epochs'?"},
      {"model.widht=3", "--set 'model.widht=3': model: 'widht' is no key of a model, and as a parameter no layer uses $widht; did you mean 'width'?"},
      {"train.epochs=many", "--set 'train.epochs=many': train.epochs: is 'many'"},
      {"name=[1", "--set 'name=[1':2:1: did not find expected ',' or ']'"},
      {"name=*x", "aliases"},
  };
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    tct_job *job = NULL;
    FAILS(parse(overridable, &rows[i].set, 1, &job), TCT_INVALID, rows[i].part);
  }
}

/* ---- hostile input ------------------------------------------------------------------------------------ */

static char *repeat(const char *head, const char *piece, size_t n) {
  tct_text text = {0};
  tct_text_append(&text, head);
  for (size_t i = 0; i < n; i++) tct_text_append(&text, piece);
  CHECK(!text.failed);
  return text.data;
}

TEST(job, hostile_files_are_refused_quickly) {
  static const struct {
    const char *head, *piece;
    size_t n;
    const char *part;
  } rows[] = {
      {"a: ", "[", 300000, "nested more than 32 deep"},
      {"a: ", "{a: ", 300000, "nested more than 32 deep"},
      {"", "- ", 300000, "nested more than 32 deep"},
      {"", "? ", 300000, "a key must be plain text"},
      {"a: [", "1,", 2100000, "more than 2 000 000 values"},
  };
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    char *const text = repeat(rows[i].head, rows[i].piece, rows[i].n);
    tct_job *job = NULL;
    FAILS(parse(text, NULL, 0, &job), TCT_INVALID, rows[i].part);
    tct_release(text);
  }
  tct_text many = {0};
  for (int i = 0; i < 1100; i++) tct_text_printf(&many, "k%d: 1\n", i);
  tct_job *job = NULL;
  FAILS(parse(many.data, NULL, 0, &job), TCT_INVALID, "job.yaml:1001:1: more than 1000 keys in one mapping");
  tct_text_free(&many);
}

TEST(job, every_failed_allocation_is_reported_and_nothing_leaks) {
  const char *const set[] = {"model.width=9", "data.test.samples=5"};
  const int64_t live = tct_alloc_live();
  int64_t nth = 1;
  for (bool struck = true; struck; nth++) {
    tct_job *job = NULL;
    (void)fault_alloc(nth);
    const char *text = NULL;
    tct_status status = parse(overridable, set, 2, &job);
    if (status == TCT_OK) status = tct_job_text(job, &text);
    struck = fault_alloc(0);
    CHECK(struck ? status == TCT_OUT_OF_MEMORY : status == TCT_OK, "allocation %lld: %s: %s", (long long)nth,
          tct_status_name(status), tct_error_message());
    tct_job_free(job);
    CHECK(tct_alloc_live() == live, "allocation %lld leaks", (long long)nth);
  }
  CHECK(nth > 6, "only %lld allocations", (long long)nth);
}

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

TEST(job, the_text_reads_back_as_itself) {
  tct_job *first = NULL, *second = NULL;
  const char *a = NULL, *b = NULL;
  const char *const set[] = {"name=\"it's: a [name]\"", "data.class_names=[a, \"null\", \"1\"]", "data.limit=7"};
  OK(parse(overridable, set, 3, &first));
  tct_dataset *data = NULL;
  OK(tct_job_dataset(first, TCT_JOB_TRAIN, &data));
  CHECK(tct_dataset_samples(data) == 7);
  OK(tct_job_text(first, &a));
  OK(parse(a, NULL, 0, &second));
  OK(tct_job_text(second, &b));
  CHECK(strcmp(a, b) == 0, "first:\n%s\nsecond:\n%s", a, b);
  tct_job_info info;
  tct_job_describe(second, &info);
  CHECK(strcmp(info.name, "it's: a [name]") == 0 && strcmp(tct_job_class_name(second, 1), "null") == 0);
  tct_job_free(first);
  tct_job_free(second);
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

/* ---- documentation ------------------------------------------------------------------------------------ */

static char *read_documentation(void) {
  FILE *const file = fopen(TCT_SOURCE_DIR "/docs/job-file.md", "r");
  CHECK(file != NULL);
  static char text[65536];
  text[fread(text, 1, sizeof text - 1, file)] = '\0';
  fclose(file);
  return text;
}

TEST(job, the_documentation_lists_every_key_with_its_default) {
  const char *const documentation = read_documentation();
  for (size_t s = 0; s < TCT_COUNT_OF(sections); s++)
    for (int32_t k = 0; k < sections[s]->n_keys; k++) {
      const tct_spec_key *const key = &sections[s]->keys[k];
      char row[32], ending[512];
      snprintf(row, sizeof row, "\n| `%s` | ", key->name);
      snprintf(ending, sizeof ending, " | %s | %s", key->fallback, key->what);
      bool found = false;
      for (const char *at = documentation; !found && (at = strstr(at, row)) != NULL; at++) {
        const char *const tail = strstr(at, ending), *const end = strchr(at + 1, '\n');
        found = tail && tail < end;
      }
      CHECK(found, "docs/job-file.md has no row for %s.%s ending in '%s'", sections[s]->path, key->name, ending);
    }
  for (int t = 0; t < TCT_N_LAYERS; t++) {
    char row[64];
    snprintf(row, sizeof row, "| `%s`", tct_layer_types[t].type);
    const char *const at = strstr(documentation, row);
    CHECK(at != NULL, "docs/job-file.md has no row for %s", tct_layer_types[t].type);
    for (int32_t k = 0; k < tct_layer_types[t].n_keys; k++) {
      char entry[128];
      snprintf(entry, sizeof entry, "`%s` (%s)", tct_layer_types[t].keys[k].name, tct_layer_types[t].keys[k].fallback);
      const char *const found = strstr(at, entry);
      CHECK(found && found < strchr(at, '\n'), "docs/job-file.md: %s lacks %s", tct_layer_types[t].type, entry);
    }
  }
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
