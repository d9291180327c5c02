/* The file seam: reading, atomic writing, the stream and folders, each with every single call failing once. */
#include "base/alloc.h"
#include "base/file.h"
#include "base/status.h"
#include "faults.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = SCRATCH_BYTES + 64, MOST_CALLS = 40 };

static const int faults[] = {EIO, ENOSPC, EINTR, FAULT_SHORT};

static void join(char path[PATH_BYTES], const char *folder, const char *name) {
  (void)snprintf(path, PATH_BYTES, "%s/%s", folder, name);
}

static tct_status write_text(const char *path, const char *text) {
  return tct_file_write_atomic(path, &(const tct_file_part){text, strlen(text)}, 1);
}

static bool holds(const char *path, const char *text) {
  void *data = NULL;
  size_t bytes = 0;
  if (tct_file_read(path, 1 << 20, &data, &bytes) != TCT_OK) return false;
  const bool same = bytes == strlen(text) && memcmp(data, text, bytes) == 0;
  tct_release(data);
  return same;
}

static int open_descriptors(void) {
  return count_entries("/proc/self/fd");
}

TEST(file, reads_and_refuses) {
  char folder[SCRATCH_BYTES], path[PATH_BYTES];
  scratch_make(folder);
  join(path, folder, "a");
  void *data = NULL;
  size_t bytes = 7;
  FAILS(tct_file_read(path, 100, &data, &bytes), TCT_NOT_FOUND, "/a': No such file or directory");
  CHECK(data == NULL && bytes == 0);
  const tct_file_part parts[] = {{"hello ", 6}, {NULL, 0}, {"world", 5}};
  OK(tct_file_write_atomic(path, parts, 3));
  OK(tct_file_read(path, 11, &data, &bytes));
  CHECK(bytes == 11 && strcmp(data, "hello world") == 0, "%zu bytes", bytes);
  tct_release(data);
  FAILS(tct_file_read(path, 10, &data, &bytes), TCT_BAD_DATA, "10 bytes");
  CHECK(data == NULL);
  OK(write_text(path, ""));
  OK(tct_file_read(path, 0, &data, &bytes));
  CHECK(bytes == 0 && *(char *)data == '\0');
  tct_release(data);
  FAILS(tct_file_read(folder, 100, &data, &bytes), TCT_INVALID, "Is a directory");
  FAILS(write_text(folder, "x"), TCT_INVALID, "rename");
  CHECK(count_entries(folder) == 1, "a temporary file is left");
  scratch_remove(folder);
}

/* As root, a rename onto /dev/null would leave the machine without it. */
TEST(file, atomic_write_replaces_no_fifo_and_no_device) {
  char folder[SCRATCH_BYTES], path[PATH_BYTES], text[8] = "";
  scratch_make(folder);
  join(path, folder, "fifo");
  CHECK(mkfifo(path, 0600) == 0);
  const int reader = open(path, O_RDWR | O_CLOEXEC);
  OK(write_text(path, "hello"));
  CHECK(read(reader, text, sizeof text) == 5 && strcmp(text, "hello") == 0, "%s", text);
  CHECK(close(reader) == 0);
  struct stat info;
  CHECK(stat(path, &info) == 0 && S_ISFIFO(info.st_mode), "the FIFO was replaced");
  CHECK(count_entries(folder) == 1, "a temporary file is left");
  FAILS(write_text("/dev/full", "x"), TCT_IO, "/dev/full': No space left on device");
  CHECK(stat("/dev/full", &info) == 0 && S_ISCHR(info.st_mode), "the device was replaced");
  scratch_remove(folder);
}

/* A stream has no size; the size of a file in /proc is 0. */
TEST(file, reads_what_has_no_size) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  char path[64], block[10000];
  memset(block, 'x', sizeof block);
  (void)snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
  for (int i = 0; i < 5; i++) CHECK(write(ends[1], block, sizeof block) == (ssize_t)sizeof block);
  CHECK(close(ends[1]) == 0);
  void *data = NULL;
  size_t bytes = 0;
  OK(tct_file_read(path, 1 << 20, &data, &bytes));
  CHECK(bytes == 5 * sizeof block, "%zu bytes", bytes);
  tct_release(data);
  CHECK(close(ends[0]) == 0);
  OK(tct_file_read("/proc/self/status", 1 << 20, &data, &bytes));
  CHECK(bytes > 0 && strlen(data) == bytes);
  tct_release(data);
  char text[8] = "";
  CHECK(tct_file_peek("/proc/self/status", text, sizeof text) && strlen(text) == 7, "'%s'", text);
  CHECK(!tct_file_peek("/proc/self/no such file", text, sizeof text));
}

