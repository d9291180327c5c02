/* The HTML report: sections, marks of the three kinds of numbers, escaped names, and pages of summaries that lack anything. */
#include "perf/report/number.h"
#include "perf/report/report.h"
#include "test.h"

#include <ctype.h>
#include <stdint.h>

#define SUMMARY TCT_SOURCE_DIR "/tests/perf/summaries/full.json"

static json_t *full(void) {
  json_error_t error;
  json_t *const summary = json_load_file(SUMMARY, 0, &error);
  CHECK(summary != NULL, "%s:%d: %s", SUMMARY, error.line, error.text);
  return summary;
}

/* The page as a string of malloc. */
static char *page_of(const json_t *summary) {
  char *text = NULL, why[256] = "";
  size_t n = 0;
  FILE *const to = open_memstream(&text, &n);
  CHECK(to != NULL);
  CHECK(perf_report_html(summary, to, why, sizeof why), "%s", why);
  CHECK(fclose(to) == 0);
  return text;
}

static bool holds(const char *page, const char *part) { return strstr(page, part) != NULL; }

/* Without gnuplot a page takes a millisecond. */
static char *hide_gnuplot(void) {
  const char *const path = getenv("PATH");
  char *const kept = strdup(path != NULL ? path : "");
  CHECK(setenv("PATH", "/nonexistent", 1) == 0);
  return kept;
}

static void show_gnuplot(char *kept) {
  CHECK(setenv("PATH", kept, 1) == 0);
  free(kept);
}

/* ---- well-formed: every element that must be closed is, in order, and no id stands twice ---- */

enum { DEEPEST = 64, MOST_IDS = 4000 };

typedef struct outline {
  char open[DEEPEST][24];
  char *ids[MOST_IDS];
  int depth, n_ids;
  char wrong[200];
} outline;

static bool is_void(const char *name) {
  static const char *const names[] = {"meta", "!doctype", "br"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcasecmp(name, names[i]) == 0) return true;
  return false;
}

static void note_id(outline *o, const char *tag, size_t n) {
  for (const char *at = tag; at < tag + n; at++) {
    if (strncmp(at, " id=", 4) != 0) continue;
    const char quote = at[4];
    const bool quoted = quote == '"' || quote == '\'';
    const char *const from = at + 4 + quoted, end[] = {quoted ? quote : ' ', '>', '\0'};
    char *const id = strndup(from, strcspn(from, end));
    for (int i = 0; i < o->n_ids; i++)
      if (strcmp(o->ids[i], id) == 0) (void)snprintf(o->wrong, sizeof o->wrong, "id '%.100s' stands twice", id);
    if (o->n_ids == MOST_IDS) {
      (void)snprintf(o->wrong, sizeof o->wrong, "more ids than the test holds");
      free(id);
    } else {
      o->ids[o->n_ids++] = id;
    }
  }
}

static void read_tag(outline *o, const char *tag, size_t n) {
  char name[24];
  const bool closes = tag[1] == '/';
  (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(tag + 1 + closes, " \t\n/>"), tag + 1 + closes);
  if (closes) {
    if (o->depth == 0 || strcmp(o->open[o->depth - 1], name) != 0)
      (void)snprintf(o->wrong, sizeof o->wrong, "</%s> closes <%s>", name, o->depth > 0 ? o->open[o->depth - 1] : "nothing");
    else
      o->depth--;
    return;
  }
  note_id(o, tag, n);
  if (is_void(name) || tag[n - 2] == '/') return;
  if (o->depth == DEEPEST)
    (void)snprintf(o->wrong, sizeof o->wrong, "<%s> is nested too deep", name);
  else
    (void)strcpy(o->open[o->depth++], name);
}

/* "" or what is wrong; of static memory. */
static const char *malformed(const char *page) {
  static outline o;
  o = (outline){0};
  const char *at = page;
  while (*o.wrong == '\0' && (at = strchr(at, '<')) != NULL) {
    size_t n = 1;
    for (char quote = 0; at[n] != '\0' && (quote != 0 || at[n] != '>'); n++) {
      if (quote == 0 && (at[n] == '"' || at[n] == '\'')) quote = at[n];
      else if (at[n] == quote) quote = 0;
    }
    if (!isalpha((unsigned char)at[1]) && at[1] != '/' && at[1] != '!') {
      (void)snprintf(o.wrong, sizeof o.wrong, "a bare '<' before '%.40s'", at + 1);
    } else if (strncmp(at, "<style>", 7) == 0) {
      at = strstr(at, "</style>");
      if (at == NULL) (void)snprintf(o.wrong, sizeof o.wrong, "an open <style>");
      else at += 8;
      continue;
    } else {
      read_tag(&o, at, n + 1);
    }
    at += n;
  }
  if (*o.wrong == '\0' && o.depth > 0) (void)snprintf(o.wrong, sizeof o.wrong, "<%s> stays open", o.open[o.depth - 1]);
  for (int i = 0; i < o.n_ids; i++) free(o.ids[i]);
  return o.wrong;
}

