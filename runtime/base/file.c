/* The file seam: the table of calls, the meaning of their errno, and whole-file reading and atomic writing on top. */
#include "base/file.h"
#include "base/alloc.h"
#include "base/status.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the system's calls -------------------------------------------------------------------------- */

static int system_open(const char *path, int flags, unsigned mode) {
  return open(path, flags | O_CLOEXEC, (mode_t)mode);
}

static int system_size(int fd, int64_t *out_bytes) {
  struct stat info;
  if (fstat(fd, &info) != 0) return -1;
  if (!S_ISREG(info.st_mode)) {
    errno = S_ISDIR(info.st_mode) ? EISDIR : ESPIPE;
    return -1;
  }
  *out_bytes = (int64_t)info.st_size;
  return 0;
}

static int system_mkdir(const char *path, unsigned mode) {
  return mkdir(path, (mode_t)mode);
}

static int system_list(const char *path, void (*each)(void *user, const char *name), void *user) {
  DIR *const folder = opendir(path);
  if (folder == NULL) return -1;
  errno = 0;
  for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
    each(user, entry->d_name);
    errno = 0;
  }
  const int code = errno;
  (void)closedir(folder);
  errno = code;
  return code == 0 ? 0 : -1;
}

static int system_truncate(int fd, int64_t bytes) {
  return ftruncate(fd, (off_t)bytes);
}

static bool system_is_special(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}

const tct_file_calls tct_file_system = {
    .open = system_open,
    .read = read,
    .write = write,
    .fsync = fsync,
    .close = close,
    .rename = rename,
    .unlink = unlink,
    .size = system_size,
    .mkdir = system_mkdir,
    .list = system_list,
    .truncate = system_truncate,
    .is_special = system_is_special,
};
static _Atomic(const tct_file_calls *) in_force = &tct_file_system;

void tct_set_file_calls(const tct_file_calls *calls) {
  atomic_store(&in_force, calls ? calls : &tct_file_system);
}

const tct_file_calls *tct_file_calls_in_force(void) {
  return atomic_load(&in_force);
}

/* ---- errno --------------------------------------------------------------------------------------- */

tct_status tct_file_fail(const char *doing, const char *path) {
  const int code = errno;
  char reason[128] = "unknown error";
  (void)strerror_r(code, reason, sizeof reason);
  return tct_fail((uint32_t)tct_error_kind_of_errno(code)->number, "cannot %s '%s': %s", doing, path, reason);
}

static int open_retrying(const tct_file_calls *calls, const char *path, int flags, unsigned mode) {
  int fd = -1;
  do fd = calls->open(path, flags, mode);
  while (fd < 0 && errno == EINTR);
  return fd;
}

static ssize_t read_retrying(const tct_file_calls *calls, int fd, void *data, size_t bytes) {
  ssize_t got = -1;
  do got = calls->read(fd, data, bytes);
  while (got < 0 && errno == EINTR);
  return got;
}

/* For the paths on which the first error is already known. */
static void close_quietly(const tct_file_calls *calls, int fd) {
  const int saved_errno = errno;
  (void)calls->close(fd);
  errno = saved_errno;
}

bool tct_file_write_all(int fd, const void *data, size_t bytes) {
  const tct_file_calls *const calls = tct_file_calls_in_force();
  const unsigned char *next = data;
  while (bytes > 0) {
    const ssize_t written = calls->write(fd, next, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written == 0) errno = EIO; /* no progress and no reason: do not spin */
    if (written <= 0) return false;
    next += written;
    bytes -= (size_t)written;
  }
  return true;
}

/* ---- reading ------------------------------------------------------------------------------------- */

enum { STREAM_BLOCK = 64 * 1024 };

static tct_status too_large(const char *path, size_t most_bytes) {
  return tct_fail(TCT_E_FILE_SIZE, "'%s' is larger than the %zu bytes that are accepted here", path, most_bytes);
}

