/* Glyphs: the same images on every machine, each its own, and the IDX files that hold them. */
#include "base/text.h"
#include "data/data_helpers.h"
#include "data/glyph_draw.h"

TEST(glyphs, the_same_bytes_everywhere) {
  /* Recorded with gcc 12 and clang 14 at -O0 to -O3 on x86-64; a change of any pixel of any of them shows. */
  static uint8_t images[200][TCT_GLYPH_PIXELS];
  for (int64_t i = 0; i < 200; i++) tct_glyph_draw(7, i < 100 ? i : ((int64_t)1 << 33) + i, images[i]);
  const uint64_t got = tct_hash(images, sizeof images);
  CHECK(got == 0x9c2630285d762882, "the images changed: 0x%llx", (unsigned long long)got);
}

TEST(glyphs, a_sample_depends_on_seed_and_number_only) {
  const int64_t before = tct_alloc_live();
  tct_dataset *all = NULL, *late = NULL, *other = NULL;
  const tct_glyphs_options options = {.n_samples = 50, .seed = 3}, from_40 = {.n_samples = 10, .seed = 3, .first = 40};
  const tct_glyphs_options seed_4 = {.n_samples = 50, .seed = 4};
  OK(tct_dataset_glyphs(&options, &all));
  OK(tct_dataset_glyphs(&from_40, &late));
  OK(tct_dataset_glyphs(&seed_4, &other));
  static float a[784], b[784], c[784], again[784];
  int32_t label_a = -1, label_b = -1, label_c = -1;
  int n_same_label = 0;
  for (int64_t i = 0; i < 10; i++) {
    const int64_t i_all = i + 40;
    OK(tct_dataset_read(all, &i_all, 1, (void *const[]){a, &label_a}));
    OK(tct_dataset_read(all, &i_all, 1, (void *const[]){again, &label_a}));
    OK(tct_dataset_read(late, &i, 1, (void *const[]){b, &label_b}));
    OK(tct_dataset_read(other, &i_all, 1, (void *const[]){c, &label_c}));
    CHECK(memcmp(a, again, sizeof a) == 0 && memcmp(a, b, sizeof a) == 0 && label_a == label_b, "sample %d",
          (int)i_all);
    CHECK(memcmp(a, c, sizeof a) != 0, "two seeds draw one image");
    n_same_label += label_a == label_c;
  }
  CHECK(n_same_label < 10);
  tct_dataset_free(all);
  tct_dataset_free(late);
  tct_dataset_free(other);
  tct_dataset *none = NULL;
  const tct_glyphs_options negative = {.n_samples = -1}, far = {.n_samples = 10, .first = INT64_MAX};
  FAILS(tct_dataset_glyphs(&negative, &none), TCT_INVALID, "-1 samples");
  FAILS(tct_dataset_glyphs(&far, &none), TCT_INVALID, "10 samples from number 9223372036854775807");
  CHECK(tct_alloc_live() == before);
}

TEST(glyphs, labels_are_balanced_and_images_are_seen) {
  /* 10 000 uniform labels: 1000 ± 6 σ each, σ = 30. */
  tct_dataset *data = NULL;
  OK(tct_dataset_glyphs(NULL, &data));
  CHECK(tct_dataset_samples(data) == 10000);
  int n[10] = {0};
  for (int64_t i = 0; i < 10000; i++) n[tct_glyph_label(0, i)]++;
  for (int c = 0; c < 10; c++) CHECK(n[c] > 820 && n[c] < 1180, "digit %d: %d", c, n[c]);
  static float x[784];
  int32_t y = -1;
  for (int64_t i = 0; i < 200; i++) {
    OK(tct_dataset_read(data, &i, 1, (void *const[]){x, &y}));
    float brightest = 0, sum = 0;
    for (int p = 0; p < 784; p++) {
      CHECK(x[p] >= 0 && x[p] <= 1);
      brightest = x[p] > brightest ? x[p] : brightest;
      sum += x[p];
    }
    CHECK(y == tct_glyph_label(0, i) && brightest > 0.6f && sum / 784 < 0.6f, "sample %d: %g", (int)i,
          (double)brightest);
  }
  tct_dataset_free(data);
}

TEST(glyphs, files_hold_the_same_images) {
  const int64_t before = tct_alloc_live();
  char directory[512], images[640], labels[640];
  temp_path(directory, "glyphs/deep");
  OK(tct_glyphs_write(directory, 30, 20, 5));
  static const char *const splits[] = {"train", "t10k"};
  for (int s = 0; s < 2; s++) {
    snprintf(images, sizeof images, "%s/%s-images-idx3-ubyte", directory, splits[s]);
    snprintf(labels, sizeof labels, "%s/%s-labels-idx1-ubyte", directory, splits[s]);
    const tct_glyphs_options options = {.n_samples = s ? 20 : 30, .seed = 5, .first = s ? 1000000 : 0};
    tct_dataset *drawn = NULL, *read = NULL;
    OK(tct_dataset_idx(images, labels, NULL, &read));
    OK(tct_dataset_glyphs(&options, &drawn));
    CHECK(tct_dataset_samples(read) == options.n_samples);
    for (int64_t i = 0; i < options.n_samples; i++) {
      static float a[784], b[784];
      int32_t label_a = -1, label_b = -2;
      OK(tct_dataset_read(drawn, &i, 1, (void *const[]){a, &label_a}));
      OK(tct_dataset_read(read, &i, 1, (void *const[]){b, &label_b}));
      CHECK(label_a == label_b && memcmp(a, b, sizeof a) == 0, "%s %d", splits[s], (int)i);
    }
    tct_dataset_free(drawn);
    tct_dataset_free(read);
    unlink(images);
    unlink(labels);
  }
  rmdir(directory);
  *strrchr(directory, '/') = 0;
  rmdir(directory);
  FAILS(tct_glyphs_write("", 1, 1, 5), TCT_INVALID, "no name");
  FAILS(tct_glyphs_write("x", 2000000, 1, 5), TCT_INVALID, "2000000 training");
  CHECK(tct_alloc_live() == before);
}
