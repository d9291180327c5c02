/* What each layer refuses, in which words; and what the calls on models do with handles that are none. */
#include <tercet/tercet.h>
#include "test.h"

#define IMAGE     TCT_F32, TCT_SHAPE(8, 8, 6)
#define SEQUENCE  TCT_F32, TCT_SHAPE(8, 6)
#define ROW       TCT_F32, TCT_SHAPE(6)
#define INTEGERS  TCT_I32, TCT_SHAPE(8)
#define WHOLE_IMAGE TCT_I32, TCT_SHAPE(8, 8, 6)

/* A model of one input x and what is done with it, which the model's status tells. */
#define REFUSES(part, dtype_and_shape, call) REFUSES_(part, call, dtype_and_shape)
#define REFUSES_(part, call, ...)                                                                                      \
  do {                                                                                                                 \
    tct_model *const m = tct_model_create("m", TCT_F32);                                                               \
    const tct_layer x = tct_layer_input(m, "x", __VA_ARGS__);                                                          \
    (void)x;                                                                                                           \
    (void)(call);                                                                                                      \
    FAILS(tct_model_status(m), TCT_INVALID, part);                                                                     \
    tct_model_free(m);                                                                                                 \
  } while (0)

#define CONV(...)      tct_layer_conv2d(x, &(tct_conv2d_layer){.filters = 4, .kernel_size = {{3}}, __VA_ARGS__})
#define TRANSPOSE(...) tct_layer_conv2d_transpose(x, &(tct_conv2d_transpose_layer){.filters = 4, .kernel_size = {{3}}, __VA_ARGS__})
#define DEPTHWISE(...) tct_layer_depthwise_conv2d(x, &(tct_depthwise_conv2d_layer){.kernel_size = {{3}}, __VA_ARGS__})
#define CONV1D(...)    tct_layer_conv1d(x, &(tct_conv1d_layer){.filters = 4, .kernel_size = 3, __VA_ARGS__})

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
#ifdef __clang__
#pragma clang diagnostic ignored "-Winitializer-overrides"
#endif

TEST(layer_refusals, convolutions_of_images) {
  REFUSES("a sample is [8,6], needs [height, width, channels]; insert a Reshape that adds the channel axis", SEQUENCE, CONV(.name = "c"));
  REFUSES("a sample is [6], needs [height, width, channels]", ROW, CONV(.name = "c"));
  REFUSES("i32", WHOLE_IMAGE, CONV(.name = "c"));
  REFUSES("padding is 'smae', needs valid or same", IMAGE, CONV(.padding = "smae"));
  REFUSES("kernel_size is -1×3, needs at least 1", IMAGE, CONV(.kernel_size = {{-1, 3}}));
  REFUSES("kernel_size is 3×-1, needs at least 1", IMAGE, CONV(.kernel_size = {{3, -1}}));
  REFUSES("strides is -2×-2, needs at least 1", IMAGE, CONV(.strides = {{-2}}));
  REFUSES("dilation_rate is 1×-1, needs at least 1", IMAGE, CONV(.dilation_rate = {{1, -1}}));
  REFUSES("filters is -4, needs at least 1", IMAGE, CONV(.filters = -4));
  REFUSES("groups is -1, needs to divide the 6 input channels and the 4 filters", IMAGE, CONV(.groups = -1));
  REFUSES("groups is 4, needs to divide the 6 input", IMAGE, CONV(.groups = 4));
  REFUSES("groups is 3, needs to divide the 6 input", IMAGE, CONV(.groups = 3));
  REFUSES("unknown initializer 'zzzzzzz'", IMAGE, CONV(.kernel_initializer = "zzzzzzz"));
  REFUSES("unknown activation 'zzzzzzz'", IMAGE, CONV(.activation = "zzzzzzz"));
  REFUSES("a sample is [8,6]", SEQUENCE, TRANSPOSE(.name = "c"));
  REFUSES("padding is 'smae'", IMAGE, TRANSPOSE(.padding = "smae"));
  REFUSES("kernel_size is -1×-1", IMAGE, TRANSPOSE(.kernel_size = {{-1}}));
  REFUSES("strides is -1×-1", IMAGE, TRANSPOSE(.strides = {{-1}}));
  REFUSES("dilation_rate is -1×-1", IMAGE, TRANSPOSE(.dilation_rate = {{-1}}));
  REFUSES("filters is -1", IMAGE, TRANSPOSE(.filters = -1));
  REFUSES("a sample is [8,6]", SEQUENCE, DEPTHWISE(.name = "c"));
  REFUSES("padding is 'smae'", IMAGE, DEPTHWISE(.padding = "smae"));
  REFUSES("kernel_size is -1×-1", IMAGE, DEPTHWISE(.kernel_size = {{-1}}));
  REFUSES("strides is -1×-1", IMAGE, DEPTHWISE(.strides = {{-1}}));
  REFUSES("dilation_rate is -1×-1", IMAGE, DEPTHWISE(.dilation_rate = {{-1}}));
  REFUSES("depth_multiplier is -1, needs at least 1", IMAGE, DEPTHWISE(.depth_multiplier = -1));
  REFUSES("a sample is [8,6]", SEQUENCE, tct_layer_max_pooling2d(x, NULL));
  REFUSES("padding is 'x'", IMAGE, tct_layer_max_pooling2d(x, &(tct_max_pooling2d_layer){.padding = "x"}));
  REFUSES("pool_size is -1×-1", IMAGE, tct_layer_average_pooling2d(x, &(tct_average_pooling2d_layer){.pool_size = {{-1}}}));
  REFUSES("strides is -1×-1", IMAGE, tct_layer_average_pooling2d(x, &(tct_average_pooling2d_layer){.strides = {{-1}}}));
  REFUSES("a sample is [8,6]", SEQUENCE, tct_layer_zero_padding2d(x, NULL));
  REFUSES("a sample is [8,6]", SEQUENCE, tct_layer_global_average_pooling2d(x, NULL));
  REFUSES("a sample is [8,6]", SEQUENCE, tct_layer_global_max_pooling2d(x, NULL));
}

