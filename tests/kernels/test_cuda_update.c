/* Updates of a list of tensors in one launch: the bits of a launch for each, and nothing written where the gradients are not
 * finite. */
#include "kernels/cuda_fixture.h"

enum { TENSORS = 4, ROOM = 5000 };
static const int64_t sizes[TENSORS] = {1, TCT_CU_UPDATE_CHUNK, TCT_CU_UPDATE_CHUNK + 1, ROOM};
static float w[2][TENSORS][ROOM], state[2][3][TENSORS][ROOM], g[TENSORS][ROOM];

static void fill(void) {
  for (int t = 0; t < TENSORS; t++)
    for (int64_t i = 0; i < ROOM; i++) {
      g[t][i] = noise_at(1, t * ROOM + i);
      for (int way = 0; way < 2; way++) {
        w[way][t][i] = noise_at(2, t * ROOM + i);
        for (int s = 0; s < 3; s++) state[way][s][t][i] = 1.5f + noise_at(3 + (uint64_t)s, t * ROOM + i);
      }
    }
}

static tct_cu_update_args common(void) {
  static const float lr = 0.01f, scale = 0.5f;
  static const int64_t step = 3;
  return (tct_cu_update_args){.lr = &lr, .scale = &scale, .step = &step, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-7f, .momentum = 0.8f,
                              .l1 = 0.001f, .l2 = 0.002f, .weight_decay = 0.1f, .clip = 0.3f, .nesterov = 1};
}

/* Tensors first … first + n - 1 of one way. */
static void launch(const char *kernel, tct_cu_update_args a, int way, int first, int n) {
  a.n_tensors = n;
  for (int t = 0; t < n; t++) {
    const int at = first + t;
    a.tensor[t] = (tct_cu_update_tensor){.w = w[way][at], .g = {g[at], TCT_F32, 0}, .n = sizes[at]};
    for (int s = 0; s < 3; s++) a.tensor[t].state[s] = state[way][s][at];
    a.from[t + 1] = a.from[t] + (int32_t)((sizes[at] + TCT_CU_UPDATE_CHUNK - 1) / TCT_CU_UPDATE_CHUNK);
  }
  RUNS(kernel, a.from[n], TCT_CU_BLOCK, 0, &a);
}

TEST(cuda_update, a_list_gives_the_bits_of_its_tensors) {
  NEEDS_SIMT();
  static const char *const kernels[] = {"sgd", "adam", "rmsprop", "adagrad"};
  for (size_t k = 0; k < sizeof kernels / sizeof *kernels; k++) {
    fill();
    tct_simt_order(k);
    launch(kernels[k], common(), 0, 0, TENSORS);
    for (int t = 0; t < TENSORS; t++) launch(kernels[k], common(), 1, t, 1);
    CHECK(memcmp(w[0], w[1], sizeof w[0]) == 0 && memcmp(state[0], state[1], sizeof state[0]) == 0, "%s", kernels[k]);
    for (int t = 0; t < TENSORS; t++)
      for (int64_t i = 0; i < ROOM; i++)
        CHECK((w[0][t][i] == noise_at(2, t * ROOM + i)) == (i >= sizes[t]), "%s, tensor %d, element %d", kernels[k], t, (int)i);
  }
}

TEST(cuda_update, what_is_not_finite_writes_nothing) {
  NEEDS_SIMT();
  static const char *const kernels[] = {"sgd", "adam", "rmsprop", "adagrad"};
  const uint8_t finite = 0;
  for (size_t k = 0; k < sizeof kernels / sizeof *kernels; k++) {
    tct_cu_update_args a = common();
    a.finite = &finite;
    fill();
    launch(kernels[k], a, 0, 0, TENSORS);
    CHECK(memcmp(w[0], w[1], sizeof w[0]) == 0 && memcmp(state[0], state[1], sizeof state[0]) == 0, "%s", kernels[k]);
  }
}
