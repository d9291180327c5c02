/* Walks the repository and prepares C text for searching: what stands in a comment or a string is no code. */
#include "lint/tree.h"
#include "test.h"

#include <dirent.h>

static bool has_ending(const char *name, const char *endings) {
  const size_t length = strlen(name);
  for (const char *e = endings; *e != '\0';) {
    const size_t n = strcspn(e, " ");
    if (n <= length && memcmp(name + length - n, e, n) == 0) return true;
    e += n + strspn(e + n, " ");
  }
  return false;
}

static int is_visible(const struct dirent *entry) { return entry->d_name[0] != '.'; }

char *tree_read(const char *path) {
  char full[1024];
  (void)snprintf(full, sizeof full, "%s/%s", TCT_SOURCE_DIR, path);
  FILE *const file = fopen(full, "rb");
  CHECK(file != NULL, "cannot open %s", full);
  (void)fseek(file, 0, SEEK_END);
  const long length = ftell(file);
  rewind(file);
  CHECK(length >= 0, "cannot tell the length of %s", full);
  char *const text = malloc((size_t)length + 1);
  CHECK(text != NULL);
  const size_t n = fread(text, 1, (size_t)length, file);
  (void)fclose(file);
  CHECK(n == (size_t)length, "cannot read %s", full);
  text[n] = '\0';
  return text;
}

int tree_walk(const char *folder, const char *endings, tree_fn fn, void *user) {
  char full[1024];
  (void)snprintf(full, sizeof full, "%s/%s", TCT_SOURCE_DIR, folder);
  struct dirent **entries = NULL;
  const int n_entries = scandir(full, &entries, is_visible, alphasort);
  int n = 0;
  for (int i = 0; i < n_entries; i++) {
    char path[1024];
    const int length = snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
    CHECK(length > 0 && (size_t)length < sizeof path);
    if (has_ending(entries[i]->d_name, endings)) {
      char *const text = tree_read(path);
      fn(user, path, text);
      free(text);
      n++;
    } else {
      n += tree_walk(path, endings, fn, user); /* a file that is no folder has no entries */
    }
    free(entries[i]);
  }
  free(entries);
  return n;
}

/* From the opening quote at `at` to past the closing one; the inside is blanked unless `keep`. */
static char *blank_literal(char *at, bool keep) {
  const char quote = *at++;
  while (*at != '\0' && *at != quote && *at != '\n') {
    const bool escape = *at == '\\' && at[1] != '\0';
    if (!keep) at[0] = ' ';
    if (!keep && escape) at[1] = ' ';
    at += escape ? 2 : 1;
  }
  return *at == quote ? at + 1 : at;
}

static char *blank_until(char *at, const char *end) {
  while (*at != '\0' && strncmp(at, end, strlen(end)) != 0) {
    if (*at != '\n') *at = ' ';
    at++;
  }
  return at;
}

void tree_blank(char *text) {
  bool including = false; /* on an #include line */
  for (char *at = text; *at != '\0';) {
    if (*at == '\n') including = false;
    if (strncmp(at, "#include", 8) == 0) including = true;
    if (strncmp(at, "/*", 2) == 0) {
      char *const end = blank_until(at, "*/");
      if (*end != '\0') end[0] = end[1] = ' ';
      at = *end != '\0' ? end + 2 : end;
    } else if (strncmp(at, "//", 2) == 0) {
      at = blank_until(at, "\n");
    } else if (*at == '"' || *at == '\'') {
      at = blank_literal(at, including);
    } else {
      at++;
    }
  }
}

int tree_line(const char *text, const char *at) {
  int line = 1;
  for (const char *c = text; c < at; c++) line += *c == '\n';
  return line;
}
