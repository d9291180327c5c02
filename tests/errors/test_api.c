/* The texts of errors that C programs meet, to the letter; and mistakes that once passed in silence. */
#include <tercet/tercet.h>

#include "base/error_list.h"
#include "base/file.h"
#include "base/status.h"
#include "faults.h"
#include "test.h"

#include <errno.h>

/* ---- graphs ---- */

static void wrong_inner(tct_graph *g) {
  (void)tct_matmul(tct_input(g, "x", TCT_F32, TCT_SHAPE(32, 784)), tct_input(g, "w", TCT_F32, TCT_SHAPE(256, 784)));
}
static void wrong_rank(tct_graph *g) {
  (void)tct_conv2d(tct_input(g, "x", TCT_F32, TCT_SHAPE(28, 28)), tct_input(g, "w", TCT_F32, TCT_SHAPE(3, 3, 1, 8)),
                   NULL);
}
static void wrong_channels(tct_graph *g) {
  (void)tct_conv2d(tct_input(g, "x", TCT_F32, TCT_SHAPE(1, 28, 28, 3)),
                   tct_input(g, "w", TCT_F32, TCT_SHAPE(3, 3, 1, 8)), NULL);
}
static void wrong_broadcast(tct_graph *g) {
  (void)tct_add(tct_input(g, "x", TCT_F32, TCT_SHAPE(32, 10)), tct_input(g, "b", TCT_F32, TCT_SHAPE(32)));
}
static void wrong_dtype(tct_graph *g) {
  (void)tct_mul(tct_input(g, "x", TCT_F32, TCT_SHAPE(2)), tct_input(g, "y", TCT_F64, TCT_SHAPE(2)));
}
static void integer_images(tct_graph *g) {
  (void)tct_conv2d(tct_input(g, "x", TCT_U8, TCT_SHAPE(1, 28, 28, 1)),
                   tct_input(g, "w", TCT_F32, TCT_SHAPE(3, 3, 1, 8)), NULL);
}
static void wrong_axis(tct_graph *g) {
  (void)tct_softmax(tct_input(g, "x", TCT_F32, TCT_SHAPE(32, 10)), 2);
}
static void negative_size(tct_graph *g) {
  (void)tct_input(g, "x", TCT_F32, TCT_SHAPE(-1, 784));
}
static void overflowing_size(tct_graph *g) {
  (void)tct_variable(g, "w", TCT_F32, TCT_SHAPE(INT64_C(1) << 40, INT64_C(1) << 40), (tct_init){0});
}
static void wrong_reshape(tct_graph *g) {
  (void)tct_reshape(tct_input(g, "x", TCT_F32, TCT_SHAPE(28, 28)), TCT_SHAPE(28, 29));
}
static void no_window(tct_graph *g) {
  (void)tct_max_pool2d(tct_input(g, "x", TCT_F32, TCT_SHAPE(1, 4, 4, 1)), &(tct_pool2d_options){.window = {5, 5}});
}
static void two_at_once(tct_graph *g) {
  wrong_inner(g);
  (void)tct_reshape(tct_input(g, "z", TCT_F32, TCT_SHAPE(2)), TCT_SHAPE(3));
}

static const struct {
  void (*build)(tct_graph *graph);
  const char *text;
} graphs[] = {
    {wrong_inner,
     "matmul 'matmul': [32,784] × [256,784]: inner extents 784 and 256 differ; transpose one, or make the weight "
     "[784,784] [E103]"},
    {wrong_rank, "conv2d 'conv2d': x is [28,28] (rank 2), needs rank 4 [N,H,W,C] [E102]"},
    {wrong_channels,
     "conv2d 'conv2d': x [1,28,28,3] has 3 channels in 1 group, but the filter [3,3,1,8] reads 1 per group; "
     "make the filter [3,3,3,8] [E109]"},
    {wrong_broadcast,
     "add 'add': [32,10] and [32] do not broadcast: aligned at the last axis, extents must be equal or 1; "
     "insert axes of extent 1 with tct_reshape [E104]"},
    {wrong_dtype, "mul 'mul': a is f32 and b is f64; both need one dtype: convert one with tct_cast [E105]"},
    {integer_images, "conv2d 'conv2d': x is u8 and the filter is f32; both need one dtype: convert one with tct_cast [E105]"},
    {wrong_axis, "softmax 'softmax': axis 2 is out of range for [32,10] (rank 2); use -2 to 1 [E106]"},
    {negative_size, "input 'x': shape [-1,784] has a negative extent or is too large [E107]"},
    {overflowing_size,
     "variable 'w': shape [1099511627776,1099511627776] has a negative extent or is too large [E107]"},
    {wrong_reshape,
     "reshape 'reshape': [28,28] has 784 elements, [28,29] has 812; a reshape keeps their number [E108]"},
    {no_window,
     "max_pool2d 'max_pool2d': the window of 5 (dilation 1: reach 5) is larger than the padded input of height 4 "
     "(0 + 4 + 0); use a smaller window or SAME padding [E110]"},
    {two_at_once,
     "2 errors in the graph\n1. matmul 'matmul': [32,784] × [256,784]: inner extents 784 and 256 differ; transpose "
     "one, or make the weight [784,784] [E103]\n2. reshape 'reshape': [2] has 2 elements, [3] has 3; a reshape "
     "keeps their number [E108]"},
};

