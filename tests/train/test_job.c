/* Job files as text: every kind of problem and its place, overrides, hostile input, and that the documentation lists every
 * key. */
#include "test.h"

#include <tercet/tercet.h>

#include "base/alloc.h"
#include "base/status.h"
#include "faults.h"
#include "train/job.h"
#include "train/job_spec.h"
#include "train/jobs.h"

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
  fault_pieces(true);
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
  fault_pieces(false);
  CHECK(nth > 60, "only %lld allocations", (long long)nth);
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