TEST(report, well_formed_checker) {
  static const struct {
    const char *page;
    bool good;
  } rows[] = {
      {"<p>a</p>", true},
      {"<meta charset=utf-8><p><b id=x>a</b></p>", true},
      {"<p title=\"a > b\">a</p>", true},
      {"<p><b>a</p></b>", false},
      {"<p>a", false},
      {"<p id=x>a</p><p id=\"x\">b</p>", false},
      {"<p>a < b</p>", false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    CHECK((*malformed(rows[i].page) == '\0') == rows[i].good, "%s: '%s'", rows[i].page, malformed(rows[i].page));
}

static void check_page(const char *page, const char *what) {
  static const char *const ids[] = {"verdict", "constraints", "quality", "time", "cost", "where", "roofline", "memory", "energy",
                                    "sweeps", "support", "systolic", "claims", "reproduce"};
  CHECK(*malformed(page) == '\0', "%s: %s", what, malformed(page));
  const char *at = page;
  for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
    char section[64];
    (void)snprintf(section, sizeof section, "<section id=%s ", ids[i]);
    const char *const found = strstr(at, section);
    CHECK(found != NULL, "%s: no section '%s' behind the one before it", what, ids[i]);
    const char *const end = strstr(found, "</section>"), *const heading = strstr(found, "</h2>");
    CHECK(end != NULL && heading != NULL && end - heading > 40, "%s: section '%s' vanishes", what, ids[i]);
    at = end;
  }
  CHECK(!holds(page, "<script") && !holds(page, "nan") && !holds(page, "(null)") && !holds(page, "inf "), "%s", what);
}

/* ---- the page of a whole summary ---- */

TEST(report, sections_and_charts) {
  static const char *const charts[] = {"quality-epochs", "quality-seconds", "loss", "step-time", "whole-time", "cold-start", "cost", "trade",
                                       "split", "roofline-0", "roofline-1", "memory", "energy", "sweep-0", "systolic-1"};
  json_t *const summary = full();
  char *const page = page_of(summary);
  check_page(page, "full.json");
  if (holds(page, "cannot be started")) SKIP("gnuplot (Debian: gnuplot-nox) is not here");
  for (size_t i = 0; i < sizeof charts / sizeof *charts; i++) {
    char figure[80];
    int n_marks = 0;
    (void)snprintf(figure, sizeof figure, "<figure id=\"chart-%s\" data-marks=", charts[i]);
    const char *const found = strstr(page, figure);
    CHECK(found != NULL && sscanf(found + strlen(figure), "%d", &n_marks) == 1 && n_marks > 0, "chart '%s': %d marks", charts[i], n_marks);
    const char *const end = found != NULL ? strstr(found, "</figure>") : NULL, *const wide = found != NULL ? strstr(found, "<svg class=wide") : NULL;
    CHECK(wide != NULL && wide < end && strstr(wide, "<svg class=narrow") < end, "chart '%s' is not there at both widths", charts[i]);
  }
  CHECK(!holds(page, "rgb(") && !holds(page, "gnuplot_") && !holds(page, "\"inherit,"), "gnuplot's own colours or ids are left");
  free(page);
  json_decref(summary);
}

TEST(report, nothing_is_loaded) {
  json_t *const summary = full();
  char *const page = page_of(summary);
  static const char xlink[] = "xmlns:xlink=\"http://www.w3.org/1999/xlink\"";
  for (const char *at = page; (at = strstr(at, "http")) != NULL; at++) {
    const bool name_space = at - page > 13 && strncmp(at - 13, xlink, sizeof xlink - 1) == 0;
    CHECK(name_space || strncmp(at, "http-equiv", 10) == 0, "%.60s", at);
  }
  CHECK(holds(page, "default-src 'none'") && !holds(page, "<link") && !holds(page, "<img") && !holds(page, "@import") && !holds(page, "src=\""));
  free(page);
  json_decref(summary);
}

/* The text of the row that begins with this device, in the table of this caption. */
static const char *row(const char *page, const char *caption, const char *device) {
  static char text[4000];
  char name[64];
  const char *const table = strstr(page, caption);
  CHECK(table != NULL, "no table '%s'", caption);
  (void)snprintf(name, sizeof name, "</i>%s", device);
  const char *const found = strstr(strstr(table, "<tbody>"), name);
  CHECK(found != NULL && found < strstr(table, "</table>"), "no row '%s' in '%s'", device, caption);
  (void)snprintf(text, sizeof text, "%.*s", (int)(strstr(found, "</tr>") - found), found);
  return text;
}

TEST(report, quoted_of_a_model) {
  json_t *const summary = full(), *const device = json_array_get(json_object_get(summary, "devices"), 2);
  (void)json_object_set_new(json_object_get(device, "quoted_from"), "of", json_string("modelled"));
  (void)json_object_set_new(device, "id", json_string("cpu")); /* of the other machine: not the one that others are compared with */
  char *const kept = hide_gnuplot(), *const page = page_of(summary);
  show_gnuplot(kept);
  const char *text = row(page, ">The devices at a glance<", "gpu (H200)&nbsp;~");
  CHECK(holds(text, "<td class=n>~57.3\xc2\xa0ms</td>") && holds(text, "quoted, of a model: H200 server, 2026-11-02"), "%s", text);
  CHECK(holds(page, "<i class=\"mark quoted c2\"></i>gpu (H200)&nbsp;~"));
  CHECK(!holds(row(page, ">Quality reached", "gpu (H200)"), "the reference") && holds(row(page, ">Quality reached", "cpu"), "the reference"));
  free(page);
  json_decref(summary);
}

TEST(report, kinds_stay_apart) {
  json_t *const summary = full();
  char *const kept = hide_gnuplot(), *const page = page_of(summary);
  const char *const glance = ">The devices at a glance<";
  show_gnuplot(kept);
  CHECK(holds(row(page, glance, "cpu"), "<td class=n>696\xc2\xa0ms</td><td class=i>[668–732]</td>"), "%s", row(page, glance, "cpu"));
  CHECK(holds(row(page, glance, "tpu:v3"), "<td class=n>~35.5\xc2\xa0ms</td>") && holds(row(page, glance, "tpu:v3"), "modelled"));
  CHECK(holds(row(page, glance, "gpu (H200)"), "quoted: H200 server, 2026-11-02") && !holds(row(page, glance, "gpu (H200)"), "~"));
  CHECK(holds(page, "<i class=\"mark measured c0\"></i>cpu") && holds(page, "<i class=\"mark modelled c1\"></i>tpu:v3&nbsp;~") &&
        holds(page, "<i class=\"mark quoted c2\"></i>gpu (H200)"));
  CHECK(holds(row(page, glance, "tpu:v1"), "refused: device &#39;tpu:v1&#39; refuses 3 ops; nothing runs elsewhere [E603]…</td>"));
  CHECK(holds(page, "absent: libcuda.so.1 is not on this machine") && holds(page, "<li>not readable: this machine shows no RAPL counter</li>"));
  CHECK(holds(page, "tpu:v3 (modelled) is better in all"));
  const char *const adam = strstr(page, "<th scope=row>adam_update</th>"), *const matmul = strstr(page, "<th scope=row>matmul</th>");
  CHECK(adam != NULL && matmul != NULL && strstr(adam, "<td class=no>✗ refused</td>") < strstr(adam, "</tr>") &&
        strstr(matmul, "<td class=na>not named</td>") < strstr(matmul, "</tr>"));
  free(page);
  json_decref(summary);
}

/* ---- names of others ---- */

/* Puts `text` in place of every string of the summary but those that choose a branch. */
static void rename_all(json_t *value, const char *text) {
  static const char *const kept[] = {"source", "status", "how", "point", "axis", "mode", "phase", "bound"};
  const char *key;
  json_t *member;
  size_t i;
  json_array_foreach(value, i, member) {
    if (json_is_string(member)) (void)json_array_set_new(value, i, json_string(text));
    else rename_all(member, text);
  }
  void *next;
  json_object_foreach_safe(value, next, key, member) {
    bool keep = false;
    for (size_t k = 0; k < sizeof kept / sizeof *kept; k++) keep = keep || strcmp(key, kept[k]) == 0;
    if (json_is_string(member) && !keep) (void)json_object_set_new(value, key, json_string(text));
    else rename_all(member, text);
  }
}

TEST(report, hostile_names) {
  static const char *const names[] = {
      "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "' onload='alert(1)", "a|b*#|c*", ("\xe2\x80\xae" "desrever"), "%s%n%d", "</style></svg></table>",
      "\xf0\x9f\x92\xbe\xf0\x9f\x92\xbe\xf0\x9f\x92\xbe\xf0\x9f\x92\xbe\xf0\x9f\x92\xbe", "@x\\\n\t\x01\x7f{/:Bold x}^2", "Q000Q Q001qqQ '", "`touch hostile`$(touch hostile)",
  };
  char *const kept = hide_gnuplot();
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (i + 3 == sizeof names / sizeof *names) show_gnuplot(kept); /* for the last three */
    json_t *const summary = full();
    rename_all(summary, names[i]);
    (void)json_object_set_new(json_object_get(summary, "job"), "name", json_string(names[i]));
    char *const page = page_of(summary);
    check_page(page, names[i]);
    CHECK(!holds(page, "<img") && !holds(page, " onload='") && !holds(page, "\xe2\x80\xae") && !holds(page, "\x01"), "'%s' came through", names[i]);
    CHECK(holds(page, "cannot be started") || !holds(page, "Not drawn"), "'%s' stops gnuplot", names[i]);
    free(page);
    json_decref(summary);
  }
  CHECK(fopen("hostile", "r") == NULL, "a name was run");
}

