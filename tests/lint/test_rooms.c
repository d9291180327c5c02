/* Who may include whom: docs/architecture.md's folders as a table. An include that crosses a wall fails here, with the
 * line and what its folder may include. */
#include "lint/tree.h"
#include "test.h"

/* may: space-separated; "graph/" is all of a folder, "file.h" (no slash) a neighbour, "<zlib.h>" a header outside, and
 * "<tercet/>" the whole public API. The C library's headers are open to all but the kernels, which name theirs. */
typedef struct room {
  const char *folder;
  const char *may;
  bool pure; /* kernels: no C library but what is named */
} room;

#define KERNEL_C "<math.h> <float.h> <stdint.h> <stdbool.h> <stddef.h> <string.h> "
#define KERNEL_API "<tercet/types.h> <tercet/attrs.h> <tercet/elementwise.def> <tercet/ops.def> "
#define BACKEND_API KERNEL_API "<tercet/backend.h> kernels/common/ "
#define OPERATING_SYSTEM "<dirent.h> <fcntl.h> <pthread.h> <sched.h> <strings.h> <sys/auxv.h> <sys/mman.h> <sys/stat.h> <sys/types.h> <unistd.h> "

static const room rooms[] = {
    {"include/tercet", "<tercet/> <initializer_list>", false},
    {"kernels/common", KERNEL_C "kernels/common/", true},
    {"kernels/ref", KERNEL_C KERNEL_API "kernels/common/ kernels/ref/", true},
    {"kernels/cpu", KERNEL_C KERNEL_API "kernels/common/ kernels/cpu/ <immintrin.h> <arm_neon.h>", true},
    {"kernels/cuda", KERNEL_C KERNEL_API "kernels/common/ kernels/cuda/", true},
    {"backends/ref", BACKEND_API "kernels/ref/ backends/ref/", false},
    {"backends/cpu", BACKEND_API "kernels/cpu/ backends/cpu/ <cblas.h> <dlfcn.h> <sys/mman.h>", false},
    {"backends/check", "<tercet/types.h> <tercet/attrs.h> <tercet/ops.def> <tercet/backend.h> backends/check/", false},
    {"backends/tpu", "<tercet/types.h> <tercet/attrs.h> <tercet/elementwise.def> <tercet/backend.h> <tercet/chip.h> backends/tpu/ kernels/common/", false},
    {"backends/cuda/libraries", BACKEND_API "backends/cuda/ <cublasLt.h> <cudnn.h> <nvrtc.h> <dlfcn.h> <glob.h> <link.h> <pthread.h>", false},
    {"backends/cuda/ops", BACKEND_API "<tercet/op.h> kernels/cuda/ backends/cuda/", false},
    {"backends/cuda", BACKEND_API "kernels/cuda/ backends/cuda/ <cuda.h> <nvtx3/nvToolsExt.h> <pthread.h>", false},
    {"backends/template", "<tercet/backend.h> backends/template/", false},
    {"runtime/base", "<tercet/types.h> <tercet/system.h> <tercet/version.h> <tercet/errors.h> <tercet/errors.def> base/ env.def kernels/common/half.h " OPERATING_SYSTEM, false},
    {"runtime/graph", "<tercet/> base/ graph/", false},
    {"runtime/ops", "<tercet/> base/ graph/ ops/", false},
    {"runtime/device", "<tercet/> base/ device/ <dlfcn.h> <pthread.h>", false},
    {"runtime/passes", "<tercet/> base/ graph/ device/ passes/", false},
    {"runtime/exec", "<tercet/> base/ graph/ device/ passes/ exec/ kernels/common/philox.h", false},
    {"runtime/io", "<tercet/types.h> <tercet/system.h> base/ io/ <zlib.h> <jansson.h> <yaml.h> <strings.h>", false},
    {"runtime/data", "<tercet/types.h> <tercet/data.h> base/ io/ data/ kernels/common/philox.h <pthread.h>", false},
    {"runtime/systolic", "<tercet/types.h> <tercet/systolic.h> <tercet/chip.h> base/ io/ data/ systolic/", false},
    {"runtime/nn", "<tercet/> base/ graph/ nn/", false},
    {"runtime/train", "<tercet/> base/ data/ graph/ io/ nn/ train/ <jansson.h> <strings.h>", false},
    {"tools/perf", "<tercet/> perf/ neighbours outputs.h tool.h <jansson.h> " OPERATING_SYSTEM, false},
    {"tools", "<tercet/> tools/ neighbours <jansson.h> " OPERATING_SYSTEM "<sys/ioctl.h> <sys/utsname.h> <getopt.h>", false},
    {"perf/report", "perf/report/ <jansson.h> <spawn.h> <sys/wait.h> <unistd.h>", false},
    {"perf", "<tercet/> perf/ neighbours <cblas.h> <dlfcn.h> <immintrin.h> <jansson.h> <malloc.h> <poll.h> <spawn.h> <sys/file.h> <sys/prctl.h> <sys/resource.h> <sys/wait.h> <zlib.h> " OPERATING_SYSTEM, false},
    {"examples", "<tercet/>", false},
};

