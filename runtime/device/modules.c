/* Finding backends: the linked ones by name, then libtercet-*.so in the folders of TERCET_BACKEND_PATH and in the folder
 * tercet/ beside the library. A module that cannot be used becomes a row with the reason; it never stops the process. Linked
 * backends have the first right to a name, so that a question about one of theirs is answered without loading any module. */
#define _GNU_SOURCE /* dladdr */
#include "device/modules.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "base/env.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/status.h"

#define PREFIX "libtercet-"
#define SUFFIX ".so"
#define SYMBOL "tct_backend_entry"

#define BACKEND(name) const tct_backend *tct_backend_entry_##name(const tct_host *host);
#include "device/backends.def"
#undef BACKEND

static const tct_backend_entry_fn linked[] = {
#define BACKEND(name) tct_backend_entry_##name,
#include "device/backends.def"
#undef BACKEND
};

enum { MOST_ROWS = 48 };
static tct_backend_row rows[MOST_ROWS];
static int32_t n_rows;
static pthread_once_t entered = PTHREAD_ONCE_INIT; /* the linked backends: the first COUNT_OF(linked) rows */
static pthread_once_t searched = PTHREAD_ONCE_INIT; /* the modules: the rows behind them */
/* An entry function that asks for other backends meets the rows found so far, instead of waiting for itself. */
static _Thread_local bool finding;

/* ---- judging a table ---- */