TEST(report, names_are_shown_as_they_are) {
  json_t *const summary = full();
  (void)json_object_set_new(json_object_get(summary, "job"), "name", json_string("a<b & \"c\""));
  (void)json_object_set_new(json_array_get(json_object_get(summary, "devices"), 0), "label", json_string("<x>&é"));
  char *const page = page_of(summary);
  CHECK(holds(page, "Which device for a&lt;b &amp; &quot;c&quot;?"));
  CHECK(holds(page, "</i>&lt;x&gt;&amp;é"));
  CHECK(holds(page, "cannot be started") || holds(page, "<text>&lt;x&gt;&amp;é</text>"), "not in the charts");
  free(page);
  json_decref(summary);
}

/* ---- summaries that lack something ---- */

/* How many values the tree has. */
static size_t count(const json_t *value) {
  size_t n = 1, i;
  const char *key;
  json_t *member;
  json_array_foreach(value, i, member) n += count(member);
  json_object_foreach((json_t *)value, key, member) n += count(member);
  return n;
}

/* Damages the value that is number *k in the tree: away, null, or of another type. */
static bool damage(json_t *value, size_t *k, int how) {
  static const char *const others[] = {NULL, "null", "17", "-1e300", "\"text\"", "\"\"", "[]", "[[]]", "{}", "true"};
  size_t i;
  const char *key;
  json_t *member;
  void *next;
  json_t *const other = others[how] != NULL ? json_loads(others[how], JSON_DECODE_ANY, NULL) : NULL;
  json_array_foreach(value, i, member) {
    if ((*k)-- == 0) {
      (void)(other != NULL ? json_array_set_new(value, i, other) : json_array_remove(value, i));
      return true;
    }
    if (damage(member, k, how)) {
      json_decref(other);
      return true;
    }
  }
  json_object_foreach_safe(value, next, key, member) {
    if ((*k)-- == 0) {
      (void)(other != NULL ? json_object_set_new(value, key, other) : json_object_del(value, key));
      return true;
    }
    if (damage(member, k, how)) {
      json_decref(other);
      return true;
    }
  }
  json_decref(other);
  return false;
}

