/* Models of sequences: Keras' parameter counts, shapes and first values, what is refused, and that they learn what no
 * model of single characters or pairs can: to remember, and the next character of a play. */
#include <tercet/tercet.h>
#include "test.h"

/* ---- parameters and shapes ---- */

static tct_layer lstm_of(tct_layer x) {
  return tct_layer_lstm(x, &(tct_lstm_layer){.units = 64});
}
static tct_layer lstm_all(tct_layer x) {
  return tct_layer_lstm(x, &(tct_lstm_layer){.units = 64, .return_sequences = TCT_ON, .use_bias = TCT_OFF});
}
static tct_layer gru_of(tct_layer x) {
  return tct_layer_gru(x, &(tct_gru_layer){.units = 64, .return_sequences = TCT_ON, .go_backwards = TCT_ON});
}
static tct_layer gru_last(tct_layer x) {
  return tct_layer_gru(x, &(tct_gru_layer){.units = 3, .go_backwards = TCT_ON});
}
static tct_layer attention_of(tct_layer x) {
  return tct_layer_multi_head_attention(
      &x, 1, &(tct_multi_head_attention_layer){.num_heads = 2, .key_dim = 5, .value_dim = 7});
}
static tct_layer attention_of_three(tct_layer x) {
  const tct_layer other = tct_layer_lstm(x, &(tct_lstm_layer){.units = 9, .return_sequences = TCT_ON});
  return tct_layer_multi_head_attention(
      (tct_layer[]){x, other, x}, 3,
      &(tct_multi_head_attention_layer){.num_heads = 2, .key_dim = 5, .use_bias = TCT_OFF});
}
static tct_layer positions(tct_layer x) {
  return tct_layer_position_embedding(x, &(tct_position_embedding_layer){.sequence_length = 20});
}

TEST(sequences, parameters_and_shapes) {
  static const struct {
    tct_layer (*build)(tct_layer x);
    int64_t n_parameters; /* as Keras counts them */
    tct_shape shape;
  } rows[] = {
      {lstm_of, 4 * (32 * 64 + 64 * 64 + 64), {.rank = 1, .dim = {64}}},
      {lstm_all, 4 * (32 * 64 + 64 * 64), {.rank = 2, .dim = {10, 64}}},
      {gru_of, 3 * (32 * 64 + 64 * 64 + 2 * 64), {.rank = 2, .dim = {10, 64}}},
      {gru_last, 3 * (32 * 3 + 3 * 3 + 2 * 3), {.rank = 1, .dim = {3}}},
      {attention_of, 2 * (32 * 10 + 10) + (32 * 14 + 14) + (14 * 32 + 32), {.rank = 2, .dim = {10, 32}}},
      {attention_of_three, 4 * (32 * 9 + 9 * 9 + 9) + 2 * 32 * 10 + 9 * 10 + 10 * 32, {.rank = 2, .dim = {10, 32}}},
      {positions, 20 * 32, {.rank = 2, .dim = {10, 32}}},
  };
  for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
    tct_model *m = tct_model_create("shapes", TCT_F32);
    const tct_layer y = rows[r].build(tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(10, 32)));
    OK(tct_model_status(m));
    const tct_shape shape = tct_layer_shape(y);
    CHECK(tct_shape_equal(&shape, &rows[r].shape), "row %d", (int)r);
    int64_t n = 0;
    for (int32_t i = 0; i < tct_model_n_parameters(m); i++) n += tct_shape_size(&tct_model_parameter(m, i)->desc.shape);
    CHECK(n == rows[r].n_parameters, "row %d: %d parameters", (int)r, (int)n);
    tct_model_free(m);
  }
}