TEST(error_texts, graphs) {
  for (size_t i = 0; i < TCT_COUNT_OF(graphs); i++) {
    tct_graph *graph = NULL;
    OK(tct_graph_create(&graph));
    graphs[i].build(graph);
    CHECK(tct_graph_status(graph) == TCT_INVALID && strcmp(tct_error_message(), graphs[i].text) == 0, "\n%s\n%s",
          graphs[i].text, tct_error_message());
    tct_graph_free(graph);
  }
}

/* ---- training ---- */

static tct_model *model_with(const char *activation) {
  tct_model *const model = tct_model_create("m", TCT_F32);
  const tct_layer x = tct_layer_input(model, "x", TCT_F32, TCT_SHAPE(4));
  (void)tct_layer_dense(x, &(tct_dense_layer){.name = "out", .units = 3, .activation = activation});
  return model;
}

TEST(error_texts, settings_of_a_training_come_together) {
  static const char text[] =
      "the training: 5 problems\n"
      "1. loss sparse_categorical_crossentropy needs an output that ends in softmax (or in no activation), but "
      "'out' ends in sigmoid; change one of them [E209]\n"
      "2. label_smoothing is 2, needs 0 <= label_smoothing < 1 [E211]\n"
      "3. the optimizer: 2 problems\n"
      "1. optimizer adam: learning_rate is -0.01, needs at least 0 (0 is given as -1) [E211]\n"
      "2. optimizer adam: beta_1 is 1.5, needs 0 <= beta_1 < 1 [E211]\n"
      "4. unknown schedule 'cosin'; there are constant, step, cosine; did you mean 'cosine'? [E208]\n"
      "5. unknown metric 'acuracy'; there are accuracy, top_k=K, mse, mae, r2, precision, recall, f1, roc_auc, pr_auc, confusion_matrix; did you "
      "mean 'accuracy'? [E207]\n"
      "  compiling model 'm'";
  const tct_training training = {.device = "ref",
                                 .loss = "sparse_categorical_crossentropy",
                                 .label_smoothing = 2,
                                 .optimizer = {.type = "adam", .learning_rate = -0.01, .beta_1 = 1.5},
                                 .schedule = {.type = "cosin"},
                                 .metrics = "acuracy"};
  tct_model *const model = model_with("sigmoid");
  CHECK(tct_model_compile(model, &training) == TCT_INVALID && tct_error_code() == TCT_E_LOSS_OUTPUT);
  CHECK(strcmp(tct_error_message(), text) == 0, "\n%s\n%s", text, tct_error_message());
  tct_model_free(model);
}

/* -1 stands for 0; every other negative number is a mistake, which passed as 0 once. */
TEST(error_texts, negative_optimizer_numbers) {
  static const double rates[] = {-1, -0.5, -1e-9, -2, -INFINITY, NAN};
  for (size_t i = 0; i < TCT_COUNT_OF(rates); i++) {
    tct_model *const model = model_with(NULL);
    const tct_training training = {
        .device = "ref", .loss = "mse", .optimizer = {.type = "sgd", .learning_rate = rates[i]}};
    const tct_status status = tct_model_compile(model, &training);
    CHECK(status == (rates[i] == -1 ? TCT_OK : TCT_INVALID), "learning_rate %g: %s", rates[i], tct_error_message());
    tct_model_free(model);
  }
}

/* A softmax behind which the numbers are only rearranged or dropped: the loss took them for logits once. */
TEST(error_texts, a_softmax_before_layers_without_weights) {
  for (int behind = 0; behind < 4; behind++) {
    tct_model *const model = model_with("softmax");
    tct_layer last = tct_model_last(model);
    if (behind == 1) last = tct_layer_flatten(last, NULL);
    if (behind == 2) last = tct_layer_dropout(tct_layer_flatten(last, NULL), &(tct_dropout_layer){.rate = 0.5});
    if (behind == 3) last = tct_layer_dense(last, &(tct_dense_layer){.units = 3});
    const tct_training training = {.device = "ref", .loss = "categorical_crossentropy"};
    const bool refused = tct_model_compile(model, &training) != TCT_OK;
    CHECK(refused == (behind == 1 || behind == 2), "case %d: %s", behind, tct_error_message());
    if (refused) CHECK(tct_error_code() == TCT_E_LOSS_OUTPUT, "%s", tct_error_message());
    tct_model_free(model);
  }
}