static const char c_library[] = "<assert.h> <ctype.h> <errno.h> <float.h> <inttypes.h> <limits.h> <locale.h> <math.h> "
                                "<setjmp.h> <signal.h> <stdalign.h> <stdarg.h> <stdatomic.h> <stdbool.h> <stddef.h> "
                                "<stdint.h> <stdio.h> <stdlib.h> <string.h> <time.h>";

/* Whether `name` ("graph/graph.h", "<math.h>") is in the list, or below a folder of it. */
static bool listed(const char *list, const char *name) {
  for (const char *word = list; *word != '\0';) {
    const size_t n = strcspn(word, " ");
    const bool folder = n > 1 && (word[n - 1] == '/' || strncmp(word + n - 2, "/>", 2) == 0);
    const size_t compared = folder && word[n - 1] == '>' ? n - 1 : n;
    if (strncmp(name, word, compared) == 0 && (folder || name[n] == '\0')) return true;
    if (n == 10 && strncmp(word, "neighbours", n) == 0 && name[0] != '<' && strchr(name, '/') == NULL) return true;
    word += n + strspn(word + n, " ");
  }
  return false;
}

static const room *room_of(const char *path) {
  for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++) {
    const size_t n = strlen(rooms[i].folder);
    if (strncmp(path, rooms[i].folder, n) == 0 && path[n] == '/') return &rooms[i];
  }
  return NULL;
}

static bool may_include(const char *path, const char *name) {
  const room *const r = room_of(path);
  return r != NULL && (listed(r->may, name) || (!r->pure && listed(c_library, name)));
}

typedef struct findings {
  int n_includes, n_crossings;
} findings;

static void check_includes(void *user, const char *path, char *text) {
  findings *const f = user;
  tree_blank(text);
  for (const char *at = strstr(text, "#include"); at != NULL; at = strstr(at + 1, "#include")) {
    char name[256] = "";
    const char *const open = at + 8 + strspn(at + 8, " ");
    const size_t n = strcspn(open + 1, ">\"\n");
    /* "graph/graph.h" loses its quotes; <math.h> keeps its brackets */
    (void)snprintf(name, sizeof name, "%.*s", (int)(*open == '<' ? n + 2 : n), *open == '<' ? open : open + 1);
    f->n_includes++;
    if (may_include(path, name)) continue;
    f->n_crossings++;
    const room *const r = room_of(path);
    (void)fprintf(stderr, "%s:%d: includes %s; %s%s\n", path, tree_line(text, at), name,
                  r != NULL ? "its folder may include " : "its folder has no row in tests/lint/test_rooms.c",
                  r != NULL ? r->may : "");
  }
}

TEST(lint, rooms) {
  static const char *const folders[] = {"include", "kernels", "backends", "runtime", "tools", "perf", "examples"};
  findings f = {0};
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) (void)tree_walk(folders[i], ".c .h .def", check_includes, &f);
  CHECK(f.n_includes > 300, "found only %d includes", f.n_includes);
  CHECK(f.n_crossings == 0, "%d includes cross (listed above)", f.n_crossings);
}

TEST(lint, rooms_table) {
  static const struct {
    const char *path, *name;
    bool may;
  } rows[] = {
      {"runtime/graph/graph.c", "base/alloc.h", true},
      {"runtime/graph/graph.c", "exec/exec.h", false},
      {"runtime/exec/run.c", "backends/cpu/device.h", false},
      {"runtime/exec/run.c", "<cblas.h>", false},
      {"runtime/nn/model.c", "<tercet/nn.h>", true},
      {"runtime/io/npy.c", "<tercet/train.h>", false},
      {"backends/cpu/matmul.c", "<cblas.h>", true},
      {"backends/cpu/matmul.c", "backends/ref/convert.h", false},
      {"backends/cpu/matmul.c", "<tercet/graph.h>", false},
      {"backends/cuda/ops/matmul_cublaslt.c", "<cublasLt.h>", false},
      {"backends/ref/device.c", "base/alloc.h", false},
      {"kernels/ref/matmul.c", "<stdlib.h>", false},
      {"kernels/common/scalar.h", "<tercet/types.h>", false},
      {"tools/main.c", "cli.h", true},
      {"tools/main.c", "nn/model.h", false},
      {"elsewhere/x.c", "<math.h>", false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    CHECK(may_include(rows[i].path, rows[i].name) == rows[i].may, "%s including %s", rows[i].path, rows[i].name);
}