static uint32_t draw(uint32_t *state) {
  *state = *state * 1664525U + 1013904223U;
  return *state >> 8;
}

/* Up to 12 damages at once, nearer to the root more often than chance would. */
static void damage_some(json_t *summary, uint32_t *state) {
  const int n = 1 + (int)(draw(state) % 12);
  for (int i = 0; i < n; i++) {
    const size_t most = count(summary) - 1, reach = draw(state) % 3 == 0 && most > 40 ? 40 : most;
    size_t k = reach > 0 ? draw(state) % reach : 0;
    (void)damage(summary, &k, (int)(draw(state) % 10));
  }
}

TEST(report, damaged_summaries) {
  enum { PAGES = 200, DRAWN = 3 };
  json_t *const whole = full();
  uint32_t state = 6;
  char *kept = hide_gnuplot();
  for (int i = 0; i < PAGES + DRAWN; i++) {
    if (i == PAGES) show_gnuplot(kept);
    json_t *const summary = json_deep_copy(whole);
    char what[48];
    (void)snprintf(what, sizeof what, "damaged summary %d", i);
    damage_some(summary, &state);
    char *const page = page_of(summary);
    check_page(page, what);
    CHECK(i < PAGES || holds(page, "cannot be started") || !holds(page, "Not drawn"), "%s", what);
    free(page);
    json_decref(summary);
  }
  json_decref(whole);
}

