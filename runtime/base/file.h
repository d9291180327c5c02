/* The file seam: a table of calls with errno semantics, and on it the few operations that the library needs. Nothing
 * else in runtime/ opens, reads, writes, renames or syncs. Tests replace the table to fail, shorten or interrupt a call. */
#ifndef TCT_BASE_FILE_H
#define TCT_BASE_FILE_H

#include <sys/types.h>
#include <tercet/types.h>

typedef struct tct_file_calls {
  int (*open)(const char *path, int flags, unsigned mode);
  ssize_t (*read)(int fd, void *data, size_t bytes);
  ssize_t (*write)(int fd, const void *data, size_t bytes);
  int (*fsync)(int fd);
  int (*close)(int fd);
  int (*rename)(const char *from, const char *to);
  int (*unlink)(const char *path);
  int (*size)(int fd, int64_t *out_bytes); /* of a regular file; else -1 and EISDIR (a folder) or ESPIPE (a stream) */
  int (*mkdir)(const char *path, unsigned mode);
  int (*list)(const char *path, void (*each)(void *user, const char *name), void *user); /* a folder's entries, any order */
  int (*truncate)(int fd, int64_t bytes);
  bool (*is_special)(const char *path); /* there, and neither a regular file nor a folder: a device, a FIFO, a socket */
} tct_file_calls;
extern const tct_file_calls tct_file_system;          /* the system's own, for a table that wraps them */
void tct_set_file_calls(const tct_file_calls *calls); /* borrowed until replaced; NULL: the system's again */

/* Reads a whole file into memory (owned by the caller, tct_release). EINTR and short reads are handled. A file larger
 * than `most_bytes` is refused. A zero byte follows the data, not counted in *out_bytes. */
tct_status tct_file_read(const char *path, size_t most_bytes, void **out_data, size_t *out_bytes) TCT_CHECKED;
/* The first bytes of a small text that the system keeps (under /proc, /sys), NUL-terminated; false, with nothing
 * recorded, when it cannot be read. */
bool tct_file_peek(const char *path, char *text, size_t bytes);
/* Writes `path` atomically: temporary file beside it, fsync, rename, fsync of the directory. On failure the old file is
 * untouched and the temporary is removed; only if the last fsync, the directory's, fails is the new file already in
 * place, whole. A failed fsync is never retried. What is no regular file (/dev/null, a FIFO, /dev/stdout) is written to as it
 * stands, never replaced. */
typedef struct tct_file_part {
  const void *data;
  size_t bytes;
} tct_file_part;
tct_status tct_file_write_atomic(const char *path, const tct_file_part *parts, size_t n_parts) TCT_CHECKED;

/* A plain output stream (logs, CSV): buffered; the first error sticks, and every later call returns it, the closing too. */
typedef struct tct_file_out tct_file_out;
tct_status tct_file_create(const char *path, tct_file_out **out) TCT_CHECKED; /* "-" is standard output */
/* Goes on with a file at its byte `bytes`: what stands behind is cut off. A file that is not there begins empty, and a
 * shorter one goes on at its end; tct_file_position says where that is. */
tct_status tct_file_continue(const char *path, int64_t bytes, tct_file_out **out) TCT_CHECKED;
int64_t tct_file_position(const tct_file_out *file); /* in the file, buffered bytes included; of a stream: since creation */
tct_status tct_file_append(tct_file_out *file, const void *data, size_t bytes) TCT_CHECKED;
tct_status tct_file_printf(tct_file_out *file, const char *format, ...) TCT_PRINTF(2, 3) TCT_CHECKED;
tct_status tct_file_flush(tct_file_out *file) TCT_CHECKED;
tct_status tct_file_close(tct_file_out *file) TCT_CHECKED; /* NULL is fine; frees in any case */
/* Like mkdir -p; what it makes is on disk when it returns. */
tct_status tct_make_directories(const char *path) TCT_CHECKED;
/* Every entry of a folder, "." and ".." too, in no order. TCT_NOT_FOUND when it is not there or no folder. */
tct_status tct_file_list(const char *path, void (*each)(void *user, const char *name), void *user) TCT_CHECKED;
/* Removes a file, for good only after a crash that comes later: nothing is synced. Not being there is no error. */
tct_status tct_file_remove(const char *path) TCT_CHECKED;

/* For what is built on the table: the calls in force; a write of all bytes (EINTR and short writes handled; false and
 * errno); the error that errno stands for, "cannot <doing> '<path>': …". */
const tct_file_calls *tct_file_calls_in_force(void);
bool tct_file_write_all(int fd, const void *data, size_t bytes);
tct_status tct_file_fail(const char *doing, const char *path);

#endif