/* Reads to the end. The size is a hint: streams have none, the kernel's own files say 0, and a file may grow. */
static tct_status read_open(const tct_file_calls *calls, int fd, const char *path, size_t most_bytes, void **out_data,
                            size_t *out_bytes) {
  int64_t hint = 0;
  const bool regular = calls->size(fd, &hint) == 0;
  if (!regular && errno != ESPIPE) return tct_file_fail("read", path);
  if (!regular || hint < 0) hint = 0;
  if ((uint64_t)hint > most_bytes) return too_large(path, most_bytes);
  size_t capacity = hint > 0 ? (size_t)hint + 1 : STREAM_BLOCK; /* one more: the final NUL, and to see the end */
  size_t used = 0;
  unsigned char *data = tct_alloc(capacity);
  if (!data) return tct_context("reading '%s'", path);
  for (;;) {
    const ssize_t got = read_retrying(calls, fd, data + used, capacity - used);
    if (got < 0) {
      tct_release(data);
      return tct_file_fail("read", path);
    }
    if (got == 0) break;
    used += (size_t)got;
    if (used > most_bytes) {
      tct_release(data);
      return too_large(path, most_bytes);
    }
    if (used < capacity) continue;
    unsigned char *larger = tct_realloc(data, used, 2 * capacity);
    if (!larger) {
      tct_release(data);
      return tct_context("reading '%s'", path);
    }
    data = larger;
    capacity *= 2;
  }
  data[used] = 0;
  *out_data = data;
  *out_bytes = used;
  return TCT_OK;
}

tct_status tct_file_read(const char *path, size_t most_bytes, void **out_data, size_t *out_bytes) {
  *out_data = NULL;
  *out_bytes = 0;
  const tct_file_calls *const calls = tct_file_calls_in_force();
  const int fd = open_retrying(calls, path, O_RDONLY, 0);
  if (fd < 0) return tct_file_fail("open", path);
  const tct_status status = read_open(calls, fd, path, most_bytes, out_data, out_bytes);
  close_quietly(calls, fd);
  return status;
}

bool tct_file_peek(const char *path, char *text, size_t bytes) {
  const tct_file_calls *const calls = tct_file_calls_in_force();
  const int fd = open_retrying(calls, path, O_RDONLY, 0);
  if (fd < 0) return false;
  size_t used = 0;
  ssize_t got = 0;
  while (used + 1 < bytes && (got = read_retrying(calls, fd, text + used, bytes - 1 - used)) > 0) used += (size_t)got;
  text[used] = '\0';
  close_quietly(calls, fd);
  return got >= 0;
}

/* ---- atomic writing ------------------------------------------------------------------------------ */

/* Up to and with the last slash; 0 for a bare name. */
static size_t directory_length(const char *path) {
  const char *const slash = strrchr(path, '/');
  return slash ? (size_t)(slash - path) + 1 : 0;
}

/* Opens a new file in the directory of `path`. Its name does not grow with the target's, which may be as long as a name
 * can be. Another process may hold the same number (another machine's, on a shared disk), hence the tries. */
