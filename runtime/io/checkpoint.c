/* Writing, finding, checking and removing pairs of checkpoint files. The reader takes a folder for hostile: the JSON is
 * parsed only after its checksum held, the name of the other file is the one that follows from the number, and tensors come
 * through the one safetensors reader. */
#include "io/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status.h"
#include "io/json.h"

#define STEM          "checkpoint-"
#define TENSORS       ".safetensors"
#define SIDECAR       ".json"
#define TEMPORARY     ".tercet-"
#define TEMPORARY_END ".tmp"
/* The first line of a sidecar, up to its body; the checksum is of the body, which ends one byte before the file. */
#define FRAME_BEGIN "{\"format\":\"tercet.checkpoint.1\",\"crc32\":\""
#define FRAME_BODY  "\",\"body\":"
#define FRAME_END   "}"
enum { CRC_DIGITS = 8, FRAME_BYTES = sizeof FRAME_BEGIN - 1 + CRC_DIGITS + sizeof FRAME_BODY - 1 };

#define MOST_SIDECAR ((size_t)64 << 20)
#define MOST_NUMBER  INT64_C(999999999999)

void tct_checkpoint_name(int64_t number, char out[TCT_CHECKPOINT_NAME_BYTES]) {
  (void)snprintf(out, TCT_CHECKPOINT_NAME_BYTES, STEM "%08" PRId64, number);
}

static void path_of(tct_text *out, const char *folder, int64_t number, const char *ending) {
  char name[TCT_CHECKPOINT_NAME_BYTES];
  tct_checkpoint_name(number, name);
  out->length = 0;
  tct_text_printf(out, "%s/%s%s", folder, name, ending);
}

/* ---- names in a folder ------------------------------------------------------------------------------- */

/* The number of a name as path_of writes it with that ending; 0 for every other name. */
static int64_t number_of(const char *name, const char *ending) {
  const size_t stem = sizeof STEM - 1, n = strlen(name), tail = strlen(ending);
  int64_t number = 0;
  if (n <= stem + tail || strncmp(name, STEM, stem) != 0 || !tct_ends_with(name, ending)) return 0;
  if (!tct_parse_i64(name + stem, n - stem - tail, &number) || number < 1 || number > MOST_NUMBER) return 0;
  char again[TCT_CHECKPOINT_NAME_BYTES];
  tct_checkpoint_name(number, again);
  return strlen(again) == n - tail && memcmp(again, name, n - tail) == 0 ? number : 0;
}

/* What a look into the folder finds. */
typedef struct listing {
  int64_t largest;                           /* of either file */
  int64_t newest[TCT_CHECKPOINT_MOST_KEPT];  /* numbers of sidecars, the largest first */
  int32_t n, most;                           /* most: how many to look for */
  int64_t damaged_after, damaged_until;      /* these do not count */
} listing;

static void note_name(void *user, const char *name) {
  listing *const l = user;
  const int64_t tensors = number_of(name, TENSORS), number = number_of(name, SIDECAR);
  if (tensors > l->largest) l->largest = tensors;
  if (number > l->largest) l->largest = number;
  if (number == 0 || (number > l->damaged_after && number <= l->damaged_until)) return;
  int32_t at = l->n < l->most ? l->n++ : l->n;
  for (; at > 0 && l->newest[at - 1] < number; at--) {
    if (at < l->n) l->newest[at] = l->newest[at - 1];
  }
  if (at < l->n) l->newest[at] = number;
}

/* A folder that is not there has nothing in it. */
static tct_status look(const char *folder, listing *out) {
  const tct_status status = tct_file_list(folder, note_name, out);
  return status == TCT_NOT_FOUND ? TCT_OK : status;
}

tct_status tct_checkpoint_newest(const char *folder, int64_t *out) {
  listing l = {.most = 1};
  *out = 0;
  TCT_TRY(look(folder, &l));
  *out = l.newest[0];
  return TCT_OK;
}

/* ---- writing ----------------------------------------------------------------------------------------- */