TEST(layer_refusals, convolutions_of_sequences) {
  REFUSES("a sample is [6], needs [length, channels]; insert a Reshape that adds the channel axis", ROW, CONV1D(.name = "c"));
  REFUSES("a sample is [8,8,6], needs [length, channels]", IMAGE, CONV1D(.name = "c"));
  REFUSES("padding is 'smae', needs valid, same or causal", SEQUENCE, CONV1D(.padding = "smae"));
  REFUSES("kernel_size is -3, needs at least 1", SEQUENCE, CONV1D(.kernel_size = -3));
  REFUSES("strides is -1, needs at least 1", SEQUENCE, CONV1D(.strides = -1));
  REFUSES("dilation_rate is -1, needs at least 1", SEQUENCE, CONV1D(.dilation_rate = -1));
  REFUSES("filters is -1, needs at least 1", SEQUENCE, CONV1D(.filters = -1));
  REFUSES("kernel_size 2147483648 and dilation_rate 1, at most 1073741824", SEQUENCE, CONV1D(.kernel_size = INT64_C(1) << 31));
  REFUSES("dilation_rate 2147483648, at most 1073741824", SEQUENCE, CONV1D(.dilation_rate = INT64_C(1) << 31));
  REFUSES("groups is -1, needs to divide", SEQUENCE, CONV1D(.groups = -1));
  REFUSES("groups is 4, needs to divide", SEQUENCE, CONV1D(.groups = 4));
  REFUSES("groups is 3, needs to divide", SEQUENCE, CONV1D(.groups = 3));
  REFUSES("a sample is [6]", ROW, tct_layer_max_pooling1d(x, NULL));
  REFUSES("padding is 'causal', needs valid or same", SEQUENCE, tct_layer_max_pooling1d(x, &(tct_max_pooling1d_layer){.padding = "causal"}));
  REFUSES("pool_size is -1", SEQUENCE, tct_layer_average_pooling1d(x, &(tct_average_pooling1d_layer){.pool_size = -1}));
  REFUSES("strides is -1", SEQUENCE, tct_layer_average_pooling1d(x, &(tct_average_pooling1d_layer){.strides = -1}));
  REFUSES("a sample is [6]", ROW, tct_layer_global_average_pooling1d(x, NULL));
  REFUSES("a sample is [6]", ROW, tct_layer_global_max_pooling1d(x, NULL));
}

