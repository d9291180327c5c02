/* Between a dataset and a program: fields matched to inputs by name, checked, converted where nothing is lost. */
#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "base/desc.h"
#include "base/error_list.h"
#include "base/number.h"
#include "base/status.h"
#include "graph/graph.h"
#include "train/session.h"

/* f32 ↔ f64, whole numbers → floats, and whole numbers → i32 (one that does not fit is an error of its batch). */
static bool convertible(tct_dtype from, tct_dtype to) {
  return from == to || tct_dtype_is_float(to) || (to == TCT_I32 && !tct_dtype_is_float(from));
}

static tct_status field_mismatch(const tct_field *field, const char *what, const tct_desc *wants) {
  char has[160], needs[160];
  const bool floats_for_classes = wants->dtype == TCT_I32 && tct_dtype_is_float(field->dtype);
  const bool same_size = tct_shape_size(&field->shape) == tct_shape_size(&wants->shape);
  return tct_fail(TCT_E_FIELD, "field '%s' of the data is %s%s a sample, %s needs %s%s%s", field->name,
                  tct_dtype_name(field->dtype), tct_shape_print(&field->shape, has, sizeof has), what,
                  tct_dtype_name(wants->dtype), tct_shape_print(&wants->shape, needs, sizeof needs),
                  floats_for_classes ? "; store whole numbers, as with y.astype('<i4')"
                  : same_size        ? "; give the input the data's shape and insert a Reshape"
                                     : "");
}

/* The targets' usual mistakes have kinds of their own: what stands for classes, and an image that was never flattened. */
static tct_status target_mismatch(const tct_model *model, const tct_field *field, const tct_desc *wants) {
  const tct_loss_type *const loss = model->session->loss;
  const tct_shape output = tct_output_shape(model), *const y = &field->shape;
  const int64_t classes = output.rank > 0 ? output.dim[output.rank - 1] : 1;
  const bool number = tct_shape_size(y) == 1, row = y->rank == 1 && y->dim[0] == classes;
  char has[160], gives[160], what[96];
  (void)tct_shape_print(y, has, sizeof has);
  (void)tct_shape_print(&output, gives, sizeof gives);
  if (output.rank > 1 && (number || row)) {
    return tct_fail(TCT_E_MISSING_FLATTEN,
                    "the model's output is %s a sample, but field '%s' of the data is %s%s: the axes of the input were kept; "
                    "insert a Flatten before the first Dense layer",
                    gives, field->name, tct_dtype_name(field->dtype), has);
  }
  if (loss->target == TCT_TARGET_CLASS && row && output.rank == 1) {
    return tct_fail(TCT_E_ONE_HOT,
                    "loss %s needs one class number a sample, but field '%s' of the data is %s%s, one-hot rows; use "
                    "categorical_crossentropy, or class numbers (numpy.argmax(y, axis=1))",
                    loss->name, field->name, tct_dtype_name(field->dtype), has);
  }
  if (loss->target == TCT_TARGET_DENSE && number && !tct_dtype_is_float(field->dtype) && output.rank == 1) {
    return tct_fail(TCT_E_CLASS_NUMBERS,
                    "loss %s needs a row of %lld numbers a sample, but field '%s' of the data is one whole number, a class; "
                    "use sparse_categorical_crossentropy, or one-hot rows (numpy.eye(%lld)[y])",
                    loss->name, (long long)classes, field->name, (long long)classes);
  }
  (void)snprintf(what, sizeof what, "loss %s", loss->name);
  return field_mismatch(field, what, wants);
}

static bool fits(const tct_field *field, const tct_desc *wants) {
  const bool both_one = tct_shape_size(&field->shape) == 1 && tct_shape_size(&wants->shape) == 1;
  return convertible(field->dtype, wants->dtype) && (both_one || tct_shape_equal(&field->shape, &wants->shape));
}

/* Appends a port fed by a field of the data, as `wants`; records what conversion makes of it. */
static void add_port(tct_feed *feed, const char *port, int32_t from_field, const tct_desc *wants, tct_field *fields,
                     int32_t *from) {
  const int32_t p = feed->n_ports++;
  feed->port[p].name = port;
  feed->port[p].field = p;
  feed->port[p].bytes = tct_desc_bytes(wants);
  fields[p] = (tct_field){port, wants->dtype, wants->shape};
  from[p] = from_field;
}

/* The field `name`, or `other` when given. */
static tct_status find_field(const tct_dataset *data, const char *name, const char *other, const char *what,
                             int32_t *out) {
  *out = tct_dataset_find(data, name);
  if (*out < 0 && other != NULL) *out = tct_dataset_find(data, other);
  if (*out >= 0) return TCT_OK;
  return tct_fail(TCT_E_FIELD, "the data has no field '%s', which %s needs%s", name, what,
                  strcmp(name, "y") == 0 ? "; give the data its labels or targets" : "");
}

static tct_status add_input(tct_feed *feed, const tct_dataset *data, const char *name, const char *other,
                            const char *what, const tct_desc *wants, tct_field *fields, int32_t *from) {
  int32_t at = -1;
  TCT_TRY(find_field(data, name, other, what, &at));
  if (!fits(tct_dataset_field(data, at), wants)) return field_mismatch(tct_dataset_field(data, at), what, wants);
  add_port(feed, name, at, wants, fields, from);
  return TCT_OK;
}

