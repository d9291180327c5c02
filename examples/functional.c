/* Level 2, a functional model with two named inputs: do two points lie on the same side of a circle? Each input goes through
 * a branch of its own; their product and their sum meet in the last layer. functional [DEVICE [EPOCHS]] */
#include <stdio.h>
#include <stdlib.h>
#include <tercet/tercet.h>

enum { SAMPLES = 2048 };

/* A small generator of its own keeps the data the same everywhere: uniform in -1 … 1. */
static float draw(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return (float)(*state >> 8) / 8388608.0f - 1;
}

static float inside(const float *point) { return point[0] * point[0] + point[1] * point[1] < 0.6f ? 1 : 0; }

/* Fields "left" and "right" [2] feed the inputs of those names; "y" [1] is the target. */
static tct_status make_data(uint32_t seed, tct_dataset **out) {
  static float left[SAMPLES][2], right[SAMPLES][2], same[SAMPLES];
  for (int i = 0; i < SAMPLES; i++) {
    for (int j = 0; j < 2; j++) left[i][j] = draw(&seed), right[i][j] = draw(&seed);
    same[i] = inside(left[i]) == inside(right[i]) ? 1 : 0;
  }
  const tct_field fields[] = {{"left", TCT_F32, TCT_SHAPE(2)}, {"right", TCT_F32, TCT_SHAPE(2)}, {"y", TCT_F32, TCT_SHAPE(1)}};
  return tct_dataset_arrays(SAMPLES, 3, fields, (const void *const[]){left, right, same}, false, out);
}

static tct_layer branch(tct_layer x) {
  x = tct_layer_dense(x, &(tct_dense_layer){.units = 32, .activation = "relu"});
  return tct_layer_dense(x, &(tct_dense_layer){.units = 16, .activation = "relu"});
}

static void build(tct_model *model) {
  const tct_layer left = branch(tct_layer_input(model, "left", TCT_F32, TCT_SHAPE(2)));
  const tct_layer right = branch(tct_layer_input(model, "right", TCT_F32, TCT_SHAPE(2)));
  const tct_layer product = tct_layer_multiply((tct_layer[]){left, right}, 2, NULL);
  const tct_layer sum = tct_layer_add((tct_layer[]){left, right}, 2, NULL);
  const tct_layer both = tct_layer_concatenate((tct_layer[]){product, sum}, 2, NULL);
  tct_model_output(tct_layer_dense(both, &(tct_dense_layer){.name = "same", .units = 1, .activation = "sigmoid"}));
}

static void print(void *user, const char *text, size_t length) { (void)fwrite(text, 1, length, user); }

int main(int argc, char **argv) {
  tct_dataset *train = NULL, *test = NULL;
  tct_evaluation result = {0};
  tct_model *model = tct_model_create("same_side", TCT_F32);
  build(model);
  tct_status status = make_data(1, &train);
  if (status == TCT_OK) status = make_data(2, &test);
  const tct_training training = {.loss = "binary_crossentropy", .metrics = "accuracy", .device = argc > 1 ? argv[1] : "cpu",
                                 .optimizer = {.type = "adam", .learning_rate = 0.01}};
  if (status == TCT_OK) status = tct_model_compile(model, &training);
  if (status == TCT_OK) status = tct_model_summary(model, 0, false, print, stdout);
  const tct_fit_options fit = {.epochs = argc > 2 ? atoi(argv[2]) : 30, .batch_size = 64};
  if (status == TCT_OK) status = tct_fit(model, train, &fit);
  if (status == TCT_OK) status = tct_evaluate(model, test, 256, &result);
  if (status == TCT_OK) printf("test accuracy %.4f\n", result.values[1]);
  if (status != TCT_OK) fprintf(stderr, "functional: %s\n", tct_error_message());
  tct_model_free(model);
  tct_dataset_free(train);
  tct_dataset_free(test);
  return status == TCT_OK ? 0 : 1;
}
