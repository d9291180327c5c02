/* The disk in memory: files have what the page cache holds and what the platter holds, names have where they lead and
 * where they would lead after a loss of power. */
#include "disk.h"
#include "base/file.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>

enum { MOST_FILES = 256, MOST_NAMES = 64, MOST_OPEN = 16, NAME_BYTES = 192, FIRST_FD = 5000, BLOCK = 64 };

typedef struct content {
  char *bytes;
  size_t n;
} content;

typedef struct inode {
  bool is_folder, dropped; /* dropped: a failed sync has left its pages clean, and not on the platter */
  char path[NAME_BYTES];   /* of a folder */
  content cached, platter;
} inode;

typedef struct entry {
  char path[NAME_BYTES];
  int now, durable; /* inode; -1: no such name */
} entry;

static struct {
  inode file[MOST_FILES];
  entry name[MOST_NAMES];
  int n_files, n_names;
  struct {
    int inode; /* -1: closed */
    size_t at;
  } open[MOST_OPEN];
  disk_mutant mutant;
  const char *target;
  int64_t crash_in, fail_sync_in;
  bool crashed, crash_struck, sync_struck;
  int late_sync; /* the inode that DISK_RENAME_FIRST has still to sync; -1: none */
} disk;

static void set_content(content *to, const char *bytes, size_t n) {
  char *const copy = malloc(n + 1);
  CHECK(copy != NULL);
  if (n > 0) memcpy(copy, bytes, n);
  free(to->bytes);
  *to = (content){copy, n};
}

static int fail(int code) {
  errno = code;
  return -1;
}

/* Whether the machine is without power at this call. */
static bool dead(void) {
  if (disk.crash_in > 0 && --disk.crash_in == 0) disk.crashed = disk.crash_struck = true;
  if (disk.crashed) errno = EIO;
  return disk.crashed;
}

/* ---- names ------------------------------------------------------------------------------------------- */

static entry *find(const char *path) {
  for (int i = 0; i < disk.n_names; i++) {
    if (strcmp(disk.name[i].path, path) == 0) return &disk.name[i];
  }
  return NULL;
}

/* The name, made when it is not known. */
static entry *entry_of(const char *path) {
  entry *e = find(path);
  if (e != NULL) return e;
  CHECK(disk.n_names < MOST_NAMES && strlen(path) < NAME_BYTES, "the disk has no room for %s", path);
  e = &disk.name[disk.n_names++];
  *e = (entry){.now = -1, .durable = -1};
  (void)snprintf(e->path, sizeof e->path, "%s", path);
  return e;
}

static int inode_of(const char *path) {
  const entry *const e = find(path);
  return e != NULL ? e->now : -1;
}

static bool is_in(const char *path, const char *folder) {
  const size_t n = strlen(folder);
  return strncmp(path, folder, n) == 0 && path[n] == '/' && strchr(path + n + 1, '/') == NULL;
}

static int add_inode(bool is_folder, const char *path) {
  CHECK(disk.n_files < MOST_FILES);
  inode *const f = &disk.file[disk.n_files];
  *f = (inode){.is_folder = is_folder};
  (void)snprintf(f->path, sizeof f->path, "%s", path);
  return disk.n_files++;
}

/* ---- the calls --------------------------------------------------------------------------------------- */

static int open_inode(int i) {
  for (int fd = 0; fd < MOST_OPEN; fd++) {
    if (disk.open[fd].inode >= 0) continue;
    disk.open[fd].inode = i;
    disk.open[fd].at = 0;
    return FIRST_FD + fd;
  }
  return fail(EMFILE);
}

static int disk_open(const char *path, int flags, unsigned mode) {
  (void)mode;
  if (dead()) return -1;
  char plain[NAME_BYTES];
  (void)snprintf(plain, sizeof plain, "%s", path);
  const size_t n = strlen(plain);
  if (n > 1 && plain[n - 1] == '/') plain[n - 1] = '\0';
  const bool creates = (flags & O_CREAT) != 0;
  if (creates && disk.mutant == DISK_IN_PLACE) (void)snprintf(plain, sizeof plain, "%s", disk.target);
  int i = inode_of(plain);
  if (i < 0 && !creates) return fail(ENOENT);
  if (i >= 0 && (flags & O_DIRECTORY) != 0 && !disk.file[i].is_folder) return fail(ENOTDIR);
  if (i >= 0 && creates && disk.mutant != DISK_IN_PLACE) return fail(EEXIST);
  if (i >= 0 && creates) disk.file[i].cached.n = 0;
  if (i < 0) entry_of(plain)->now = i = add_inode(false, "");
  return open_inode(i);
}