TEST(layer_refusals, norms) {
  REFUSES("epsilon is -1, needs to be positive", ROW, tct_layer_batch_normalization(x, &(tct_batch_normalization_layer){.epsilon = -1}));
  REFUSES("momentum is -1, needs 0 <= momentum < 1", ROW, tct_layer_batch_normalization(x, &(tct_batch_normalization_layer){.momentum = -1}));
  REFUSES("momentum is 1, needs 0 <= momentum < 1", ROW, tct_layer_batch_normalization(x, &(tct_batch_normalization_layer){.momentum = 1}));
  REFUSES("i32", INTEGERS, tct_layer_batch_normalization(x, NULL));
  REFUSES("epsilon is -1", ROW, tct_layer_layer_normalization(x, &(tct_layer_normalization_layer){.epsilon = -1}));
  REFUSES("i32", INTEGERS, tct_layer_layer_normalization(x, NULL));
  REFUSES("epsilon is -1", ROW, tct_layer_rms_normalization(x, &(tct_rms_normalization_layer){.epsilon = -1}));
  REFUSES("i32", INTEGERS, tct_layer_rms_normalization(x, NULL));
  REFUSES("epsilon is -1", SEQUENCE, tct_layer_group_normalization(x, &(tct_group_normalization_layer){.groups = 2, .epsilon = -1}));
  REFUSES("i32", INTEGERS, tct_layer_group_normalization(x, NULL));
  REFUSES("groups is 4", SEQUENCE, tct_layer_group_normalization(x, &(tct_group_normalization_layer){.groups = 4}));
  REFUSES("groups", SEQUENCE, tct_layer_group_normalization(x, &(tct_group_normalization_layer){.groups = -2}));
  REFUSES("groups", SEQUENCE, tct_layer_group_normalization(x, NULL)); /* 32 */
}

TEST(layer_refusals, others) {
  REFUSES("rate is 1, needs 0 <= rate < 1", ROW, tct_layer_dropout(x, &(tct_dropout_layer){.rate = 1}));
  REFUSES("rate is -0.5, needs 0 <= rate < 1", ROW, tct_layer_dropout(x, &(tct_dropout_layer){.rate = -0.5}));
  REFUSES("input is f32, needs i32 indices", ROW, tct_layer_embedding(x, &(tct_embedding_layer){.input_dim = 4, .output_dim = 4}));
  REFUSES("input_dim -4 and output_dim 4", INTEGERS, tct_layer_embedding(x, &(tct_embedding_layer){.input_dim = -4, .output_dim = 4}));
  REFUSES("input_dim 4 and output_dim -4", INTEGERS, tct_layer_embedding(x, &(tct_embedding_layer){.input_dim = 4, .output_dim = -4}));
  REFUSES("'input_dim' is required", INTEGERS, tct_layer_embedding(x, NULL));
  REFUSES("dims has 2 entries, the input has 1 axes", ROW, tct_layer_permute(x, &(tct_permute_layer){.dims = TCT_SHAPE(2, 1)}));
  REFUSES("dims[0] is 0, needs 1 to 2", SEQUENCE, tct_layer_permute(x, &(tct_permute_layer){.dims = TCT_SHAPE(0, 1)}));
  REFUSES("dims[1] is 3, needs 1 to 2", SEQUENCE, tct_layer_permute(x, &(tct_permute_layer){.dims = TCT_SHAPE(1, 3)}));
  REFUSES("perm", SEQUENCE, tct_layer_permute(x, &(tct_permute_layer){.dims = TCT_SHAPE(1, 1)}));
  REFUSES("target_shape", ROW, tct_layer_reshape(x, &(tct_reshape_layer){.target_shape = {.rank = 8, .dim = {1, 1, 1, 1, 1, 1, 1, 6}}}));
  REFUSES("axis", ROW, tct_layer_concatenate((tct_layer[]){x, x}, 2, &(tct_concatenate_layer){.axis = 2}));
  REFUSES("axis", ROW, tct_layer_concatenate((tct_layer[]){x, x}, 2, &(tct_concatenate_layer){.axis = -3}));
  REFUSES("Concatenate: 1 inputs, needs at least 2", ROW, tct_layer_concatenate(&x, 1, NULL));
  REFUSES("Subtract: 3 inputs, needs 2", ROW, tct_layer_subtract((tct_layer[]){x, x, x}, 3, NULL));
  REFUSES("a sample is", ROW, tct_layer_lstm(x, &(tct_lstm_layer){.units = 3}));
  REFUSES("units is -3", SEQUENCE, tct_layer_gru(x, &(tct_gru_layer){.units = -3}));
  REFUSES("a sample of the query is [6], needs [positions, features]", ROW, tct_layer_multi_head_attention(&x, 1, &(tct_multi_head_attention_layer){.num_heads = 2, .key_dim = 3}));
  REFUSES("num_heads -2, key_dim 3 and value_dim 3, need at least 1", SEQUENCE, tct_layer_multi_head_attention(&x, 1, &(tct_multi_head_attention_layer){.num_heads = -2, .key_dim = 3}));
  REFUSES("num_heads 2, key_dim -3", SEQUENCE, tct_layer_multi_head_attention(&x, 1, &(tct_multi_head_attention_layer){.num_heads = 2, .key_dim = -3}));
  REFUSES("key_dim 3 and value_dim -1, need at least 1", SEQUENCE, tct_layer_multi_head_attention(&x, 1, &(tct_multi_head_attention_layer){.num_heads = 2, .key_dim = 3, .value_dim = -1}));
  REFUSES("num_heads times either needs at most", SEQUENCE,
          tct_layer_multi_head_attention(&x, 1, &(tct_multi_head_attention_layer){.num_heads = INT64_C(1) << 33, .key_dim = INT64_C(1) << 33}));
  REFUSES("num_heads times either needs at most", SEQUENCE, tct_layer_multi_head_attention(
                            &x, 1, &(tct_multi_head_attention_layer){.num_heads = INT64_C(1) << 33, .key_dim = 1, .value_dim = INT64_C(1) << 33}));
}
#pragma GCC diagnostic pop

