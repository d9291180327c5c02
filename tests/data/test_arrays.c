/* Array and callback datasets, views, and the checks that every dataset shares. */
#include <math.h>

#include "data/data_helpers.h"

TEST(dataset, arrays_are_read_in_any_order) {
  const int64_t before = tct_alloc_live();
  tct_dataset *const data = counting_dataset(5);
  CHECK(tct_dataset_samples(data) == 5 && tct_dataset_n_fields(data) == 2);
  CHECK(tct_dataset_find(data, "y") == 1 && tct_dataset_find(data, "z") == -1);
  CHECK(tct_dataset_field(data, 2) == NULL && tct_dataset_field(data, -1) == NULL);
  CHECK(strcmp(tct_dataset_field(data, 0)->name, "x") == 0);
  CHECK(tct_dataset_n_classes(data) == 0 && tct_dataset_class_name(data, 0) == NULL);
  float x[6];
  int32_t y[3];
  void *const out[2] = {x, y};
  const int64_t index[3] = {4, 0, 4};
  OK(tct_dataset_read(data, index, 3, out));
  const float want[6] = {4, -4, 0, 0, 4, -4};
  for (int i = 0; i < 6; i++) CHECK(x[i] == want[i], "x[%d] = %g", i, (double)x[i]);
  CHECK(y[0] == 4 && y[1] == 0 && y[2] == 4);
  const int64_t wrong[2] = {0, 5};
  FAILS(tct_dataset_read(data, wrong, 2, out), TCT_INVALID, "index[1] is 5, the dataset has 5 samples");
  void *const missing[2] = {x, NULL};
  FAILS(tct_dataset_read(data, index, 3, missing), TCT_INVALID, "field 'y'");
  tct_dataset_free(data);
  CHECK(tct_alloc_live() == before);
  tct_dataset_free(NULL);
}

TEST(dataset, borrowed_arrays_are_not_copied) {
  float x[2] = {1, 2};
  const tct_field field = {"x", TCT_F32, tct_shape_of(0, NULL)};
  const void *const arrays[1] = {x};
  tct_dataset *data = NULL;
  OK(tct_dataset_arrays(2, 1, &field, arrays, true, &data));
  x[1] = 7;
  float got = 0;
  void *const out[1] = {&got};
  const int64_t index = 1;
  OK(tct_dataset_read(data, &index, 1, out));
  CHECK(got == 7);
  tct_dataset_free(data);
}

TEST(dataset, bad_fields_are_refused) {
  float x[4] = {0};
  const void *const arrays[2] = {x, x};
  const tct_shape scalar = tct_shape_of(0, NULL);
  const struct {
    tct_field fields[2];
    const char *message;
  } rows[] = {
      {{{"x", TCT_F32, scalar}, {"x", TCT_F32, scalar}}, "both named 'x'"},
      {{{"", TCT_F32, scalar}, {"y", TCT_F32, scalar}}, "has no name"},
      {{{"x", TCT_DTYPE_NONE, scalar}, {"y", TCT_F32, scalar}}, "not one of tct_dtype"},
      {{{"x", TCT_F32, {.rank = 1, .dim = {-1}}}, {"y", TCT_F32, scalar}}, "negative extent"},
      {{{"x", TCT_F32, {.rank = 2, .dim = {INT64_MAX / 4, 3}}}, {"y", TCT_F32, scalar}}, "more bytes"},
      {{{"x", TCT_F64, {.rank = 1, .dim = {INT64_MAX / 8}}}, {"y", TCT_F32, scalar}}, "4 samples of"},
  };
  const int64_t before = tct_alloc_live();
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    tct_dataset *data = NULL;
    FAILS(tct_dataset_arrays(4, 2, rows[i].fields, arrays, false, &data), TCT_INVALID, rows[i].message);
    CHECK(data == NULL, "row %zu", i);
  }
  CHECK(tct_alloc_live() == before);
}

static tct_status double_index(void *user, const int64_t *index, int64_t n, void *const *out) {
  for (int64_t i = 0; i < n; i++) {
    if (user && index[i] == 3) return *(const tct_status *)user;
    ((double *)out[0])[i] = 2.0 * (double)index[i];
  }
  return TCT_OK;
}

