/* The documentation is true where a machine can tell: the README's programs and job file are the files of examples/, links
 * lead somewhere, and the quick start is as short as promised. */
#include "lint/tree.h"
#include "test.h"

/* The document's fenced block of `language` that begins right below the line "<!-- PATH -->", to be freed. */
static char *block_of(const char *document, const char *path, const char *language) {
  char mark[256];
  char *const text = tree_read(document);
  (void)snprintf(mark, sizeof mark, "<!-- %s -->\n```%s\n", path, language);
  const char *const at = strstr(text, mark);
  CHECK(at != NULL, "%s has no block of %s below '<!-- %s -->'", document, language, path);
  const char *const begin = at + strlen(mark);
  const char *const end = strstr(begin, "```\n");
  CHECK(end != NULL, "%s: the block of %s does not end", document, path);
  char *const block = strndup(begin, (size_t)(end - begin));
  CHECK(block != NULL);
  free(text);
  return block;
}

TEST(lint, readme_examples) {
  static const struct {
    const char *path, *language;
  } rows[] = {{"examples/mnist.c", "c"}, {"examples/glyphs.yaml", "yaml"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char *const block = block_of("README.md", rows[i].path, rows[i].language);
    char *const file = tree_read(rows[i].path);
    CHECK(strcmp(block, file) == 0, "README.md and %s differ; copy the file into the README", rows[i].path);
    free(block);
    free(file);
  }
}

TEST(lint, mnist_in_40_lines) {
  char *const text = tree_read("examples/mnist.c");
  int lines = 0;
  tree_blank(text);
  for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) lines += line[strspn(line, " ")] != '\0';
  free(text);
  CHECK(lines > 20 && lines < 40, "examples/mnist.c has %d lines of code, needs less than 40", lines);
}

static void check_links(void *user, const char *path, char *text) {
  int *const n_links = user;
  for (const char *at = strstr(text, "]("); at != NULL; at = strstr(at + 1, "](")) {
    const size_t n = strcspn(at + 2, ")# \n");
    if (n == 0 || strncmp(at + 2, "http", 4) == 0) continue;
    char full[1024];
    const char *const slash = strrchr(path, '/');
    (void)snprintf(full, sizeof full, "%s/%.*s%.*s", TCT_SOURCE_DIR, slash != NULL ? (int)(slash - path + 1) : 0, path, (int)n,
                   at + 2);
    FILE *const file = fopen(full, "rb");
    CHECK(file != NULL, "%s:%d: the link %.*s leads nowhere", path, tree_line(text, at), (int)n, at + 2);
    (void)fclose(file);
    (*n_links)++;
  }
}

TEST(lint, links) {
  int n_links = 0;
  char *const readme = tree_read("README.md");
  check_links(&n_links, "README.md", readme);
  free(readme);
  CHECK(tree_walk("docs", ".md", check_links, &n_links) > 0);
  CHECK(n_links > 3, "found only %d links", n_links);
}

/* The schema of job files is made of the tables that jobs are read by. */
TEST(lint, job_schema) {
  if (system("python3 -c '' 2>/dev/null") != 0) SKIP("needs python3");
  CHECK(system("'" TCT_SOURCE_DIR "/.ci/job_schema.py' --check") == 0, "docs/job-schema.json is stale (above)");
}
