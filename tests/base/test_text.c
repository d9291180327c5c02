/* Text: the buffer, JSON, number parsing under foreign locales, "did you mean", the hash; environment, log and clock.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/env.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "faults.h"
#include "test.h"

#include <locale.h>

TEST(text, appends) {
  const int64_t live = tct_alloc_live();
  tct_text text = {0};
  tct_text_append(&text, "");
  tct_text_append(&text, "a");
  tct_text_append_bytes(&text, "b\0c", 3);
  tct_text_printf(&text, "%d-%s", 7, "x");
  CHECK(text.length == 7 && memcmp(text.data, "ab\0c7-x", 8) == 0 && !text.failed);
  for (int i = 0; i < 5000; i++) tct_text_printf(&text, "%04d", i);
  CHECK(text.length == 7 + 20000 && strcmp(text.data + 7 + 4 * 4321, "43214322") > 0);
  CHECK(strncmp(text.data + 7 + 4 * 4321, "43214322", 8) == 0);
  tct_text_free(&text);
  tct_text_free(&text);
  CHECK(tct_alloc_live() == live);
}

TEST(text, a_failed_allocation_sticks) {
  tct_text text = {0};
  tct_text_append(&text, "kept");
  (void)fault_alloc(1);
  for (int i = 0; i < 100; i++) tct_text_append(&text, "more");
  CHECK(fault_alloc(0) && text.failed && tct_error_status() == TCT_OUT_OF_MEMORY);
  const size_t length = text.length;
  CHECK(length >= 4 && length < 100 && strlen(text.data) == length);
  tct_text_printf(&text, "%d", 1);
  CHECK(text.length == length, "appended after the failure");
  tct_text_free(&text);
}

TEST(text, json_strings) {
  static const struct {
    const char *label, *value, *json;
  } rows[] = {
      {"empty", "", "\"\""},
      {"plain", "loss/val", "\"loss/val\""},
      {"quotes", "a\"b\\c", "\"a\\\"b\\\\c\""},
      {"controls", "\b\t\n\f\r\x01\x1F\x7F", "\"\\b\\t\\n\\f\\r\\u0001\\u001f\\u007f\""},
      {"YAML's ends of lines, and what it refuses", "\xC2\x85\xE2\x80\xA8\xE2\x80\xA9\xC2\x80\xEF\xBB\xBF\xEF\xBF\xBE\xEF\xBF\xBF",
       "\"\\u0085\\u2028\\u2029\\u0080\\ufeff\\ufffe\\uffff\""},
      {"beside those", "\xC2\xA0\xE2\x80\xA7\xE2\x80\xAA\xF0\x9F\xBF\xBE", "\"\xC2\xA0\xE2\x80\xA7\xE2\x80\xAA\xF0\x9F\xBF\xBE\""},
      {"two to four bytes", "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", "\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\""},
      {"lone continuation", "a\x80z", "\"a\xEF\xBF\xBDz\""},
      {"cut short", "\xE2\x82", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
      {"overlong", "\xC0\xAF", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
      {"overlong, three bytes", "\xE0\x80\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
      {"surrogate", "\xED\xA0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
      {"beyond U+10FFFF", "\xF4\x90\x80\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
      {"never a first byte", "\xFF", "\"\xEF\xBF\xBD\""},
  };
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    tct_text text = {0};
    tct_text_json_string(&text, rows[i].value);
    CHECK(!text.failed && strcmp(text.data, rows[i].json) == 0, "%s: %s", rows[i].label, text.data);
    CHECK(tct_json_string_bytes(rows[i].value) == text.length, "%s: %zu bytes", rows[i].label, tct_json_string_bytes(rows[i].value));
    CHECK(tct_utf8_valid(rows[i].value) == (strstr(rows[i].json, "\xEF\xBF\xBD") == NULL), "%s", rows[i].label);
    tct_text_free(&text);
  }
}

TEST(text, json_numbers_round_trip) {
  static const double values[] = {0.0, -0.0, 1.0, 0.1, 1.0 / 3.0, 1e300, 5e-324, -123456789.123456789, 0x1p53};
  tct_text text = {0};
  for (size_t i = 0; i < TCT_COUNT_OF(values); i++) {
    text.length = 0;
    tct_text_json_number(&text, values[i]);
    double back = 1.5;
    CHECK(tct_parse_double(text.data, text.length, &back), "%s", text.data);
    CHECK(back == values[i] && signbit(back) == signbit(values[i]), "%s", text.data);
  }
  text.length = 0;
  tct_text_json_number(&text, (double)NAN);
  tct_text_json_number(&text, (double)-INFINITY);
  CHECK(strcmp(text.data, "nullnull") == 0);
  tct_text_free(&text);
}

TEST(text, parses_doubles) {
  static const struct {
    const char *text;
    double value;
  } good[] = {
      {"0", 0.0},
      {"-0", -0.0},
      {"+1", 1.0},
      {"1.", 1.0},
      {".5", 0.5},
      {"-.5e1", -5.0},
      {"1e5", 1e5},
      {"1E+05", 1e5},
      {"25e-2", 0.25},
      {"0.1", 0.1},
      {"123456.789", 123456.789},
      {"9007199254740993", 9007199254740992.0},
      {"3.14159265358979323846264338327950288", 3.14159265358979323846},
      {"1e22", 1e22},
      {"1e23", 1e23},
      {"1.7976931348623157e308", 1.7976931348623157e308},
      {"5e-324", 5e-324},
      {"1e-400", 0.0},
      {"0e999999999999", 0.0},
      {"2.2250738585072011e-308", 2.2250738585072011e-308},
      {"00012.50", 12.5},
      {"8.41e-7", 8.41e-7},
  };
  static const char *const bad[] = {"",
                                    "+",
                                    "-",
                                    ".",
                                    "e5",
                                    "1e",
                                    "1e+",
                                    "1.2.3",
                                    " 1",
                                    "1 ",
                                    "1,5",
                                    "inf",
                                    "nan",
                                    "NaN",
                                    "-inf",
                                    "infinity",
                                    "0x10",
                                    "1e400",
                                    "-1e999999999999999999",
                                    "1f",
                                    "--1",
                                    "1e5.0"};
  double got = 0;
  for (size_t i = 0; i < TCT_COUNT_OF(good); i++) {
    CHECK(tct_parse_double(good[i].text, strlen(good[i].text), &got), "'%s' is refused", good[i].text);
    CHECK(got == good[i].value && signbit(got) == signbit(good[i].value), "'%s' is %.17g", good[i].text, got);
  }
  for (size_t i = 0; i < TCT_COUNT_OF(bad); i++)
    CHECK(!tct_parse_double(bad[i], strlen(bad[i]), &got), "'%s' is %.17g", bad[i], got);
  CHECK(tct_parse_double("12345", 3, &got) && got == 123.0, "reads beyond the length");
  char digits[1200];
  memset(digits, '0', sizeof digits);
  digits[999] = '7';
  CHECK(tct_parse_double(digits, 1000, &got) && got == 7.0);
  CHECK(!tct_parse_double(digits, 1001, &got));
}

/* The short way against strtod on many numbers of every form. */
TEST(text, parses_doubles_as_strtod_does) {
  uint64_t state = 12345;
  for (int i = 0; i < 20000; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    char text[64];
    const uint64_t digits = (state >> 20) >> ((state >> 8) % 44);
    const int power = (int)((state >> 14) % 60) - 30;
    (void)snprintf(text, sizeof text, i % 2 ? "%llu.%03llue%d" : "%llu%llue%d", (unsigned long long)digits,
                   (unsigned long long)(state % 1000), power);
    double got = 0;
    const double wanted = strtod(text, NULL);
    CHECK(tct_parse_double(text, strlen(text), &got) && got == wanted, "'%s': %.17g, wanted %.17g", text, got, wanted);
  }
}