TEST(sequences, an_lstm_begins_by_remembering) {
  tct_model *m = tct_model_create("bias", TCT_F32);
  tct_layer_lstm(tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(4, 2)), &(tct_lstm_layer){.name = "l", .units = 3});
  OK(tct_model_compile(m, &(tct_training){.loss = "mse"}));
  float bias[12], u[3][12];
  OK(tct_model_read(m, "l/bias", bias, sizeof bias));
  OK(tct_model_read(m, "l/recurrent_kernel", u, sizeof u));
  for (int i = 0; i < 12; i++) CHECK(bias[i] == (i >= 3 && i < 6 ? 1 : 0), "bias[%d] is %g", i, (double)bias[i]);
  for (int i = 0; i < 3; i++) { /* orthogonal: the rows are unit vectors at right angles */
    for (int j = 0; j < 3; j++) {
      float dot = 0;
      for (int k = 0; k < 12; k++) dot += u[i][k] * u[j][k];
      CHECK(fabsf(dot - (i == j ? 1 : 0)) < 1e-5f, "rows %d and %d: %g", i, j, (double)dot);
    }
  }
  tct_model_free(m);
}

static tct_layer flat_input(tct_layer x) {
  return tct_layer_lstm(tct_layer_flatten(x, NULL), &(tct_lstm_layer){.units = 2});
}
static tct_layer no_units(tct_layer x) {
  return tct_layer_gru(x, &(tct_gru_layer){.units = -1});
}
static tct_layer reset_before(tct_layer x) {
  return tct_layer_gru(x, &(tct_gru_layer){.units = 2, .reset_after = TCT_OFF});
}
static tct_layer two_biases(tct_layer x) {
  return tct_layer_lstm(x, &(tct_lstm_layer){.units = 2, .bias_initializer = "ones"});
}
static tct_layer no_heads(tct_layer x) {
  return tct_layer_multi_head_attention(&x, 1, &(tct_multi_head_attention_layer){.num_heads = -2, .key_dim = 4});
}
static tct_layer flat_value(tct_layer x) {
  return tct_layer_multi_head_attention((tct_layer[]){x, tct_layer_flatten(x, NULL)}, 2,
                                        &(tct_multi_head_attention_layer){.num_heads = 2, .key_dim = 4});
}
static tct_layer wide_lstm(tct_layer x) { return tct_layer_lstm(x, &(tct_lstm_layer){.units = INT64_MAX / 2 + 1}); }
static tct_layer wide_gru(tct_layer x) { return tct_layer_gru(x, &(tct_gru_layer){.units = INT64_MAX}); }
static tct_layer wide_heads(tct_layer x) {
  return tct_layer_multi_head_attention(
      &x, 1, &(tct_multi_head_attention_layer){.num_heads = INT64_MAX / 2, .key_dim = 2, .value_dim = 3});
}
static tct_layer too_long(tct_layer x) {
  return tct_layer_position_embedding(x, &(tct_position_embedding_layer){.sequence_length = 5});
}

TEST(sequences, refusals) {
  static const struct {
    tct_layer (*build)(tct_layer x);
    const char *part;
  } rows[] = {
      {flat_input, "LSTM 'lstm': a sample is [320], needs [steps, features]; insert a Reshape, or return_sequences"},
      {no_units, "GRU 'gru': units is -1, needs 1 to 3074457345618258602"},
      {wide_lstm, "LSTM 'lstm': units is 4611686018427387904, needs 1 to 2305843009213693951"},
      {wide_gru, "GRU 'gru': units is 9223372036854775807, needs 1 to 3074457345618258602"},
      {wide_heads, "num_heads times either needs at most 9223372036854775807"},
      {reset_before, "only the form that resets after the product, Keras' default, is here"},
      {two_biases, "bias_initializer is 'ones' with unit_forget_bias; set unit_forget_bias to false"},
      {no_heads, "num_heads -2, key_dim 4 and value_dim 4, need at least 1"},
      {flat_value, "a sample of the value is [320], needs [positions, features]"},
      {too_long, "sequence_length is 5, the input has 10 positions"}};
  for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
    tct_model *m = tct_model_create("wrong", TCT_F32);
    rows[r].build(tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(10, 32)));
    FAILS(tct_model_status(m), TCT_INVALID, rows[r].part);
    tct_model_free(m);
  }
}

