/* The plain output stream: a buffer in front of the file seam's write, with a sticky first error. */
#include "base/alloc.h"
#include "base/file.h"
#include "base/status.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER_BYTES = 64 * 1024 };

struct tct_file_out {
  int fd;
  bool owns_fd; /* standard output is not ours to close */
  int error;    /* the first failure's errno */
  size_t used;
  int64_t written; /* the position behind what was written through */
  char *name; /* owned */
  char buffer[BUFFER_BYTES];
};

static tct_status fail_again(const tct_file_out *file) {
  errno = file->error;
  return tct_file_fail("write", file->name);
}

/* Keeps `code` unless an earlier error is kept. */
static tct_status fail_first(tct_file_out *file, int code) {
  if (file->error == 0) file->error = code;
  return fail_again(file);
}

static tct_status write_through(tct_file_out *file, const void *data, size_t bytes) {
  if (!tct_file_write_all(file->fd, data, bytes)) return fail_first(file, errno);
  file->written += (int64_t)bytes;
  return TCT_OK;
}

/* A stream without its descriptor. */
static tct_file_out *stream_of(const char *name) {
  tct_file_out *file = tct_alloc(sizeof *file);
  char *copy = file != NULL ? tct_strdup(name) : NULL;
  if (copy == NULL) {
    tct_release(file);
    return NULL;
  }
  file->fd = STDOUT_FILENO;
  file->owns_fd = false;
  file->error = 0;
  file->used = 0;
  file->written = 0;
  file->name = copy;
  return file;
}

static tct_status open_stream(const char *path, int flags, tct_file_out **out) {
  tct_file_out *file = stream_of(path);
  if (file == NULL) return tct_context("creating '%s'", path);
  do file->fd = tct_file_calls_in_force()->open(path, flags, 0666);
  while (file->fd < 0 && errno == EINTR);
  file->owns_fd = true;
  if (file->fd < 0) {
    const tct_status status = tct_file_fail("create", path);
    tct_release(file->name);
    tct_release(file);
    return status;
  }
  *out = file;
  return TCT_OK;
}

tct_status tct_file_create(const char *path, tct_file_out **out) {
  *out = NULL;
  if (strcmp(path, "-") != 0) return open_stream(path, O_WRONLY | O_CREAT | O_TRUNC, out);
  *out = stream_of("standard output");
  return *out != NULL ? TCT_OK : tct_context("creating '%s'", path);
}

tct_status tct_file_continue(const char *path, int64_t bytes, tct_file_out **out) {
  *out = NULL;
  TCT_TRY(open_stream(path, O_WRONLY | O_CREAT | O_APPEND, out));
  TCT_ASSERT(*out != NULL);
  const tct_file_calls *calls = tct_file_calls_in_force();
  int64_t has = 0;
  if (calls->size((*out)->fd, &has) != 0 || (has > bytes && calls->truncate((*out)->fd, bytes) != 0)) {
    const tct_status status = tct_file_fail("continue", path);
    tct_error_record record;
    tct_error_save(&record);
    if (tct_file_close(*out) != TCT_OK) tct_error_clear(); /* the first error is the one to tell */
    tct_error_restore(&record);
    *out = NULL;
    return status;
  }
  (*out)->written = has < bytes ? has : bytes;
  return TCT_OK;
}

int64_t tct_file_position(const tct_file_out *file) {
  return file->written + (int64_t)file->used;
}

tct_status tct_file_flush(tct_file_out *file) {
  if (file->error != 0) return fail_again(file);
  const size_t bytes = file->used;
  file->used = 0;
  return write_through(file, file->buffer, bytes);
}

tct_status tct_file_append(tct_file_out *file, const void *data, size_t bytes) {
  if (file->error != 0) return fail_again(file);
  if (bytes > BUFFER_BYTES - file->used) TCT_TRY(tct_file_flush(file));
  if (bytes > BUFFER_BYTES) return write_through(file, data, bytes);
  if (bytes > 0) memcpy(file->buffer + file->used, data, bytes);
  file->used += bytes;
  return TCT_OK;
}

tct_status tct_file_printf(tct_file_out *file, const char *format, ...) {
  if (file->error != 0) return fail_again(file);
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  /* Straight into the buffer; through a text of its own only when it does not fit there. */
  const size_t room = BUFFER_BYTES - file->used;
  const int length = tct_vsnprintf(file->buffer + file->used, room, format, args);
  tct_status status = TCT_OK;
  if (length >= 0 && (size_t)length < room) {
    file->used += (size_t)length;
  } else {
    tct_text text = {0};
    tct_text_vprintf(&text, format, again);
    if (text.failed)
      status = fail_first(file, ENOMEM);
    else
      status = tct_file_append(file, text.data, text.length);
    tct_text_free(&text);
  }
  va_end(again);
  va_end(args);
  return status;
}

tct_status tct_file_close(tct_file_out *file) {
  if (!file) return TCT_OK;
  tct_status status = tct_file_flush(file);
  if (file->owns_fd && tct_file_calls_in_force()->close(file->fd) != 0 && errno != EINTR && status == TCT_OK)
    status = fail_first(file, errno);
  tct_release(file->name);
  tct_release(file);
  return status;
}
