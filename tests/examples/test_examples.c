/* The programs of examples/, run as a user runs them, in small settings: they end well and print what they promise. */
#include "shell.h"
#include "test.h"

#include <unistd.h>

/* Runs build/example_<arguments>, keeps what it prints (both streams), and checks that it ends with `wanted`. */
static void run_example(const char *arguments, int wanted, char *out, size_t out_bytes) {
  const int code = shell(out, out_bytes, "cd '%s' && '%s'/example_%s 2>&1", TCT_SOURCE_DIR, TCT_BINARY_DIR, arguments);
  CHECK(code == wanted, "%s ended with %d:\n%s", arguments, code, out);
}

/* The number behind `label` in the output. */
static double number_after(const char *out, const char *label) {
  const char *const at = strstr(out, label);
  CHECK(at != NULL, "no '%s' in:\n%s", label, out);
  return strtod(at + strlen(label), NULL);
}

TEST(examples, graph) {
  static const char *const devices[] = {"cpu", "ref"};
  for (size_t i = 0; i < 2; i++) {
    char arguments[32], out[4096];
    (void)snprintf(arguments, sizeof arguments, "graph %s", devices[i]);
    run_example(arguments, 0, out, sizeof out);
    CHECK(strstr(out, "y = 3.000 x0 + -2.000 x1 + 0.500\n") != NULL, "%s:\n%s", devices[i], out);
  }
}

TEST(examples, graph_refusal) {
  char out[4096];
  run_example("graph gpx", 1, out, sizeof out);
  CHECK(strstr(out, "graph: ") != NULL && strstr(out, "gpx") != NULL && strstr(out, "cpu") != NULL, "%s", out);
}

TEST(examples, functional) {
  char out[8192];
  run_example("functional cpu 20", 0, out, sizeof out);
  CHECK(strstr(out, "Total params: 1,281") != NULL, "%s", out);
  CHECK(number_after(out, "test accuracy ") > 0.85, "%s", out);
}

TEST(examples, mnist) {
  char out[4096];
  run_example("mnist", 0, out, sizeof out);
  CHECK(number_after(out, "test accuracy ") > 0.8, "%s", out);
}

TEST(examples, job) {
  char arguments[256], out[8192], model[] = "/tmp/tercet-example-XXXXXX";
  const int fd = mkstemp(model);
  CHECK(fd >= 0);
  (void)close(fd);
  (void)snprintf(arguments, sizeof arguments, "job examples/glyphs.yaml %s train.epochs=1 data.samples=640 data.test.samples=200", model);
  run_example(arguments, 0, out, sizeof out);
  (void)unlink(model);
  CHECK(number_after(out, "test accuracy ") > 0.1, "%s", out);
  CHECK(strstr(out, "sample 4 is a ") != NULL, "%s", out);
}

TEST(examples, custom_op_gpu) {
  static const char *const devices[] = {"cpu", "ref", "check:cpu"};
  for (size_t i = 0; i < 3; i++) {
    char arguments[32], out[4096];
    (void)snprintf(arguments, sizeof arguments, "custom_op_gpu %s", devices[i]);
    run_example(arguments, 0, out, sizeof out);
    CHECK(strstr(out, "agrees with its reference, and its gradient with differences\n") != NULL, "%s:\n%s", devices[i], out);
  }
  char out[4096];
  run_example("custom_op_gpu cpu /no/such/file.cu", 1, out, sizeof out);
  CHECK(strstr(out, "custom_op_gpu: cannot read /no/such/file.cu") != NULL, "%s", out);
}

TEST(examples, custom_op) {
  static const char *const devices[] = {"cpu", "ref", "check:cpu"};
  for (size_t i = 0; i < 3; i++) {
    char arguments[32], out[4096];
    (void)snprintf(arguments, sizeof arguments, "custom_op %s", devices[i]);
    run_example(arguments, 0, out, sizeof out);
    CHECK(strstr(out, "snake agrees") != NULL && number_after(out, " to ") < 0.5 * number_after(out, "; loss "), "%s:\n%s",
          devices[i], out);
  }
}