/* ---- learning ---- */

enum { SYMBOLS = 8, STEPS = 5, SAMPLES = 512 };

/* The class of a sequence of random symbols is the first one: only what remembers it through all steps can tell. */
static tct_dataset *first_symbol(void) {
  static int32_t x[SAMPLES][STEPS], y[SAMPLES];
  uint64_t state = 5;
  for (int i = 0; i < SAMPLES; i++) {
    for (int t = 0; t < STEPS; t++) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      x[i][t] = (int32_t)(state >> 61);
    }
    y[i] = x[i][0];
  }
  const tct_field fields[] = {{"x", TCT_I32, TCT_SHAPE(STEPS)}, {"y", TCT_I32, {0}}};
  tct_dataset *data = NULL;
  OK(tct_dataset_arrays(SAMPLES, 2, fields, (const void *[]){x, y}, false, &data));
  return data;
}

static tct_layer remember_lstm(tct_layer x) {
  return tct_layer_lstm(x, &(tct_lstm_layer){.units = 32});
}
static tct_layer remember_gru(tct_layer x) {
  return tct_layer_gru(x, &(tct_gru_layer){.units = 32});
}
/* Backwards the first symbol comes last. */
static tct_layer remember_two(tct_layer x) {
  x = tct_layer_gru(x, &(tct_gru_layer){.units = 16, .return_sequences = TCT_ON, .go_backwards = TCT_ON});
  return tct_layer_lstm(x, &(tct_lstm_layer){.units = 16, .go_backwards = TCT_ON});
}
static tct_layer look_back(tct_layer x) {
  const tct_layer places = tct_layer_position_embedding(x, &(tct_position_embedding_layer){.sequence_length = STEPS});
  x = tct_layer_add((tct_layer[]){x, places}, 2, NULL);
  x = tct_layer_multi_head_attention(&x, 1, &(tct_multi_head_attention_layer){.num_heads = 2, .key_dim = 12});
  return tct_layer_flatten(x, NULL);
}

TEST(sequences, the_first_symbol_is_remembered) {
  static tct_layer (*const bodies[])(tct_layer) = {remember_lstm, remember_gru, remember_two, look_back};
  tct_dataset *data = first_symbol();
  for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
    tct_model *m = tct_model_create("memory", TCT_F32);
    tct_layer x = tct_layer_input(m, "x", TCT_I32, TCT_SHAPE(STEPS));
    x = tct_layer_embedding(x, &(tct_embedding_layer){.input_dim = SYMBOLS, .output_dim = 16});
    tct_layer_dense(bodies[i](x), &(tct_dense_layer){.units = SYMBOLS, .activation = "softmax"});
    OK(tct_model_compile(m, &(tct_training){.loss = "sparse_categorical_crossentropy",
                                            .metrics = "accuracy",
                                            .optimizer = {.type = "adam", .learning_rate = 0.01},
                                            .seed = 3}));
    OK(tct_fit(m, data, &(tct_fit_options){.epochs = 30, .batch_size = 32}));
    tct_evaluation e;
    OK(tct_evaluate(m, data, 64, &e));
    CHECK(e.values[1] > 0.95, "body %d: accuracy %g, chance is 0.125", (int)i, e.values[1]);
    tct_model_free(m);
  }
  tct_dataset_free(data);
}

/* ---- the next character ---- */

enum { WINDOW = 32, LETTERS = 128 };

/* Mean nats per character of the test part that the counts of the training part predict it with, from the `order`
 * characters before; one is added to every count. */
