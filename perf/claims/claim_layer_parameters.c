/* Which layers have weights: each type in a model of its own, and what that has to train. */
#include "perf/claims/train.h"

#include <stdio.h>

typedef struct row {
  const char *name, *layer;
  bool of_sequence; /* after a Reshape to [28, 28] */
} row;

static const row rows[] = {{"Dense", "Flatten, {Dense: {units: 10}}", false},
                           {"Conv2D", "{Conv2D: {filters: 4, kernel_size: 3}}, Flatten", false},
                           {"BatchNormalization", "BatchNormalization, Flatten", false},
                           {"LSTM", "{LSTM: {units: 4}}", true},
                           {"Flatten", "Flatten", false},
                           {"MaxPooling2D", "MaxPooling2D, Flatten", false},
                           {"Dropout", "{Dropout: {rate: 0.5}}, Flatten", false},
                           {"Activation", "{Activation: {activation: relu}}, Flatten", false}};
enum { N_ROWS = sizeof rows / sizeof rows[0], WITH = 4 };

/* Trainable numbers of a model with the layer alone. */
static tct_status count(const row *r, double *out) {
  char text[512];
  tct_job *job = NULL;
  tct_model *model = NULL;
  (void)snprintf(text, sizeof text, "model: {layers: [%s%s]}\n", r->of_sequence ? "{Reshape: {target_shape: [28, 28]}}, " : "", r->layer);
  tct_status status = claim_open(text, 1, &job);
  if (status == TCT_OK) status = tct_job_model(job, &model);
  *out = 0;
  for (int32_t i = 0; status == TCT_OK && i < tct_model_n_parameters(model); i++) {
    const tct_parameter *const p = tct_model_parameter(model, i);
    if (p->trainable) *out += (double)tct_shape_size(&p->desc.shape);
  }
  tct_job_free(job);
  return status;
}

static tct_status experiment(claim_numbers *out) {
  tct_status status = TCT_OK;
  for (int i = 0; i < N_ROWS && status == TCT_OK; i++) {
    double n = 0;
    status = count(&rows[i], &n);
    claim_set(out, rows[i].name, "weights", n);
  }
  return status;
}

static bool rule(const claim_numbers *n, char *text, size_t bytes) {
  bool holds = true;
  for (int i = 0; i < N_ROWS; i++) holds &= (claim_get(n, rows[i].name) > 0) == (i < WITH);
  (void)snprintf(text, bytes, "Dense has %.0f weights, Conv2D %.0f, BatchNormalization %.0f, LSTM %.0f; Flatten, pooling, dropout and activation %.0f", claim_get(n, "Dense"),
                 claim_get(n, "Conv2D"), claim_get(n, "BatchNormalization"), claim_get(n, "LSTM"),
                 claim_get(n, "Flatten") + claim_get(n, "MaxPooling2D") + claim_get(n, "Dropout") + claim_get(n, "Activation"));
  return holds;
}

const claim claim_layer_parameters = {
    .name = "layer-parameters",
    .about = CLAIM_ABOUT_TRAINING,
    .says = "Dense, convolutional, normalising and recurrent layers define parameters; pooling, flattening, dropout and activations do not.",
    .did = "Builds a model of each type of layer on images of 28 by 28 and counts the numbers that it would train.",
    .expected = "The first four have some, the others none.",
    .explains = "A parameter is a number that training changes. Dense has inputs times units and a bias for each unit; a convolution a window times "
                "channels times filters, whatever the size of the image; normalisation a scale and an offset for each channel; an LSTM four such "
                "products. Pooling, dropout, flattening and activations compute without numbers of their own: their size, rate or shape is "
                "chosen (a hyperparameter), not trained. 'tercet summary' shows the counts of a model.",
    .experiment = experiment,
    .rule = rule,
    .holds = {.n = 8, .at = {{"Dense", 7850, "weights"}, {"Conv2D", 40, "weights"}, {"BatchNormalization", 2, "weights"}, {"LSTM", 528, "weights"},
                             {"Flatten", 0, "weights"}, {"MaxPooling2D", 0, "weights"}, {"Dropout", 0, "weights"}, {"Activation", 0, "weights"}}},
    .fails = {.n = 8, .at = {{"Dense", 7850, "weights"}, {"Conv2D", 40, "weights"}, {"BatchNormalization", 2, "weights"}, {"LSTM", 528, "weights"},
                             {"Flatten", 0, "weights"}, {"MaxPooling2D", 4, "weights"}, {"Dropout", 0, "weights"}, {"Activation", 0, "weights"}}}};