TEST(text, parses_integers) {
  static const struct {
    const char *text;
    int64_t value;
  } good[] = {{"0", 0},
              {"-0", 0},
              {"+7", 7},
              {"0012", 12},
              {"9223372036854775807", INT64_MAX},
              {"-9223372036854775808", INT64_MIN}};
  static const char *const bad[] = {"",
                                    "+",
                                    "-",
                                    "1.0",
                                    "1e3",
                                    " 1",
                                    "1 ",
                                    "0x1",
                                    "9223372036854775808",
                                    "-9223372036854775809",
                                    "99999999999999999999",
                                    "abc"};
  int64_t got = 0;
  for (size_t i = 0; i < TCT_COUNT_OF(good); i++)
    CHECK(tct_parse_i64(good[i].text, strlen(good[i].text), &got) && got == good[i].value, "'%s'", good[i].text);
  for (size_t i = 0; i < TCT_COUNT_OF(bad); i++) CHECK(!tct_parse_i64(bad[i], strlen(bad[i]), &got), "'%s'", bad[i]);
  CHECK(tct_parse_i64("125", 2, &got) && got == 12);
}

/* A host program with a decimal comma must not change our files. */
TEST(text, ignores_the_locale) {
  static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "nl_NL.UTF-8", "ru_RU.UTF-8"};
  const char *set = NULL;
  for (size_t i = 0; i < TCT_COUNT_OF(names) && !set; i++) set = setlocale(LC_ALL, names[i]);
  if (!set) SKIP("no locale with a decimal comma is installed");
  double got = 0;
  tct_text text = {0};
  tct_text_json_number(&text, 1.5);
  tct_text_printf(&text, " %.2f", 2.25);
  const bool parsed = tct_parse_double("1.2345678901234567890123", 24, &got);
  (void)setlocale(LC_ALL, "C");
  CHECK(strcmp(text.data, "1.5 2.25") == 0, "%s", text.data);
  CHECK(parsed && got == 1.2345678901234567890123);
  tct_text_free(&text);
}