/* ---- handles ------------------------------------------------------------------------------------------- */

TEST(layer_refusals, handles_that_are_none) {
  tct_desc desc;
  const tct_layer none = {NULL, -1};
  CHECK(tct_layer_input(NULL, "x", TCT_F32, TCT_SHAPE(1)).model == NULL && tct_model_last(NULL).model == NULL);
  CHECK(tct_layer_dense(none, &(tct_dense_layer){.units = 1}).model == NULL);
  CHECK(tct_layer_shape(none).rank == 0 && strcmp(tct_layer_name(none), "?") == 0);
  CHECK(tct_model_n_parameters(NULL) == 0 && tct_model_parameter(NULL, 0) == NULL && tct_model_n_inputs(NULL) == 0);
  CHECK(tct_model_input_name(NULL, 0) == NULL);
  FAILS(tct_model_input_desc(NULL, 0, &desc), TCT_INVALID, "the model has no input number 0");
  tct_model_output(none);
  tct_model_free(NULL);

  tct_model *const m = tct_model_create(NULL, TCT_F32), *const other = tct_model_create("other", TCT_F32);
  CHECK(strcmp(tct_model_name(m), "model") == 0);
  const tct_layer x = tct_layer_input(m, "", TCT_F32, TCT_SHAPE(4)), y = tct_layer_input(other, "y", TCT_F32, TCT_SHAPE(4));
  CHECK(strcmp(tct_layer_name(x), "input") == 0 && tct_layer_shape(x).dim[0] == 4);
  CHECK(strcmp(tct_layer_name((tct_layer){m, 7}), "?") == 0 && strcmp(tct_layer_name((tct_layer){m, -1}), "?") == 0);
  tct_model_output((tct_layer){m, -1});
  tct_model_output((tct_layer){m, 9});
  CHECK(tct_model_parameter(m, 0) == NULL && tct_model_parameter(m, -1) == NULL && tct_model_input_name(m, 1) == NULL);
  (void)tct_layer_add((tct_layer[]){x, y}, 2, NULL);
  FAILS(tct_model_status(m), TCT_INVALID, "Add: input 1 belongs to another model");
  (void)tct_layer_dense((tct_layer){other, 5}, &(tct_dense_layer){.units = 1});
  FAILS(tct_model_status(other), TCT_INVALID, "Dense: input 0 is not a layer");
  tct_model_free(other);
  tct_model_free(m);
}

