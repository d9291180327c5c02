/* CSV: what RFC 4180 allows, every refusal with its place, class names, and the real tables. */
#include "data/data_helpers.h"

static tct_status read_csv(const char *text, size_t n, const tct_csv_options *options, tct_dataset **out) {
  char path[512];
  temp_file(path, "t.csv", text, n);
  const tct_status status = tct_dataset_csv(path, options, out);
  unlink(path);
  return status;
}

static tct_status read_text(const char *text, const tct_csv_options *options, tct_dataset **out) {
  return read_csv(text, strlen(text), options, out);
}

/* Reads sample i as [x0, x1, y]. */
static void get_row(const tct_dataset *data, int64_t i, double row[3]) {
  float x[2] = {0}, number = 0;
  int32_t label = -1;
  const bool classes = tct_dataset_n_fields(data) > 1 && tct_dataset_field(data, 1)->dtype == TCT_I32;
  void *const out[2] = {x, classes ? (void *)&label : (void *)&number};
  OK(tct_dataset_read(data, &i, 1, out));
  row[0] = (double)x[0];
  row[1] = (double)x[1];
  row[2] = classes ? (double)label : (double)number;
}

TEST(csv, spellings_of_one_table) {
  static const struct {
    const char *text;
    tct_csv_options options;
  } rows[] = {
      {"1,2,5\n-3.5,4e1,6\n", {0}},
      {"1,2,5\r\n-3.5,4e1,6", {0}},
      {"1,2,5\r-3.5,4e1,6\r", {0}},
      {"\xef\xbb\xbf"
       "1,2,5\n-3.5,4e1,6\n\n  \n\r\n",
       {0}},
      {" 1 ,\t2, 5 \n -3.5 , 40 ,6\n", {0}},
      {"\"1\",\"2\" , \"5\"\n\"-3.5\",\"40\",\"6\"\n", {0}},
      {"a,b,c\n1,2,5\n-3.5,40,6\n", {0}},
      {"a,b,c\n1,2,5\n-3.5,40,6\n", {.target = "c"}},
      {"\"c\",a,\"a \"\"quoted\"\", name\nof two lines\"\n5,1,2\n6,-3.5,40\n", {.target = "c"}},
      {"c,a,b\n5,1,2\n6,-3.5,40\n", {.target = "0"}},
      {"a,c,b\n1,5,2\n-3.5,6,40\n", {.target = "-2"}},
      {"1;2;5\n-3.5;40;6\n", {.delimiter = ';'}},
      {"1\t2\t5\n-3.5\t40\t6\n", {.delimiter = '\t'}},
      {"1,2,3\n1,2,5\n-3.5,40,6\n", {.header = TCT_ON}},
      {"1,2,5\n-3.5,40,6\n", {.header = TCT_OFF}},
  };
  const int64_t before = tct_alloc_live();
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    tct_dataset *data = NULL;
    OK(read_text(rows[i].text, &rows[i].options, &data));
    CHECK(tct_dataset_samples(data) == 2 && tct_dataset_n_fields(data) == 2, "row %zu", i);
    const tct_shape two = TCT_SHAPE(2), one = TCT_SHAPE(1);
    CHECK(tct_shape_equal(&tct_dataset_field(data, 0)->shape, &two), "row %zu", i);
    CHECK(tct_shape_equal(&tct_dataset_field(data, 1)->shape, &one), "row %zu", i);
    double a[3], b[3];
    get_row(data, 0, a);
    get_row(data, 1, b);
    CHECK(a[0] == 1 && a[1] == 2 && a[2] == 5 && b[0] == -3.5 && b[1] == 40 && b[2] == 6, "row %zu: %g %g %g, %g %g %g",
          i, a[0], a[1], a[2], b[0], b[1], b[2]);
    tct_dataset_free(data);
  }
  CHECK(tct_alloc_live() == before);
}