TEST(report, few_and_many) {
  static const struct {
    const char *what, *summary, *part;
  } rows[] = {
      {"nothing", "{}", "No verdict: no device was asked for."},
      {"nulls", "{\"job\":null,\"devices\":null,\"verdict\":null,\"machine\":null,\"target\":null}", "The machine is not in the data."},
      {"no device", "{\"devices\":[],\"verdict\":{\"lines\":[\"Nothing ran.\"],\"flips\":[]}}", "<p>Nothing ran.</p>"},
      {"a device without anything", "{\"devices\":[{}]}", "</i>device 1"},
      {"a device without points", "{\"devices\":[{\"id\":\"cpu\"}]}", "not run"},
      {"steps only", "{\"mode\":\"steps\",\"devices\":[{\"id\":\"cpu\",\"points\":[{\"point\":\"\",\"status\":\"done\"}]}]}", "steps were timed, and no epoch was finished"},
      {"a target as text", "{\"target\":\"val_accuracy>=0.90\"}", "Target val_accuracy &gt;= 0.90."},
      {"a target as an object", "{\"target\":{\"metric\":\"val_loss\",\"op\":\"<=\",\"value\":0.25}}", "Target val_loss &lt;= 0.25."},
      {"a target that is none", "{\"target\":\">=\"}", "<p>0 devices.</p>"},
      {"constraints", "{\"devices\":[{\"id\":\"cpu\"}],\"constraints\":[{\"name\":\"deadline\",\"limit\":\"10 min\",\"cells\":[{\"device\":\"cpu\",\"ok\":false,\"text\":\"12 min\"}]}]}",
       "deadline 10 min</th><td class=no>✗ 12 min</td>"},
      {"claims", "{\"claims\":[{\"claim\":\"GPUs are faster\",\"verdict\":\"fails\"}]}", "<td class=no>✗ fails</td>"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    json_t *const summary = json_loads(rows[i].summary, 0, NULL);
    CHECK(summary != NULL, "%s", rows[i].what);
    char *const page = page_of(summary);
    check_page(page, rows[i].what);
    CHECK(holds(page, rows[i].part), "%s: the page lacks '%s'", rows[i].what, rows[i].part);
    free(page);
    json_decref(summary);
  }
}

/* 14 devices at 200 points of two axes: the charts show ten, the tables all, and the map who wins. */
TEST(report, two_hundred_points) {
  json_t *const summary = json_pack("{s:[], s:[]}", "devices", "winners");
  for (int d = 0; d < 14; d++) {
    json_t *const points = json_array();
    for (int i = 0; i < 200; i++) {
      char point[64];
      (void)snprintf(point, sizeof point, "train.batch_size=%d,model.width=%d", 1 << (i % 10), 16 * (1 + i / 10));
      const double rate = (d + 1.0) * (1 << (i % 10));
      (void)json_array_append_new(points, json_pack("{s:s, s:s, s:{s:f, s:f, s:f, s:i, s:s}}", "point", point, "status", "done", "samples_per_second", "median", rate, "low",
                                                    0.9 * rate, "high", 1.1 * rate, "n", 5, "how", "range"));
      if (d == 0) (void)json_array_append_new(json_object_get(summary, "winners"), json_pack("{s:s, s:s}", "point", point, "device", i % 2 ? "d1" : "d2"));
    }
    char id[16];
    (void)snprintf(id, sizeof id, "d%d", d);
    (void)json_array_append_new(json_object_get(summary, "devices"), json_pack("{s:s, s:s, s:b, s:o}", "id", id, "source", d % 2 ? "modelled" : "measured", "available", 1, "points", points));
  }
  char *const page = page_of(summary);
  check_page(page, "200 points");
  CHECK(holds(page, "200 points of a sweep") && holds(page, "All 200 points") && holds(page, "The first 10 of 14 devices are drawn"));
  CHECK(holds(page, ">Who wins: train.batch_size down, model.width across<") && holds(page, "<td class=\"won c1\">"));
  CHECK(holds(page, "(0.900–1.10)"), "a range stands in round brackets");
  CHECK(holds(page, "cannot be started") || (holds(page, "chart-sweep-0") && holds(page, "chart-sweep-1")));
  free(page);
  json_decref(summary);
}

TEST(report, without_gnuplot) {
  json_t *const summary = full();
  char *const kept = hide_gnuplot(), *const page = page_of(summary);
  show_gnuplot(kept);
  check_page(page, "no gnuplot");
  CHECK(holds(page, "Not drawn: gnuplot (Debian: gnuplot-nox) cannot be started: No such file or directory. The tables have the numbers."));
  CHECK(!holds(page, "<svg") && holds(page, "Steady state: warm steps"));
  free(page);
  json_decref(summary);
}

TEST(report, failures) {
  char why[256] = "";
  json_t *const list = json_array(), *const summary = full();
  FILE *const full_disk = fopen("/dev/full", "w");
  char *const kept = hide_gnuplot();
  CHECK(!perf_report_html(list, stderr, why, sizeof why) && strcmp(why, "the summary is no JSON object") == 0, "%s", why);
  CHECK(!perf_report_html(NULL, stderr, why, sizeof why), "NULL is no summary");
  if (full_disk != NULL) {
    CHECK(!perf_report_html(summary, full_disk, why, sizeof why) && strstr(why, "cannot be written") != NULL, "%s", why);
    (void)fclose(full_disk);
  }
  show_gnuplot(kept);
  json_decref(list);
  json_decref(summary);
}

TEST(report, numbers) {
  static const struct {
    number_kind kind;
    double value;
    const char *text, *tick;
  } rows[] = {
      {NUMBER_SECONDS, 0.00123, "1.23 ms", "1.23 ms"},     {NUMBER_SECONDS, 0, "0", "0"},
      {NUMBER_SECONDS, 90, "90.0 s", "90 s"},               {NUMBER_SECONDS, 600, "10.0 min", "10 min"},
      {NUMBER_SECONDS, 7200, "2.00 h", "2 h"},              {NUMBER_SECONDS, 0.9999, "1.00 s", "1 s"},
      {NUMBER_SECONDS, 2e-10, "0.200 ns", "0.2 ns"},        {NUMBER_DOLLARS, 0.0456, "$0.0456", "$0.0456"},
      {NUMBER_DOLLARS, 1.48e-5, "14.8 µ$", "14.8 µ$"},           {NUMBER_BYTES, 1536, "1.50 KiB", "1.5 KiB"},
      {NUMBER_SHARE, 2e-5, "0.00 %", "0 %"},  {NUMBER_SHARE, 0.3146, "31.5 %", "31.5 %"},           {NUMBER_FACTOR, 3.14159, "3.14×", "3.14×"},
      {NUMBER_COUNT, 1234567, "1\u202f234\u202f567", "1\u202f234\u202f567"}, {NUMBER_PLAIN, 0.93456, "0.9346", "0.9346"},
      {NUMBER_RATE, 246000, "246 k/s", "246 k/s"},         {NUMBER_FLOPS_RATE, 8.4e10, "84.0 GFLOP/s", "84 GFLOP/s"},
      {NUMBER_JOULES, 11900, "11.9 kJ", "11.9 kJ"},        {NUMBER_PLAIN, 9.996, "10.0", "10"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char text[NUMBER_CHARS], plain[NUMBER_CHARS] = "";
    for (int k = 0; k < 2; k++) {
      (k == 0 ? number_text : number_tick)(rows[i].kind, rows[i].value, text);
      char *to = plain; /* spaces that do not break, as plain ones */
      for (const char *c = text; *c != '\0'; c++) {
        const bool space = c[0] == '\xc2' && c[1] == '\xa0';
        *to++ = space ? ' ' : *c;
        c += space;
      }
      *to = '\0';
      CHECK(strcmp(plain, k == 0 ? rows[i].text : rows[i].tick) == 0, "%g: '%s', wanted '%s'", rows[i].value, plain, k == 0 ? rows[i].text : rows[i].tick);
    }
  }
  char text[NUMBER_CHARS];
  number_text(NUMBER_SECONDS, NAN, text);
  CHECK(strcmp(text, "–") == 0, "%s", text);
}