TEST(layer_refusals, inputs) {
  REFUSES("another layer has this name", ROW, tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(2)));
  REFUSES("input 'z': rank 9 with the batch extent is more than 8", ROW,
          tct_layer_input(m, "z", TCT_F32, (tct_shape){.rank = 8, .dim = {1, 1, 1, 1, 1, 1, 1, 1}}));
  REFUSES("negative extent", ROW, tct_layer_input(m, "z", TCT_F32, TCT_SHAPE(-2)));
  tct_model *const wrong = tct_model_create("wrong", TCT_I32);
  FAILS(tct_model_status(wrong), TCT_INVALID, "f32 or f64");
  tct_model_free(wrong);
  tct_graph *graph = NULL;
  OK(tct_graph_create(&graph));
  tct_model *const m = tct_model_create("two", TCT_F32);
  tct_layer at[65];
  for (int i = 0; i < 65; i++) at[i] = tct_layer_input(m, NULL, TCT_F32, TCT_SHAPE(2));
  const tct_tensor x = tct_input(graph, "x", TCT_F32, TCT_SHAPE(3, 2)), no_step = {NULL, -1};
  (void)tct_model_build(m, graph, &x, 1, no_step, 0, NULL);
  FAILS(tct_graph_status(graph), TCT_INVALID, "model 'two': 1 inputs given, it has 65");
  (void)tct_layer_add(at, 65, &(tct_add_layer){.name = "all"});
  tct_tensor many[65];
  tct_graph *second = NULL;
  OK(tct_graph_create(&second));
  for (int i = 0; i < 65; i++) {
    char name[8];
    (void)snprintf(name, sizeof name, "x%d", i);
    many[i] = tct_input(second, name, TCT_F32, TCT_SHAPE(3, 2));
  }
  (void)tct_model_build(m, second, many, 65, no_step, 0, NULL);
  FAILS(tct_graph_status(second), TCT_INVALID, "'all': more than 64 inputs");
  tct_model *const empty = tct_model_create("empty", TCT_I32);
  tct_graph *third = NULL;
  OK(tct_graph_create(&third));
  (void)tct_model_build(empty, third, NULL, 0, no_step, 0, NULL);
  FAILS(tct_graph_status(third), TCT_INVALID, "f32 or f64");
  tct_model_free(empty);
  tct_graph_free(third);
  tct_graph_free(second);
  tct_graph_free(graph);
  tct_model_free(m);
}

/* ---- training options ---------------------------------------------------------------------------------- */

static void refused_training(const tct_training *training, const char *part) {
  tct_model *const m = tct_model_create("m", TCT_F32);
  (void)tct_layer_dense(tct_layer_input(m, "x", ROW), &(tct_dense_layer){.units = 3, .activation = "softmax"});
  const tct_status status = tct_model_compile(m, training);
  CHECK(status != TCT_OK && strstr(tct_error_message(), part) != NULL, "lacks '%s': %s: %s", part, tct_status_name(status), tct_error_message());
  tct_model_free(m);
}

TEST(layer_refusals, trainings) {
#define LOSS .device = "ref", .loss = "categorical_crossentropy"
  static const struct {
    tct_training training;
    const char *part;
  } rows[] = {
      {{.device = "ref", .loss = "zzzzzzzzz"}, "zzzzzzzzz"},
      {{LOSS, .optimizer = {.type = "zzzzzzzzz"}}, "unknown optimizer 'zzzzzzzzz'"},
      {{LOSS, .optimizer = {.type = "sgdd"}}, "did you mean 'sgd'?"},
      {{LOSS, .optimizer = {.type = "sgd", .nesterov = true}}, "nesterov needs a momentum above 0"},
      {{LOSS, .optimizer = {.clipnorm = 1, .global_clipnorm = 1}}, "exclude each other; give one"},
      {{LOSS, .schedule = {.type = "zzzzzzzzz"}}, "unknown schedule 'zzzzzzzzz'; there are constant, step, cosine"},
      {{LOSS, .schedule = {.type = "step"}}, "decay_steps is 0, needs at least 1"},
      {{LOSS, .schedule = {.type = "cosine", .decay_steps = -1}}, "must not be negative"},
      {{LOSS, .schedule = {.type = "constant", .warmup_steps = -1}}, "must not be negative"},
      {{LOSS, .schedule = {.type = "step", .decay_steps = 1, .decay_rate = -1}}, "must not be negative"},
      {{LOSS, .schedule = {.type = "cosine", .alpha = -1}}, "must not be negative"},
      {{LOSS, .precision = "zzzzzzzzz"}, "unknown precision 'zzzzzzzzz'; there are float32, bfloat16, float16"},
      {{LOSS, .precision = "bfloat61"}, "did you mean"},
      {{LOSS, .label_smoothing = -0.1}, "label_smoothing is -0.1"},
      {{.device = "ref", .loss = "huber", .huber_delta = -1}, "delta"},
      {{LOSS, .metrics = "zzzzzzzzz"}, "unknown metric 'zzzzzzzzz'"},
      {{.device = "a-device-whose-name-is-much-longer-than-any-that-there-will-ever-be-in-any-world", .loss = "categorical_crossentropy"}, "a-device-whose-name"},
  };
#undef LOSS
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) refused_training(&rows[i].training, rows[i].part);
}