TEST(dataset, callback_fills_batches_and_its_errors_come_out) {
  const tct_field field = {"x", TCT_F64, tct_shape_of(0, NULL)};
  tct_status fail = TCT_IO;
  tct_dataset *data = NULL;
  OK(tct_dataset_callback(10, 1, &field, double_index, &fail, &data));
  double x[2];
  void *const out[1] = {x};
  const int64_t fine[2] = {9, 1}, bad[2] = {2, 3};
  OK(tct_dataset_read(data, fine, 2, out));
  CHECK(x[0] == 18 && x[1] == 2);
  FAILS(tct_dataset_read(data, bad, 2, out), TCT_IO, "2 samples from number 2");
  fail = (tct_status)99;
  FAILS(tct_dataset_read(data, bad, 2, out), TCT_INVALID, "returned 99");
  tct_dataset_free(data);
  FAILS(tct_dataset_callback(10, 1, &field, NULL, NULL, &data), TCT_INVALID, "NULL");
}

TEST(views, slices_nest_and_keep_their_parent) {
  const int64_t before = tct_alloc_live();
  tct_dataset *const data = counting_dataset(4000);
  tct_dataset *part = NULL, *inner = NULL, *none = NULL;
  OK(tct_dataset_slice(data, 100, 4000, &part));
  OK(tct_dataset_slice(part, 10, 3000, &inner));
  FAILS(tct_dataset_slice(data, 5, 4001, &none), TCT_INVALID, "[5, 4001) of 4000");
  tct_dataset_free(part);
  tct_dataset_free(data);
  CHECK(tct_dataset_samples(inner) == 2990);
  enum { N = 2500 }; /* more than one chunk of shifted indices */
  static int64_t index[N];
  static float x[2 * N];
  static int32_t y[N];
  for (int i = 0; i < N; i++) index[i] = N - 1 - i;
  void *const out[2] = {x, y};
  OK(tct_dataset_read(inner, index, N, out));
  for (int i = 0; i < N; i++) CHECK(y[i] == 110 + N - 1 - i && x[2 * i] == (float)y[i], "%d: %d", i, y[i]);
  tct_dataset_free(inner);
  CHECK(tct_alloc_live() == before);
}

TEST(views, standardize_by_moments) {
  const int64_t before = tct_alloc_live();
  const double x[4][3] = {{1, 5, 0.1}, {2, 5, 0.1}, {3, 5, 0.1}, {6, 5, 0.1}};
  const tct_field field = {"x", TCT_F64, TCT_SHAPE(3)};
  const void *const arrays[1] = {x};
  tct_dataset *data = NULL, *scaled = NULL;
  OK(tct_dataset_arrays(4, 1, &field, arrays, false, &data));
  double mean[3], std[3];
  OK(tct_dataset_moments(data, 0, mean, std));
  CHECK(mean[0] == 3.0 && fabs(std[0] - sqrt(14.0 / 4)) < 1e-15, "%g %g", mean[0], std[0]);
  CHECK(mean[1] == 5.0 && std[1] == 1.0 && mean[2] == 0.1 && std[2] == 1.0);
  OK(tct_dataset_standardize(data, 0, mean, std, &scaled));
  double got[6];
  void *const out[1] = {got};
  const int64_t index[2] = {3, 0};
  OK(tct_dataset_read(scaled, index, 2, out));
  CHECK(got[0] == 3.0 / std[0] && got[1] == 0.0 && got[2] == 0.0 && got[3] == -2.0 / std[0]);
  std[1] = 0;
  tct_dataset *bad = NULL;
  FAILS(tct_dataset_standardize(data, 0, mean, std, &bad), TCT_INVALID, "feature 1 of field 'x'");
  FAILS(tct_dataset_moments(data, 1, mean, std), TCT_INVALID, "no field number 1");
  tct_dataset_free(scaled);
  tct_dataset_free(data);
  CHECK(tct_alloc_live() == before);
}

TEST(views, nan_is_refused_by_name) {
  const float x[3][2] = {{1, 2}, {3, NAN}, {5, 6}};
  const tct_field field = {"x", TCT_F32, TCT_SHAPE(2)};
  const void *const arrays[1] = {x};
  tct_dataset *data = NULL, *scaled = NULL;
  OK(tct_dataset_arrays(3, 1, &field, arrays, true, &data));
  double mean[2] = {0, 0}, std[2] = {1, 1};
  FAILS(tct_dataset_moments(data, 0, mean, std), TCT_NUMERIC, "feature 1 of sample 1");
  const double zero[2] = {0, 0}, one[2] = {1, 1};
  OK(tct_dataset_standardize(data, 0, zero, one, &scaled));
  float got[2];
  void *const out[1] = {got};
  const int64_t index = 1;
  FAILS(tct_dataset_read(scaled, &index, 1, out), TCT_NUMERIC, "feature 1 of sample 1");
  tct_dataset_free(scaled);
  tct_dataset_free(data);
}