static ssize_t disk_read(int fd, void *data, size_t bytes) {
  if (dead()) return -1;
  const content *const c = &disk.file[disk.open[fd - FIRST_FD].inode].cached;
  size_t *const at = &disk.open[fd - FIRST_FD].at;
  const size_t n = bytes < c->n - *at ? bytes : c->n - *at;
  if (n > 0) memcpy(data, c->bytes + *at, n);
  *at += n;
  return (ssize_t)n;
}

/* Power may go in the middle of a write: half of it is then in the cache, and may reach the platter. */
static ssize_t disk_write(int fd, const void *data, size_t bytes) {
  const bool was_crashed = disk.crashed, is_dead = dead();
  if (was_crashed) return -1;
  const size_t n = is_dead ? bytes / 2 : bytes;
  content *const c = &disk.file[disk.open[fd - FIRST_FD].inode].cached;
  char *const longer = malloc(c->n + n + 1);
  CHECK(longer != NULL);
  if (c->n > 0) memcpy(longer, c->bytes, c->n);
  if (n > 0) memcpy(longer + c->n, data, n);
  free(c->bytes);
  *c = (content){longer, c->n + n};
  return is_dead ? fail(EIO) : (ssize_t)bytes;
}

static int sync_file(inode *f) {
  if (disk.fail_sync_in > 0 && --disk.fail_sync_in == 0) {
    disk.sync_struck = f->dropped = true;
    return fail(EIO);
  }
  if (!f->dropped) set_content(&f->platter, f->cached.bytes, f->cached.n);
  return 0;
}

static int disk_fsync(int fd) {
  if (dead()) return -1;
  const int i = disk.open[fd - FIRST_FD].inode;
  inode *const f = &disk.file[i];
  if (f->is_folder) {
    for (int e = 0; e < disk.n_names && disk.mutant != DISK_NO_FOLDER_SYNC; e++) {
      if (is_in(disk.name[e].path, f->path)) disk.name[e].durable = disk.name[e].now;
    }
    return 0;
  }
  if (disk.mutant == DISK_NO_FILE_SYNC) return 0;
  if (disk.mutant == DISK_RENAME_FIRST) disk.late_sync = i;
  if (disk.mutant == DISK_RENAME_FIRST) return 0;
  const int result = sync_file(f);
  return result != 0 && disk.mutant == DISK_SYNC_RETRIED ? sync_file(f) : result;
}

static int disk_close(int fd) {
  if (!disk.crashed) (void)dead();
  disk.open[fd - FIRST_FD].inode = -1;
  return disk.crashed ? fail(EIO) : 0;
}

static int disk_rename(const char *from, const char *to) {
  if (dead()) return -1;
  if (disk.mutant == DISK_IN_PLACE) return 0;
  entry *const source = find(from);
  if (source == NULL || source->now < 0) return fail(ENOENT);
  entry_of(to)->now = source->now;
  source->now = -1;
  if (disk.late_sync < 0) return 0;
  const int late = disk.late_sync;
  disk.late_sync = -1;
  return dead() ? -1 : sync_file(&disk.file[late]);
}

static int disk_unlink(const char *path) {
  if (dead()) return -1;
  entry *const e = find(path);
  if (e == NULL || e->now < 0) return fail(ENOENT);
  e->now = -1;
  return 0;
}

static int disk_size(int fd, int64_t *out_bytes) {
  if (dead()) return -1;
  const inode *const f = &disk.file[disk.open[fd - FIRST_FD].inode];
  if (f->is_folder) return fail(EISDIR);
  *out_bytes = (int64_t)f->cached.n;
  return 0;
}

static int disk_mkdir(const char *path, unsigned mode) {
  (void)mode;
  if (dead()) return -1;
  if (inode_of(path) >= 0) return fail(EEXIST);
  entry_of(path)->now = add_inode(true, path);
  return 0;
}