TEST(csv, class_names_are_sorted_and_shared) {
  const int64_t before = tct_alloc_live();
  tct_dataset *train = NULL, *test = NULL, *view = NULL;
  OK(read_text("1,2,cat\n3,4,\"Dog, big\"\n5,6,cat\n7,8,ant\n", NULL, &train));
  CHECK(tct_dataset_n_classes(train) == 3 && tct_dataset_class_name(train, 3) == NULL);
  static const char *const names[] = {"Dog, big", "ant", "cat"};
  for (int32_t c = 0; c < 3; c++) CHECK(strcmp(tct_dataset_class_name(train, c), names[c]) == 0, "%d", c);
  static const double want[4] = {2, 0, 2, 1};
  double row[3];
  for (int64_t i = 0; i < 4; i++) {
    get_row(train, i, row);
    CHECK(row[2] == want[i], "sample %lld is class %g", (long long)i, row[2]);
  }
  const tct_csv_options like = {.like = train};
  OK(read_text("9,9,cat\n", &like, &test));
  get_row(test, 0, row);
  CHECK(row[2] == 2 && tct_dataset_n_classes(test) == 3);
  tct_dataset *none = NULL;
  FAILS(read_text("9,9,cat\n9,9,cow\n", &like, &none), TCT_BAD_DATA, ":2:5: class 'cow' is not one of the 3");
  FAILS(read_text("9,9,9,cat\n", &like, &none), TCT_BAD_DATA, "has 3 feature columns, the training file has 2");
  OK(tct_dataset_slice(train, 1, 3, &view));
  tct_dataset_free(train);
  CHECK(strcmp(tct_dataset_class_name(view, 1), "ant") == 0, "a view lost the class names");
  tct_dataset_free(view);
  tct_dataset_free(test);
  CHECK(tct_alloc_live() == before);
}

TEST(csv, targets_as_the_user_says) {
  tct_dataset *data = NULL;
  const tct_csv_options on = {.classes = TCT_ON}, off = {.classes = TCT_OFF}, none = {.no_target = true};
  const tct_csv_options wide = {.dtype = TCT_F64};
  double row[3];
  OK(read_text("1,2,10\n3,4,9\n", &on, &data));
  CHECK(tct_dataset_n_classes(data) == 2 && strcmp(tct_dataset_class_name(data, 0), "10") == 0);
  get_row(data, 1, row);
  CHECK(row[2] == 1);
  const tct_csv_options like_numbers = {.like = data};
  tct_dataset *test = NULL;
  OK(read_text("3,4,9\n", &like_numbers, &test));
  get_row(test, 0, row);
  CHECK(row[2] == 1, "numbers are classes where the training file's are");
  tct_dataset_free(test);
  tct_dataset_free(data);
  OK(read_text("1,2\n3,4\n", &none, &data));
  CHECK(tct_dataset_n_fields(data) == 1);
  get_row(data, 1, row);
  CHECK(row[0] == 3 && row[1] == 4);
  tct_dataset_free(data);
  FAILS(read_text("1,2,a\n", &off, &data), TCT_BAD_DATA, ":1:5: the target 'a' is not a finite number");
  OK(read_text("0.1,2\n", &wide, &data));
  double x = 0, y = 0;
  void *const out[2] = {&x, &y};
  const int64_t zero = 0;
  OK(tct_dataset_read(data, &zero, 1, out));
  CHECK(x == 0.1 && y == 2 && tct_dataset_field(data, 1)->dtype == TCT_F64);
  tct_dataset_free(data);
}

