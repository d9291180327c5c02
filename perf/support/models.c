/* The networks themselves, and a session that trains one of them on batches of noise. */
#include "perf/support/models.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keras' and PyTorch's Adam differ in where epsilon stands: so small it makes no difference. */
#define ADAM     {.type = "adam", .learning_rate = 1e-3, .epsilon = 1e-30}
#define MOMENTUM(rate) {.type = "sgd", .learning_rate = rate, .momentum = 0.9}

static tct_layer conv(tct_layer x, const char *name, int64_t filters, int64_t size, const char *padding) {
  return tct_layer_conv2d(x, &(tct_conv2d_layer){.name = name, .filters = filters, .kernel_size = {{size}},
                                                 .padding = padding, .activation = "relu"});
}

static tct_layer dense(tct_layer x, const char *name, int64_t units, const char *activation) {
  return tct_layer_dense(x, &(tct_dense_layer){.name = name, .units = units, .activation = activation});
}

static void mlp(tct_layer x) {
  x = tct_layer_flatten(x, NULL);
  x = dense(x, "fc1", 512, "relu");
  x = dense(x, "fc2", 256, "relu");
  dense(x, "fc3", 10, NULL);
}

static void lenet5(tct_layer x) {
  x = tct_layer_max_pooling2d(conv(x, "c1", 6, 5, "same"), NULL);
  x = tct_layer_max_pooling2d(conv(x, "c2", 16, 5, "valid"), NULL);
  x = tct_layer_flatten(x, NULL);
  x = dense(x, "fc1", 120, "relu");
  x = dense(x, "fc2", 84, "relu");
  dense(x, "fc3", 10, NULL);
}

/* The CNN that ggml publishes. */
static void yardstick(tct_layer x) {
  x = tct_layer_max_pooling2d(conv(x, "c1", 8, 3, "same"), NULL);
  x = tct_layer_max_pooling2d(conv(x, "c2", 16, 3, "same"), NULL);
  dense(tct_layer_flatten(x, NULL), "fc", 10, NULL);
}

/* Convolution without bias, batch norm: "NAME", "NAME-bn". Stride 2 pads both sides alike, as PyTorch does. */
static tct_layer conv_norm(tct_layer x, const char *name, int64_t filters, int64_t size, int64_t stride) {
  char norm[48];
  snprintf(norm, sizeof norm, "%s-bn", name);
  const bool pads = size > 1 && stride > 1;
  if (pads) x = tct_layer_zero_padding2d(x, &(tct_zero_padding2d_layer){.padding = {{size / 2}}});
  x = tct_layer_conv2d(x, &(tct_conv2d_layer){.name = name, .filters = filters, .kernel_size = {{size}},
                                              .strides = {{stride}}, .padding = pads ? "valid" : "same",
                                              .use_bias = TCT_OFF});
  return tct_layer_batch_normalization(x, &(tct_batch_normalization_layer){.name = norm});
}

static tct_layer relu(tct_layer x) {
  return tct_layer_activation(x, &(tct_activation_layer){.activation = "relu"});
}

/* He et al., 2015, with projections where the shape changes. */
static void resnet20(tct_layer x) {
  x = relu(conv_norm(x, "stem", 16, 3, 1));
  for (int stage = 0; stage < 3; stage++)
    for (int block = 0; block < 3; block++) {
      char name[3][32];
      for (int i = 0; i < 3; i++) snprintf(name[i], sizeof name[i], "s%d-b%d-%s", stage, block, i == 2 ? "skip" : i == 1 ? "c2" : "c1");
      const int64_t filters = 16 << stage, stride = stage > 0 && block == 0 ? 2 : 1;
      tct_layer y = relu(conv_norm(x, name[0], filters, 3, stride));
      y = conv_norm(y, name[1], filters, 3, 1);
      if (stride > 1) x = conv_norm(x, name[2], filters, 1, stride);
      x = relu(tct_layer_add((tct_layer[]){y, x}, 2, NULL));
    }
  dense(tct_layer_global_average_pooling2d(x, NULL), "fc", 10, NULL);
}

/* He et al., 2015, with the stride in the 3x3 convolution ("v1.5"). Its rate is small, as
 * its first steps on few images make much of every rounding. The pooling's windows begin at the edge, so that neither side pads an image for it. */
