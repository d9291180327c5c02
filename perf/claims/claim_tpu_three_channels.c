/* How much of the array the first convolution of an image network uses, beside a later one. */
#include "perf/claims/train.h"

#include <stdio.h>
#include <string.h>

static const char job[] = "data: {type: glyphs, samples: 1}\nloss: sparse_categorical_crossentropy\n"
                          "model:\n  layers:\n    - Conv2D: {name: colours, filters: 3, kernel_size: 1}\n"
                          "    - Conv2D: {name: first, filters: 64, kernel_size: 3, padding: same, activation: relu}\n"
                          "    - Conv2D: {name: second, filters: 128, kernel_size: 3, padding: same, activation: relu}\n"
                          "    - Conv2D: {name: third, filters: 128, kernel_size: 3, padding: same, activation: relu}\n"
                          "    - GlobalAveragePooling2D\n    - Dense: {units: 10, activation: softmax}\n";

typedef struct shares {
  double first, third;
} shares;

/* The arrays' work that the result needs, of the forward convolutions: flops needed over those of the products issued. */
static void look(const tct_forecast *forecast, void *user) {
  shares *const s = user;
  const tct_forecast_row *row;
  for (int32_t i = 0; (row = tct_forecast_row_at(forecast, TCT_FORECAST_OPS, i)) != NULL; i++) {
    if (row->phase != TCT_FORECAST_FORWARD || strcmp(row->op, "conv2d") != 0 || row->cost.macs <= 0) continue;
    double *const to = strcmp(row->layer, "first") == 0 ? &s->first : strcmp(row->layer, "third") == 0 ? &s->third : NULL;
    if (to != NULL) *to = row->cost.flops / (2 * row->cost.macs);
  }
}

static tct_status experiment(claim_numbers *out) {
  shares s = {0, 0};
  double seconds = 0;
  const tct_status status = claim_model(job, "tpu:v3", 64, look, &s, &seconds);
  claim_set(out, "useful share of the layer with 3 channels", "", s.first);
  claim_set(out, "useful share of a layer with 128 channels", "", s.third);
  return status;
}

static bool rule(const claim_numbers *n, char *text, size_t bytes) {
  const double first = claim_get(n, "useful share of the layer with 3 channels"), later = claim_get(n, "useful share of a layer with 128 channels");
  (void)snprintf(text, bytes, "of the products that the arrays do for it, the layer on 3 channels needs %.3g %%, one on 128 channels %.3g %%", 100 * first, 100 * later);
  return first < 0.5 && first < later / 2;
}

const claim claim_tpu_three_channels = {
    .name = "tpu-three-channels",
    .about = CLAIM_ABOUT_TPU,
    .says = "A first layer with 3 channels wastes the array.",
    .did = "Models a CNN on tpu:v3 and takes, of two convolutions, the share of the arrays' products that the result needs.",
    .expected = "The layer on 3 channels uses less than half of its work, and less than half of what the layer on 128 channels uses.",
    .explains = "The array multiplies 128 rows of weights at a time; a window of 3 by 3 places over 3 channels fills few of them, and "
                "the rest is padding that takes the same cycles. So the first layer of an image network runs far under the peak. "
                "Taking blocks of pixels into channels (space to depth) is the usual remedy. docs/tpu.md has the model.",
    .modelled = true,
    .experiment = experiment,
    .rule = rule,
    .holds = {.n = 2, .at = {{"useful share of the layer with 3 channels", 0.02, ""}, {"useful share of a layer with 128 channels", 0.9, ""}}},
    .fails = {.n = 2, .at = {{"useful share of the layer with 3 channels", 0.8, ""}, {"useful share of a layer with 128 channels", 0.9, ""}}}};