TEST(views, select_renames_and_converts) {
  const int64_t before = tct_alloc_live();
  const double a[3][2] = {{0.5, 1}, {2, 3}, {4, 5}};
  const int64_t b[3] = {7, 8, 9};
  const uint8_t c[3] = {1, 0, 255};
  const tct_field fields[3] = {
      {"a", TCT_F64, TCT_SHAPE(2)}, {"b", TCT_I64, tct_shape_of(0, NULL)}, {"c", TCT_U8, tct_shape_of(0, NULL)}};
  const void *const arrays[3] = {a, b, c};
  tct_dataset *data = NULL, *view = NULL;
  OK(tct_dataset_arrays(3, 3, fields, arrays, true, &data));
  /* Shrinking (a, b), growing (c → f64, c → f32), the same field thrice (c), the same type with another shape (a). */
  const tct_field want[6] = {{"x", TCT_F32, TCT_SHAPE(1, 2)},         {"y", TCT_I32, tct_shape_of(0, NULL)},
                             {"c64", TCT_F64, TCT_SHAPE(1)},          {"c32", TCT_F32, tct_shape_of(0, NULL)},
                             {"same", TCT_U8, tct_shape_of(0, NULL)}, {"a", TCT_F64, TCT_SHAPE(2, 1)}};
  const int32_t from[6] = {0, 1, 2, 2, 2, 0};
  OK(tct_dataset_select(data, 6, from, want, &view));
  float x[6], c32[3];
  int32_t y[3];
  double c64[3], a64[6];
  uint8_t same[3];
  void *const out[6] = {x, y, c64, c32, same, a64};
  const int64_t index[3] = {2, 0, 1};
  OK(tct_dataset_read(view, index, 3, out));
  for (int i = 0; i < 3; i++) {
    const int64_t s = index[i];
    CHECK(x[2 * i] == (float)a[s][0] && x[2 * i + 1] == (float)a[s][1], "x %d", i);
    CHECK(a64[2 * i] == a[s][0] && a64[2 * i + 1] == a[s][1], "a %d", i);
    CHECK(y[i] == (int32_t)b[s] && c64[i] == c[s] && c32[i] == (float)c[s] && same[i] == c[s], "row %d", i);
  }
  const int64_t count = tct_alloc_count();
  OK(tct_dataset_read(view, index, 3, out));
  CHECK(tct_alloc_count() == count, "a second read allocates");
  tct_dataset_free(view);

  const tct_field bad[3] = {{"x", TCT_I32, TCT_SHAPE(2)}, {"x", TCT_F32, TCT_SHAPE(3)}, {"x", TCT_F32, TCT_SHAPE(2)}};
  const int32_t bad_from[3] = {0, 0, 3};
  const char *const message[3] = {"is f64 and cannot become 'x' of i32", "[2] and cannot become 'x' of [3]",
                                  "from[0] is 3"};
  for (int i = 0; i < 3; i++) FAILS(tct_dataset_select(data, 1, &bad_from[i], &bad[i], &view), TCT_INVALID, message[i]);
  tct_dataset_free(data);
  CHECK(tct_alloc_live() == before);
}

TEST(views, select_refuses_integers_that_do_not_fit) {
  const int64_t b[1] = {(int64_t)1 << 31};
  const tct_field field = {"b", TCT_I64, tct_shape_of(0, NULL)}, want = {"y", TCT_I32, tct_shape_of(0, NULL)};
  const void *const arrays[1] = {b};
  const int32_t from = 0;
  const int64_t index = 0;
  tct_dataset *data = NULL, *view = NULL;
  OK(tct_dataset_arrays(1, 1, &field, arrays, true, &data));
  OK(tct_dataset_select(data, 1, &from, &want, &view));
  int32_t y = 0;
  void *const out[1] = {&y};
  FAILS(tct_dataset_read(view, &index, 1, out), TCT_BAD_DATA, "2147483648 does not fit i32");
  tct_dataset_free(view);
  tct_dataset_free(data);
}
