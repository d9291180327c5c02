/* Trees of job files: what the reader refuses and where, which paths an override takes, and printing that reads back. */
#include "io/yaml.h"

#include "base/alloc.h"
#include "base/arena.h"
#include "base/status.h"
#include "faults.h"
#include "test.h"

static tct_status parse(tct_arena *arena, const char *text, tct_yaml **out) {
  return tct_yaml_parse(arena, text, strlen(text), "job.yaml", 0, out);
}

TEST(yaml, refusals_name_line_and_column) {
  static const struct {
    const char *text, *message;
  } rows[] = {
      {"\"a\\0b\": 1\n", "job.yaml:1:1: a key with a zero byte"},
      {"a: \"b\\0c\"\n", "job.yaml:1:4: a text with a zero byte"},
      {"a:\n  \tb: 2\n", "indent with blanks, not with tabs"},
      {"a: [1,\n   ", "did not find expected"},
      {"a: 1\rb: [1\rc: }\r", "job.yaml:3:"},
      {"a: &x [1]\n", "anchors"},
      {"a: !t {b: 1}\n", "tags"},
      {"&x a: 1\n", "anchors"},
      {"a: {[1]: 2}\n", "a key must be plain text"},
      {"a: \xff\n", "a job file is UTF-8 text"},
      {"a\n---\nb\n", "a second document"},
  };
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    tct_arena arena = {0};
    tct_yaml *root = NULL;
    FAILS(parse(&arena, rows[i].text, &root), TCT_INVALID, rows[i].message);
    CHECK(root == NULL, "row %zu", i);
    tct_arena_free(&arena);
  }
  tct_arena arena = {0};
  tct_yaml *root = NULL;
  FAILS(tct_yaml_parse(&arena, "", (size_t)(64 << 20) + 1, "job.yaml", 0, &root), TCT_INVALID, "67108865 bytes; a job file has at most 64 MiB");
}

TEST(yaml, null_is_plain_and_empty_documents_are_mappings) {
  static const struct {
    const char *text;
    bool null;
  } rows[] = {{"a:", true}, {"a: ~", true}, {"a: null", true}, {"a: ''", false}, {"a: \"~\"", false}, {"a: nil", false}, {"a: []", false}};
  tct_arena arena = {0};
  tct_yaml *root = NULL;
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    OK(parse(&arena, rows[i].text, &root));
    CHECK(tct_yaml_is_null(tct_yaml_get(root, "a")) == rows[i].null, "%s", rows[i].text);
  }
  CHECK(tct_yaml_is_null(NULL) && tct_yaml_get(NULL, "a") == NULL && tct_yaml_get(root->first, "a") == NULL);
  OK(parse(&arena, "# nothing\n", &root));
  CHECK(root->kind == TCT_YAML_MAP && root->n == 0 && root->line == 1);
  tct_arena_free(&arena);
}

TEST(yaml, keys_are_removed_wherever_they_stand) {
  static const struct {
    const char *key, *left;
  } rows[] = {{"a", "b: 2\nc: 3\n"}, {"b", "a: 1\nc: 3\n"}, {"c", "a: 1\nb: 2\n"}, {"d", "a: 1\nb: 2\nc: 3\n"}};
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    tct_arena arena = {0};
    tct_text text = {0};
    tct_yaml *root = NULL;
    OK(parse(&arena, "a: 1\nb: 2\nc: 3\n", &root));
    tct_yaml_remove(root, rows[i].key);
    tct_yaml_print(root, &text);
    CHECK(strcmp(text.data, rows[i].left) == 0, "%s", text.data);
    OK(tct_yaml_add(&arena, root, "e", tct_yaml_new(&arena, TCT_YAML_SCALAR, "5"))); /* the list's end is known */
    CHECK(strcmp(root->last->key, "e") == 0 && root->last->next == NULL);
    tct_text_free(&text);
    tct_arena_free(&arena);
  }
}

/* ---- overrides ----------------------------------------------------------------------------------------- */

#define TREE "m:\n  l:\n    - A: {u: 1, name: one}\n    - B\n    - {type: C, u: 3}\n    - D: [1]\n    - [7, 8]\n    - E: {u: 5}\n      name: {x: 1}\n  n:\n"

