/* A job's data: one opener per format, then what every format gets: the model's types, the limit, the split, and
 * standardising with the training split's moments. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "data/dataset.h"
#include "train/job.h"

static const tct_yaml *key_of(const tct_job *job, tct_job_part part, const char *key) {
  const tct_yaml *const part_node = part == TCT_JOB_TRAIN ? NULL : tct_yaml_get(job->spec.data, tct_job_part_name(part));
  const tct_yaml *const own = tct_yaml_get(part_node, key);
  return own ? own : tct_yaml_get(job->spec.data, key);
}

static const tct_yaml *node_of(const tct_job *job, tct_job_part part) {
  const tct_yaml *const node = part == TCT_JOB_TRAIN ? NULL : tct_yaml_get(job->spec.data, tct_job_part_name(part));
  return node ? node : job->spec.data;
}

static tct_status part_path(tct_job *job, tct_job_part part, const char *key, const char *text, const char **out) {
  const tct_yaml *const node = key_of(job, part, key);
  return tct_job_path(job, node ? node : job->spec.data, job->directory, text, out);
}

/* ---- opening ------------------------------------------------------------------------------------------ */

static tct_status open_idx(tct_job *job, tct_job_part part, const tct_spec_data *spec, tct_dataset **out) {
  const tct_idx_options options = {.raw = spec->raw == TCT_ON};
  const char *images = NULL, *labels = NULL;
  TCT_TRY(part_path(job, part, "images", spec->images, &images));
  TCT_TRY(part_path(job, part, "labels", spec->labels, &labels));
  return tct_dataset_idx(images, labels, &options, out);
}

/* An empty dataset that has the class names which the job carries. */
static tct_status make_naming(const tct_job *job, tct_dataset **out) {
  const tct_field field = {.name = "y", .dtype = TCT_I32};
  const int32_t nothing = 0;
  const void *const data[] = {&nothing};
  TCT_TRY(tct_dataset_arrays(0, 1, &field, data, false, out));
  return tct_dataset_set_classes(*out, job->n_classes, job->class_names);
}

static tct_status open_source(tct_job *job, tct_job_part part, tct_dataset **out);

static tct_status open_csv(tct_job *job, tct_job_part part, const tct_spec_data *spec, tct_dataset **out) {
  const bool no_target = spec->target && strcmp(spec->target, "none") == 0;
  tct_csv_options options = {.header = spec->header,
                             .delimiter = spec->delimiter ? spec->delimiter[0] : '\0',
                             .target = no_target ? NULL : spec->target,
                             .no_target = no_target,
                             .classes = spec->classes,
                             .dtype = job->dtype};
  const bool class_ids = job->loss_type && job->loss_type->target == TCT_TARGET_CLASS;
  if (options.classes == TCT_DEFAULT && class_ids) options.classes = TCT_ON;
  const char *path = NULL;
  TCT_TRY(part_path(job, part, "file", spec->file, &path));
  tct_dataset *naming = NULL;
  tct_status status = TCT_OK;
  if (job->n_classes > 0) {
    status = make_naming(job, &naming);
  } else if (part != TCT_JOB_TRAIN && !no_target) {
    status = open_source(job, TCT_JOB_TRAIN, &naming);
  }
  options.like = naming;
  if (status == TCT_OK) status = tct_dataset_csv(path, &options, out);
  tct_dataset_free(naming);
  return status;
}

static tct_status open_npy(tct_job *job, tct_job_part part, const tct_spec_data *spec, tct_dataset **out) {
  const char *x = NULL, *y = NULL;
  TCT_TRY(part_path(job, part, "x", spec->x, &x));
  TCT_TRY(part_path(job, part, "y", spec->y, &y));
  return tct_dataset_npy(x, y, out);
}

static tct_status open_text(tct_job *job, tct_job_part part, const tct_spec_data *spec, tct_dataset **out) {
  const tct_text_options options = {.window = spec->window,
                                    .stride = spec->stride,
                                    .last_only = spec->last_only == TCT_ON,
                                    .begin = fmax(spec->begin, 0),
                                    .end = spec->end == 0 && spec->begin > 0 ? 1 : fmax(spec->end, 0)};
  const char *path = NULL;
  TCT_TRY(part_path(job, part, "file", spec->file, &path));
  return tct_dataset_text(path, &options, out);
}

static tct_status open_glyphs(tct_job *job, tct_job_part part, const tct_spec_data *spec, tct_dataset **out) {
  (void)job;
  (void)part;
  const tct_glyphs_options options = {
      .n_samples = spec->samples, .seed = (uint64_t)spec->seed, .first = spec->first};
  return tct_dataset_glyphs(&options, out);
}

