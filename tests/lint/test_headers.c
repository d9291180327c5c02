/* What a user's compiler and linker see: every public header compiles alone as C17 and C++17, internal ones as C17; the
 * library exports what the headers declare, and nothing but tct_ names. */
#include "lint/tree.h"
#include "test.h"

static void compiles(const char *compiler, const char *headers) {
  char command[2048];
  const int n = snprintf(command, sizeof command,
                         "cd '%s' && %s -fsyntax-only -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror "
                         "-Wno-unused-function -Iinclude -I'%s/include' -I. -Iruntime %s",
                         TCT_SOURCE_DIR, compiler, TCT_BINARY_DIR, headers);
  CHECK(n > 0 && (size_t)n < sizeof command);
  CHECK(system(command) == 0, "a header does not compile alone (above): %s", command);
}

TEST(lint, headers_c17) {
  compiles("'" TCT_CC "' -std=c17 -Wstrict-prototypes -x c", "include/tercet/*.h");
}

TEST(lint, headers_cxx17) {
  if (TCT_CXX[0] == '\0') SKIP("no C++ compiler was found when the build was configured");
  compiles("'" TCT_CXX "' -std=c++17 -x c++", "include/tercet/*.h");
}

TEST(lint, headers_internal) {
  compiles("'" TCT_CC "' -std=c17 -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -DTCT_ISA=generic -DTCT_SCALAR=float -x c",
           "runtime/*/*.h kernels/common/*.h kernels/ref/*.h kernels/cuda/kernels.h");
}

static char *exported; /* "\ntct_add\ntct_…\n" */

/* The names that `nm OPTIONS` prints for a file of the build folder. */
static void read_names(const char *options, const char *file) {
  char line[512];
  (void)snprintf(line, sizeof line, "nm %s --defined-only '" TCT_BINARY_DIR "/%s'", options, file);
  FILE *const nm = popen(line, "r");
  CHECK(nm != NULL);
  size_t length = 0, capacity = 1 << 20;
  exported = malloc(capacity);
  CHECK(exported != NULL);
  exported[length++] = '\n';
  while (fgets(line, sizeof line, nm) != NULL) {
    const char *const name = strrchr(line, ' '); /* none in the headings of an archive */
    CHECK(length + strlen(line) + 1 < capacity);
    if (name != NULL && name[-1] != 'A') length += (size_t)snprintf(exported + length, capacity - length, "%s", name + 1);
  }
  CHECK(pclose(nm) == 0, "nm cannot read %s", file);
}

/* What a program that links or loads us gets to see. The static library has internal names too, but no foreign ones. */
TEST(lint, exports_prefix) {
  static const struct {
    const char *options, *file, *prefix, *suffix;
    int least;
  } rows[] = {
      {"-D", "libtercet.so", "tct_", "@@TERCET_0", 100},
      {"-g", "libtercet.a", "tct_", "", 300},
      {"-D", "modules/template/libtercet-template.so", "tct_backend_entry", "", 1},
      {"-D", "modules/planted/libtercet-planted.so", "tct_backend_entry", "", 1},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    int n = 0;
    read_names(rows[i].options, rows[i].file);
    for (char *name = strtok(exported, "\n"); name != NULL; name = strtok(NULL, "\n"), n++) {
      if (strncmp(name, "__odr_asan.", 11) == 0) continue; /* the address sanitizer's */
      const size_t length = strlen(name), n_suffix = strlen(rows[i].suffix);
      CHECK(strncmp(name, rows[i].prefix, strlen(rows[i].prefix)) == 0 && length > n_suffix &&
                strcmp(name + length - n_suffix, rows[i].suffix) == 0,
            "%s exports %s", rows[i].file, name);
    }
    CHECK(n >= rows[i].least, "%s: only %d symbols", rows[i].file, n);
    free(exported);
  }
}

static void check_declared(void *user, const char *path, char *text) {
  int *const n_declared = user;
  tree_blank(text);
  for (char *at = strstr(text, "TCT_API"); at != NULL; at = strstr(at, "TCT_API")) {
    at += 7;
    char *const end = at + strcspn(at, ";#\\");
    if (*end != ';') continue; /* the macro's own definition, or a row's prototype */
    char *name = at;
    char *const open = at + strcspn(at, "(");
    if (open > end) continue;
    for (name = open; name > at && (name[-1] == '_' || (name[-1] >= '0' && name[-1] <= 'z' && name[-1] != '*'));) name--;
    char wanted[128];
    (void)snprintf(wanted, sizeof wanted, "\n%.*s\n", (int)(open - name), name);
    (*n_declared)++;
    CHECK(strstr(exported, wanted) != NULL, "%s:%d: %.*s is declared but not in libtercet.so", path, tree_line(text, at),
          (int)(open - name), name);
  }
}

TEST(lint, exports_declared) {
  int n_declared = 0;
  read_names("-D --without-symbol-versions", "libtercet.so");
  CHECK(tree_walk("include", ".h", check_declared, &n_declared) >= 10);
  CHECK(n_declared > 150, "found only %d declarations", n_declared);
  free(exported);
}
