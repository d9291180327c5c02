/* Fault injection through the allocator seam and the file seam. */
#include "faults.h"
#include "base/alloc.h"
#include "base/arena.h"
#include "base/file.h"
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

/* ---- the allocator ------------------------------------------------------------------------------- */

static atomic_int_fast64_t alloc_countdown;
static atomic_bool alloc_struck, alloc_lasts; /* lasts: every call after the first failing one fails too */

static void *counting_acquire(void *user, size_t bytes, size_t align) {
  (void)user;
  const int64_t left = atomic_fetch_sub(&alloc_countdown, 1);
  if (left == 1 || (left < 1 && alloc_lasts)) {
    atomic_store(&alloc_struck, true);
    return NULL;
  }
  void *memory = NULL;
  return posix_memalign(&memory, align, bytes) == 0 ? memory : NULL;
}

/* Memory of the library's own allocator is malloc's too: blocks may cross from one to the other. */
static void plain_release(void *user, void *memory) {
  (void)user;
  free(memory);
}

static bool arm_alloc(int64_t nth, bool lasts) {
  static const tct_allocator counting = {.acquire = counting_acquire, .release = plain_release};
  const bool struck = atomic_exchange(&alloc_struck, false);
  atomic_store(&alloc_lasts, lasts);
  atomic_store(&alloc_countdown, nth);
  tct_set_allocator(nth > 0 ? &counting : NULL);
  return struck;
}

bool fault_alloc(int64_t nth) { return arm_alloc(nth, false); }
bool fault_alloc_from(int64_t nth) { return arm_alloc(nth, true); }

void fault_pieces(bool on) { tct_arena_set_pieces(on); }

/* ---- files --------------------------------------------------------------------------------------- */

static int64_t file_countdown;
static int file_error;
static const char *struck_call = "";

/* Whether this call is the one that fails; errno is then set. */
static bool strikes(const char *call) {
  if (--file_countdown != 0) return false;
  struck_call = call;
  if (file_error != FAULT_SHORT) errno = file_error;
  return true;
}

static int faulty_open(const char *path, int flags, unsigned mode) {
  return strikes("open") && file_error != FAULT_SHORT ? -1 : tct_file_system.open(path, flags, mode);
}

static size_t moved_bytes(size_t bytes) {
  return bytes > 1 ? 1 : bytes;
}

static ssize_t faulty_read(int fd, void *data, size_t bytes) {
  if (!strikes("read")) return tct_file_system.read(fd, data, bytes);
  return file_error == FAULT_SHORT ? tct_file_system.read(fd, data, moved_bytes(bytes)) : -1;
}

static ssize_t faulty_write(int fd, const void *data, size_t bytes) {
  if (!strikes("write")) return tct_file_system.write(fd, data, bytes);
  return file_error == FAULT_SHORT ? tct_file_system.write(fd, data, moved_bytes(bytes)) : -1;
}

/* No test that injects faults cuts the power (tests/disk.h does): the disk is spared. */
static int faulty_fsync(int fd) {
  (void)fd;
  return strikes("fsync") && file_error != FAULT_SHORT ? -1 : 0;
}

/* A failing close closes all the same, as Linux does. */
static int faulty_close(int fd) {
  const bool fails = strikes("close") && file_error != FAULT_SHORT;
  const int result = tct_file_system.close(fd);
  if (fails) errno = file_error;
  return fails ? -1 : result;
}

static int faulty_rename(const char *from, const char *to) {
  return strikes("rename") && file_error != FAULT_SHORT ? -1 : tct_file_system.rename(from, to);
}

static int faulty_unlink(const char *path) {
  return strikes("unlink") && file_error != FAULT_SHORT ? -1 : tct_file_system.unlink(path);
}

static int faulty_size(int fd, int64_t *out_bytes) {
  return strikes("size") && file_error != FAULT_SHORT ? -1 : tct_file_system.size(fd, out_bytes);
}

static int faulty_mkdir(const char *path, unsigned mode) {
  return strikes("mkdir") && file_error != FAULT_SHORT ? -1 : tct_file_system.mkdir(path, mode);
}

static int faulty_list(const char *path, void (*each)(void *user, const char *name), void *user) {
  return strikes("list") && file_error != FAULT_SHORT ? -1 : tct_file_system.list(path, each, user);
}

static int faulty_truncate(int fd, int64_t bytes) {
  return strikes("truncate") && file_error != FAULT_SHORT ? -1 : tct_file_system.truncate(fd, bytes);
}

static bool plain_is_special(const char *path) {
  return tct_file_system.is_special(path);
}

bool fault_file(int64_t nth, int error) {
  static const tct_file_calls faulty = {
      .open = faulty_open,
      .read = faulty_read,
      .write = faulty_write,
      .fsync = faulty_fsync,
      .close = faulty_close,
      .rename = faulty_rename,
      .unlink = faulty_unlink,
      .size = faulty_size,
      .mkdir = faulty_mkdir,
      .list = faulty_list,
      .truncate = faulty_truncate,
      .is_special = plain_is_special,
  };
  const bool struck = struck_call[0] != '\0';
  if (nth > 0) struck_call = "";
  file_countdown = nth;
  file_error = error;
  tct_set_file_calls(nth > 0 ? &faulty : NULL);
  return struck;
}

const char *fault_file_call(void) {
  return struck_call;
}

static int no_fsync(int fd) { return (void)fd, 0; }

void spare_disk(void) {
  static tct_file_calls calls;
  calls = tct_file_system;
  calls.fsync = no_fsync;
  tct_set_file_calls(&calls);
}

/* ---- folders ------------------------------------------------------------------------------------- */

void scratch_make(char path[SCRATCH_BYTES]) {
  (void)snprintf(path, SCRATCH_BYTES, "%s/scratch-XXXXXX", TCT_BINARY_DIR);
  CHECK(mkdtemp(path) != NULL, "cannot make %s: %s", path, strerror(errno));
}

static bool is_real_entry(const struct dirent *entry) {
  return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

int count_entries(const char *folder) {
  DIR *dir = opendir(folder);
  CHECK(dir != NULL, "cannot list %s: %s", folder, strerror(errno));
  int n = 0;
  for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) n += is_real_entry(entry);
  (void)closedir(dir);
  return n;
}

void scratch_remove(const char *path) {
  DIR *dir = opendir(path);
  if (!dir) return;
  for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
    char name[SCRATCH_BYTES + 256];
    (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
    if (is_real_entry(entry) && unlink(name) != 0) scratch_remove(name);
  }
  (void)closedir(dir);
  (void)rmdir(path);
}
