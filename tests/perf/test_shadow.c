/* `tercet shadow`: two devices that are right stay in every budget, one bit that is wrong is found with its op and element, and
 * what it judges by: budgets for every op, and numbers by their bits. */
#include "tools/command.h"

#include <jansson.h>
#include <math.h>
#include <tercet/chip.h>
#include <tercet/op.h>
#include "perf/shadow/budget.h"
#include "perf/shadow/values.h"

#define GLYPHS TCT_SOURCE_DIR "/examples/glyphs.yaml"
#define SMALL "--set", "data.samples=64", "--set", "model.width=4", "--batch", "8"

TEST(shadow, every_op_has_a_budget) {
  int n = 0;
  for (int op = TCT_OP_NONE + 1; op < TCT_N_OPS; op++, n++) {
    const tct_node_view node = {.op = (tct_op)op};
    CHECK(budget_kind_of(&node) != BUDGET_UNLISTED, "%s has no row in budgets.def", tct_op_name((tct_op)op));
  }
  CHECK(n > 100);
  CHECK(budget_kind_of(&(tct_node_view){.op = (tct_op)TCT_OP_FIRST_CUSTOM}) == BUDGET_REST);
}

TEST(shadow, a_sum_is_allowed_what_its_length_adds) {
  static const struct {
    int64_t k;
    double terms; /* g(K): K, from 25 on 5·√K */
  } rows[] = {{1, 1}, {16, 16}, {100, 50}, {10000, 500}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const tct_desc in[] = {{TCT_F32, TCT_SHAPE(4, rows[i].k)}, {TCT_F32, TCT_SHAPE(rows[i].k, 3)}};
    const tct_matmul_attrs attrs = {.transpose_a = false};
    const tct_node_view node = {.op = TCT_OP_matmul, .attrs = &attrs, .n_in = 2, .in = in};
    const budget b = budget_of(&node, TCT_F32, 0), narrow = budget_of(&node, TCT_BF16, 0x1p-8);
    CHECK(b.length == (double)rows[i].k && fabs(b.arithmetic / (0x1p-23 * (2 + rows[i].terms)) - 1) < 1e-12, "%g", b.arithmetic);
    CHECK(b.products == 0 && b.stored == 0 && narrow.products == 0x1p-7 + 0x1p-16 && narrow.stored == 0x1p-7);
    CHECK(budget_allows(&b, 1, 10) > 9 * budget_allows(&b, 1, 1) && budget_allows(&narrow, 1, 10) > 10 * 0x1p-7);
  }
  static const struct {
    const char *chip;
    double roundoff;
  } chips[] = {{"v3", 0x1p-8}, {"v3,passes=3", 0x1p-16}, {"v5e,passes=6", 0x1p-24}, {"v1", 0x1p-7}};
  CHECK(budget_operand_roundoff(NULL) == 0);
  for (size_t i = 0; i < sizeof chips / sizeof *chips; i++) {
    tct_chip chip;
    OK(tct_chip_open(chips[i].chip, &chip));
    CHECK(budget_operand_roundoff(&chip) == chips[i].roundoff, "%s", chips[i].chip);
  }
}

TEST(shadow, numbers_by_their_bits) {
  static const tct_dtype narrow[] = {TCT_BF16, TCT_F16};
  for (int d = 0; d < 2; d++) {
    for (uint32_t bits = 0; bits < 65536; bits++) {
      uint16_t x = (uint16_t)bits, y = 0;
      const double value = values_get(narrow[d], &x, 0);
      if (isnan(value)) continue;
      values_set(narrow[d], &y, 0, value);
      CHECK(x == y, "%s %04x → %g → %04x", tct_dtype_name(narrow[d]), x, value, y);
      uint16_t beside = (uint16_t)(x + 1);
      if (!isnan(values_get(narrow[d], &beside, 0)) && (bits & 0x7fff) != 0x7fff)
        CHECK(values_ulps(narrow[d], &x, &beside, 0) == 1, "%04x", x);
    }
  }
  const float zeros[] = {-0.0f, 0.0f}, apart[] = {-0x1p-149f, 0x1p-149f}, nan[] = {NAN, 1};
  CHECK(values_ulps(TCT_F32, &zeros[0], &zeros[1], 0) == 0 && values_ulps(TCT_F32, &apart[0], &apart[1], 0) == 2);
  CHECK(isinf(values_ulps(TCT_F32, &nan[0], &nan[1], 0)) && values_ulps(TCT_F32, &nan[0], &nan[0], 0) == 0);
  char place[160];
  const tct_shape shape = TCT_SHAPE(2, 3, 4);
  CHECK(strcmp(values_place(&shape, 17, place, sizeof place), "[1,1,1]") == 0, "%s", place);
}