static const struct {
  const char *type;
  tct_status (*open)(tct_job *job, tct_job_part part, const tct_spec_data *spec, tct_dataset **out);
} formats[] = {
    {"idx", open_idx}, {"csv", open_csv}, {"npy", open_npy}, {"text", open_text}, {"glyphs", open_glyphs}};

/* ---- types -------------------------------------------------------------------------------------------- */

/* What the model needs of the field: floats of the job's type, i32 for whole numbers that are not bytes; targets as the
 * loss reads them. */
static tct_field wanted_field(const tct_job *job, const tct_spec_data *spec, const tct_field *field) {
  tct_field want = *field;
  const bool target = strcmp(field->name, "y") == 0;
  const bool classes = job->loss_type && job->loss_type->target == TCT_TARGET_CLASS;
  const bool from_file = strcmp(spec->type, "text") != 0;
  if (field->dtype == TCT_I64) want.dtype = TCT_I32;
  if (field->dtype != TCT_I32 && field->dtype != TCT_I64) want.dtype = job->dtype;
  if (strcmp(field->name, "weight") == 0) want.dtype = job->dtype;
  for (int32_t i = 0; i < job->n_inputs && !target; i++)
    if (strcmp(job->inputs[i].name, field->name) == 0 && job->inputs[i].dtype != TCT_DTYPE_NONE)
      want.dtype = job->inputs[i].dtype == TCT_I32 ? TCT_I32 : job->dtype;
  /* What cannot be the loss's target stays as it is, and the feed says what it is: one-hot rows, or class numbers. */
  const bool floats = field->dtype == TCT_F32 || field->dtype == TCT_F64;
  const bool rows =
      job->loss_type && !classes && job->loss_type->activation && strcmp(job->loss_type->activation, "softmax") == 0;
  if (target && ((classes && floats && from_file) || (rows && !floats && tct_shape_size(&field->shape) == 1)))
    return *field;
  if (target && classes) {
    want.dtype = TCT_I32;
    if (from_file && want.shape.rank == 1 && want.shape.dim[0] == 1) want.shape = (tct_shape){0};
  } else if (target) {
    want.dtype = job->dtype;
    if (want.shape.rank == 0) want.shape = TCT_SHAPE(1);
  }
  return want;
}

/* Replaces *data by a view on it, or keeps it. */
static void step_view(tct_dataset **data, tct_dataset *view) {
  tct_dataset_free(*data);
  *data = view;
}

static tct_status convert_fields(const tct_job *job, const tct_spec_data *spec, tct_dataset **data) {
  tct_field fields[TCT_DATASET_MAX_FIELDS];
  int32_t from[TCT_DATASET_MAX_FIELDS];
  const int32_t n = tct_dataset_n_fields(*data);
  bool same = true;
  for (int32_t f = 0; f < n; f++) {
    const tct_field *const field = tct_dataset_field(*data, f);
    fields[f] = wanted_field(job, spec, field);
    from[f] = f;
    same = same && fields[f].dtype == field->dtype && tct_shape_equal(&fields[f].shape, &field->shape);
  }
  if (same) return TCT_OK;
  tct_dataset *view = NULL;
  TCT_TRY(tct_dataset_select(*data, n, from, fields, &view));
  step_view(data, view);
  return TCT_OK;
}

static tct_status slice(tct_dataset **data, int64_t begin, int64_t end) {
  tct_dataset *view = NULL;
  TCT_TRY(tct_dataset_slice(*data, begin, end, &view));
  step_view(data, view);
  return TCT_OK;
}

static tct_status open_format(tct_job *job, tct_job_part part, tct_dataset **out) {
  const tct_spec_data *const spec = &job->data[part];
  for (size_t i = 0; i < TCT_COUNT_OF(formats); i++) {
    if (strcmp(formats[i].type, spec->type) != 0) continue;
    TCT_TRY(formats[i].open(job, part, spec, out));
    TCT_TRY(convert_fields(job, spec, out));
    if (spec->limit > 0 && spec->limit < tct_dataset_samples(*out)) TCT_TRY(slice(out, 0, spec->limit));
    return TCT_OK;
  }
  return tct_fail(TCT_INTERNAL, "data type '%s' has no opener", spec->type);
}