static double counted(const tct_dataset *train, const tct_dataset *test, int order, int32_t n_letters) {
  static double counts[LETTERS][LETTERS], sums[LETTERS];
  memset(counts, 0, sizeof counts);
  memset(sums, 0, sizeof sums);
  int32_t x[WINDOW], y[WINDOW];
  double nats = 0, n = 0;
  for (int part = 0; part < 2; part++) {
    const tct_dataset *data = part == 0 ? train : test;
    for (int64_t i = 0; i < tct_dataset_samples(data); i++) {
      OK(tct_dataset_read(data, &i, 1, (void *[]){x, y}));
      for (int t = 0; t < WINDOW; t++) {
        const int32_t before = order > 0 ? x[t] : 0;
        if (part == 0) counts[before][y[t]]++, sums[before]++;
        if (part == 1) nats -= log((counts[before][y[t]] + 1) / (sums[before] + n_letters)), n++;
      }
    }
  }
  return nats / n;
}

static tct_layer play_lstm(tct_layer x) {
  return tct_layer_lstm(x, &(tct_lstm_layer){.units = 64, .return_sequences = TCT_ON});
}
static tct_layer play_gpt(tct_layer x) {
  const tct_layer places = tct_layer_position_embedding(x, &(tct_position_embedding_layer){.sequence_length = WINDOW});
  x = tct_layer_add((tct_layer[]){x, places}, 2, NULL);
  for (int block = 0; block < 1; block++) {
    tct_layer y = tct_layer_layer_normalization(x, NULL);
    y = tct_layer_multi_head_attention(
        &y, 1, &(tct_multi_head_attention_layer){.num_heads = 4, .key_dim = 8, .causal = TCT_ON});
    x = tct_layer_add((tct_layer[]){x, y}, 2, NULL);
    y = tct_layer_layer_normalization(x, NULL);
    y = tct_layer_dense(y, &(tct_dense_layer){.units = 128, .activation = "gelu"});
    x = tct_layer_add((tct_layer[]){x, tct_layer_dense(y, &(tct_dense_layer){.units = 32})}, 2, NULL);
  }
  return tct_layer_layer_normalization(x, NULL);
}

TEST(sequences, the_next_character_of_a_play) {
  const char *folder = getenv("TERCET_DATA");
  if (folder == NULL || folder[0] == '\0') SKIP("not run: TERCET_DATA is not set");
  char path[1024];
  snprintf(path, sizeof path, "%s/text/tinyshakespeare.txt", folder);
  tct_dataset *train = NULL, *test = NULL;
  OK(tct_dataset_text(path, &(tct_text_options){.window = WINDOW, .stride = WINDOW, .begin = 0, .end = 0.1}, &train));
  OK(tct_dataset_text(path, &(tct_text_options){.window = WINDOW, .stride = WINDOW, .begin = 0.1, .end = 0.11}, &test));
  const int32_t n_letters = 65;
  const double one = counted(train, test, 0, n_letters), two = counted(train, test, 1, n_letters);
  CHECK(one > 3.2 && two > 2.4 && two < one, "single characters leave %g nats, pairs %g", one, two);
  static tct_layer (*const bodies[])(tct_layer) = {play_lstm, play_gpt};
  for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
    tct_model *m = tct_model_create("play", TCT_F32);
    tct_layer x = tct_layer_input(m, "x", TCT_I32, TCT_SHAPE(WINDOW));
    x = tct_layer_embedding(x, &(tct_embedding_layer){.input_dim = n_letters, .output_dim = 32});
    tct_layer_dense(bodies[i](x), &(tct_dense_layer){.units = n_letters, .activation = "softmax"});
    OK(tct_model_compile(m, &(tct_training){.loss = "sparse_categorical_crossentropy",
                                            .optimizer = {.type = "adam", .learning_rate = 4e-3},
                                            .seed = 1}));
    OK(tct_fit(m, train, &(tct_fit_options){.epochs = 2, .batch_size = 16}));
    tct_evaluation e;
    OK(tct_evaluate(m, test, 64, &e));
    CHECK(e.values[0] < two, "body %d: %g nats, pairs leave %g, single characters %g", (int)i, e.values[0], two, one);
    tct_model_free(m);
  }
  tct_dataset_free(train);
  tct_dataset_free(test);
}