static int disk_list(const char *path, void (*each)(void *user, const char *name), void *user) {
  if (dead()) return -1;
  const int i = inode_of(path);
  if (i < 0 || !disk.file[i].is_folder) return fail(ENOENT);
  for (int e = 0; e < disk.n_names; e++) {
    if (disk.name[e].now >= 0 && is_in(disk.name[e].path, path)) each(user, strrchr(disk.name[e].path, '/') + 1);
  }
  return 0;
}

static bool disk_is_special(const char *path) {
  return (void)path, false;
}

static const tct_file_calls calls = {.open = disk_open, .read = disk_read, .write = disk_write, .fsync = disk_fsync,
                                     .close = disk_close, .rename = disk_rename, .unlink = disk_unlink, .size = disk_size,
                                     .mkdir = disk_mkdir, .list = disk_list, .is_special = disk_is_special};

/* ---- power ------------------------------------------------------------------------------------------- */

void disk_begin(disk_mutant mutant, const char *target) {
  disk_end();
  memset(&disk, 0, sizeof disk);
  for (int fd = 0; fd < MOST_OPEN; fd++) disk.open[fd].inode = -1;
  disk.mutant = mutant;
  disk.target = target;
  disk.late_sync = -1;
  entry *const root = entry_of("/disk");
  root->now = root->durable = add_inode(true, "/disk");
  tct_set_file_calls(&calls);
}

void disk_end(void) {
  tct_set_file_calls(NULL);
  for (int i = 0; i < disk.n_files; i++) {
    free(disk.file[i].cached.bytes);
    free(disk.file[i].platter.bytes);
  }
  disk.n_files = 0;
}

bool disk_crash_at(int64_t nth) {
  const bool struck = disk.crash_struck;
  disk.crash_in = nth;
  disk.crash_struck = disk.crashed = false;
  return struck;
}

bool disk_fail_sync(int64_t nth) {
  const bool struck = disk.sync_struck;
  disk.fail_sync_in = nth;
  disk.sync_struck = false;
  return struck;
}

static uint64_t next_random(uint64_t *state) { /* splitmix64 */
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

/* Block by block the old content or the new one; blocks that were never written read as zeros. */
static void mix(inode *f, uint64_t *random) {
  if (f->cached.n == f->platter.n && (f->cached.n == 0 || memcmp(f->cached.bytes, f->platter.bytes, f->cached.n) == 0)) return;
  const size_t n = next_random(random) % 2 == 0 ? f->cached.n : f->platter.n;
  char *const mixed = calloc(n + 1, 1);
  CHECK(mixed != NULL);
  for (size_t at = 0; at < n; at += BLOCK) {
    const content *const from = next_random(random) % 2 == 0 ? &f->cached : &f->platter;
    const size_t end = at + BLOCK < n ? at + BLOCK : n;
    if (at < from->n) memcpy(mixed + at, from->bytes + at, (end < from->n ? end : from->n) - at);
  }
  set_content(&f->platter, mixed, n);
  free(mixed);
}

static bool parent_is_there(const char *path) {
  char parent[NAME_BYTES];
  (void)snprintf(parent, sizeof parent, "%.*s", (int)(strrchr(path, '/') - path), path);
  return parent[0] == '\0' || inode_of(parent) >= 0;
}

void disk_lose_power(uint64_t luck) {
  uint64_t random = luck;
  for (int i = 0; i < disk.n_names; i++) {
    entry *const e = &disk.name[i];
    const bool keeps = luck == 1 || (luck > 1 && next_random(&random) % 2 == 0);
    if (!keeps) e->now = e->durable;
  }
  for (int i = 0; i < disk.n_files; i++) {
    inode *const f = &disk.file[i];
    if (luck == 1 && !f->dropped) set_content(&f->platter, f->cached.bytes, f->cached.n);
    if (luck > 1) mix(f, &random);
    set_content(&f->cached, f->platter.bytes, f->platter.n);
    f->dropped = false;
  }
  for (int i = 0; i < disk.n_names; i++) { /* parents come before what is in them */
    entry *const e = &disk.name[i];
    if (!parent_is_there(e->path)) e->now = -1;
    e->durable = e->now;
  }
  for (int fd = 0; fd < MOST_OPEN; fd++) disk.open[fd].inode = -1;
  disk.crashed = false;
  disk.crash_in = 0;
  disk.late_sync = -1;
}