TEST(yaml, overrides_take_these_paths) {
  static const struct {
    const char *tree, *set, *printed;
  } rows[] = {
      {TREE, "m.l[0].u=9", "- A:\n        u: 9\n"},
      {TREE, "m.l[0].A.u=9", "- A:\n        u: 9\n"},
      {TREE, "m.l.one.u=9", "- A:\n        u: 9\n"},
      {TREE, "m.l[2].u=9", "type: C\n      u: 9\n"},
      {TREE, "m.l[4][1]=9", "[7, 9]"},
      {TREE, "m.l[5].name=9", "name: 9"},
      {TREE, "m.l[3].D=9", "- D: 9\n"},
      {TREE, "m.l[3].u=9", "- D: [1]\n      u: 9\n"},
      {TREE, "m.n.new.deep=9", "  n:\n    new:\n      deep: 9\n"},
      {TREE, "m.n=", "  n: null\n"},
      {TREE, "m.n={}", "  n: {}\n"},
      {TREE, "m=[]", "m: []\n"},
      {"- 1\n- 2\n", "1=9", "- 1\n- 9\n"},
      {"a: 1\n", "b=\"\"", "b: \"\"\n"},
      {"a: 1\n", "b=\"=x\"", "b: \"=x\"\n"},
      {"a: 1\n", "b='-'", "b: \"-\"\n"},
      {"a: 1\n", "b=a b", "b: \"a b\"\n"},
      {"a: 1\n", "b={\"\": 1}", "\"\": 1\n"},
      {"a: 1\n", "b=[[[1], 2], 3]", "b:\n"},
      {"a: 1\n", "b={\"c d\": [[1], {e: 2}]}", "b:\n  \"c d\":\n    - [1]\n    - e: 2\n"},
  };
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    tct_arena arena = {0};
    tct_text text = {0}, again = {0};
    tct_yaml *root = NULL;
    OK(parse(&arena, rows[i].tree, &root));
    OK(tct_yaml_override(&arena, root, rows[i].set, 1));
    tct_yaml_print(root, &text);
    CHECK(strstr(text.data, rows[i].printed) != NULL, "%s: lacks '%s':\n%s", rows[i].set, rows[i].printed, text.data);
    OK(parse(&arena, text.data, &root));
    tct_yaml_print(root, &again);
    CHECK(strcmp(again.data, text.data) == 0, "%s: printed\n%s\nread and printed again\n%s", rows[i].set, text.data, again.data);
    tct_text_free(&again);
    tct_text_free(&text);
    tct_arena_free(&arena);
  }
}

TEST(yaml, overrides_refuse_these_paths) {
  static const char *const malformed[] = {"", ".a", "[0]", "]", "a.", "a..b", "a.[0]", "a.]", "a]", "a[", "a[x]", "a[]", "a[1", "a[1[2]]",
                                          "a[1]b", "a[1]]", "a[1.2]", "a[-1]", "a[:]"};
  static const struct {
    const char *tree, *set, *message;
  } rows[] = {
      {"- 1\n", "7=9", "--set '7=9': '' has no item '7'; it has 1, numbered from 0"},
      {"just text\n", "a=9", "--set 'a=9': '' is 'just text', which has no 'a' in it"},
      {TREE, "m.l[1].u=9", "'m.l[1]' is 'B', which has no 'u' in it"},
      {TREE, "m.l.two.u=9", "'m.l' has no item 'two'; it has 6"},
      {TREE, "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q=9", "the path is too deep at 'q'"},
      {TREE, "m", "needs path=value"},
      {TREE, "m.\xff=9", "UTF-8"},
      {TREE, "m=[", "--set 'm=['"},
  };
  tct_arena arena = {0};
  tct_yaml *root = NULL;
  for (size_t i = 0; i < TCT_COUNT_OF(malformed); i++) {
    char set[64];
    (void)snprintf(set, sizeof set, "%s=1", malformed[i]);
    OK(parse(&arena, TREE, &root));
    FAILS(tct_yaml_override(&arena, root, set, 1), TCT_INVALID, "is not a path; needs names joined by dots");
  }
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    OK(parse(&arena, rows[i].tree, &root));
    FAILS(tct_yaml_override(&arena, root, rows[i].set, 1), TCT_INVALID, rows[i].message);
  }
  tct_text many = {0};
  for (int i = 0; i < 1000; i++) tct_text_printf(&many, "k%d: 1\n", i);
  OK(parse(&arena, many.data, &root));
  FAILS(tct_yaml_override(&arena, root, "one_more=1", 1), TCT_INVALID, "no room for one more key, 'one_more'");
  OK(tct_yaml_override(&arena, root, "k7=2", 1));
  tct_text_free(&many);
  tct_arena_free(&arena);
}

