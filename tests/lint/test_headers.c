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
           "runtime/*/*.h kernels/common/*.h kernels/ref/*.h");
}

static char *exported; /* "\ntct_add\ntct_…\n" */

static void read_exported(void) {
  FILE *const nm = popen("nm -D --defined-only '" TCT_BINARY_DIR "/libtercet.so'", "r");
  CHECK(nm != NULL);
  char line[512];
  size_t length = 0, capacity = 1 << 20;
  exported = malloc(capacity);
  CHECK(exported != NULL);
  exported[length++] = '\n';
  while (fgets(line, sizeof line, nm) != NULL) {
    const char *const name = strrchr(line, ' ');
    CHECK(name != NULL && length + strlen(name) + 1 < capacity);
    length += (size_t)snprintf(exported + length, capacity - length, "%s", name + 1);
  }
  CHECK(pclose(nm) == 0, "nm cannot read libtercet.so");
}

TEST(lint, exports_prefix) {
  read_exported();
  int n = 0;
  for (char *name = strtok(exported, "\n"); name != NULL; name = strtok(NULL, "\n"), n++)
    CHECK(strncmp(name, "tct_", 4) == 0, "libtercet.so exports %s", name);
  CHECK(n > 100, "only %d symbols", n);
  free(exported);
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
  read_exported();
  CHECK(tree_walk("include", ".h", check_declared, &n_declared) >= 10);
  CHECK(n_declared > 150, "found only %d declarations", n_declared);
  free(exported);
}