TEST(text, nearest_name) {
  static const char *const names[] = {"dense", "conv2d", "flatten", "dropout", "lr", "relu", "batch_norm"};
  static const struct {
    const char *word, *nearest;
  } rows[] = {
      {"dense", "dense"},
      {"Dense", "dense"},
      {"desne", "dense"},
      {"conv2", "conv2d"},
      {"con2d", "conv2d"},
      {"RELU", "relu"},
      {"batchnorm", "batch_norm"},
      {"drpout", "dropout"},
      {"l", NULL},
      {"lstm", NULL},
      {"xyz", NULL},
      {"", NULL},
  };
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    const char *const got = tct_nearest(rows[i].word, names, TCT_COUNT_OF(names));
    const bool right = rows[i].nearest ? got && strcmp(got, rows[i].nearest) == 0 : !got;
    CHECK(right, "'%s' gives '%s'", rows[i].word, got ? got : "nothing");
  }
  char word[200];
  memset(word, 'x', sizeof word);
  word[sizeof word - 1] = '\0';
  CHECK(tct_nearest(word, names, TCT_COUNT_OF(names)) == NULL);
  const char *const long_names[] = {word, "xxxy"};
  CHECK(strcmp(tct_nearest("xxxx", long_names, 2), "xxxy") == 0);
}

/* Vectors of the FNV specification (64 bit, 1a). */
TEST(text, hash_is_fnv_1a) {
  CHECK(tct_hash("", 0) == 0xcbf29ce484222325u);
  CHECK(tct_hash("a", 1) == 0xaf63dc4c8601ec8cu);
  CHECK(tct_hash("foobar", 6) == 0x85944171f73967e8u);
}

TEST(env, table_and_lists) {
  CHECK(unsetenv("TERCET_DISABLE") == 0);
  CHECK(strcmp(tct_env(TCT_ENV_DISABLE), "") == 0);
  CHECK(setenv("TERCET_DISABLE", "gemm", 1) == 0);
  CHECK(strcmp(tct_env(TCT_ENV_DISABLE), "gemm") == 0);
  CHECK(unsetenv("TERCET_DISABLE") == 0);
  for (int i = 0; i < TCT_N_ENV; i++) {
    const char *const name = tct_env_table[i].name;
    CHECK(name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0' && tct_env_table[i].what[0] != '\0', "row %d", i);
    CHECK(tct_env_table[i].fallback != NULL, "row %d", i);
  }
  static const struct {
    const char *list, *word;
    bool has;
  } rows[] = {
      {"", "a", false},       {"a", "a", true},       {"ab", "a", false},     {"b,a", "a", true},
      {" b , a ", "a", true}, {"b,,a", "a", true},    {"ba,ab", "a", false},  {"a", "", false},
      {",", "", false},       {"fuse", "fus", false}, {"x y,z", "x y", true},
  };
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++)
    CHECK(tct_list_has(rows[i].list, rows[i].word) == rows[i].has, "'%s' in '%s'", rows[i].word, rows[i].list);
}

static void keep_line(void *user, tct_log_level level, const char *line) {
  tct_text_printf(user, "%d:%s|", (int)level, line);
}

TEST(log, lines_reach_the_callback) {
  tct_text text = {0};
  tct_set_log(NULL, NULL, TCT_LOG_DEBUG); /* in one process with the others a test before may have listened */
  tct_log_line(TCT_LOG_ERROR, "nobody listens");
  CHECK(!tct_log_wants(TCT_LOG_ERROR));
  tct_set_log(keep_line, &text, TCT_LOG_INFO);
  CHECK(tct_log_wants(TCT_LOG_ERROR) && tct_log_wants(TCT_LOG_INFO) && !tct_log_wants(TCT_LOG_DEBUG));
  tct_log_line(TCT_LOG_INFO, "epoch %d", 1);
  tct_log_line(TCT_LOG_DEBUG, "too much");
  tct_log_line(TCT_LOG_WARNING, "two\nlines\n");
  CHECK(strcmp(text.data, "2:epoch 1|1:two|1:lines|") == 0, "%s", text.data);
  char *const big = malloc(10000);
  CHECK(big != NULL);
  memset(big, 'x', 9999);
  big[9999] = '\0';
  text.length = 0;
  tct_log_line(TCT_LOG_INFO, "%s", big);
  CHECK(text.length > 4000 && text.length < 4100 && strstr(text.data, "x\xE2\x80\xA6|") != NULL, "%zu bytes",
        text.length);
  free(big);
  tct_set_log(NULL, NULL, TCT_LOG_DEBUG);
  CHECK(!tct_log_wants(TCT_LOG_ERROR));
  tct_text_free(&text);
}

static int64_t seven_ns(void) {
  return 7;
}
static uint64_t nine(void) {
  return 9;
}

TEST(clock, runs_and_can_be_replaced) {
  const int64_t begin = tct_clock_ns();
  CHECK(begin > 0 && tct_clock_ns() >= begin);
  CHECK(tct_realtime_ns() > INT64_C(1500000000) * 1000000000, "the date is before 2017");
  CHECK(tct_entropy() != tct_entropy());
  static const tct_clock_calls fixed = {seven_ns, seven_ns, nine};
  tct_set_clock_calls(&fixed);
  CHECK(tct_clock_ns() == 7 && tct_realtime_ns() == 7 && tct_entropy() == 9);
  tct_set_clock_calls(NULL);
  CHECK(tct_clock_ns() >= begin);
}