static json_t *report(void) {
  json_error_t error;
  json_t *const object = json_loads(result.out, 0, &error);
  CHECK(object != NULL, "%s: %s%s", error.text, result.out, result.err);
  return object;
}

static double number(const json_t *object, const char *name) {
  const json_t *const member = json_object_get(object, name);
  CHECK(json_is_number(member), "no number '%s'", name);
  return json_number_value(member);
}

/* Layers of each kind of budget. */
static const char layers[] = "data: {type: glyphs, samples: 24}\n"
                             "model:\n"
                             "  layers:\n"
                             "    - Reshape: {target_shape: [28, 28]}\n"
                             "    - LSTM: {units: 6, return_sequences: true}\n"
                             "    - GRU: {units: 5, return_sequences: true}\n"
                             "    - MultiHeadAttention: {num_heads: 2, key_dim: 4}\n"
                             "    - LayerNormalization\n"
                             "    - Flatten\n"
                             "    - Dense: {units: 12, activation: gelu}\n"
                             "    - BatchNormalization\n"
                             "    - Dense: {units: 10, activation: softmax}\n"
                             "loss: sparse_categorical_crossentropy\n"
                             "optimizer: {type: rmsprop, momentum: 0.9, centered: true}\n"
                             "train: {batch_size: 6}\n";

TEST(shadow, devices_that_are_right_stay_in_their_budgets) {
  scratch_make(folder);
  write_text("layers.yaml", layers);
  static const struct {
    const char *devices;
    double least; /* share of the worst result: the budget is no blanket */
  } rows[] = {{"ref,cpu", 0.05}, {"cpu,tpu:v3", 0.2}, {"tpu:v3,cpu", 0.2}, {"cpu,tpu:v5e,passes=3", 0.1}, {"cpu,check:tpu:v3", 0.2}};
  char path[SCRATCH_BYTES + 64];
  (void)snprintf(path, sizeof path, "%s", in_folder("layers.yaml"));
  const char *const jobs[] = {GLYPHS, path};
  for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
    RUN("shadow", jobs[i % 2], "--devices", rows[i / 2].devices, "--set", "data.samples=24", "--batch", "6", "--steps", "2", "--json");
    EXITS(0);
    json_t *const object = report();
    const json_t *const tensors = json_object_get(object, "tensors");
    double most = 0;
    for (size_t t = 0; t < json_array_size(tensors); t++) {
      const json_t *const row = json_array_get(tensors, t);
      most = fmax(most, number(row, "share"));
      CHECK(json_is_true(json_object_get(row, "judged")) && number(row, "ulps") >= 0);
    }
    CHECK(json_is_null(json_object_get(object, "first")) && number(object, "left") == 0 && number(object, "steps") == 2);
    CHECK(json_array_size(tensors) > 40 && most <= 1 && most > rows[i / 2].least, "%s: the most is %g", rows[i / 2].devices, most);
    json_decref(object);
  }
  RUN("shadow", GLYPHS, "--devices", "cpu,check:cpu", SMALL, "--all");
  EXITS(0);
  SHOWS(out, "optimizer/dense_1/bias/adam_update");
  CHECK(strstr(result.out, "more with") == NULL && strstr(result.out, " 1e-") == NULL, "%s", result.out);
  scratch_remove(folder);
}

/* One device opens a composite that the other has a kernel for: each op is judged all the same. */
TEST(shadow, steps_need_not_be_the_same) {
  scratch_make(folder);
  write_text("layers.yaml", layers);
  char path[SCRATCH_BYTES + 64];
  (void)snprintf(path, sizeof path, "%s", in_folder("layers.yaml"));
  CHECK(setenv("TERCET_DISABLE", "layer_norm,layer_norm.wide", 1) == 0); /* the reference's kernels have other names */
  static const char *const devices[] = {"ref,cpu", "cpu,ref"};
  for (int d = 0; d < 2; d++) {
    RUN("shadow", path, "--devices", devices[d], "--json");
    EXITS(0);
    json_t *const object = report();
    const json_t *const tensors = json_object_get(object, "tensors");
    int n_opened = 0, n_whole = 0;
    for (size_t t = 0; t < json_array_size(tensors); t++) {
      const json_t *const row = json_array_get(tensors, t);
      n_opened += json_is_null(json_object_get(row, "drift")) && strcmp(json_string_value(json_object_get(row, "dtype")), "f32") == 0;
      n_whole += strcmp(json_string_value(json_object_get(row, "op")), "layer_norm") == 0;
      CHECK(json_is_true(json_object_get(row, "judged")));
    }
    CHECK(number(object, "unjudged") == 0 && n_opened >= 3 && n_whole == (d == 0 ? 0 : 3), "%d opened, %d whole", n_opened, n_whole);
    json_decref(object);
  }
  scratch_remove(folder);
}

