/* The lists of tests/conformance, as a mechanism: what a line covers, what a stale or malformed one does. */
#include "graphs.h"
#include "ops/conformance.h"
#include "test.h"

TEST(conformance, lines_cover_what_they_say) {
  conformance list;
  char why[700] = "";
  CHECK(conformance_parse("some.list",
                          "# a comment\n\nunsupported *_update f64 has no doubles\nfails conv2d_? f32 rounds\n"
                          "fails-gradient relu * is wrong at 0",
                          &list, why, sizeof why),
        "%s", why);
  CHECK(list.n == 3 && list.entry[0].line == 3 && strcmp(list.entry[2].reason, "is wrong at 0") == 0);
  const tct_desc f64 = {TCT_F64, TCT_SHAPE(2)}, f32 = {TCT_F32, TCT_SHAPE(2)};
  const tct_node_view update = {.op_name = "sgd_update", .n_in = 1, .in = &f64};
  const tct_node_view narrow = {.op_name = "sgd_update", .n_in = 1, .in = &f32}, other = {.op_name = "relu", .n_in = 1, .in = &f64};
  CHECK(conformance_lists_node(&list, &update) && !conformance_lists_node(&list, &narrow) && !conformance_lists_node(&list, &other));
  CHECK(conformance_lists_case(&list, CONFORMANCE_FAILS, "conv2d_1", TCT_F32));
  CHECK(!conformance_lists_case(&list, CONFORMANCE_FAILS, "conv2d_1", TCT_BF16));
  CHECK(!conformance_lists_case(&list, CONFORMANCE_FAILS_GRADIENT, "conv2d_1", TCT_F32));
  case_report report = {0};
  conformance_finish(&list, CONFORMANCE_UNSUPPORTED, &report);
  conformance_finish(&list, CONFORMANCE_FAILS, &report);
  CHECK(report.n_failed == 0, "%s", report.text);
  conformance_finish(&list, CONFORMANCE_FAILS_GRADIENT, &report);
  CHECK(report.n_failed == 1 && strstr(report.text, "some.list:5: 'fails-gradient relu *' applies to nothing") != NULL, "%s",
        report.text);
}

TEST(conformance, malformed_lines) {
  static const char *const texts[] = {"unsupported relu f32", "refuses relu f32 because", "unsupported relu", "x"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    conformance list;
    char why[700] = "";
    CHECK(!conformance_parse("bad.list", texts[i], &list, why, sizeof why), "'%s' was taken", texts[i]);
    CHECK(strstr(why, "bad.list:1: '") != NULL, "%s", why);
  }
}

TEST(conformance, a_watched_device_has_the_list_of_the_one_inside) {
  tct_device *cpu = device_make("cpu"), *watched = device_make("check:cpu"), *ref = device_make("ref");
  CHECK(conformance_of(cpu) == conformance_of(watched) && conformance_of(cpu) != conformance_of(ref));
  CHECK(conformance_of(cpu)->n > 0 && conformance_of(ref)->n == 0, "cpu lists what it lacks, the reference lacks nothing");
  tct_device_close(cpu);
  tct_device_close(watched);
  tct_device_close(ref);
}
