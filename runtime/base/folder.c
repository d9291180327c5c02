/* Listing a folder into a fixed table, so that a search path costs no allocation that outlives it. */
#include "base/folder.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/file.h"
#include "base/status.h"

typedef struct search {
  tct_folder *folder;
  const char *prefix, *suffix;
} search;

static bool matches(const char *name, const char *prefix, const char *suffix) {
  const size_t n = strlen(name), n_prefix = strlen(prefix), n_suffix = strlen(suffix);
  return n > n_prefix + n_suffix && memcmp(name, prefix, n_prefix) == 0 &&
         memcmp(name + n - n_suffix, suffix, n_suffix) == 0;
}

/* Keeps the table sorted: the order in which a file system lists is nobody's choice. */
static void insert(tct_folder *folder, const char *name) {
  if (folder->n >= (int32_t)TCT_COUNT_OF(folder->names) || strlen(name) >= sizeof folder->names[0]) {
    folder->n_left_out++;
    return;
  }
  int32_t at = folder->n++;
  for (; at > 0 && strcmp(folder->names[at - 1], name) > 0; at--) {
    memcpy(folder->names[at], folder->names[at - 1], sizeof folder->names[0]);
  }
  snprintf(folder->names[at], sizeof folder->names[0], "%s", name);
}

static void visit(void *user, const char *name) {
  const search *const s = user;
  if (matches(name, s->prefix, s->suffix)) insert(s->folder, name);
}

tct_status tct_folder_list(const char *path, const char *prefix, const char *suffix, tct_folder *out) {
  out->n = out->n_left_out = 0;
  search s = {out, prefix, suffix};
  return tct_file_list(path, visit, &s);
}

bool tct_world_writable(const char *path) {
  struct stat status;
  return stat(path, &status) == 0 && (status.st_mode & S_IWOTH) != 0;
}