static tct_desc target_desc(const tct_model *model, const tct_session *session) {
  tct_shape shape = tct_output_shape(model);
  if (session->loss->target != TCT_TARGET_CLASS) return (tct_desc){model->dtype, shape};
  if (shape.rank > 0) shape.rank--;
  return (tct_desc){TCT_I32, shape};
}

static tct_status add_target(const tct_model *model, const tct_dataset *data, tct_feed *feed, tct_field *fields,
                             int32_t *from) {
  const tct_desc wants = target_desc(model, model->session);
  int32_t at = -1;
  TCT_TRY(find_field(data, "y", NULL, "the loss", &at));
  if (!fits(tct_dataset_field(data, at), &wants)) return target_mismatch(model, tct_dataset_field(data, at), &wants);
  feed->target_field = feed->n_ports;
  add_port(feed, "y", at, &wants, fields, from);
  return TCT_OK;
}

static tct_status match_input(const tct_model *model, const tct_dataset *data, int32_t i, tct_feed *feed,
                              tct_field *fields, int32_t *from) {
  tct_desc desc;
  char what[96];
  TCT_TRY(tct_model_input_desc(model, i, &desc));
  const char *const name = tct_model_input_name(model, i);
  snprintf(what, sizeof what, "input '%s'", name);
  return add_input(feed, data, name, tct_model_n_inputs(model) == 1 ? "x" : NULL, what, &desc, fields, from);
}

/* Every field that does not fit is reported. */
static tct_status match(const tct_model *model, const tct_dataset *data, tct_mode mode, tct_feed *feed,
                        tct_field *fields, int32_t *from) {
  const int32_t n_inputs = tct_model_n_inputs(model);
  tct_error_list errors = {0};
  if (n_inputs > 16) return tct_fail(TCT_E_MODEL_INPUT, "model '%s' has %d inputs, at most 16", model->name, n_inputs);
  for (int32_t i = 0; i < n_inputs; i++) tct_error_list_add(&errors, match_input(model, data, i, feed, fields, from));
  feed->target_field = feed->weight_field = -1;
  if (mode != TCT_MODE_PREDICT) {
    tct_error_list_add(&errors, add_target(model, data, feed, fields, from));
    feed->weighted = tct_dataset_find(data, "weight") >= 0;
    const tct_desc weight = {model->dtype, {0}};
    if (feed->weighted) {
      feed->weight_field = feed->n_ports;
      tct_error_list_add(&errors, add_input(feed, data, "weight", NULL, "the loss", &weight, fields, from));
    }
  }
  return tct_error_list_end(&errors, "the data does not fit the model");
}

tct_status tct_feed_create(tct_model *model, tct_dataset *data, tct_mode mode, tct_feed *out) {
  tct_field fields[20];
  int32_t from[20];
  *out = (tct_feed){0};
  if (data == NULL) return tct_fail(TCT_INVALID, "the dataset is NULL (its creation failed: %s)", tct_error_message());
  TCT_TRY(match(model, data, mode, out, fields, from));
  return tct_dataset_select(data, out->n_ports, from, fields, &out->data);
}

void tct_feed_free(tct_feed *feed) {
  tct_dataset_free(feed->data);
  tct_release(feed->weights);
  feed->data = NULL;
  feed->weights = NULL;
}

static tct_status check_labels(const tct_model *model, const tct_feed *feed, const tct_batch *batch) {
  if (feed->target_field < 0 || model->session->loss->target != TCT_TARGET_CLASS) return TCT_OK;
  const tct_shape shape = tct_output_shape(model);
  const int64_t classes = shape.dim[shape.rank - 1];
  const int64_t each = (int64_t)(feed->port[feed->target_field].bytes / sizeof(int32_t));
  const int32_t *labels = batch->field[feed->port[feed->target_field].field];
  tct_text wrong = {0};
  int64_t n = 0;
  for (int64_t i = 0; i < batch->n * each; i++) {
    if (labels[i] >= 0 && labels[i] < classes) continue;
    if (++n <= TCT_MOST_LISTED_ERRORS)
      tct_text_printf(&wrong, "%ssample %lld has %d", n > 1 ? ", " : "", (long long)batch->index[i / each], labels[i]);
  }
  if (n > TCT_MOST_LISTED_ERRORS) tct_text_append(&wrong, ", …");
  const tct_status status =
      n == 0 ? TCT_OK
             : tct_fail(TCT_E_LABEL,
                        "%lld label%s of a batch %s out of range: %s; the output has %lld classes, so labels are from "
                        "0 to %lld",
                        (long long)n, n == 1 ? "" : "s", n == 1 ? "is" : "are", wrong.data != NULL ? wrong.data : "…",
                        (long long)classes, (long long)classes - 1);
  tct_text_free(&wrong);
  return status;
}

tct_status tct_feed_batch(const tct_model *model, const tct_feed *feed, tct_program *program, const tct_batch *batch) {
  TCT_TRY(check_labels(model, feed, batch));
  if (feed->weights != NULL) {
    tct_feed_weigh_batch(model, feed, batch);
    TCT_TRY(tct_program_set(program, "weight", feed->weights, tct_dtype_bytes(model->dtype) * (size_t)batch->n));
  }
  for (int32_t p = 0; p < feed->n_ports; p++) {
    const size_t bytes = feed->port[p].bytes * (size_t)batch->n;
    if (p == feed->weight_field && feed->weights != NULL) continue;
    TCT_TRY(tct_program_set(program, feed->port[p].name, batch->field[feed->port[p].field], bytes));
  }
  return TCT_OK;
}