static void resnet50(tct_layer x) {
  static const int blocks[] = {3, 4, 6, 3};
  x = relu(conv_norm(x, "stem", 64, 7, 2));
  x = tct_layer_max_pooling2d(x, &(tct_max_pooling2d_layer){.pool_size = {{3}}, .strides = {{2}}, .padding = "same"});
  for (int stage = 0; stage < 4; stage++)
    for (int block = 0; block < blocks[stage]; block++) {
      char name[4][32];
      for (int i = 0; i < 3; i++) (void)snprintf(name[i], sizeof name[i], "s%d-b%d-c%d", stage, block, i + 1);
      (void)snprintf(name[3], sizeof name[3], "s%d-b%d-skip", stage, block);
      const int64_t filters = 64 << stage, stride = stage > 0 && block == 0 ? 2 : 1;
      tct_layer y = relu(conv_norm(x, name[0], filters, 1, 1));
      y = relu(conv_norm(y, name[1], filters, 3, stride));
      y = conv_norm(y, name[2], 4 * filters, 1, 1);
      if (block == 0) x = conv_norm(x, name[3], 4 * filters, 1, stride);
      x = relu(tct_layer_add((tct_layer[]){y, x}, 2, NULL));
    }
  dense(tct_layer_global_average_pooling2d(x, NULL), "fc", 1000, NULL);
}

static void lstm_of(tct_layer x, int64_t units) {
  x = tct_layer_lstm(x, &(tct_lstm_layer){.name = "lstm1", .units = units, .return_sequences = TCT_ON});
  x = tct_layer_lstm(x, &(tct_lstm_layer){.name = "lstm2", .units = units});
  dense(x, "fc", 10, NULL);
}
static void lstm(tct_layer x) { lstm_of(x, 256); }
static void lstm1024(tct_layer x) { lstm_of(x, 1024); }

static tct_layer norm(tct_layer x, int block, const char *name) {
  char full[32];
  snprintf(full, sizeof full, "b%d-%s", block, name);
  return tct_layer_layer_normalization(x, &(tct_layer_normalization_layer){.name = full, .epsilon = 1e-5});
}

typedef struct transformer {
  int blocks;
  int64_t width, positions, n_tokens;
  const char *activation;
  tct_toggle head_bias;
} transformer;

/* GPT-2's kind: norms before, heads of 64, a hidden layer of four widths. */
static void decoder(tct_layer x, const transformer *t) {
  x = tct_layer_embedding(x, &(tct_embedding_layer){.name = "tokens", .input_dim = t->n_tokens, .output_dim = t->width});
  const tct_layer at = tct_layer_position_embedding(
      x, &(tct_position_embedding_layer){.name = "positions", .sequence_length = t->positions});
  x = tct_layer_add((tct_layer[]){x, at}, 2, NULL);
  for (int block = 0; block < t->blocks; block++) {
    char name[3][32];
    for (int i = 0; i < 3; i++) snprintf(name[i], sizeof name[i], "b%d-%s", block, i == 0 ? "attention" : i == 1 ? "up" : "down");
    const tct_layer in = norm(x, block, "norm1");
    const tct_layer y = tct_layer_multi_head_attention(
        &in, 1, &(tct_multi_head_attention_layer){.name = name[0], .num_heads = t->width / 64, .key_dim = 64, .causal = TCT_ON});
    x = tct_layer_add((tct_layer[]){x, y}, 2, NULL);
    const tct_layer up = dense(norm(x, block, "norm2"), name[1], 4 * t->width, t->activation);
    x = tct_layer_add((tct_layer[]){x, dense(up, name[2], t->width, NULL)}, 2, NULL);
  }
  tct_layer_dense(norm(x, t->blocks, "norm"), &(tct_dense_layer){.name = "head", .units = t->n_tokens, .use_bias = t->head_bias});
}

static void gpt(tct_layer x) {
  decoder(x, &(transformer){.blocks = 4, .width = 256, .positions = 128, .n_tokens = 256, .activation = "gelu"});
}

/* 124M, but for two things: no layer shares another's weights, so the head has a matrix of its own; and the tokens are rounded up to a
 * multiple of 64, without which rows of logits are not aligned for any library. */
static void gpt2(tct_layer x) {
  decoder(x, &(transformer){.blocks = 12, .width = 768, .positions = 1024, .n_tokens = PERF_GPT2_ROWS, .activation = "gelu_tanh", .head_bias = TCT_OFF});
}