/* An override may put a tree of full depth below a path of its own; a path for messages then ends early. */
TEST(yaml, paths_of_the_deepest_node_end) {
  tct_arena arena = {0};
  tct_text set = {0}, path = {0};
  tct_yaml *root = NULL;
  OK(parse(&arena, "a: 1\n", &root));
  tct_text_append(&set, "a.b.c.d.e=");
  for (int i = 0; i < 31; i++) tct_text_append(&set, "[");
  tct_text_append(&set, "7");
  for (int i = 0; i < 31; i++) tct_text_append(&set, "]");
  OK(tct_yaml_override(&arena, root, "a={}", 1));
  OK(tct_yaml_override(&arena, root, set.data, 1));
  const tct_yaml *node = root;
  while (node->first != NULL) node = node->first;
  tct_yaml_path(node, &path);
  CHECK(strcmp(node->text, "7") == 0 && strstr(path.data, "e[0][0]") != NULL && strchr(path.data, 'a') == NULL, "%s", path.data);
  tct_text_free(&path);
  tct_yaml_path(root, &path);
  CHECK(path.length == 0);
  tct_text_free(&path);
  tct_text_free(&set);
  tct_arena_free(&arena);
}

TEST(yaml, scalars_are_quoted_when_they_would_read_otherwise) {
  static const struct {
    const char *text, *printed;
  } rows[] = {{"-", "\"-\""}, {"---", "\"---\""}, {"...", "\"...\""}, {"=", "\"=\""}, {"a b", "\"a b\""}, {"-1", "-1"}, {"", "null"}, {"$w", "$w"}};
  tct_arena arena = {0};
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    tct_text text = {0};
    char wanted[64];
    tct_yaml *const map = tct_yaml_new(&arena, TCT_YAML_MAP, NULL);
    OK(tct_yaml_add(&arena, map, "k", tct_yaml_new(&arena, TCT_YAML_SCALAR, rows[i].text)));
    tct_yaml_print(map, &text);
    (void)snprintf(wanted, sizeof wanted, "k: %s\n", rows[i].printed);
    CHECK(strcmp(text.data, wanted) == 0, "%s", text.data);
    tct_text_free(&text);
  }
  tct_text text = {0};
  tct_yaml_print(tct_yaml_new(&arena, TCT_YAML_MAP, NULL), &text);
  CHECK(strcmp(text.data, "{}\n") == 0, "%s", text.data);
  tct_text_free(&text);
  tct_arena_free(&arena);
}

TEST(yaml, printing_changes_nothing) {
  /* YAML's own escapes: next line, line and paragraph separator, controls, a byte order mark, the last of the plane. */
  static const char *const values[] = {"a\\Nb", "a \\L b", "\\P", "\\x7f", "\\x81", "\\uFEFFa", "\\uFFFF", "\\U0001F600", "\\_x", "\\e[31m"};
  tct_arena arena = {0};
  for (size_t i = 0; i < TCT_COUNT_OF(values); i++) {
    tct_text source = {0}, once = {0}, twice = {0};
    tct_yaml *root = NULL, *again = NULL;
    tct_text_printf(&source, "\"k%s\": \"%s\"\nl: [\"%s\"]\n", values[i], values[i], values[i]);
    OK(parse(&arena, source.data, &root));
    OK(tct_yaml_override(&arena, root, "a\xC2\x85.b\x7f=c\xE2\x80\xA8", 1));
    tct_yaml_print(root, &once);
    OK(parse(&arena, once.data, &again));
    CHECK(strcmp(again->first->key, root->first->key) == 0 && strcmp(again->first->text, root->first->text) == 0, "%s: %s", values[i], once.data);
    CHECK(tct_yaml_get(tct_yaml_get(again, "a\xC2\x85"), "b\x7f") != NULL, "%s", once.data);
    tct_yaml_print(again, &twice);
    CHECK(strcmp(once.data, twice.data) == 0, "%s: %s", once.data, twice.data);
    tct_text_free(&source);
    tct_text_free(&once);
    tct_text_free(&twice);
  }
  tct_arena_free(&arena);
}

