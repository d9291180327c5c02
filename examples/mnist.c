/* Trains a small CNN on the MNIST family: mnist DIRECTORY, with the four IDX files, plain or .gz (Fashion-MNIST:
 * github.com/zalandoresearch/fashion-mnist). Without an argument it trains on glyphs, which it draws itself. */
#include <stdio.h>
#include <tercet/tercet.h>

static tct_status show(void *user, const tct_progress *p) {
  (void)user;
  if (p->epoch_end) printf("epoch %lld: loss %.4f, accuracy %.4f\n", (long long)p->epoch + 1, p->values[0], p->values[1]);
  return TCT_OK;
}

static tct_dataset *load(const char *directory, const char *part, int64_t first, int64_t n) {
  char images[512], labels[512];
  tct_dataset *data = NULL;
  snprintf(images, sizeof images, "%s/%s-images-idx3-ubyte.gz", directory, part);
  snprintf(labels, sizeof labels, "%s/%s-labels-idx1-ubyte.gz", directory, part);
  const tct_status status = directory[0] != '\0' ? tct_dataset_idx(images, labels, NULL, &data)
                            : tct_dataset_glyphs(&(tct_glyphs_options){.n_samples = n, .first = first}, &data);
  return status == TCT_OK ? data : NULL;
}

int main(int argc, char **argv) {
  tct_dataset *train = load(argc > 1 ? argv[1] : "", "train", 0, 4000);
  tct_dataset *test = load(argc > 1 ? argv[1] : "", "t10k", 1000000, 1000);
  tct_model *model = tct_model_create("mnist", TCT_F32);
  tct_layer x = tct_layer_input(model, "x", TCT_F32, TCT_SHAPE(28, 28, 1));
  x = tct_layer_conv2d(x, &(tct_conv2d_layer){.filters = 16, .kernel_size = {{3}}, .activation = "relu"});
  x = tct_layer_max_pooling2d(x, NULL);
  x = tct_layer_conv2d(x, &(tct_conv2d_layer){.filters = 32, .kernel_size = {{3}}, .activation = "relu"});
  x = tct_layer_max_pooling2d(x, NULL);
  x = tct_layer_flatten(x, NULL);
  x = tct_layer_dense(x, &(tct_dense_layer){.units = 10, .activation = "softmax"});
  tct_evaluation result = {0};
  tct_status status = tct_model_compile(model, &(tct_training){.loss = "sparse_categorical_crossentropy",
                                                               .metrics = "accuracy"});
  if (status == TCT_OK) status = tct_fit(model, train, &(tct_fit_options){.epochs = 3, .batch_size = 64, .progress = show});
  if (status == TCT_OK) status = tct_evaluate(model, test, 500, &result);
  if (status == TCT_OK) printf("test accuracy %.4f\n", result.values[1]);
  if (status != TCT_OK) fprintf(stderr, "mnist: %s\n", tct_error_message());
  tct_model_free(model);
  tct_dataset_free(train);
  tct_dataset_free(test);
  return status == TCT_OK ? 0 : 1;
}