static const perf_model models[] = {
    {.name = "mlp", .x = {.rank = 3, .dim = {28, 28, 1}}, .n_classes = 10, .optimizer = ADAM, .build = mlp},
    {.name = "lenet5", .x = {.rank = 3, .dim = {28, 28, 1}}, .n_classes = 10, .optimizer = ADAM, .build = lenet5},
    {.name = "yardstick", .x = {.rank = 3, .dim = {28, 28, 1}}, .n_classes = 10, .optimizer = ADAM, .build = yardstick},
    {.name = "resnet20", .x = {.rank = 3, .dim = {32, 32, 3}}, .n_classes = 10, .optimizer = MOMENTUM(0.01), .build = resnet20},
    {.name = "lstm", .x = {.rank = 2, .dim = {64, 256}}, .n_classes = 10, .optimizer = ADAM, .build = lstm},
    {.name = "gpt", .x = {.rank = 1, .dim = {128}}, .y = {.rank = 1, .dim = {128}}, .n_tokens = 256, .n_classes = 256, .optimizer = ADAM, .build = gpt},
    {.name = "gpt2", .x = {.rank = 1, .dim = {1024}}, .y = {.rank = 1, .dim = {1024}}, .n_tokens = PERF_GPT2_TOKENS, .n_classes = PERF_GPT2_TOKENS, .optimizer = ADAM, .build = gpt2},
    {.name = "resnet50", .x = {.rank = 3, .dim = {224, 224, 3}}, .n_classes = 1000, .optimizer = MOMENTUM(0.0005), .build = resnet50},
    {.name = "lstm1024", .x = {.rank = 2, .dim = {128, 1024}}, .n_classes = 10, .optimizer = ADAM, .build = lstm1024},
};
enum { N_MODELS = sizeof models / sizeof models[0] };

const perf_model *perf_model_find(const char *name) {
  for (size_t i = 0; i < N_MODELS; i++)
    if (strcmp(models[i].name, name) == 0) return &models[i];
  return NULL;
}

const char *perf_model_names(void) {
  static char names[160];
  names[0] = '\0';
  for (size_t i = 0; i < N_MODELS; i++) {
    snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i > 0 ? "|" : "", models[i].name);
  }
  return names;
}

/* Knuth's generator of 64 bits; the upper half is noise enough. */
static uint32_t draw(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(*state >> 32);
}

static bool make_batches(perf_session *s) {
  const perf_model *what = s->what;
  const int64_t n_x = s->batch * tct_shape_size(&what->x), n_y = s->batch * tct_shape_size(&what->y);
  s->x_bytes = (size_t)n_x * 4;
  s->y_bytes = (size_t)n_y * sizeof *s->y;
  s->x = malloc(s->x_bytes * (size_t)s->n_batches);
  s->y = malloc(s->y_bytes * (size_t)s->n_batches);
  if (s->x == NULL || s->y == NULL) return false;
  uint64_t state = 1;
  for (int64_t b = 0; b < s->n_batches; b++) {
    float *const x = (float *)s->x + b * n_x;
    int32_t *const tokens = (int32_t *)s->x + b * n_x;
    for (int64_t i = 0; i < n_x; i++) {
      const uint32_t bits = draw(&state);
      if (what->n_tokens > 0) tokens[i] = (int32_t)(bits % (uint32_t)what->n_tokens);
      else x[i] = (float)(bits >> 8) * 0x1p-24f;
    }
    for (int64_t i = 0; i < n_y; i++) s->y[b * n_y + i] = (int32_t)(draw(&state) % (uint32_t)what->n_classes);
  }
  return true;
}

bool perf_session_open(const perf_model *what, const perf_session_options *o, perf_session *out) {
  *out = (perf_session){.what = what, .batch = o->batch, .n_batches = o->n_batches > 0 ? o->n_batches : 1,
                        .model = tct_model_create(what->name, TCT_F32)};
  if (out->model == NULL || !make_batches(out)) return false;
  what->build(tct_layer_input(out->model, "x", what->n_tokens > 0 ? TCT_I32 : TCT_F32, what->x));
  const tct_training training = {.loss = "sparse_categorical_crossentropy", .optimizer = what->optimizer, .seed = 1, .device = o->device,
                                 .n_threads = o->n_threads, .precision = o->precision};
  const float rate = (float)what->optimizer.learning_rate;
  return tct_model_compile(out->model, &training) == TCT_OK &&
         tct_model_program(out->model, o->batch, true, &out->program) == TCT_OK &&
         tct_variables_write(tct_program_variables(out->program), "optimizer/learning_rate", &rate, sizeof rate) == TCT_OK;
}

void perf_session_close(perf_session *session) {
  tct_model_free(session->model);
  free(session->x);
  free(session->y);
}

bool perf_session_run(perf_session *s, int64_t n, bool reads_each, double *out_loss) {
  float sums[2] = {0, 0};
  tct_program *program = s->program;
  for (int64_t i = 0; i < n; i++) {
    const size_t at = (size_t)(s->n_steps++ % s->n_batches);
    if (tct_program_set(program, "x", (const char *)s->x + at * s->x_bytes, s->x_bytes) != TCT_OK ||
        tct_program_set(program, "y", (const char *)s->y + at * s->y_bytes, s->y_bytes) != TCT_OK || tct_program_run(program) != TCT_OK) {
      return false;
    }
    if ((reads_each || i + 1 == n) && tct_program_get(program, "sums", sums, sizeof sums) != TCT_OK) return false;
  }
  *out_loss = (double)sums[1];
  return true;
}
