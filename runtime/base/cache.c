/* See cache.h. A file holds a line with the sizes of key and data and a hash of the data, the key, and the data. */
#include "base/cache.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "base/env.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"

enum { HEAD_BYTES = 68, MOST_BYTES = 256 << 20 };

static void write_head(char head[HEAD_BYTES + 1], size_t key_bytes, const void *data, size_t bytes) {
  (void)snprintf(head, HEAD_BYTES + 1, "tercet.cache.1 %016zx %016zx %016" PRIx64 "  \n", key_bytes, bytes, tct_hash(data, bytes));
}

/* Of what decides which code runs, so that a set-user-ID program has none. */
static void write_folder(tct_text *out) {
  const char *const own = tct_env_trusted(TCT_ENV_CACHE), *const users = tct_env_trusted(TCT_ENV_XDG_CACHE);
  const char *const home = tct_env_trusted(TCT_ENV_HOME);
  if (own[0] != '\0') tct_text_printf(out, "%s", strcmp(own, "0") != 0 ? own : "");
  else if (users[0] == '/') tct_text_printf(out, "%s/tercet", users);
  else if (home[0] == '/') tct_text_printf(out, "%s/.cache/tercet", home);
}

/* The folder, then the file in it; false: there is no cache, or no memory. */
static bool find(const char *kind, const void *key, size_t key_bytes, tct_text *folder, tct_text *path) {
  write_folder(folder);
  if (folder->length == 0) return false;
  tct_text_printf(path, "%s/%s-%016" PRIx64, folder->data, kind, tct_hash(key, key_bytes));
  return !folder->failed && !path->failed;
}

/* The data of a whole entry of this key, moved to the front of its block. */
static bool open_entry(char *file, size_t file_bytes, const void *key, size_t key_bytes, size_t *out_bytes) {
  char head[HEAD_BYTES + 1];
  if (file_bytes < HEAD_BYTES + key_bytes) return false;
  const char *const data = file + HEAD_BYTES + key_bytes;
  const size_t bytes = file_bytes - HEAD_BYTES - key_bytes;
  write_head(head, key_bytes, data, bytes);
  if (memcmp(file, head, HEAD_BYTES) != 0 || memcmp(file + HEAD_BYTES, key, key_bytes) != 0) return false;
  memmove(file, data, bytes + 1);
  *out_bytes = bytes;
  return true;
}

bool tct_cache_read(const char *kind, const void *key, size_t key_bytes, void **out_data, size_t *out_bytes) {
  tct_error_record before;
  tct_text folder = {0}, path = {0};
  void *file = NULL;
  size_t file_bytes = 0;
  *out_data = NULL;
  *out_bytes = 0;
  tct_error_save(&before);
  if (find(kind, key, key_bytes, &folder, &path) && tct_file_read(path.data, MOST_BYTES, &file, &file_bytes) == TCT_OK &&
      open_entry(file, file_bytes, key, key_bytes, out_bytes)) {
    *out_data = file;
  } else {
    tct_release(file);
  }
  tct_error_restore(&before);
  tct_text_free(&folder);
  tct_text_free(&path);
  return *out_data != NULL;
}

void tct_cache_write(const char *kind, const void *key, size_t key_bytes, const void *data, size_t bytes) {
  tct_error_record before;
  tct_text folder = {0}, path = {0};
  char head[HEAD_BYTES + 1];
  tct_error_save(&before);
  write_head(head, key_bytes, data, bytes);
  const tct_file_part parts[] = {{head, HEAD_BYTES}, {key, key_bytes}, {data, bytes}};
  const bool made = find(kind, key, key_bytes, &folder, &path) && tct_make_directories(folder.data) == TCT_OK &&
                    tct_file_write_atomic(path.data, parts, TCT_COUNT_OF(parts)) == TCT_OK;
  if (!made) tct_log_line(TCT_LOG_DEBUG, "cache: '%s' is not kept: %s", kind, folder.length > 0 ? tct_error_message() : "there is no folder");
  tct_error_restore(&before);
  tct_text_free(&folder);
  tct_text_free(&path);
}
