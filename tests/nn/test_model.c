/* Models: Keras' parameter counts, shapes, the texts of refusals, sequential and functional building. */
#include <tercet/tercet.h>
#include "test.h"

static void collect(void *user, const char *text, size_t length) {
  char *out = user;
  const size_t used = strlen(out);
  const size_t room = 8191 - used;
  memcpy(out + used, text, length < room ? length : room);
  out[used + (length < room ? length : room)] = '\0';
}

/* keras.io's mnist_convnet, which Keras prints with 34,826 parameters. */
static tct_model *keras_convnet(void) {
  tct_model *m = tct_model_create("convnet", TCT_F32);
  tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(28, 28, 1));
  tct_layer_conv2d(tct_model_last(m), &(tct_conv2d_layer){.filters = 32, .kernel_size = {{3, 3}}, .activation = "relu"});
  tct_layer_max_pooling2d(tct_model_last(m), NULL);
  tct_layer_conv2d(tct_model_last(m), &(tct_conv2d_layer){.filters = 64, .kernel_size = {{3}}, .activation = "relu"});
  tct_layer_max_pooling2d(tct_model_last(m), NULL);
  tct_layer_flatten(tct_model_last(m), NULL);
  tct_layer_dropout(tct_model_last(m), &(tct_dropout_layer){.rate = 0.5});
  tct_layer_dense(tct_model_last(m), &(tct_dense_layer){.units = 10, .activation = "softmax"});
  return m;
}

TEST(model, summary_has_keras_counts) {
  char text[8192] = "";
  tct_model *m = keras_convnet();
  OK(tct_model_status(m));
  OK(tct_model_summary(m, 0, false, collect, text));
  static const char *const parts[] = {"conv2d (Conv2D)", "(None, 26, 26, 32)", " 320\n", "max_pooling2d_1 (MaxPooling2D)",
                                      "18,496", "(None, 1600)", "16,010", "Total params: 34,826",
                                      "Trainable params: 34,826", "Non-trainable params: 0"};
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    CHECK(strstr(text, parts[i]) != NULL, "the summary lacks '%s':\n%s", parts[i], text);
  }
  CHECK(tct_model_n_parameters(m) == 6, "%d parameters", tct_model_n_parameters(m));
  CHECK(strcmp(tct_model_parameter(m, 0)->name, "conv2d/kernel") == 0, "%s", tct_model_parameter(m, 0)->name);
  tct_model_free(m);
}

TEST(model, summary_json_lists_parameters) {
  char text[8192] = "";
  tct_model *m = keras_convnet();
  OK(tct_model_summary(m, 0, true, collect, text));
  CHECK(strstr(text, "{\"name\":\"conv2d/kernel\",\"dtype\":\"f32\",\"trainable\":true,\"shape\":[3,3,1,32]}") != NULL, "%s",
        text);
  tct_model_free(m);
}

TEST(model, moving_statistics_do_not_train) {
  char text[8192] = "";
  tct_model *m = tct_model_create("bn", TCT_F32);
  tct_layer x = tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(8, 8, 3));
  x = tct_layer_conv2d(x, &(tct_conv2d_layer){.filters = 16, .kernel_size = {{3}}, .use_bias = TCT_OFF});
  x = tct_layer_batch_normalization(x, NULL);
  OK(tct_model_summary(m, 0, false, collect, text));
  CHECK(strstr(text, "Trainable params: 464") != NULL && strstr(text, "Non-trainable params: 32") != NULL, "%s", text);
  tct_model_free(m);
}

