/* Trains a small CNN on the four IDX files of MNIST or Fashion-MNIST (.gz) in the folder that it is given;
 * without one on glyphs, digits that the library draws itself. */
#include <stdio.h>
#include <tercet/tercet.h>

static tct_status load(const char *folder, const char *part, int64_t first, int64_t n, tct_dataset **out) {
  char images[512], labels[512];
  snprintf(images, sizeof images, "%s/%s-images-idx3-ubyte.gz", folder, part);
  snprintf(labels, sizeof labels, "%s/%s-labels-idx1-ubyte.gz", folder, part);
  if (folder[0] == '\0') return tct_dataset_glyphs(&(tct_glyphs_options){.n_samples = n, .first = first}, out);
  return tct_dataset_idx(images, labels, NULL, out);
}

int main(int argc, char **argv) {
  const char *folder = argc > 1 ? argv[1] : "";
  tct_dataset *train = NULL, *test = NULL;
  tct_evaluation result = {0};
  tct_model *model = tct_model_create("mnist", TCT_F32);
  tct_layer x = tct_layer_input(model, "x", TCT_F32, TCT_SHAPE(28, 28, 1));
  x = tct_layer_conv2d(x, &(tct_conv2d_layer){.filters = 16, .kernel_size = {{3}}, .activation = "relu"});
  x = tct_layer_max_pooling2d(x, NULL);
  x = tct_layer_conv2d(x, &(tct_conv2d_layer){.filters = 32, .kernel_size = {{3}}, .activation = "relu"});
  x = tct_layer_max_pooling2d(x, NULL);
  x = tct_layer_flatten(x, NULL);
  x = tct_layer_dense(x, &(tct_dense_layer){.units = 10, .activation = "softmax"});
  const tct_training training = {.loss = "sparse_categorical_crossentropy", .metrics = "accuracy"};
  const bool failed = load(folder, "train", 0, 4000, &train) || load(folder, "t10k", 1000000, 1000, &test) ||
                      tct_model_compile(model, &training) ||
                      tct_fit(model, train, &(tct_fit_options){.epochs = 3, .batch_size = 64}) ||
                      tct_evaluate(model, test, 500, &result);
  if (!failed) printf("test accuracy %.4f\n", result.values[1]);
  if (failed) fprintf(stderr, "mnist: %s\n", tct_error_message());
  tct_model_free(model);
  tct_dataset_free(train);
  tct_dataset_free(test);
  return failed;
}