TEST(shadow, one_wrong_bit_is_found) {
  scratch_make(folder);
  static const struct {
    const char *op, *kernel, *node, *at;
    int element, bit;
  } rows[] = {{"relu", "relu", "dense/relu", "[1,2]", 66, 0}, /* computes nothing: the last bit counts */
              {"matmul", "matmul.gemm", "dense/matmul", "[0,37]", 37, 20},
              {"matmul", "matmul.gemm", "grad/dense_1/matmul/matmul_1", "[5,2]", 52, 27},
              {"conv2d_grad_filter", "conv2d_grad_filter.direct", "grad/conv2d_1/conv2d/conv2d_grad_filter", "[0,0,3,4]", 100, 24},
              {"add", "add", "conv2d/add", "[0,0,0,2]", 2, 8}};
  CHECK(setenv("TERCET_BACKEND_PATH", TCT_BINARY_DIR "/modules/flip", 1) == 0);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char devices[256];
    (void)snprintf(devices, sizeof devices, "cpu,flip:%s#%s#%d#%d", rows[i].kernel, rows[i].node, rows[i].element, rows[i].bit);
    RUN("shadow", GLYPHS, "--devices", devices, SMALL, "--json");
    EXITS(8);
    json_t *const object = report();
    const json_t *const first = json_object_get(object, "first");
    CHECK(strcmp(json_string_value(json_object_get(first, "name")), rows[i].node) == 0, "%s", result.out);
    CHECK(strcmp(json_string_value(json_object_get(first, "op")), rows[i].op) == 0);
    CHECK(strcmp(json_string_value(json_object_get(first, "at")), rows[i].at) == 0, "%s", json_string_value(json_object_get(first, "at")));
    CHECK(number(first, "element") == rows[i].element && json_array_size(json_object_get(first, "operands")) >= 1);
    CHECK(number(object, "left") == 1, "what reads a wrong value is not wrong itself: %g", number(object, "left"));
    json_decref(object);
  }
  RUN("shadow", GLYPHS, "--devices", "cpu,flip:add#conv2d/add#2#20", SMALL);
  EXITS(8);
  SHOWS(out, "first to leave its budget, in step 1: 'conv2d/add' (add), element [0,0,0,2]\n");
  SHOWS(out, "conv2d/conv2d f32[8,26,26,4] from ");
  SHOWS(out, " at this element\n");
  scratch_remove(folder);
}

/* The device gpu, over the stand-in for NVIDIA's driver that runs its kernels. */
TEST(shadow, a_gpu_stays_in_its_budgets) {
#ifdef TCT_NO_GPU_TESTS
  SKIP(TCT_NO_GPU_TESTS);
#endif
  scratch_make(folder);
  CHECK(setenv("TERCET_BACKEND_PATH", TCT_BINARY_DIR "/modules/cuda", 1) == 0);
  CHECK(setenv("TERCET_CUDA_LIBRARY_PATH", TCT_BINARY_DIR "/standin", 1) == 0);
  RUN("shadow", GLYPHS, "--devices", "cpu,gpu", "--set", "data.samples=16", "--set", "model.width=2", "--batch", "2", "--steps", "2");
  EXITS(0);
  SHOWS(out, "every op stays in its budget\n");
  SHOWS(out, "gpu beside cpu, each op from the same operands\n");
  RUN("claims", "gpu-no-setup", "-q");
  EXITS(0);
  SHOWS(out, "  fails     the job runs, but ");
  scratch_remove(folder);
}

TEST(shadow, wrong_input) {
  scratch_make(folder);
  static const struct {
    const char *devices, *job;
    int code;
    const char *says;
  } rows[] = {
      {NULL, GLYPHS, 2, "--devices A,B is missing"},
      {"cpu", GLYPHS, 2, "names 1 device, needs two"},
      {"cpu,ref,tpu", GLYPHS, 2, "names 3 devices, needs two"},
      {"cpu,,ref", GLYPHS, 2, "an empty name"},
      {"cpu,cpu", GLYPHS, 2, "'cpu' is there twice"},
      {"cpu,abacus", GLYPHS, 4, "device 'abacus' is not known"},
      {"cpu,tpu:v99", GLYPHS, 4, "v99"},
      {"cpu,tpu:v1", GLYPHS, 6, "device 'tpu:v1' refuses 8 ops"},
      {"cpu,ref", "absent.yaml", 4, "absent.yaml"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    RUN("shadow", rows[i].job, "--set", "data.samples=16", rows[i].devices ? "--devices" : NULL, rows[i].devices);
    EXITS(rows[i].code);
    SHOWS(err, rows[i].says);
    CHECK(result.out[0] == '\0', "%s", result.out);
  }
  scratch_remove(folder);
}