TEST(yaml, the_longest_keys_are_read_back) {
  static const struct {
    const char *character;
    int most;
  } rows[] = {{"k", 1000}, {"\"", 500}, {"\xC3\xA4", 500}, {"\xC2\x85", 166}, {"\xE2\x80\xA8", 166}, {"\x7f", 166}};
  tct_arena arena = {0};
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    tct_text key = {0}, text = {0};
    tct_yaml *const map = tct_yaml_new(&arena, TCT_YAML_MAP, NULL);
    tct_yaml *again = NULL;
    for (int k = 0; k < rows[i].most; k++) tct_text_append(&key, rows[i].character);
    CHECK(tct_yaml_fits_key(key.data), "row %zu", i);
    OK(tct_yaml_add(&arena, map, key.data, tct_yaml_new(&arena, TCT_YAML_SCALAR, "1")));
    tct_yaml_print(map, &text);
    OK(parse(&arena, text.data, &again));
    CHECK(strcmp(again->first->key, key.data) == 0, "row %zu", i);
    tct_text_append(&key, rows[i].character);
    CHECK(!tct_yaml_fits_key(key.data), "row %zu", i);
    tct_text_free(&key);
    tct_text_free(&text);
  }
  tct_arena_free(&arena);
}

static tct_status read_and_override(const char *text) {
  tct_arena arena = {0};
  tct_text path = {0};
  tct_yaml *root = NULL;
  tct_status status = parse(&arena, text, &root);
  if (status == TCT_OK) status = tct_yaml_override(&arena, root, "m.l[0].u=", 1);
  if (status == TCT_OK) status = tct_yaml_override(&arena, root, "m.x.y=[1, {a: b}]", 1);
  tct_text_free(&path);
  tct_arena_free(&arena);
  return status;
}

TEST(yaml, every_allocation_fails_in_turn) {
  fault_pieces(true);
  bool struck = true;
  int64_t nth = 1;
  for (; struck; nth++) {
    const int64_t live = tct_alloc_live();
    (void)fault_alloc(nth);
    const tct_status status = read_and_override(TREE);
    struck = fault_alloc(0);
    CHECK(status == (struck ? TCT_OUT_OF_MEMORY : TCT_OK), "allocation %d: %s", (int)nth, tct_error_message());
    CHECK(tct_alloc_live() == live, "allocation %d leaks", (int)nth);
  }
  CHECK(nth > 50, "only %d allocations", (int)nth);
  tct_arena arena = {0};
  tct_yaml *root = NULL;
  (void)fault_alloc(1);
  const tct_status status = parse(&arena, "", &root);
  (void)fault_alloc(0);
  CHECK(status == TCT_OUT_OF_MEMORY && root == NULL);
  tct_arena_free(&arena);
  /* A path that is not there, and no memory to say which. */
  for (int i = 0; i < 2; i++) {
    OK(parse(&arena, i == 0 ? "l: [1]\n" : "l: text\n", &root));
    fault_pieces(false);
    CHECK(tct_arena_alloc(&arena, 2000) != NULL);
    (void)fault_alloc(1);
    const tct_status refused = tct_yaml_override(&arena, root, "l.x=1", 1);
    (void)fault_alloc(0);
    CHECK(refused == TCT_INVALID || refused == TCT_OUT_OF_MEMORY, "%s", tct_error_message());
    fault_pieces(true);
    tct_arena_free(&arena);
  }
  fault_pieces(false);
}