/* ---- lists ---- */

TEST(error_lists, up_to_twenty) {
  for (int32_t n = 0; n <= TCT_MOST_LISTED_ERRORS + 1; n++) {
    tct_error_list list = {0};
    tct_error_list_add(&list, TCT_OK);
    for (int32_t i = 0; i < n; i++)
      tct_error_list_add(&list, tct_fail(i == 0 ? TCT_E_AXIS : TCT_E_RANK, "wrong %d", (int)i));
    const tct_status status = tct_error_list_end(&list, "things");
    CHECK(status == (n == 0 ? TCT_OK : TCT_INVALID) && list.n == 0 && list.text.data == NULL);
    if (n == 0) continue;
    char title[64];
    (void)snprintf(title, sizeof title, "things: %d problems\n1. wrong 0 [E106]\n2. wrong 1 [E102]", (int)n);
    CHECK(tct_error_code() == TCT_E_AXIS);
    CHECK(strncmp(tct_error_message(), n == 1 ? "wrong 0 [E106]" : title, n == 1 ? 15 : strlen(title)) == 0, "%s",
          tct_error_message());
    CHECK((strstr(tct_error_message(), "\n20. wrong 19") != NULL) == (n >= 20) &&
          !strstr(tct_error_message(), "wrong 20"));
    CHECK((strstr(tct_error_message(), "\nand 1 more") != NULL) == (n == 21), "%s", tct_error_message());
  }
}

TEST(error_lists, without_memory) {
  tct_error_list list = {0};
  (void)tct_fail(TCT_E_AXIS, "wrong");
  (void)fault_alloc(1);
  tct_error_list_add(&list, TCT_INVALID);
  CHECK(fault_alloc(0));
  FAILS(tct_error_list_end(&list, "things"), TCT_OUT_OF_MEMORY,
        "things: 1 problems, and no memory to list them [E006]");
}

/* ---- files ---- */

TEST(error_texts, file_errors_have_kinds) {
  static const struct {
    int error;
    int32_t number;
  } rows[] = {{ENOENT, TCT_E_NO_FILE},      {ENOTDIR, TCT_E_NO_FILE},  {EACCES, TCT_E_NO_ACCESS},
              {EROFS, TCT_E_NO_ACCESS},     {EISDIR, TCT_E_NO_ACCESS}, {ENOSPC, TCT_E_DISK_FULL},
              {EDQUOT, TCT_E_DISK_FULL},    {EIO, TCT_E_FILE_IO},      {EMFILE, TCT_E_FILE_IO},
              {ENOMEM, TCT_E_OUT_OF_MEMORY}};
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++)
    CHECK(tct_error_kind_of_errno(rows[i].error)->number == rows[i].number, "%s", strerror(rows[i].error));
}

TEST(error_texts, a_full_disk_while_saving) {
  char folder[SCRATCH_BYTES], path[SCRATCH_BYTES + 32], text[2 * SCRATCH_BYTES];
  tct_model *const model = model_with(NULL);
  const tct_training training = {.device = "ref", .loss = "mse"};
  OK(tct_model_compile(model, &training));
  scratch_make(folder);
  (void)snprintf(path, sizeof path, "%s/m.safetensors", folder);
  (void)snprintf(text, sizeof text, "cannot write '%s': No space left on device [E703]", path);
  (void)fault_file(2, ENOSPC); /* the file is opened, then written */
  const tct_status status = tct_model_save(model, path, NULL);
  CHECK(fault_file(0, 0) && status == TCT_IO && strcmp(tct_error_message(), text) == 0, "\n%s\n%s", text,
        tct_error_message());
  CHECK(count_entries(folder) == 0, "no half a file stays");
  scratch_remove(folder);
  tct_model_free(model);
}

/* ---- graphs as text ---- */

static void collect(void *user, const char *text, size_t length) {
  char *const all = user;
  const size_t used = strlen(all);
  if (used + length < 4000) (void)snprintf(all + used, 4000 - used, "%.*s", (int)length, text);
}

TEST(error_texts, names_are_escaped_in_graphviz) {
  char dot[4000] = "";
  tct_graph *graph = NULL;
  OK(tct_graph_create(&graph));
  tct_output(graph, "y\"\n\\", tct_relu(tct_input(graph, "a \"b\"", TCT_F32, TCT_SHAPE(1))));
  OK(tct_graph_status(graph));
  tct_graph_print_dot(graph, collect, dot);
  CHECK(strstr(dot, "[label=\"a \\\"b\\\"\\n") && strstr(dot, "[label=\"y\\\"\\n\\\\\", shape"), "%s", dot);
  tct_graph_free(graph);
}
