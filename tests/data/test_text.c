/* Character windows over a text. */
#include "data/data_helpers.h"

TEST(text, windows_and_next_characters) {
  const int64_t before = tct_alloc_live();
  char path[512];
  temp_file(path, "t.txt", "banana\n", 7); /* alphabet: \n a b n */
  tct_dataset *data = NULL;
  const tct_text_options three = {.window = 3, .stride = 2};
  OK(tct_dataset_text(path, &three, &data));
  unsigned char alphabet[256];
  CHECK(tct_dataset_alphabet(data, alphabet) == 4 && memcmp(alphabet, "\nabn", 4) == 0);
  CHECK(tct_dataset_samples(data) == 2 && tct_dataset_n_classes(data) == 0);
  int32_t x[6], y[6];
  void *const out[2] = {x, y};
  const int64_t index[2] = {1, 0};
  OK(tct_dataset_read(data, index, 2, out));
  static const int32_t want_x[6] = {3, 1, 3, 2, 1, 3}, want_y[6] = {1, 3, 1, 1, 3, 1};
  for (int i = 0; i < 6; i++) CHECK(x[i] == want_x[i] && y[i] == want_y[i], "%d: %d %d", i, x[i], y[i]);
  tct_dataset_free(data);

  const tct_text_options last = {.window = 6, .last_only = true};
  OK(tct_dataset_text(path, &last, &data));
  CHECK(tct_dataset_samples(data) == 1 && tct_dataset_field(data, 1)->shape.rank == 0);
  OK(tct_dataset_read(data, index + 1, 1, out));
  CHECK(y[0] == 0);
  tct_dataset_free(data);

  const tct_text_options part = {.window = 1, .begin = 0.5, .end = 1.0}; /* "ana\n", the alphabet of the whole */
  OK(tct_dataset_text(path, &part, &data));
  CHECK(tct_dataset_samples(data) == 3 && tct_dataset_alphabet(data, alphabet) == 4);
  OK(tct_dataset_read(data, index + 1, 1, out));
  CHECK(x[0] == 3 - 2 && y[0] == 3, "%d %d", x[0], y[0]);
  tct_dataset_free(data);
  unlink(path);
  CHECK(tct_alloc_live() == before);
}

TEST(text, bad_options_are_refused) {
  static const struct {
    tct_text_options options;
    const char *message;
  } rows[] = {
      {{.window = 0}, "window is 0"},
      {{.window = 7}, "a window of 7 needs one more"},
      {{.window = INT64_MAX}, "needs one more"},
      {{.window = 1, .stride = -1}, "stride is -1"},
      {{.window = 1, .begin = 0.5, .end = 0.5}, "0 <= begin < end <= 1"},
      {{.window = 1, .begin = -0.1, .end = 0.5}, "0 <= begin < end <= 1"},
      {{.window = 1, .begin = 0.1, .end = 1.5}, "0 <= begin < end <= 1"},
      {{.window = 1, .begin = NAN, .end = 1}, "0 <= begin < end <= 1"},
      {{.window = 1, .begin = 0.9, .end = 0.95}, "has 0 characters"},
  };
  const int64_t before = tct_alloc_live();
  char path[512];
  temp_file(path, "t.txt", "banana\n", 7);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    tct_dataset *data = NULL;
    FAILS(tct_dataset_text(path, &rows[i].options, &data), TCT_INVALID, rows[i].message);
    CHECK(data == NULL, "row %zu", i);
  }
  tct_dataset *data = NULL;
  OK(tct_dataset_text(path, &(tct_text_options){.window = 1, .end = 0.5}, &data));
  CHECK(tct_dataset_samples(data) == 2, "%d", (int)tct_dataset_samples(data));
  tct_dataset_free(data);
  FAILS(tct_dataset_text(path, NULL, &data), TCT_INVALID, "options is NULL");
  FAILS(tct_dataset_text(NULL, &rows[0].options, &data), TCT_INVALID, "path or options is NULL");
  unlink(path);
  CHECK(tct_alloc_live() == before);
}

TEST(text, tinyshakespeare) {
  SKIP_WITHOUT_DATA();
  char path[512];
  real_path(path, "text/tinyshakespeare.txt");
  tct_dataset *train = NULL, *rest = NULL;
  const tct_text_options first = {.window = 64, .begin = 0, .end = 0.9}, last = {.window = 1, .begin = 0.9, .end = 1};
  OK(tct_dataset_text(path, &first, &train));
  OK(tct_dataset_text(path, &last, &rest));
  unsigned char alphabet[256];
  CHECK(tct_dataset_alphabet(train, alphabet) == 65 && tct_dataset_alphabet(rest, alphabet) == 65);
  CHECK(alphabet[0] == '\n' && alphabet[1] == ' ' && alphabet[64] == 'z');
  CHECK(tct_dataset_samples(train) == 1003854 - 64 && tct_dataset_samples(rest) == 111540 - 1);
  int32_t x[64], y[64];
  void *const out[2] = {x, y};
  const int64_t zero = 0;
  OK(tct_dataset_read(train, &zero, 1, out));
  for (int i = 0; i < 14; i++) CHECK(alphabet[x[i]] == "First Citizen:"[i] && y[i] == x[i + 1], "character %d", i);
  tct_dataset_free(train);
  tct_dataset_free(rest);
}