/* The part's files, whole and converted; a new reference. The training files are kept: splits share them. */
static tct_status open_source(tct_job *job, tct_job_part part, tct_dataset **out) {
  *out = NULL;
  if (part == TCT_JOB_TRAIN && job->source) {
    tct_dataset_retain(job->source);
    *out = job->source;
    return TCT_OK;
  }
  if (open_format(job, part, out) != TCT_OK) {
    tct_dataset_free(*out);
    *out = NULL;
    return tct_job_context(job, node_of(job, part));
  }
  if (part == TCT_JOB_TRAIN) {
    tct_dataset_retain(*out);
    job->source = *out;
  }
  return TCT_OK;
}

/* ---- splitting and standardising ----------------------------------------------------------------------- */

static tct_status learn_moments(tct_job *job, int64_t n) {
  tct_dataset *train = job->parts[TCT_JOB_TRAIN];
  if (!train) TCT_TRY(tct_job_dataset(job, TCT_JOB_TRAIN, &train)); /* fills the moments itself */
  if (job->n_moments > 0) return TCT_OK;
  job->mean = tct_arena_alloc(&job->arena, (size_t)n * sizeof *job->mean);
  job->std = tct_arena_alloc(&job->arena, (size_t)n * sizeof *job->std);
  if (!job->mean || !job->std) return TCT_OUT_OF_MEMORY;
  TCT_TRY(tct_dataset_moments(train, tct_dataset_find(train, "x"), job->mean, job->std));
  job->n_moments = n;
  return TCT_OK;
}

static tct_status standardize(tct_job *job, tct_job_part part, tct_dataset **data) {
  const int32_t f = tct_dataset_find(*data, "x");
  const tct_field *const x = tct_dataset_field(*data, f);
  if (!x || (x->dtype != TCT_F32 && x->dtype != TCT_F64))
    return tct_fail(TCT_E_MOMENTS, "standardize: the data's x is %s, needs numbers with a fraction",
                    x ? tct_dtype_name(x->dtype) : "not there");
  const int64_t n = tct_shape_size(&x->shape);
  if (part == TCT_JOB_TRAIN && job->n_moments == 0) {
    job->parts[TCT_JOB_TRAIN] = *data; /* as it is, for its moments */
    const tct_status status = learn_moments(job, n);
    job->parts[TCT_JOB_TRAIN] = NULL;
    TCT_TRY(status);
  } else if (job->n_moments == 0) {
    TCT_TRY(learn_moments(job, n));
  }
  if (n != job->n_moments)
    return tct_fail(TCT_E_MOMENTS, "standardize: the data has %" PRId64 " features, the moments are of %" PRId64, n,
                    job->n_moments);
  tct_dataset *view = NULL;
  TCT_TRY(tct_dataset_standardize(*data, f, job->mean, job->std, &view));
  step_view(data, view);
  return TCT_OK;
}

static tct_status split(const tct_job *job, tct_job_part part, tct_dataset **data) {
  const double fraction = job->data[TCT_JOB_TRAIN].validation_split;
  if (!(fraction > 0) || part == TCT_JOB_TEST) return TCT_OK;
  const int64_t n = tct_dataset_samples(*data);
  const int64_t at = (int64_t)floor((double)n * (1 - fraction)); /* as Keras cuts */
  if (at < 1 || at >= n)
    return tct_fail(TCT_E_NO_SAMPLES,
                    "validation_split %g cuts %" PRId64 " samples into %" PRId64 " and %" PRId64
                    "; each part needs at least one",
                    fraction, n, at, n - at);
  return part == TCT_JOB_TRAIN ? slice(data, 0, at) : slice(data, at, n);
}

/* A text's classes are its characters. What is no printable ASCII is named by its number. */
static const char *character_name(unsigned char c, char text[8]) {
  const bool as_itself = (c >= ' ' && c <= '~') || c == '\n' || c == '\t';
  (void)snprintf(text, 8, as_itself ? "%c" : "0x%02x", c);
  return text;
}

/* The first class names that a part brings are the job's; a text must bring the same ones each time, or its numbers
 * would stand for other characters than those that the model learnt. */
