/* Where NVIDIA's libraries lie: folders that the user names, the dynamic linker's, a toolkit's, a pip wheel's. Wheels hold files
 * under their versioned name only, so that a search is for that name. */
#define _GNU_SOURCE /* dladdr */
#include "backends/cuda/libraries/libraries.h"

#include <dlfcn.h>
#include <glob.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

/* Folders, as patterns, below the prefix that a variable of the environment or a fixed path gives; in the order of the search. */
static const struct {
  const char *variable; /* NULL: `prefix` is the path itself */
  const char *prefix, *pattern;
} places[] = {
    {"CUDA_HOME", "", "/lib64"},
    {"CUDA_HOME", "", "/targets/*/lib"},
    {NULL, "/usr/local/cuda", "/lib64"},
    {NULL, "/usr/local/cuda", "/targets/*/lib"},
    {"VIRTUAL_ENV", "", "/lib/python3*/site-packages/nvidia/*/lib"},
    {"CONDA_PREFIX", "", "/lib"},
    {"CONDA_PREFIX", "", "/lib/python3*/site-packages/nvidia/*/lib"},
    {"HOME", "/.local", "/lib/python3*/site-packages/nvidia/*/lib"},
    {NULL, "/usr/local", "/lib/python3*/dist-packages/nvidia/*/lib"},
    {NULL, "/usr/local", "/lib/python3*/site-packages/nvidia/*/lib"},
};

static void add_looked(tct_cu_library *library, const char *where, size_t length) {
  const size_t used = strlen(library->looked);
  snprintf(library->looked + used, sizeof library->looked - used, "%s%.*s", used > 0 ? ", " : "", (int)length, where);
}

static bool take(tct_cu_library *library, const char *name) {
  library->handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (library->handle == NULL) return false;
  struct link_map *map = NULL;
  const bool known = dlinfo(library->handle, RTLD_DI_LINKMAP, &map) == 0 && map != NULL;
  snprintf(library->path, sizeof library->path, "%.511s", known ? map->l_name : name);
  return true;
}

static bool take_below(tct_cu_library *library, const char *folder, const char *pattern, const char *file) {
  char path[1024];
  glob_t found;
  const int n = snprintf(path, sizeof path, "%s%s", folder, pattern);
  if (n < 0 || (size_t)n + strlen(file) + 2 > sizeof path || strstr(library->looked, path) != NULL) return false;
  add_looked(library, path, (size_t)n);
  snprintf(path + n, sizeof path - (size_t)n, "/%s", file);
  if (glob(path, 0, NULL, &found) != 0) return false;
  bool taken = false;
  for (size_t i = 0; i < found.gl_pathc && !taken; i++) taken = take(library, found.gl_pathv[i]);
  globfree(&found);
  return taken;
}

static bool take_named_by_user(const tct_host *host, tct_cu_library *library, const char *file) {
  const char *at = host->env("TERCET_CUDA_LIBRARY_PATH");
  while (*at != '\0') {
    char path[1024];
    const size_t length = strcspn(at, ":");
    const int n = snprintf(path, sizeof path, "%.*s/%s", (int)length, at, file);
    if (length > 0 && n > 0 && (size_t)n < sizeof path) {
      add_looked(library, at, length);
      if (take(library, path)) return true;
    }
    at += length + (at[length] == ':');
  }
  return false;
}

/* Where every library is looked for first. */
static bool take_near(const tct_host *host, const char *file, tct_cu_library *out) {
  static const char linker[] = "the dynamic linker's folders";
  *out = (tct_cu_library){.handle = NULL};
  if (take_named_by_user(host, out, file)) return true;
  add_looked(out, linker, sizeof linker - 1);
  return take(out, file);
}

bool tct_cu_library_open(const tct_host *host, const char *file, tct_cu_library *out) {
  if (take_near(host, file, out)) return true;
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
    char folder[512];
    const char *const base = places[i].variable != NULL ? host->env(places[i].variable) : places[i].prefix;
    if (base[0] == '\0') continue;
    snprintf(folder, sizeof folder, "%.400s%s", base, places[i].variable != NULL ? places[i].prefix : "");
    if (take_below(out, folder, places[i].pattern, file)) return true;
  }
  return false;
}

bool tct_cu_library_open_driver(const tct_host *host, const char *file, tct_cu_library *out) {
  return take_near(host, file, out) || take_below(out, "/usr/lib/wsl", "/lib", file);
}

const char *tct_cu_library_take(const tct_cu_library *library, const tct_cu_function *functions, size_t n, void *table) {
  for (size_t i = 0; i < n; i++) {
    void *const symbol = dlsym(library->handle, functions[i].symbol);
    if (symbol == NULL) return functions[i].symbol;
    /* POSIX promises that an object pointer from dlsym holds a function's address; ISO C has no cast for it. */
    memcpy((char *)table + functions[i].offset, &symbol, sizeof symbol);
  }
  return NULL;
}

/* "13.1.0" of 130100. */
#define VERSION_ARGS(number) (int)((number) / 10000), (int)((number) / 100 % 100), (int)((number) % 100)

static bool start(const tct_host *host, const tct_cu_library_kind *kind, tct_cu_library *out, void *table, char out_name[32], char *why,
                  size_t why_bytes) {
  if (!tct_cu_library_open(host, kind->file, out)) {
    snprintf(why, why_bytes, "%s is not in %s; install %s, or name its folder in TERCET_CUDA_LIBRARY_PATH", kind->file, out->looked,
             kind->package);
    return false;
  }
  const char *const lacks = tct_cu_library_take(out, kind->functions, kind->n_functions, table);
  if (lacks != NULL) {
    snprintf(why, why_bytes, "%s has no function %s: it is too old; install %s %d.%d or later", out->path, lacks, kind->name, kind->major,
             kind->minor);
    return false;
  }
  size_t (*first)(void);
  memcpy(&first, (char *)table + kind->functions[0].offset, sizeof first);
  const size_t version = kind->version_of != NULL ? kind->version_of(table) : first();
  snprintf(out_name, 32, "%s %d.%d.%d", kind->name, VERSION_ARGS(version));
  if (version / 10000 == (size_t)kind->major) return true;
  snprintf(why, why_bytes, "%s is version %d.%d.%d, needs %d; install %s %d.%d or later", out->path, VERSION_ARGS(version), kind->major,
           kind->name, kind->major, kind->minor);
  return false;
}

bool tct_cu_library_use(const tct_host *host, const tct_cu_library_kind *kind, tct_cu_library_once *once, tct_cu_library *out, void *table,
                        char out_name[32], char *why, size_t why_bytes) {
  (void)pthread_mutex_lock(&once->mutex);
  if (!once->started) once->started = start(host, kind, out, table, out_name, why, why_bytes);
  const bool started = once->started;
  (void)pthread_mutex_unlock(&once->mutex);
  return started;
}

void tct_cu_tell_library(const char *fact, const tct_cu_library *library, const char *name, const char *ops, const char *why,
                         tct_fact_fn fn, void *user) {
  char text[1400];
  if (name != NULL) snprintf(text, sizeof text, "%s: %s; it takes %s, but small ones", library->path, name, ops);
  else snprintf(text, sizeof text, "not used: %s run on the module's own kernels: %s", ops, why);
  fn(user, fact, text);
}