TEST(model, functional_with_two_inputs) {
  tct_model *m = tct_model_create("two", TCT_F32);
  tct_layer a = tct_layer_input(m, "a", TCT_F32, TCT_SHAPE(4)), b = tct_layer_input(m, "b", TCT_F32, TCT_SHAPE(4));
  tct_layer joined = tct_layer_concatenate((tct_layer[]){a, b}, 2, NULL);
  tct_layer skip = tct_layer_dense(joined, &(tct_dense_layer){.units = 8, .activation = "tanh"});
  tct_layer sum = tct_layer_add((tct_layer[]){skip, joined}, 2, NULL);
  tct_layer_dense(sum, &(tct_dense_layer){.units = 1});
  OK(tct_model_status(m));
  CHECK(tct_model_n_inputs(m) == 2, "%d inputs", tct_model_n_inputs(m));
  CHECK(tct_layer_shape(sum).dim[0] == 8, "width %lld", (long long)tct_layer_shape(sum).dim[0]);
  tct_model_free(m);
}

/* One wrong model a row: what is refused, and how. */
static tct_layer wrong_activation(tct_layer x) {
  return tct_layer_dense(x, &(tct_dense_layer){.name = "fc1", .units = 4, .activation = "rleu"});
}
static tct_layer wrong_units(tct_layer x) { return tct_layer_dense(x, &(tct_dense_layer){.name = "fc1", .units = -4}); }
static tct_layer no_units(tct_layer x) { return tct_layer_dense(x, &(tct_dense_layer){.name = "fc1"}); }
static tct_layer wrong_rank(tct_layer x) {
  return tct_layer_conv2d(x, &(tct_conv2d_layer){.name = "c1", .filters = 4, .kernel_size = {{3}}});
}
static tct_layer wrong_rate(tct_layer x) { return tct_layer_dropout(x, &(tct_dropout_layer){.rate = 1.5}); }
static tct_layer wrong_initializer(tct_layer x) {
  return tct_layer_dense(x, &(tct_dense_layer){.units = 4, .kernel_initializer = "glorot_unifrom"});
}
static tct_layer same_name(tct_layer x) {
  return tct_layer_dense(tct_layer_dense(x, &(tct_dense_layer){.name = "a", .units = 4}),
                         &(tct_dense_layer){.name = "a", .units = 4});
}
static tct_layer too_few_inputs(tct_layer x) { return tct_layer_add(&x, 1, NULL); }
static tct_layer shapes_differ(tct_layer x) {
  tct_layer y = tct_layer_dense(x, &(tct_dense_layer){.units = 5});
  return tct_layer_add((tct_layer[]){x, y}, 2, NULL);
}

TEST(model, refusals_name_the_layer_and_the_fix) {
  static const struct {
    tct_layer (*build)(tct_layer x);
    const char *part;
  } rows[] = {{wrong_activation, "Dense 'fc1': unknown activation 'rleu'; did you mean 'relu'?"},
              {wrong_units, "Dense 'fc1': units is -4, needs at least 1"},
              {no_units, "Dense 'fc1': 'units' is required"},
              {wrong_rank, "Conv2D 'c1': a sample is [7], needs [height, width, channels]"},
              {wrong_rate, "rate is 1.5, needs 0 <= rate < 1"},
              {wrong_initializer, "did you mean 'glorot_uniform'?"},
              {same_name, "Dense 'a': another layer has this name"},
              {too_few_inputs, "Add: 1 inputs, needs at least 2"},
              {shapes_differ, "add"}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    tct_model *m = tct_model_create("wrong", TCT_F32);
    tct_layer bad = rows[i].build(tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(7)));
    tct_layer_dense(bad, &(tct_dense_layer){.units = 1}); /* skipped, not crashed on */
    FAILS(tct_model_status(m), TCT_INVALID, rows[i].part);
    FAILS(tct_model_compile(m, NULL), TCT_INVALID, rows[i].part);
    tct_model_free(m);
  }
}

TEST(model, null_and_empty_models_are_errors) {
  FAILS(tct_model_status(NULL), TCT_INVALID, "NULL");
  tct_layer x = tct_layer_input(NULL, "x", TCT_F32, TCT_SHAPE(1));
  x = tct_layer_dense(x, &(tct_dense_layer){.units = 1});
  CHECK(x.id < 0, "a layer of no model is healthy");
  tct_model *m = tct_model_create("empty", TCT_F32);
  FAILS(tct_model_status(m), TCT_INVALID, "no layers");
  tct_model_free(m);
  tct_model_free(NULL);
}