static tct_status write_sidecar(const char *path, const char *name, const tct_checksum *tensors, const char *run) {
  tct_text body = {0}, frame = {0};
  tct_text_printf(&body, "{\"version\":\"%s\",\"files\":[{\"name\":\"%s" TENSORS "\",\"bytes\":%" PRIu64
                  ",\"crc32\":\"%08" PRIx32 "\"}],\"run\":", tct_version(), name, tensors->bytes, tensors->crc32);
  tct_text_append(&body, run);
  tct_text_append(&body, "}");
  tct_checksum sum = {0};
  tct_checksum_add(&sum, body.data, body.length);
  tct_text_printf(&frame, FRAME_BEGIN "%08" PRIx32 FRAME_BODY, sum.crc32);
  tct_status status = TCT_OUT_OF_MEMORY;
  if (!body.failed && !frame.failed && frame.length + body.length + sizeof FRAME_END - 1 > MOST_SIDECAR) {
    status = tct_fail(TCT_INVALID, "checkpoint '%s' is %zu bytes, at most %zu can be read back; callbacks or metadata keep too much in it",
                      path, frame.length + body.length + sizeof FRAME_END - 1, MOST_SIDECAR);
  } else if (!body.failed && !frame.failed) {
    const tct_file_part parts[] = {{frame.data, frame.length}, {body.data, body.length}, {FRAME_END, sizeof FRAME_END - 1}};
    status = tct_file_write_atomic(path, parts, TCT_COUNT_OF(parts));
  }
  tct_text_free(&frame);
  tct_text_free(&body);
  return status;
}

static tct_status write_pair(const char *folder, int64_t number, const tct_named_array *arrays, size_t n_arrays,
                             const char *run, tct_text *tensors, tct_text *sidecar) {
  static const tct_named_text metadata[] = {{"format", "tercet.checkpoint"}};
  char name[TCT_CHECKPOINT_NAME_BYTES];
  tct_checksum sum = {0};
  tct_checkpoint_name(number, name);
  path_of(tensors, folder, number, TENSORS);
  path_of(sidecar, folder, number, SIDECAR);
  if (tensors->failed || sidecar->failed) return TCT_OUT_OF_MEMORY;
  tct_status status = tct_safetensors_write_summed(tensors->data, arrays, n_arrays, metadata, 1, &sum);
  if (status == TCT_OK) status = write_sidecar(sidecar->data, name, &sum, run);
  if (status == TCT_OK) return TCT_OK;
  /* A disk that is full must not stay full of what cannot be used. */
  (void)tct_file_calls_in_force()->unlink(sidecar->data);
  (void)tct_file_calls_in_force()->unlink(tensors->data);
  return status;
}

tct_status tct_checkpoint_write(const char *folder, const tct_named_array *arrays, size_t n_arrays, const char *run,
                                int64_t *out_number) {
  *out_number = 0;
  listing l = {.most = 1};
  TCT_TRY(look(folder, &l));
  if (l.largest >= MOST_NUMBER) {
    return tct_fail(TCT_INVALID, "'%s' has a checkpoint number %" PRId64 ", after which there is none; use another folder",
                    folder, l.largest);
  }
  tct_text tensors = {0}, sidecar = {0};
  const tct_status status = write_pair(folder, l.largest + 1, arrays, n_arrays, run, &tensors, &sidecar);
  tct_text_free(&tensors);
  tct_text_free(&sidecar);
  if (status == TCT_OK) *out_number = l.largest + 1;
  return status;
}

/* ---- reading ----------------------------------------------------------------------------------------- */

static bool parse_crc(const char *text, uint32_t *out) {
  *out = 0;
  for (int i = 0; i < CRC_DIGITS; i++) {
    static const char digits[] = "0123456789abcdef";
    const char *const digit = text[i] != '\0' ? strchr(digits, text[i]) : NULL;
    if (digit == NULL) return false;
    *out = *out << 4 | (uint32_t)(digit - digits);
  }
  return true;
}

/* The body between the frame's ends, after its checksum held. */
static tct_status unframe(const char *path, const char *file, size_t bytes, const char **out, size_t *out_bytes) {
  static const size_t crc_at = sizeof FRAME_BEGIN - 1;
  const size_t tail = sizeof FRAME_END - 1;
  tct_checksum sum = {0};
  uint32_t stored = 0;
  if (bytes < FRAME_BYTES + tail || memcmp(file, FRAME_BEGIN, crc_at) != 0 || !parse_crc(file + crc_at, &stored) ||
      memcmp(file + crc_at + CRC_DIGITS, FRAME_BODY, sizeof FRAME_BODY - 1) != 0 ||
      memcmp(file + bytes - tail, FRAME_END, tail) != 0) {
    return tct_fail(TCT_BAD_DATA, "'%s' is cut short, or no checkpoint of this version", path);
  }
  *out = file + FRAME_BYTES;
  *out_bytes = bytes - FRAME_BYTES - tail;
  tct_checksum_add(&sum, *out, *out_bytes);
  if (sum.crc32 == stored) return TCT_OK;
  return tct_fail(TCT_BAD_DATA, "'%s' is damaged: its checksum is %08" PRIx32 ", it should be %08" PRIx32, path, sum.crc32,
                  stored);
}