TEST(file, read_survives_each_failing_call) {
  char folder[SCRATCH_BYTES], path[PATH_BYTES];
  scratch_make(folder);
  join(path, folder, "data");
  OK(write_text(path, "some text"));
  const int descriptors = open_descriptors();
  const int64_t live = tct_alloc_live();
  for (size_t f = 0; f < TCT_COUNT_OF(faults); f++) {
    bool struck = true;
    for (int nth = 1; struck; nth++) {
      CHECK(nth < MOST_CALLS);
      void *data = NULL;
      size_t bytes = 0;
      (void)fault_file(nth, faults[f]);
      const tct_status status = tct_file_read(path, 100, &data, &bytes);
      struck = fault_file(0, 0);
      const char *const call = fault_file_call();
      /* Interrupted and short calls go on; a failing close of what was read is no loss; size is only ours to fail. */
      const bool harmless = !struck || faults[f] == FAULT_SHORT || strcmp(call, "close") == 0 ||
                            (faults[f] == EINTR && strcmp(call, "size") != 0);
      CHECK(status == (harmless ? TCT_OK : TCT_IO), "fault %d at call %d (%s): %s", faults[f], nth, call,
            tct_status_name(status));
      if (status == TCT_OK) CHECK(bytes == 9 && strcmp(data, "some text") == 0);
      if (status != TCT_OK) CHECK(data == NULL && strstr(tct_error_message(), path) != NULL);
      tct_release(data);
      CHECK(open_descriptors() == descriptors, "fault %d at call %d (%s): a descriptor leaks", faults[f], nth, call);
    }
  }
  CHECK(tct_alloc_live() == live);
  scratch_remove(folder);
}

/* Whatever call fails: the file is whole, old unless the rename was reached, and no temporary is left. */
TEST(file, atomic_write_survives_each_failing_call) {
  char folder[SCRATCH_BYTES], path[PATH_BYTES];
  scratch_make(folder);
  join(path, folder, "model");
  const tct_file_part parts[] = {{"new ", 4}, {"content", 7}};
  const int descriptors = open_descriptors();
  for (size_t f = 0; f < TCT_COUNT_OF(faults); f++) {
    bool struck = true;
    int n_failed = 0;
    for (int nth = 1; struck; nth++) {
      CHECK(nth < MOST_CALLS);
      OK(write_text(path, "old"));
      (void)fault_file(nth, faults[f]);
      const tct_status status = tct_file_write_atomic(path, parts, 2);
      struck = fault_file(0, 0);
      const char *const call = fault_file_call();
      const bool retried = strcmp(call, "open") == 0 || strcmp(call, "write") == 0 || strcmp(call, "close") == 0;
      const bool harmless = !struck || faults[f] == FAULT_SHORT || (faults[f] == EINTR && retried);
      if (harmless) CHECK(status == TCT_OK, "fault %d at call %d (%s): %s", faults[f], nth, call, tct_error_message());
      if (status != TCT_OK) {
        n_failed++;
        CHECK(status == TCT_IO && strstr(tct_error_message(), path) != NULL, "%s", tct_error_message());
      }
      const bool is_new = holds(path, "new content"), is_old = holds(path, "old");
      CHECK(is_new || is_old, "fault %d at call %d (%s): the file is neither old nor new", faults[f], nth, call);
      /* After the rename only the folder is opened and synced. */
      if (status == TCT_OK) CHECK(is_new, "fault %d at call %d (%s): success, but old", faults[f], nth, call);
      if (strcmp(call, "write") == 0 || strcmp(call, "rename") == 0) CHECK(is_old == (status != TCT_OK));
      CHECK(count_entries(folder) == 1, "fault %d at call %d (%s): a temporary is left", faults[f], nth, call);
      CHECK(open_descriptors() == descriptors, "fault %d at call %d (%s): a descriptor leaks", faults[f], nth, call);
    }
    if (faults[f] == EIO) CHECK(n_failed >= 7, "only %d calls could fail", n_failed);
  }
  scratch_remove(folder);
}

TEST(file, atomic_write_survives_each_failing_allocation) {
  char folder[SCRATCH_BYTES], path[PATH_BYTES];
  scratch_make(folder);
  join(path, folder, "model");
  const int64_t live = tct_alloc_live();
  bool struck = true;
  for (int nth = 1; struck; nth++) {
    CHECK(nth < MOST_CALLS);
    OK(write_text(path, "old"));
    (void)fault_alloc(nth);
    const tct_status status = write_text(path, "new");
    struck = fault_alloc(0);
    CHECK(status == (struck ? TCT_OUT_OF_MEMORY : TCT_OK), "allocation %d: %s", nth, tct_status_name(status));
    CHECK(holds(path, "new") || holds(path, "old"));
    CHECK(count_entries(folder) == 1, "allocation %d: a temporary is left", nth);
  }
  CHECK(tct_alloc_live() == live);
  scratch_remove(folder);
}