/* "block/fc" opens one scope, not two: what follows is not inside "block". */
TEST(model, a_layer_name_may_hold_a_slash) {
  tct_model *m = tct_model_create("slashes", TCT_F32);
  tct_layer x = tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(2));
  x = tct_layer_dense(x, &(tct_dense_layer){.name = "block/fc", .units = 3});
  tct_layer_dense(x, &(tct_dense_layer){.name = "out", .units = 1});
  OK(tct_model_compile(m, &(tct_training){.loss = "mse"}));
  float kernel[3];
  OK(tct_model_read(m, "out/kernel", kernel, sizeof kernel));
  tct_model_free(m);
}

/* Names that the training step uses itself, and long ones, are free for inputs. */
TEST(model, inputs_have_any_name) {
  static const char *const names[] = {
      "step", "a_name_of_more_than_sixty_three_characters_for_the_only_input_of_a_model"};
  for (size_t i = 0; i < 2; i++) {
    const float x[2][2] = {{1, 2}, {3, 4}}, y[2] = {0, 1};
    tct_dataset *data = NULL;
    OK(tct_dataset_arrays(2, 2, (const tct_field[]){{names[i], TCT_F32, TCT_SHAPE(2)}, {"y", TCT_F32, TCT_SHAPE(1)}},
                          (const void *[]){x, y}, false, &data));
    tct_model *m = tct_model_create("names", TCT_F32);
    tct_layer_dense(tct_layer_input(m, names[i], TCT_F32, TCT_SHAPE(2)), &(tct_dense_layer){.units = 1});
    OK(tct_model_compile(m, &(tct_training){.loss = "mse"}));
    OK(tct_fit(m, data, &(tct_fit_options){.batch_size = 2}));
    tct_model_free(m);
    tct_dataset_free(data);
  }
}

/* Shapes and parameter counts of Keras' sequence, transposed and normalisation layers. */
TEST(model, sequences_transposed_convolution_and_norms) {
  char text[8192] = "";
  tct_model *m = tct_model_create("layers", TCT_F32);
  tct_layer x = tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(20, 6));
  x = tct_layer_conv1d(x, &(tct_conv1d_layer){.filters = 8, .kernel_size = 3, .padding = "causal", .dilation_rate = 2});
  x = tct_layer_max_pooling1d(x, NULL);
  x = tct_layer_average_pooling1d(x, &(tct_average_pooling1d_layer){.pool_size = 3, .strides = 2, .padding = "same"});
  x = tct_layer_group_normalization(x, &(tct_group_normalization_layer){.groups = 4});
  x = tct_layer_rms_normalization(x, NULL);
  const tct_layer mean = tct_layer_global_average_pooling1d(x, NULL), most = tct_layer_global_max_pooling1d(x, NULL);
  x = tct_layer_reshape(tct_layer_add((tct_layer[]){mean, most}, 2, NULL),
                        &(tct_reshape_layer){.target_shape = TCT_SHAPE(2, 2, 2)});
  x = tct_layer_conv2d_transpose(x, &(tct_conv2d_transpose_layer){.filters = 5, .kernel_size = {{3}}, .strides = {{2}},
                                                                  .padding = "same"});
  tct_layer_conv2d_transpose(x, &(tct_conv2d_transpose_layer){.filters = 1, .kernel_size = {{3, 2}}, .strides = {{2}}});
  OK(tct_model_status(m));
  OK(tct_model_summary(m, 0, false, collect, text));
  static const char *const parts[] = {"(None, 20, 8)", " 152\n", "(None, 10, 8)", "(None, 5, 8)", " 16\n", " 8\n",
                                      "(None, 4, 4, 5)", " 95\n", "(None, 9, 8, 1)", " 31\n", "Total params: 302"};
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    CHECK(strstr(text, parts[i]) != NULL, "the summary lacks '%s':\n%s", parts[i], text);
  }
  tct_model_free(m);
}