static tct_status parse_body(const char *path, const char *text, size_t bytes, json_t **out) {
  json_error_t error;
  bool ran_out = false;
  *out = tct_json_parse(text, bytes, JSON_REJECT_DUPLICATES, &error, &ran_out);
  if (*out != NULL) return TCT_OK;
  if (ran_out) {
    return tct_fail(TCT_OUT_OF_MEMORY, "'%s': no memory for its content", path);
  }
  return tct_fail(TCT_BAD_DATA, "'%s' is no valid JSON at byte %d: %s", path, error.position, error.text);
}

/* What the sidecar says that the tensors' file should be. */
static tct_status expected(const char *path, const json_t *body, const char *name, tct_checksum *out) {
  const json_t *const files = json_object_get(body, "files"), *const file = json_array_get(files, 0);
  const char *const file_name = json_string_value(json_object_get(file, "name"));
  const json_t *const bytes = json_object_get(file, "bytes");
  const char *const crc = json_string_value(json_object_get(file, "crc32"));
  const size_t n = strlen(name);
  const bool good = json_array_size(files) == 1 && file_name != NULL && strncmp(file_name, name, n) == 0 &&
                    strcmp(file_name + n, TENSORS) == 0 && json_is_integer(bytes) && json_integer_value(bytes) >= 0 &&
                    crc != NULL && strlen(crc) == CRC_DIGITS && parse_crc(crc, &out->crc32) &&
                    json_is_object(json_object_get(body, "run"));
  if (!good) return tct_fail(TCT_BAD_DATA, "'%s' does not say what the files of its checkpoint are", path);
  out->bytes = (uint64_t)json_integer_value(bytes);
  return TCT_OK;
}

static tct_status read_run(const char *path, const char *name, tct_checksum *out_tensors, json_t **out) {
  void *file = NULL;
  size_t bytes = 0, body_bytes = 0;
  const char *text = NULL;
  json_t *body = NULL;
  TCT_TRY(tct_file_read(path, MOST_SIDECAR, &file, &bytes));
  tct_status status = unframe(path, file, bytes, &text, &body_bytes);
  if (status == TCT_OK) status = parse_body(path, text, body_bytes, &body);
  if (status == TCT_OK) status = expected(path, body, name, out_tensors);
  if (status == TCT_OK) *out = json_incref(json_object_get(body, "run"));
  json_decref(body);
  tct_release(file);
  return status;
}

static tct_status read_tensors(const char *path, const tct_checksum *want, tct_safetensors **out) {
  TCT_TRY(tct_safetensors_read(path, out));
  const tct_checksum has = tct_safetensors_checksum(*out);
  if (tct_checksum_equal(&has, want)) return TCT_OK;
  return tct_fail(TCT_BAD_DATA, "'%s' is damaged: it has %" PRIu64 " bytes with checksum %08" PRIx32 ", it should have %"
                  PRIu64 " with %08" PRIx32, path, has.bytes, has.crc32, want->bytes, want->crc32);
}

static tct_status read_pair(const char *folder, int64_t number, tct_checkpoint *out) {
  char name[TCT_CHECKPOINT_NAME_BYTES];
  tct_text tensors = {0}, sidecar = {0};
  tct_checksum sum = {0};
  *out = (tct_checkpoint){.number = number};
  tct_checkpoint_name(number, name);
  path_of(&tensors, folder, number, TENSORS);
  path_of(&sidecar, folder, number, SIDECAR);
  tct_status status = tensors.failed || sidecar.failed ? TCT_OUT_OF_MEMORY : read_run(sidecar.data, name, &sum, &out->run);
  if (status == TCT_OK) status = read_tensors(tensors.data, &sum, &out->tensors);
  tct_text_free(&sidecar);
  tct_text_free(&tensors);
  if (status != TCT_OK) tct_checkpoint_close(out);
  return status;
}

