/* Between a dataset and a program: fields matched to inputs by name, checked, converted where nothing is lost. */
#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "base/status.h"
#include "graph/graph.h"
#include "train/session.h"

static bool is_float(tct_dtype dtype) { return dtype == TCT_F32 || dtype == TCT_F64; }

/* f32 ↔ f64, whole numbers → floats, and whole numbers → i32 (one that does not fit is an error of its batch). */
static bool convertible(tct_dtype from, tct_dtype to) {
  return from == to || is_float(to) || (to == TCT_I32 && !is_float(from));
}

static tct_status field_mismatch(const tct_field *field, const char *what, const tct_desc *wants) {
  char has[160], needs[160];
  const bool one_hot = wants->dtype == TCT_I32 && is_float(field->dtype);
  return tct_fail(TCT_INVALID, "field '%s' of the data is %s%s a sample, %s needs %s%s%s", field->name,
                  tct_dtype_name(field->dtype), tct_shape_print(&field->shape, has, sizeof has), what,
                  tct_dtype_name(wants->dtype), tct_shape_print(&wants->shape, needs, sizeof needs),
                  one_hot ? "; for one-hot or float targets choose categorical_crossentropy or a regression loss" : "");
}

/* Appends a port fed by field `name` (or `other`, when given), as `wants`; records what conversion makes of it. */
static tct_status add_port(tct_feed *feed, const tct_dataset *data, const char *port, const char *name, const char *other,
                           const char *what, const tct_desc *wants, tct_field *fields, int32_t *from) {
  int32_t at = tct_dataset_find(data, name);
  if (at < 0 && other != NULL) at = tct_dataset_find(data, other);
  if (at < 0) return tct_fail(TCT_INVALID, "the data has no field '%s', which %s needs", name, what);
  const tct_field *field = tct_dataset_field(data, at);
  const bool same_size = tct_shape_size(&field->shape) == tct_shape_size(&wants->shape);
  const bool scalar_like = same_size && tct_shape_size(&wants->shape) == 1;
  if (!convertible(field->dtype, wants->dtype) || !(tct_shape_equal(&field->shape, &wants->shape) || scalar_like)) {
    return field_mismatch(field, what, wants);
  }
  const int32_t p = feed->n_ports;
  feed->port[p].name = port;
  feed->port[p].field = p;
  feed->port[p].bytes = (size_t)tct_shape_size(&wants->shape) * tct_dtype_bytes(wants->dtype);
  fields[p] = (tct_field){feed->port[p].name, wants->dtype, wants->shape};
  from[p] = at;
  feed->n_ports++;
  return TCT_OK;
}

static tct_desc target_desc(const tct_model *model, const tct_session *session) {
  tct_shape shape = tct_output_shape(model);
  if (session->loss->target != TCT_TARGET_CLASS) return (tct_desc){model->dtype, shape};
  if (shape.rank > 0) shape.rank--;
  return (tct_desc){TCT_I32, shape};
}

static tct_status match(tct_model *model, tct_dataset *data, tct_mode mode, tct_feed *feed, tct_field *fields, int32_t *from) {
  const int32_t n_inputs = tct_model_n_inputs(model);
  if (n_inputs > 16) return tct_fail(TCT_INVALID, "model '%s' has %d inputs, at most 16", model->name, n_inputs);
  for (int32_t i = 0; i < n_inputs; i++) {
    tct_desc desc;
    char what[96];
    TCT_TRY(tct_model_input_desc(model, i, &desc));
    const char *name = tct_model_input_name(model, i);
    snprintf(what, sizeof what, "input '%s'", name);
    TCT_TRY(add_port(feed, data, name, name, n_inputs == 1 ? "x" : NULL, what, &desc, fields, from));
  }
  feed->target_field = -1;
  if (mode == TCT_MODE_PREDICT) return TCT_OK;
  const tct_desc target = target_desc(model, model->session);
  char what[96];
  snprintf(what, sizeof what, "loss %s", model->session->loss->name);
  feed->target_field = feed->n_ports;
  TCT_TRY(add_port(feed, data, "y", "y", NULL, what, &target, fields, from));
  if (tct_dataset_find(data, "weight") < 0) return TCT_OK;
  feed->weighted = true;
  return add_port(feed, data, "weight", "weight", NULL, "the loss", &(tct_desc){model->dtype, {0}}, fields, from);
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
  feed->data = NULL;
}

static tct_status check_labels(const tct_model *model, const tct_feed *feed, const tct_batch *batch) {
  if (feed->target_field < 0 || model->session->loss->target != TCT_TARGET_CLASS) return TCT_OK;
  const tct_shape shape = tct_output_shape(model);
  const int64_t classes = shape.dim[shape.rank - 1];
  const int64_t each = (int64_t)(feed->port[feed->target_field].bytes / sizeof(int32_t));
  const int32_t *labels = batch->field[feed->port[feed->target_field].field];
  for (int64_t i = 0; i < batch->n * each; i++) {
    if (labels[i] >= 0 && labels[i] < classes) continue;
    return tct_fail(TCT_BAD_DATA, "sample %lld has the label %d, the output has %lld classes (0 to %lld)",
                    (long long)batch->index[i / each], labels[i], (long long)classes, (long long)classes - 1);
  }
  return TCT_OK;
}

tct_status tct_feed_batch(const tct_model *model, const tct_feed *feed, tct_program *program, const tct_batch *batch) {
  TCT_TRY(check_labels(model, feed, batch));
  for (int32_t p = 0; p < feed->n_ports; p++) {
    const size_t bytes = feed->port[p].bytes * (size_t)batch->n;
    TCT_TRY(tct_program_set(program, feed->port[p].name, batch->field[feed->port[p].field], bytes));
  }
  return TCT_OK;
}