static tct_status write_stream(const char *path, int n_lines) {
  tct_file_out *out = NULL;
  TCT_TRY(tct_file_create(path, &out));
  tct_status status = tct_file_append(out, "head\n", 5);
  for (int i = 0; status == TCT_OK && i < n_lines; i++) status = tct_file_printf(out, "line %06d %.2f\n", i, i / 4.0);
  const tct_status closed = tct_file_close(out);
  return status != TCT_OK ? status : closed;
}

TEST(file, stream_writes_everything) {
  enum { LINES = 10000 };
  char folder[SCRATCH_BYTES], path[PATH_BYTES];
  scratch_make(folder);
  join(path, folder, "log.csv");
  OK(write_stream(path, LINES));
  void *data = NULL;
  size_t bytes = 0;
  OK(tct_file_read(path, 1 << 20, &data, &bytes));
  const char *at = (char *)data + 5;
  for (int i = 0; i < LINES; i++) {
    char line[64];
    const int length = snprintf(line, sizeof line, "line %06d %.2f\n", i, i / 4.0);
    CHECK(strncmp(at, line, (size_t)length) == 0, "line %d", i);
    at += length;
  }
  CHECK(at == (char *)data + bytes);
  tct_release(data);

  /* Longer than the buffer, by both ways in. */
  char *const large = malloc(200001);
  CHECK(large != NULL);
  memset(large, 'y', 200000);
  large[200000] = '\0';
  tct_file_out *out = NULL;
  OK(tct_file_create(path, &out));
  OK(tct_file_printf(out, "a%sb", large));
  OK(tct_file_append(out, large, 200000));
  OK(tct_file_flush(out));
  OK(tct_file_close(out));
  OK(tct_file_close(NULL));
  OK(tct_file_read(path, 1 << 20, &data, &bytes));
  CHECK(bytes == 400002 && ((char *)data)[0] == 'a' && ((char *)data)[200001] == 'b', "%zu bytes", bytes);
  tct_release(data);
  free(large);
  FAILS(tct_file_create(folder, &out), TCT_INVALID, folder);
  CHECK(out == NULL);
  scratch_remove(folder);
}

TEST(file, stream_reports_each_failing_call) {
  char folder[SCRATCH_BYTES], path[PATH_BYTES];
  scratch_make(folder);
  join(path, folder, "log");
  const int descriptors = open_descriptors();
  const int64_t live = tct_alloc_live();
  for (size_t f = 0; f < TCT_COUNT_OF(faults); f++) {
    bool struck = true;
    for (int nth = 1; struck; nth++) {
      CHECK(nth < MOST_CALLS);
      (void)fault_file(nth, faults[f]);
      const tct_status status = write_stream(path, 8000); /* more than two buffers */
      struck = fault_file(0, 0);
      const bool harmless = !struck || faults[f] == EINTR || faults[f] == FAULT_SHORT;
      CHECK(status == (harmless ? TCT_OK : TCT_IO), "fault %d at call %d (%s): %s", faults[f], nth, fault_file_call(),
            tct_status_name(status));
      if (status != TCT_OK) CHECK(strstr(tct_error_message(), path) != NULL, "%s", tct_error_message());
      CHECK(open_descriptors() == descriptors);
    }
  }
  CHECK(tct_alloc_live() == live);

  /* The first error sticks although writing would work again. */
  tct_file_out *out = NULL;
  OK(tct_file_create(path, &out));
  OK(tct_file_append(out, "x", 1));
  (void)fault_file(1, ENOSPC);
  FAILS(tct_file_flush(out), TCT_IO, "No space left");
  (void)fault_file(0, 0);
  FAILS(tct_file_append(out, "x", 1), TCT_IO, "No space left");
  FAILS(tct_file_printf(out, "x"), TCT_IO, "No space left");
  FAILS(tct_file_close(out), TCT_IO, "No space left");
  scratch_remove(folder);
}

static bool is_folder(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

TEST(file, makes_folders) {
  char folder[SCRATCH_BYTES], path[PATH_BYTES];
  scratch_make(folder);
  static const char *const names[] = {"a/b/c", "a/b/c", "d//e/", "a"};
  for (size_t i = 0; i < TCT_COUNT_OF(names); i++) {
    join(path, folder, names[i]);
    OK(tct_make_directories(path));
    CHECK(is_folder(path), "%s", path);
  }
  join(path, folder, "file");
  OK(write_text(path, ""));
  FAILS(tct_make_directories(path), TCT_INVALID, "File exists");
  join(path, folder, "file/below");
  FAILS(tct_make_directories(path), TCT_INVALID, "/file': File exists");
  FAILS(tct_make_directories(""), TCT_INVALID, "empty");
  join(path, folder, "new");
  (void)fault_file(1, EACCES);
  /* Already there, as far as an answer was given: the fault hits the first component. */
  FAILS(tct_make_directories(path), TCT_INVALID, "Permission denied");
  (void)fault_file(0, 0);
  scratch_remove(folder);
}