bool tct_backend_usable(const tct_backend *b, char *why, size_t why_bytes) {
  /* Nothing but the version may be read of a table of another version. */
  if (b->abi != TCT_BACKEND_ABI) {
    snprintf(why, why_bytes, "it speaks version %u of the backend interface, this library version %u; rebuild it with this "
             "library's <tercet/backend.h>", (unsigned)b->abi, TCT_BACKEND_ABI);
    return false;
  }
  const size_t n_name = b->name == NULL ? 0 : strspn(b->name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
  if (n_name == 0 || b->name[n_name] != '\0' || n_name >= sizeof rows[0].name) {
    snprintf(why, why_bytes, "its name is '%.80s', needs 1 to 63 of a-z, 0-9, _ and -", b->name != NULL ? b->name : "");
    return false;
  }
  const struct {
    const char *name;
    bool there;
  } required[] = {
      {"probe", b->probe != NULL},       {"open", b->open != NULL},   {"close", b->close != NULL},
      {"info", b->info != NULL},         {"alloc", b->alloc != NULL}, {"free", b->free != NULL},
      {"upload", b->upload != NULL},     {"download", b->download != NULL},
      {"mark", b->mark != NULL},         {"reached", b->reached != NULL},
      {"elapsed", b->elapsed != NULL},   {"sync", b->sync != NULL},
  };
  for (size_t i = 0; i < TCT_COUNT_OF(required); i++) {
    if (required[i].there) continue;
    snprintf(why, why_bytes, "its table lacks the function '%s', which every backend needs", required[i].name);
    return false;
  }
  if (b->n_kernels > 0 && b->kernels == NULL) {
    snprintf(why, why_bytes, "its table counts %zu kernels and has none", b->n_kernels);
    return false;
  }
  for (size_t k = 0; k < b->n_kernels; k++) {
    const tct_kernel *kernel = &b->kernels[k];
    if (kernel->op != NULL && kernel->name != NULL && kernel->launch != NULL) continue;
    snprintf(why, why_bytes, "its kernel %zu ('%.80s') lacks the op, the name or the function 'launch'", k,
             kernel->name != NULL ? kernel->name : "");
    return false;
  }
  return true;
}

static bool answers(const tct_backend *backend, const char *name) {
  if (strcmp(backend->name, name) == 0) return true;
  for (const char *const *alias = backend->aliases; alias != NULL && *alias != NULL; alias++) {
    if (strcmp(*alias, name) == 0) return true;
  }
  return false;
}

/* The earlier row that has this name; NULL: it is free. */
static const tct_backend_row *holder_of(const char *name) {
  for (int32_t i = 0; i < n_rows; i++) {
    if (rows[i].backend != NULL && answers(rows[i].backend, name)) return &rows[i];
  }
  return NULL;
}

static bool names_are_free(const tct_backend *backend, char *why, size_t why_bytes) {
  const char *name = backend->name;
  const tct_backend_row *holder = holder_of(name);
  for (const char *const *alias = backend->aliases; holder == NULL && alias != NULL && *alias != NULL; alias++) {
    name = *alias;
    holder = holder_of(name);
  }
  if (holder == NULL) return true;
  snprintf(why, why_bytes, "the name '%.60s' is taken by %s", name,
           holder->origin[0] != '\0' ? holder->origin : "a backend of the library");
  return false;
}

/* ---- one backend ---- */

static void enter(tct_backend_entry_fn entry, tct_backend_row *row) {
  tct_error_clear();
  const tct_backend *backend = entry(tct_host_table());
  if (backend == NULL) {
    const char *said = tct_error_message();
    snprintf(row->why, sizeof row->why, "%.390s", said[0] != '\0' ? said : "its entry returned NULL without a reason");
    tct_error_clear();
    return;
  }
  char why[300];
  if (!tct_backend_usable(backend, why, sizeof why) || !names_are_free(backend, why, sizeof why)) {
    snprintf(row->why, sizeof row->why, "%s", why);
    return;
  }
  row->backend = backend;
  snprintf(row->name, sizeof row->name, "%s", backend->name);
}

/* Loads the module into the row. The handle is never closed: tables, kernels and threads of a backend have no end before
 * the process's. */
static void load(const char *path, tct_backend_row *row) {
  if (tct_world_writable(path)) {
    snprintf(row->why, sizeof row->why, "any user of this machine may write to it; chmod o-w it");
    return;
  }
  void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (module == NULL) {
    const char *said = dlerror();
    const size_t n_path = strlen(path);
    if (said != NULL && strncmp(said, path, n_path) == 0 && said[n_path] == ':') said += n_path + 1 + (said[n_path + 1] == ' ');
    snprintf(row->why, sizeof row->why, "%.390s", said != NULL ? said : "dlopen failed without a reason");
    return;
  }
  /* POSIX promises that an object pointer from dlsym holds a function's address; ISO C has no cast for it. */
  void *const symbol = dlsym(module, SYMBOL);
  tct_backend_entry_fn entry = NULL;
  _Static_assert(sizeof entry == sizeof symbol, "function and object pointers differ");
  memcpy(&entry, &symbol, sizeof entry);
  if (entry == NULL) {
    snprintf(row->why, sizeof row->why, "it has no symbol '%s', the one that a backend's module exports", SYMBOL);
    return;
  }
  enter(entry, row);
}

/* ---- the search ---- */

static tct_backend_row *new_row(const char *name, size_t length, const char *origin) {
  if (n_rows == MOST_ROWS) {
    tct_log_line(TCT_LOG_WARNING, "backends: '%s' is left out; %d is the most", origin, MOST_ROWS);
    return NULL;
  }
  tct_backend_row *row = &rows[n_rows];
  *row = (tct_backend_row){0};
  snprintf(row->name, sizeof row->name, "%.*s", (int)(length < 63 ? length : 63), name);
  snprintf(row->origin, sizeof row->origin, "%.159s", origin);
  return row;
}

static void search(const char *folder, bool named_by_user) {
  tct_folder files;
  if (tct_folder_list(folder, PREFIX, SUFFIX, &files) != TCT_OK) {
    tct_backend_row *row = named_by_user ? new_row("module", 6, folder) : NULL;
    if (row != NULL) {
      snprintf(row->why, sizeof row->why, "TERCET_BACKEND_PATH: %.300s", tct_error_message());
      n_rows++;
    }
    tct_error_clear();
    return;
  }
  const bool open_to_all = tct_world_writable(folder);
  if (files.n_left_out > 0)
    tct_log_line(TCT_LOG_WARNING, "backends: %d modules of '%s' are left out", (int)files.n_left_out, folder);
  for (int32_t i = 0; i < files.n; i++) {
    char path[1024];
    const char *file = files.names[i];
    const int n = snprintf(path, sizeof path, "%s/%s", folder, file);
    tct_backend_row *row = new_row(file + strlen(PREFIX), strlen(file) - strlen(PREFIX SUFFIX), path);
    if (row == NULL) return;
    if (n < 0 || (size_t)n >= sizeof path) {
      snprintf(row->why, sizeof row->why, "its path is longer than %zu characters", sizeof path - 1);
    } else if (open_to_all) {
      snprintf(row->why, sizeof row->why, "any user of this machine may write to its folder; chmod o-w the folder");
    } else {
      load(path, row);
    }
    n_rows++;
    if (row->backend == NULL) tct_log_line(TCT_LOG_WARNING, "backends: %s: %s", row->origin, row->why);
  }
}

/* The folder tercet/ beside the library's own file; nowhere when that is not known by an absolute path. */
static void search_beside_library(void) {
  Dl_info info;
  char folder[1024];
  if (dladdr(&searched, &info) == 0 || info.dli_fname == NULL || info.dli_fname[0] != '/') return;
  const size_t length = (size_t)(strrchr(info.dli_fname, '/') - info.dli_fname);
  if (length + sizeof "/tercet" > sizeof folder) return;
  snprintf(folder, sizeof folder, "%.*s/tercet", (int)length, info.dli_fname);
  search(folder, false);
}

static void enter_linked(void) {
  static const char *const names[] = {
#define BACKEND(name) #name,
#include "device/backends.def"
#undef BACKEND
  };
  finding = true;
  for (size_t i = 0; i < TCT_COUNT_OF(linked); i++) {
    tct_backend_row *row = new_row(names[i], strlen(names[i]), "");
    TCT_ASSERT(row != NULL); /* there are fewer than MOST_ROWS in the library */
    enter(linked[i], row);
    n_rows++;
  }
  finding = false;
}

static void search_modules(void) {
  finding = true;
  for (const char *at = tct_env_trusted(TCT_ENV_BACKEND_PATH); *at != '\0'; at += *at == ':') {
    char folder[1024];
    const size_t length = strcspn(at, ":");
    if (length > 0 && length < sizeof folder) {
      snprintf(folder, sizeof folder, "%.*s", (int)length, at);
      search(folder, true);
    }
    at += length;
  }
  search_beside_library();
  finding = false;
}

const tct_backend_row *tct_backend_linked_rows(int32_t *out_n) {
  *out_n = (int32_t)TCT_COUNT_OF(linked);
  if (!finding) (void)pthread_once(&entered, enter_linked);
  else if (n_rows < *out_n) *out_n = n_rows;
  return rows;
}

const tct_backend_row *tct_backend_rows(int32_t *out_n) {
  (void)tct_backend_linked_rows(out_n);
  if (!finding) (void)pthread_once(&searched, search_modules);
  *out_n = n_rows;
  return rows;
}