TEST(csv, refusals_name_the_place) {
  static const struct {
    const char *text;
    tct_csv_options options;
    tct_status status;
    const char *message;
  } rows[] = {
      {"", {0}, TCT_BAD_DATA, "is empty"},
      {"\n\n", {0}, TCT_BAD_DATA, "is empty"},
      {"a,b\n", {0}, TCT_BAD_DATA, "a header and no rows"},
      {"1\n2\n", {0}, TCT_BAD_DATA, "has one column, which is the target"},
      {"1,2,3\n4,5\n", {0}, TCT_BAD_DATA, ":2:3: the row has only 2 columns, the first row has 3"},
      {"1,2\n4,5,6\n", {0}, TCT_BAD_DATA, ":2:3: the row has more than 2 columns"},
      {"a,b\n1,2\n,5\n", {0}, TCT_BAD_DATA, ":3:1: column 'a' has no value ('')"},
      {"1,2\nNA,5\n", {0}, TCT_BAD_DATA, ":2:1: column number 0 has no value ('NA')"},
      {"nan,2\n1,5\n", {0}, TCT_BAD_DATA, ":1:1: column number 0 has no value ('nan')"},
      {"1,2\n3,\n", {0}, TCT_BAD_DATA, ":2:3: column number 1 has no value"},
      {"1,2\n3,?\n", {0}, TCT_BAD_DATA, ":2:3: column number 1 has no value ('?')"},
      {"1,2\ninf,5\n", {0}, TCT_BAD_DATA, ":2:1: "},
      {"1,2\n1e39,5\n", {0}, TCT_BAD_DATA, "is not a finite f32"},
      {"1,2\n3,1e39\n", {0}, TCT_BAD_DATA, ":2:3: the target 1e39 does not fit f32"},
      {"1,2\n1e999,5\n", {.dtype = TCT_F64}, TCT_BAD_DATA, ":2:1: "},
      {"1,2\n\n 3x,5\n", {0}, TCT_BAD_DATA, ":3:2: '3x' in column number 0 is not a number"},
      {"1,2\n\"3,5\n", {0}, TCT_BAD_DATA, ":2:1: the quote that opens here is never closed"},
      {"1,2\n\"3\"4,5\n", {0}, TCT_BAD_DATA, ":2:4: text follows a closing quote"},
      {"1,2\n3\"4,5\n", {0}, TCT_BAD_DATA, ":2:2: a quote inside an unquoted cell"},
      {"\"a\nb\",y\n\"1\n\",2\n1,x2\nz,4\n", {0}, TCT_BAD_DATA, ":3:1: '1\n' in column"},
      {"a,price\n1,2\n", {.target = "prices"}, TCT_NOT_FOUND, "did you mean 'price'?"},
      {"a,a\n1,2\n", {.target = "a"}, TCT_BAD_DATA, "columns 0 and 1 are both named 'a'"},
      {"1,2\n", {.target = "2"}, TCT_INVALID, "target column 2, the file has 2 columns"},
      {"1,2\n", {.target = "-3"}, TCT_INVALID, "target column -3"},
      {"1,2\n", {.target = "y", .header = TCT_OFF}, TCT_INVALID, "is a name, the file is read without a header"},
      {"1,2\n", {.delimiter = '"'}, TCT_INVALID, "the delimiter"},
      {"1,2\n", {.dtype = TCT_I32}, TCT_INVALID, "needs f32 or f64"},
      {"a,price\n1,2\n", {.target = "elsewhere"}, TCT_NOT_FOUND, "no column is named 'elsewhere'; the header has 2"},
      {"1,2\n100000000000000000000000000000000000000000000000.5,5\n", {0}, TCT_BAD_DATA,
       ":2:1: 1000000000000000000000000000000000000000 in column number 0 is not a finite f32"},
      {"1,2\n12345678901234567890123456789012345678901234567890x,5\n", {0}, TCT_BAD_DATA,
       "'1234567890123456789012345678901234567890' in column"},
      {"1,\"a\rb\"\n,5\n", {0}, TCT_BAD_DATA, ":3:1: column number 0 has no value"},
  };
  const int64_t before = tct_alloc_live();
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    tct_dataset *data = NULL;
    FAILS(read_text(rows[i].text, &rows[i].options, &data), rows[i].status, rows[i].message);
    CHECK(data == NULL, "row %zu", i);
  }
  tct_dataset *data = NULL;
  FAILS(read_csv("1\0,\0002\0", 6, NULL, &data), TCT_BAD_DATA, "a zero byte; the file is not text, or is UTF-16");
  FAILS(read_csv("1,\"a\0b\"\n", 8, NULL, &data), TCT_BAD_DATA, ":1:3: a zero byte in a class name");
  FAILS(tct_dataset_csv(NULL, NULL, &data), TCT_INVALID, "path is NULL");
  FAILS(tct_dataset_csv("no such file.csv", NULL, &data), TCT_NOT_FOUND, "no such file.csv");
  CHECK(tct_alloc_live() == before);
}

