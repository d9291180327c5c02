/* The networks that benchmarks train: their parameters are those of the published ones, steps take the batches in turn. */
#include <math.h>
#include "perf/support/models.h"
#include "test.h"

static tct_model *built(const char *name) {
  const perf_model *what = perf_model_find(name);
  CHECK(what != NULL, "there is no model '%s'", name);
  tct_model *model = tct_model_create(name, TCT_F32);
  what->build(tct_layer_input(model, "x", what->n_tokens > 0 ? TCT_I32 : TCT_F32, what->x));
  CHECK(tct_model_status(model) == TCT_OK, "%s", tct_error_message());
  return model;
}

/* `only` NULL: of all parameters that train, else of those whose names begin so. */
static int64_t count(const tct_model *model, const char *only) {
  int64_t n = 0;
  for (int32_t i = 0; i < tct_model_n_parameters(model); i++) {
    const tct_parameter *p = tct_model_parameter(model, i);
    if (p->trainable && (only == NULL || strncmp(p->name, only, strlen(only)) == 0)) n += tct_shape_size(&p->desc.shape);
  }
  return n;
}

TEST(models, gpt2_has_124_million_parameters) {
  tct_model *model = built("gpt2");
  /* Radford et al., 2019, as published: the head is the tokens' table. Here it is a matrix of its own, and both have some rows more. */
  const int64_t more = (PERF_GPT2_ROWS - PERF_GPT2_TOKENS) * 768;
  CHECK(count(model, "head/") == 768 * PERF_GPT2_ROWS);
  CHECK(count(model, NULL) - count(model, "head/") - more == 124439808);
  const tct_shape shape = tct_layer_shape(tct_model_last(model));
  CHECK(shape.rank == 2 && shape.dim[0] == 1024 && shape.dim[1] == PERF_GPT2_ROWS);
  tct_model_free(model);
}

TEST(models, resnet50_has_25_million_parameters) {
  tct_model *model = built("resnet50");
  CHECK(count(model, NULL) == 25557032); /* torchvision's table of weights */
  const tct_shape shape = tct_layer_shape(tct_model_last(model));
  CHECK(shape.rank == 1 && shape.dim[0] == 1000);
  tct_model_free(model);
}

TEST(models, lstm1024_has_its_parameters) {
  tct_model *model = built("lstm1024");
  CHECK(count(model, NULL) == 2 * (4 * 1024 * (1024 + 1024) + 4 * 1024) + 1024 * 10 + 10);
  tct_model_free(model);
}

typedef struct losses {
  double first, second;
} losses;

static losses train(const perf_session_options *options, bool reads_each) {
  perf_session session;
  losses out = {0, 0};
  CHECK(perf_session_open(perf_model_find("mlp"), options, &session), "%s", tct_error_message());
  CHECK(perf_session_run(&session, 1, true, &out.first), "%s", tct_error_message());
  CHECK(perf_session_run(&session, 2, reads_each, &out.second), "%s", tct_error_message());
  perf_session_close(&session);
  return out;
}

TEST(models, batches_in_turn_and_precisions) {
  const losses one = train(&(perf_session_options){.batch = 4, .device = "cpu", .n_threads = 1}, true),
               two = train(&(perf_session_options){.batch = 4, .n_batches = 2, .device = "cpu", .n_threads = 1}, true),
               streamed = train(&(perf_session_options){.batch = 4, .n_batches = 2, .device = "cpu", .n_threads = 1}, false),
               half = train(&(perf_session_options){.batch = 4, .device = "cpu", .n_threads = 1, .precision = "bfloat16"}, true);
  CHECK(one.first == two.first, "both begin with the same batch: %g and %g", one.first, two.first);
  CHECK(one.second < 0.9 * one.first, "a batch seen three times: from %g to %g", one.first, one.second);
  CHECK(two.second != one.second && two.second == streamed.second, "%g, %g, %g", one.second, two.second, streamed.second);
  CHECK(half.first != one.first && fabs(half.first - one.first) < 0.02 * one.first, "%g in bfloat16, %g in float32", half.first, one.first);
}