/* Whether an older checkpoint may take the place of one that failed so. A file that could not be read (no descriptors left,
 * a disk that is away) may be whole, and would be removed as damaged. */
static bool is_damage(tct_status status) { return status == TCT_BAD_DATA || status == TCT_NOT_FOUND; }

tct_status tct_checkpoint_read(const char *folder, tct_checkpoint *out) {
  *out = (tct_checkpoint){0};
  listing l = {.most = TCT_CHECKPOINT_MOST_KEPT};
  TCT_TRY(look(folder, &l));
  if (l.n == 0) return tct_fail(TCT_NOT_FOUND, "'%s' holds no checkpoint", folder);
  tct_text reasons = {0};
  tct_status status = TCT_OK;
  for (int32_t i = 0; i < l.n; i++) {
    char name[TCT_CHECKPOINT_NAME_BYTES];
    tct_checkpoint_name(l.newest[i], name);
    status = read_pair(folder, l.newest[i], out);
    if (status == TCT_OK && i > 0) tct_log_line(TCT_LOG_WARNING, "the older '%s/%s' is used in their place", folder, name);
    if (status == TCT_OK || !is_damage(status)) break;
    tct_log_line(TCT_LOG_WARNING, "checkpoint '%s' cannot be used: %s", name, tct_error_message());
    tct_text_printf(&reasons, "\n%s", tct_error_message());
  }
  if (status != TCT_OK && is_damage(status)) {
    status = tct_fail(TCT_E_CHECKPOINT, "no checkpoint in '%s' can be used:%s", folder, reasons.data != NULL ? reasons.data : "");
  }
  out->newest = status == TCT_OK ? l.largest : 0;
  tct_text_free(&reasons);
  return status;
}

void tct_checkpoint_close(tct_checkpoint *checkpoint) {
  json_decref(checkpoint->run);
  tct_safetensors_free(checkpoint->tensors);
  *checkpoint = (tct_checkpoint){0};
}

/* ---- removing ---------------------------------------------------------------------------------------- */

enum { MOST_REMOVED = 64 }; /* at once; what is over goes the next time */

typedef struct sweep {
  const listing *kept;
  char names[MOST_REMOVED][TCT_CHECKPOINT_NAME_BYTES];
  int32_t n;
} sweep;

static bool is_kept(const listing *kept, int64_t number) {
  for (int32_t i = 0; i < kept->n; i++) {
    if (kept->newest[i] == number) return true;
  }
  return false;
}

static void note_removable(void *user, const char *name) {
  sweep *const s = user;
  const int64_t sidecar = number_of(name, SIDECAR), number = sidecar > 0 ? sidecar : number_of(name, TENSORS);
  const bool left_over = strncmp(name, TEMPORARY, sizeof TEMPORARY - 1) == 0 && tct_ends_with(name, TEMPORARY_END);
  const bool goes = left_over || (number > 0 && !is_kept(s->kept, number));
  if (!goes || s->n == MOST_REMOVED || strlen(name) >= sizeof s->names[0]) return;
  (void)snprintf(s->names[s->n++], sizeof s->names[0], "%s", name);
}

void tct_checkpoint_prune(const char *folder, int32_t keep, int64_t damaged_after, int64_t damaged_until) {
  listing kept = {.most = keep < TCT_CHECKPOINT_MOST_KEPT ? keep : TCT_CHECKPOINT_MOST_KEPT,
                  .damaged_after = damaged_after, .damaged_until = damaged_until};
  sweep s = {.kept = &kept};
  tct_status status = look(folder, &kept);
  if (status == TCT_OK) status = tct_file_list(folder, note_removable, &s);
  tct_text path = {0};
  /* A sidecar goes before its tensors: one that stands promises a whole checkpoint. */
  for (int pass = 0; pass < 2; pass++) {
    for (int32_t i = 0; i < s.n && status == TCT_OK; i++) {
      if (tct_ends_with(s.names[i], SIDECAR) != (pass == 0)) continue;
      path.length = 0;
      tct_text_printf(&path, "%s/%s", folder, s.names[i]);
      status = path.failed ? tct_error_status() : tct_file_remove(path.data);
    }
  }
  if (status != TCT_OK) tct_log_line(TCT_LOG_WARNING, "old checkpoints stay: %s", tct_error_message());
  tct_text_free(&path);
}