TEST(csv, a_test_file_must_be_of_the_training_files_kind) {
  static const struct {
    const char *text, *message;
  } rows[] = {
      {"1,2,x\n", ":1:5: the target 'x' is not a finite number, and the training file has no classes"},
      {"1,2\n", "has 1 feature columns, the training file has 2; has it a target column? Without one, set no_target"},
      {"1,2,3,4\n", "has 3 feature columns, the training file has 2"},
  };
  tct_dataset *train = NULL, *test = NULL;
  OK(read_text("1,2,3\n4,5,6\n", NULL, &train));
  const tct_csv_options like = {.like = train};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    FAILS(read_text(rows[i].text, &like, &test), TCT_BAD_DATA, rows[i].message);
  }
  OK(read_text("7,8,9\n", &like, &test));
  tct_dataset_free(test);
  tct_dataset_free(train);
}

TEST(csv, more_classes_than_any_target_has) {
  enum { N = 65537 };
  char *const text = malloc(N * 16);
  size_t n = 0;
  for (int i = 0; i < N; i++) n += (size_t)sprintf(text + n, "1,c%06d\n", i);
  tct_dataset *data = NULL;
  FAILS(read_csv(text, n, NULL, &data), TCT_BAD_DATA, "more than 65536 different values; is it the right column?");
  OK(read_csv(text, n - 10, NULL, &data));
  CHECK(tct_dataset_n_classes(data) == 65536);
  tct_dataset_free(data);
  free(text);
}

TEST(csv, many_rows_and_classes) {
  enum { N = 20000 };
  char *const text = malloc(N * 32);
  size_t n = 0;
  for (int i = 0; i < N; i++) n += (size_t)sprintf(text + n, "%d,%d,c%03d\n", i, -i, i % 700);
  tct_dataset *data = NULL;
  OK(read_csv(text, n, NULL, &data));
  free(text);
  CHECK(tct_dataset_samples(data) == N && tct_dataset_n_classes(data) == 700);
  double row[3];
  for (int64_t i = 0; i < N; i += 977) {
    get_row(data, i, row);
    CHECK(row[0] == (double)i && row[1] == (double)-i && row[2] == (double)(i % 700), "row %lld", (long long)i);
  }
  tct_dataset_free(data);
}

TEST(csv, real_tables) {
  SKIP_WITHOUT_DATA();
  static const struct {
    const char *name;
    tct_csv_options options;
    int64_t n, features;
    int32_t classes;
    double mean_0; /* of the first feature */
  } rows[] = {
      {"tabular/iris.csv", {0}, 150, 4, 3, 5.843333333333},
      {"tabular/wine.csv", {.classes = TCT_ON}, 178, 13, 3, 13.000617977528},
      {"tabular/housing.csv", {0}, 506, 13, 0, 3.613523557312},
      {"tabular/pima-indians-diabetes.csv", {.classes = TCT_ON}, 768, 8, 2, 3.845052083333},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char path[512];
    tct_dataset *data = NULL;
    tct_csv_options options = rows[i].options;
    options.dtype = TCT_F64;
    OK(tct_dataset_csv(real_path(path, rows[i].name), &options, &data));
    CHECK(tct_dataset_samples(data) == rows[i].n, "%s: %lld", rows[i].name, (long long)tct_dataset_samples(data));
    CHECK(tct_dataset_field(data, 0)->shape.dim[0] == rows[i].features, "%s", rows[i].name);
    CHECK(tct_dataset_n_classes(data) == rows[i].classes, "%s", rows[i].name);
    double mean[16], std[16];
    OK(tct_dataset_moments(data, 0, mean, std));
    CHECK(fabs(mean[0] - rows[i].mean_0) < 1e-9, "%s: %.12f", rows[i].name, mean[0]);
    tct_dataset_free(data);
  }
}
