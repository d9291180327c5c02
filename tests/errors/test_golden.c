/* The texts of errors, to the letter, as a user of the command meets them: golden.txt has the cases. */
#include <sys/wait.h>
#include <tercet/tercet.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "faults.h"
#include "io/npy.h"
#include "io/safetensors.h"
#include "lint/tree.h"
#include "test.h"

/* ---- the files that the cases meet ---- */

static char folder[SCRATCH_BYTES];

static const char *in_folder(const char *name) {
  static char path[SCRATCH_BYTES + 64];
  (void)snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void write_file(const char *name, const void *data, size_t bytes) {
  const tct_file_part part = {data, bytes};
  OK(tct_file_write_atomic(in_folder(name), &part, 1));
}

static void write_text(const char *name, const char *text) {
  write_file(name, text, strlen(text));
}

static void write_npy(const char *name, tct_dtype dtype, tct_shape shape, const void *data) {
  OK(tct_npy_write(in_folder(name), &(tct_desc){dtype, shape}, data));
}

/* Six samples: x [4], images [4,4], classes 0 1 2 0 1 2 in every way in which they are stored. */
static void write_arrays(void) {
  static const int32_t classes[6] = {0, 1, 2, 0, 1, 2};
  float x[24], nan[24] = {0}, huge[24], onehot[18] = {0}, floats[6], zero[96] = {0};
  for (int i = 0; i < 24; i++) {
    x[i] = (float)i / 24;
    huge[i] = 1e30f;
  }
  for (int i = 0; i < 6; i++) {
    onehot[3 * i + classes[i]] = 1;
    floats[i] = (float)classes[i];
  }
  nan[14] = NAN;
  write_npy("x.npy", TCT_F32, TCT_SHAPE(6, 4), x);
  write_npy("nan.npy", TCT_F32, TCT_SHAPE(6, 4), nan);
  write_npy("huge.npy", TCT_F32, TCT_SHAPE(6, 4), huge);
  write_npy("empty.npy", TCT_F32, TCT_SHAPE(0, 4), x);
  write_npy("none.npy", TCT_I32, TCT_SHAPE(0), classes);
  write_npy("images.npy", TCT_F32, TCT_SHAPE(6, 4, 4), zero);
  write_npy("classes.npy", TCT_I32, TCT_SHAPE(6), classes);
  write_npy("floats.npy", TCT_F32, TCT_SHAPE(6), floats);
  write_npy("onehot.npy", TCT_F32, TCT_SHAPE(6, 3), onehot);
  write_npy("targets.npy", TCT_F32, TCT_SHAPE(6, 1), zero);
}

static void write_idx(void) {
  static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 6, 0, 1, 2, 0, 1, 2};
  static const char page[] = "<!DOCTYPE html>\n<html><body>Not found</body></html>\n";
  /* gzip of "tercet", without its end */
  static const unsigned char cut[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x2b, 0x49, 0x2d, 0x4a, 0x4e};
  unsigned char images[16 + 96] = {0, 0, 8, 3, 0, 0, 0, 6, 0, 0, 0, 4, 0, 0, 0, 4};
  write_file("images.idx", images, sizeof images);
  write_file("labels.idx", labels, sizeof labels);
  write_file("cut.idx", images, 60);
  write_file("cut.gz", cut, sizeof cut);
  write_text("page.gz", page);
  write_text("page.safetensors", page);
  write_text("cells.csv", "a,b,y\nx,2,0\n3,nan,1\n1e99,4,1\n");
  write_text("nan.csv", "a,b,y\n1,2,0\n3,nan,1\n");
  write_text("header.csv", "a,b,y\n");
}

static void write_models(void) {
  static const float zero[8] = {0};
  const tct_named_array arrays[] = {{"dense/kernel", {TCT_F32, TCT_SHAPE(4, 2)}, zero},
                                    {"fc2/bias", {TCT_F32, TCT_SHAPE(2)}, zero}};
  static const char hostile[] = "\x57\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],"
                                "\"data_offsets\":[0,0]}}             ";
  void *file = NULL;
  size_t bytes = 0;
  OK(tct_safetensors_write(in_folder("other.safetensors"), arrays, 2, NULL, 0));
  OK(tct_file_read(in_folder("other.safetensors"), 1 << 16, &file, &bytes));
  write_file("cut.safetensors", file, 50);
  tct_release(file);
  write_file("hostile.safetensors", hostile, 8 + 0x57);
}

/* ---- the cases ---- */

/* What comes on standard error, to be freed. */
static char *run(const char *arguments, int *code) {
  char command[2 * SCRATCH_BYTES + 1024];
  size_t bytes = 0;
  void *text = NULL;
  (void)snprintf(command, sizeof command, "cd '%s' && %s/tercet %s 2>stderr.txt >stdout.txt", folder, TCT_BINARY_DIR,
                 arguments);
  *code = WEXITSTATUS(system(command));
  OK(tct_file_read(in_folder("stderr.txt"), 1 << 20, &text, &bytes));
  return text;
}

/* The text from `begin` to `end`, to be freed. */
static char *between(const char *begin, const char *end) {
  char *const text = strndup(begin, (size_t)(end - begin));
  CHECK(text != NULL);
  return text;
}

/* Runs the case between `at` and `end`; appends it to `out` as it is; returns whether it is as it should be. */
static bool run_case(const char *at, const char *end, FILE *out) {
  static const char job_mark[] = "--- job.yaml\n", exit_mark[] = "--- exit ", command_mark[] = "$ tercet ";
  char *const text = between(at, end);
  char *const title = between(text, text + strcspn(text, "\n"));
  const char *const command = strstr(text, command_mark), *const wanted = strstr(text, exit_mark);
  CHECK(command != NULL && wanted != NULL, "%s: needs a command and an exit code", title);
  char *const arguments = between(command + strlen(command_mark), strchr(command, '\n'));
  const char *const job = strstr(text, job_mark);
  if (job != NULL && job < wanted) {
    char *const content = between(job + strlen(job_mark), wanted);
    write_text("job.yaml", content);
    free(content);
  }
  int code = 0;
  char *const got = run(arguments, &code);
  char *const is = malloc(strlen(got) + 64);
  CHECK(is != NULL);
  (void)sprintf(is, "%s%d\n%s\n", exit_mark, code, got);
  if (out != NULL) (void)fprintf(out, "%.*s%s", (int)(wanted - text), text, is);
  const bool same = strcmp(wanted, is) == 0;
  if (!same) (void)fprintf(stderr, "%s\nwanted:\n%sgot:\n%s", title, wanted, is);
  tct_release(got);
  free(is);
  free(arguments);
  free(title);
  free(text);
  return same;
}

TEST(error_texts, golden) {
  char *const cases = tree_read("tests/errors/golden.txt");
  const char *const wanted_out = getenv("GOLDEN_OUT");
  FILE *const out = wanted_out != NULL ? fopen(wanted_out, "w") : NULL;
  int n = 0, n_wrong = 0;
  scratch_make(folder);
  write_arrays();
  write_idx();
  write_models();
  const char *at = strstr(cases, "\n## ");
  if (out != NULL) (void)fprintf(out, "%.*s", (int)(at + 1 - cases), cases);
  for (const char *next = NULL; at != NULL; at = next) {
    next = strstr(at + 1, "\n## ");
    n_wrong += !run_case(at + 1, next != NULL ? next + 1 : cases + strlen(cases), out);
    n++;
  }
  if (out != NULL) (void)fclose(out);
  scratch_remove(folder);
  free(cases);
  CHECK(n > 40 && n_wrong == 0, "%d of %d texts differ (above)", n_wrong, n);
}