static tct_status keep_class_names(tct_job *job, const tct_dataset *data) {
  unsigned char alphabet[256];
  char text[8];
  const int32_t n_alphabet = tct_dataset_alphabet(data, alphabet);
  const int32_t n = n_alphabet > 0 ? n_alphabet : tct_dataset_n_classes(data);
  bool same = n == job->n_classes;
  for (int32_t i = 0; i < n_alphabet && same; i++)
    same = strcmp(job->class_names[i], character_name(alphabet[i], text)) == 0;
  if (n_alphabet > 0 && job->n_classes > 0 && !same)
    return tct_fail(TCT_E_OTHER_DATA,
                    "the text has %" PRId32 " different characters, the model was made for %" PRId32
                    " others; use the text that it was trained on (begin and end choose a part)",
                    n, job->n_classes);
  if (job->n_classes > 0 || n == 0) return TCT_OK;
  const char **const names = tct_arena_alloc(&job->arena, (size_t)n * sizeof *names);
  if (!names) return TCT_OUT_OF_MEMORY;
  for (int32_t i = 0; i < n; i++) {
    names[i] = tct_arena_strdup(&job->arena, n_alphabet > 0 ? character_name(alphabet[i], text)
                                                            : tct_dataset_class_name(data, i));
    if (!names[i]) return TCT_OUT_OF_MEMORY;
  }
  job->class_names = names;
  job->n_classes = n;
  return TCT_OK;
}

tct_status tct_job_dataset(tct_job *job, tct_job_part part, tct_dataset **out) {
  *out = NULL;
  if ((int)part < 0 || part >= TCT_JOB_N_PARTS) return tct_fail(TCT_INVALID, "job: no part %d of the data", (int)part);
  if (job->parts[part]) {
    *out = job->parts[part];
    return TCT_OK;
  }
  if (!job->has_data[part])
    return tct_fail(TCT_E_NO_PART, "%s: the job has no %s data; give it under data.%s", job->origin,
                    tct_job_part_name(part), tct_job_part_name(part));
  const bool own_files = part == TCT_JOB_TEST || (part == TCT_JOB_VALIDATION && job->data[TCT_JOB_TRAIN].validation);
  tct_dataset *data = NULL;
  TCT_TRY(open_source(job, own_files ? part : TCT_JOB_TRAIN, &data));
  tct_status status = keep_class_names(job, data);
  if (status == TCT_OK && !own_files) status = split(job, part, &data);
  if (status == TCT_OK && job->standardize) status = standardize(job, part, &data);
  if (status != TCT_OK) {
    tct_dataset_free(data);
    return tct_job_context(job, node_of(job, part));
  }
  job->parts[part] = data;
  *out = data;
  return TCT_OK;
}

/* ---- inputs alone ------------------------------------------------------------------------------------- */

static tct_status open_inputs(tct_job *job, const char *path, tct_dataset **out) {
  tct_spec_data spec = job->data[TCT_JOB_TRAIN];
  if (tct_ends_with(path, ".npy")) {
    spec.type = "npy";
    TCT_TRY(tct_dataset_npy(path, NULL, out));
  } else if (tct_ends_with(path, ".csv")) {
    const tct_csv_options options = {.header = spec.header,
                                     .delimiter = spec.delimiter ? spec.delimiter[0] : '\0',
                                     .no_target = true,
                                     .dtype = job->dtype};
    spec.type = "csv";
    TCT_TRY(tct_dataset_csv(path, &options, out));
  } else if (strcmp(spec.type, "text") == 0) {
    const tct_text_options options = {
        .window = spec.window, .stride = spec.stride, .last_only = spec.last_only == TCT_ON};
    TCT_TRY(tct_dataset_text(path, &options, out));
  } else {
    const tct_idx_options options = {.raw = spec.raw == TCT_ON};
    spec.type = "idx";
    TCT_TRY(tct_dataset_idx(path, NULL, &options, out));
  }
  TCT_TRY(keep_class_names(job, *out));
  TCT_TRY(convert_fields(job, &spec, out));
  return job->standardize ? standardize(job, TCT_JOB_TEST, out) : TCT_OK;
}

tct_status tct_job_open_inputs(tct_job *job, const char *path, tct_dataset **out) {
  *out = NULL;
  tct_dataset_free(job->opened);
  job->opened = NULL;
  tct_dataset *data = NULL;
  if (open_inputs(job, path, &data) != TCT_OK) {
    tct_dataset_free(data);
    return tct_context("inputs '%s'", path);
  }
  *out = job->opened = data;
  return TCT_OK;
}

void tct_job_use(tct_job *job, tct_job_part part, tct_dataset *data) {
  if ((int)part < 0 || part >= TCT_JOB_N_PARTS) return;
  if (data) tct_dataset_retain(data);
  tct_dataset_free(job->parts[part]);
  job->parts[part] = data;
  job->has_data[part] = job->has_data[part] || data != NULL;
}

int32_t tct_job_n_classes(const tct_job *job) {
  return job->n_classes;
}

const char *tct_job_class_name(const tct_job *job, int32_t class_id) {
  return class_id >= 0 && class_id < job->n_classes ? job->class_names[class_id] : NULL;
}
