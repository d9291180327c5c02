/* Class weights: a sample's weight is found on the host from its target, so that graphs know sample weights only. */
#include <math.h>
#include <string.h>
#include "base/alloc.h"
#include "base/checked.h"
#include "base/number.h"
#include "base/status.h"
#include "graph/graph.h"
#include "train/session.h"

int64_t tct_class_count(const tct_model *model) {
  const tct_loss_type *const loss = model->session->loss;
  const tct_shape output = tct_output_shape(model);
  if (strcmp(loss->name, "binary_crossentropy") == 0) return tct_shape_size(&output) == 1 ? 2 : 0;
  const bool one_hot = strcmp(loss->name, "categorical_crossentropy") == 0 || strcmp(loss->name, "categorical_hinge") == 0;
  return (loss->target == TCT_TARGET_CLASS || one_hot) && output.rank == 1 ? output.dim[0] : 0;
}

static tct_status check(const tct_model *model, const double *weight, int32_t n) {
  const int64_t classes = tct_class_count(model);
  const tct_shape output = tct_output_shape(model);
  char text[160];
  if (classes == 0) {
    return tct_fail(TCT_E_TRAINING_OPTION,
                    "fit: class_weight needs one class a sample, the loss is %s of an output %s; weigh the samples by a "
                    "field 'weight' of the data",
                    model->session->loss->name, tct_shape_print(&output, text, sizeof text));
  }
  if (weight == NULL || n < 1 || n > classes) {
    return tct_fail(TCT_E_TRAINING_OPTION,
                    "fit: class_weight is %s with %d weights, needs 1 to %lld, as many as the output has classes",
                    weight == NULL ? "NULL" : "an array", n, (long long)classes);
  }
  for (int32_t i = 0; i < n; i++) {
    if (weight[i] >= 0 && isfinite(weight[i])) continue;
    return tct_fail(TCT_E_TRAINING_OPTION, "fit: class_weight[%d] is %g, needs a finite number, at least 0", i, weight[i]);
  }
  return TCT_OK;
}

tct_status tct_feed_weigh_classes(const tct_model *model, const double *weight, int32_t n, int64_t batch_size,
                                  tct_feed *feed) {
  size_t bytes = 0;
  TCT_TRY(check(model, weight, n));
  if (!tct_mul_size((size_t)batch_size, tct_dtype_bytes(model->dtype), &bytes)) {
    return tct_fail(TCT_OUT_OF_MEMORY, "fit: batches of %lld samples are larger than memory", (long long)batch_size);
  }
  feed->weights = tct_alloc(bytes);
  if (feed->weights == NULL) return TCT_OUT_OF_MEMORY;
  feed->class_weight = weight;
  feed->n_class_weights = n;
  feed->weighted = true;
  return TCT_OK;
}

/* The class of the batch's i-th sample: its label, on which side of ½ it is, or the first of the greatest of a row. */
static int64_t class_of(const tct_model *model, const void *targets, int64_t i, int64_t classes) {
  if (model->session->loss->target == TCT_TARGET_CLASS) return ((const int32_t *)targets)[i];
  const tct_shape output = tct_output_shape(model);
  const int64_t each = tct_shape_size(&output);
  if (each == 1 && classes == 2) return tct_load_number(model->dtype, targets, i) > 0.5;
  int64_t best = 0;
  for (int64_t c = 1; c < each; c++) {
    const double value = tct_load_number(model->dtype, targets, i * each + c);
    if (value > tct_load_number(model->dtype, targets, i * each + best)) best = c;
  }
  return best;
}

void tct_feed_weigh_batch(const tct_model *model, const tct_feed *feed, const tct_batch *batch) {
  const int64_t classes = tct_class_count(model);
  const void *const targets = batch->field[feed->port[feed->target_field].field];
  const void *const own = feed->weight_field >= 0 ? batch->field[feed->port[feed->weight_field].field] : NULL;
  for (int64_t i = 0; i < batch->n; i++) {
    const int64_t c = class_of(model, targets, i, classes);
    const double weight = c < feed->n_class_weights ? feed->class_weight[c] : 1;
    tct_store_number(model->dtype, feed->weights, i,
                     own != NULL ? tct_load_number(model->dtype, own, i) * weight : weight);
  }
}