static tct_status create_beside(const tct_file_calls *calls, const char *path, tct_text *out_name, int *out_fd) {
  static atomic_uint counter;
  *out_fd = -1;
  for (int tries = 0; tries < 100; tries++) {
    tct_text_free(out_name);
    tct_text_append_bytes(out_name, path, directory_length(path));
    tct_text_printf(out_name, ".tercet-%ld-%u.tmp", (long)getpid(), atomic_fetch_add(&counter, 1));
    if (out_name->failed) return tct_context("writing '%s'", path);
    *out_fd = open_retrying(calls, out_name->data, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (*out_fd >= 0) return TCT_OK;
    if (errno != EEXIST) break;
  }
  return tct_file_fail("create a temporary file to write", path);
}

static tct_status fill_and_close(const tct_file_calls *calls, int fd, const char *path, const tct_file_part *parts,
                                 size_t n_parts, bool durable) {
  for (size_t i = 0; i < n_parts; i++) {
    if (tct_file_write_all(fd, parts[i].data, parts[i].bytes)) continue;
    close_quietly(calls, fd);
    return tct_file_fail("write", path);
  }
  if (durable && calls->fsync(fd) != 0) {
    close_quietly(calls, fd);
    return tct_file_fail("bring to disk (fsync)", path);
  }
  /* Interrupted, the descriptor is closed all the same, and the data is on disk already. */
  if (calls->close(fd) != 0 && errno != EINTR) return tct_file_fail("close", path);
  return TCT_OK;
}

/* Makes the rename itself durable. A file system that cannot sync directories (EINVAL) offers nothing better. */
static tct_status sync_directory(const tct_file_calls *calls, const char *path, tct_text *name) {
  const size_t length = directory_length(path);
  name->length = 0;
  tct_text_append_bytes(name, length > 0 ? path : ".", length > 0 ? length : 1);
  if (name->failed) return tct_context("writing '%s'", path);
  const int fd = open_retrying(calls, name->data, O_RDONLY | O_DIRECTORY, 0);
  if (fd < 0) return tct_file_fail("open, to bring the rename to disk, the folder of", path);
  const bool synced = calls->fsync(fd) == 0 || errno == EINVAL;
  close_quietly(calls, fd);
  return synced ? TCT_OK : tct_file_fail("bring to disk (fsync) the folder of", path);
}

/* A rename would put a file in the place of the device or the FIFO. */
static tct_status write_through(const tct_file_calls *calls, const char *path, const tct_file_part *parts, size_t n_parts) {
  const int fd = open_retrying(calls, path, O_WRONLY, 0);
  return fd < 0 ? tct_file_fail("open", path) : fill_and_close(calls, fd, path, parts, n_parts, false);
}

tct_status tct_file_write_atomic(const char *path, const tct_file_part *parts, size_t n_parts) {
  const tct_file_calls *const calls = tct_file_calls_in_force();
  if (calls->is_special(path)) return write_through(calls, path, parts, n_parts);
  tct_text name = {0};
  int fd = -1;
  tct_status status = create_beside(calls, path, &name, &fd);
  if (status == TCT_OK) {
    status = fill_and_close(calls, fd, path, parts, n_parts, true);
    if (status == TCT_OK && calls->rename(name.data, path) != 0) status = tct_file_fail("rename the new file to", path);
    if (status != TCT_OK)
      (void)calls->unlink(name.data);
    else
      status = sync_directory(calls, path, &name);
  }
  tct_text_free(&name);
  return status;
}

/* ---- folders ------------------------------------------------------------------------------------- */

/* When it is none, errno stays what it was: why the folder could not be made. When nobody can tell, it says why. */
static bool is_directory(const tct_file_calls *calls, const char *path) {
  const int saved_errno = errno;
  const int fd = open_retrying(calls, path, O_RDONLY | O_DIRECTORY, 0);
  if (fd < 0 && errno != ENOTDIR && errno != ENOENT) return errno == EACCES; /* a folder that we may not list is one */
  if (fd >= 0) close_quietly(calls, fd);
  errno = saved_errno;
  return fd >= 0;
}

tct_status tct_make_directories(const char *path) {
  if (path[0] == '\0') return tct_fail(TCT_INVALID, "cannot create a folder: its name is empty");
  const tct_file_calls *const calls = tct_file_calls_in_force();
  char *partial = tct_strdup(path);
  if (!partial) return tct_context("creating the folder '%s'", path);
  tct_text parent = {0};
  tct_status status = TCT_OK;
  for (size_t i = 1; status == TCT_OK; i++) {
    const char here = partial[i];
    if (here != '/' && here != '\0') continue;
    partial[i] = '\0';
    if (calls->mkdir(partial, 0777) == 0)
      status = sync_directory(calls, partial, &parent);
    else if (errno != EEXIST || !is_directory(calls, partial))
      status = tct_file_fail("create the folder", partial);
    if (status != TCT_OK && here != '\0') status = tct_context("creating the folder '%s'", path);
    partial[i] = here;
    if (here == '\0') break;
  }
  tct_text_free(&parent);
  tct_release(partial);
  return status;
}

tct_status tct_file_list(const char *path, void (*each)(void *user, const char *name), void *user) {
  return tct_file_calls_in_force()->list(path, each, user) == 0 ? TCT_OK : tct_file_fail("list the folder", path);
}

tct_status tct_file_remove(const char *path) {
  const bool gone = tct_file_calls_in_force()->unlink(path) == 0 || errno == ENOENT;
  return gone ? TCT_OK : tct_file_fail("remove", path);
}
