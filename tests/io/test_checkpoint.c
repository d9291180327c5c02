/* Pairs of checkpoint files: what is written is read, old ones go, damaged ones are passed over aloud, and a sidecar with
 * a true checksum is believed no further than that. */
#include "io/checkpoint.h"

#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/status.h"
#include "faults.h"
#include "test.h"

static char folder[SCRATCH_BYTES];
static char lines[4096]; /* the log */

static void keep_line(void *user, tct_log_level level, const char *line) {
  (void)user, (void)level;
  (void)snprintf(lines + strlen(lines), sizeof lines - strlen(lines), "%s\n", line);
}

static void begin(void) {
  scratch_make(folder);
  lines[0] = '\0';
  tct_set_log(keep_line, NULL, TCT_LOG_WARNING);
}

static const char *in_folder(const char *name) {
  static char path[SCRATCH_BYTES + 64];
  (void)snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static bool is_there(const char *name) { return access(in_folder(name), F_OK) == 0; }

static void put(const char *name, const char *text, size_t n) {
  FILE *const file = fopen(in_folder(name), "wb");
  CHECK(file != NULL && fwrite(text, 1, n, file) == n && fclose(file) == 0, "%s", name);
}

static tct_status write_version(int version) {
  const float w[2] = {(float)version, -1};
  const tct_named_array array = {"layer/kernel", {TCT_F32, TCT_SHAPE(2)}, w};
  char run[64];
  int64_t number = 0;
  (void)snprintf(run, sizeof run, "{\"version\":%d}", version);
  return tct_checkpoint_write(folder, &array, 1, run, &number);
}

/* The version that is read; -1: an error. */
static int read_version(void) {
  tct_checkpoint c;
  if (tct_checkpoint_read(folder, &c) != TCT_OK) return -1;
  const int version = (int)((const float *)tct_safetensors_find(c.tensors, "layer/kernel")->data)[0];
  CHECK(json_integer_value(json_object_get(c.run, "version")) == version && c.number <= c.newest);
  tct_checkpoint_close(&c);
  return version;
}

TEST(checkpoint, the_newest_is_read_and_old_ones_go) {
  begin();
  int64_t newest = -1;
  OK(tct_checkpoint_newest(folder, &newest));
  CHECK(newest == 0);
  FAILS(write_version(0) == TCT_OK ? tct_checkpoint_read("nowhere", &(tct_checkpoint){0}) : TCT_INTERNAL, TCT_NOT_FOUND,
        "'nowhere' holds no checkpoint");
  for (int v = 1; v <= 4; v++) OK(write_version(v));
  CHECK(read_version() == 4);
  static const char *const others[] = {"notes.json", "checkpoint-1.json", "checkpoint-00000001.txt", "checkpoint-0000000x.json",
                                       "checkpoint-00000000.json", "checkpoint-+0000001.json", "checkpoint-9999999999999.json",
                                       ".tercet-1-2.txt", ".tercet-with-a-name-longer-than-any-that-this-library-makes.tmp"};
  for (size_t i = 0; i < TCT_COUNT_OF(others); i++) put(others[i], "mine", 4);
  put(".tercet-1-2.tmp", "half", 4);
  put("checkpoint-00000004.safetensors", "half", 4); /* of a write that was cut short: no .json yet … */
  CHECK(unlink(in_folder("checkpoint-00000004.json")) == 0);
  tct_checkpoint_prune(folder, 2, 0, 0);
  CHECK(read_version() == 4 && is_there("checkpoint-00000005.json") && is_there("checkpoint-00000003.safetensors"));
  CHECK(!is_there("checkpoint-00000002.json") && !is_there("checkpoint-00000001.safetensors"));
  CHECK(!is_there(".tercet-1-2.tmp") && !is_there("checkpoint-00000004.safetensors"));
  for (size_t i = 0; i < TCT_COUNT_OF(others); i++) CHECK(is_there(others[i]), "%s is gone", others[i]);
  CHECK(lines[0] == '\0', "%s", lines);
  put("checkpoint-999999999999.safetensors", "", 0);
  FAILS(write_version(9), TCT_INVALID, "999999999999, after which there is none");
  scratch_remove(folder);
}

TEST(checkpoint, damage_is_passed_over_aloud) {
  begin();
  for (int v = 1; v <= 3; v++) OK(write_version(v));
  put("checkpoint-00000003.json", "{\"format\":\"tercet.checkpoint.1\"", 31);
  CHECK(unlink(in_folder("checkpoint-00000002.safetensors")) == 0);
  CHECK(read_version() == 1);
  CHECK(strstr(lines, "checkpoint 'checkpoint-00000003' cannot be used: ") != NULL && strstr(lines, "is cut short") != NULL, "%s", lines);
  CHECK(strstr(lines, "'checkpoint-00000002' cannot be used: cannot open") != NULL, "%s", lines);
  CHECK(strstr(lines, "checkpoint-00000001' is used in their place") != NULL, "%s", lines);
  /* The damaged ones do not count as kept: what is whole stays beside the next one. */
  OK(write_version(4));
  tct_checkpoint_prune(folder, 2, 1, 3);
  CHECK(read_version() == 4 && is_there("checkpoint-00000001.json") && !is_there("checkpoint-00000003.json"));
  put("checkpoint-00000004.safetensors", "abc", 3);
  put("checkpoint-00000001.safetensors", "abc", 3);
  FAILS(tct_checkpoint_read(folder, &(tct_checkpoint){0}), TCT_BAD_DATA, "no checkpoint in");
  CHECK(strstr(tct_error_message(), "00000004.safetensors") != NULL && strstr(tct_error_message(), "00000001.safetensors") != NULL,
        "%s", tct_error_message());
  scratch_remove(folder);
}

/* What is over 64 files goes the next time. */
TEST(checkpoint, old_ones_go_in_portions) {
  begin();
  for (int i = 0; i < 70; i++) {
    char name[64];
    (void)snprintf(name, sizeof name, ".tercet-%d-1.tmp", i);
    put(name, "half", 4);
  }
  tct_checkpoint_prune(folder, 2, 0, 0);
  CHECK(count_entries(folder) == 6, "%d", count_entries(folder));
  tct_checkpoint_prune(folder, 2, 0, 0);
  CHECK(count_entries(folder) == 0, "%d", count_entries(folder));
  scratch_remove(folder);
}

TEST(checkpoint, every_truncation_is_found) {
  begin();
  OK(write_version(1));
  OK(write_version(2));
  static const char *const names[] = {"checkpoint-00000002.json", "checkpoint-00000002.safetensors"};
  for (size_t i = 0; i < TCT_COUNT_OF(names); i++) {
    void *data = NULL;
    size_t bytes = 0;
    OK(tct_file_read(in_folder(names[i]), 1 << 20, &data, &bytes));
    for (size_t n = 0; n < bytes; n++) {
      put(names[i], data, n);
      CHECK(read_version() == 1, "%s cut to %zu of %zu bytes", names[i], n, bytes);
    }
    put(names[i], data, bytes);
    CHECK(read_version() == 2);
    tct_release(data);
  }
  scratch_remove(folder);
}

/* Bodies that somebody gave a true checksum. */
/* What no reader would take is not written, and nothing of it stays. */
TEST(checkpoint, a_sidecar_too_large_to_read_is_refused) {
  const size_t n = (size_t)64 << 20;
  char *const run = malloc(n + 1);
  int64_t number = 0;
  CHECK(run != NULL);
  memset(run, ' ', n);
  memcpy(run, "{}", 2);
  run[n] = '\0';
  begin();
  FAILS(tct_checkpoint_write(folder, NULL, 0, run, &number), TCT_INVALID, "at most 67108864 can be read back");
  OK(tct_checkpoint_newest(folder, &number));
  CHECK(number == 0, "files of checkpoint %d stay", (int)number);
  free(run);
  scratch_remove(folder);
}

TEST(checkpoint, hostile_sidecars) {
  begin();
  OK(write_version(1));
  void *tensors = NULL;
  size_t bytes = 0;
  OK(tct_file_read(in_folder("checkpoint-00000001.safetensors"), 1 << 20, &tensors, &bytes));
  tct_checksum sum = {0};
  tct_checksum_add(&sum, tensors, bytes);
  static const struct {
    const char *body, *part; /* %1$zu: the length, %2$08x: the checksum of the tensors */
  } rows[] = {
      {"{\"files\":[{\"name\":\"checkpoint-00000001.safetensors\",\"bytes\":%1$zu,\"crc32\":\"%2$08x\"}],\"run\":{}}", NULL},
      {"", "no valid JSON"},
      {"[]", "does not say"},
      {"{\"run\":{},\"run\":{}}", "duplicate"},
      {"{\"files\":[{\"name\":\"../../etc/passwd\",\"bytes\":%1$zu,\"crc32\":\"%2$08x\"}],\"run\":{}}", "does not say"},
      {"{\"files\":[{\"name\":\"checkpoint-00000002.safetensors\",\"bytes\":%1$zu,\"crc32\":\"%2$08x\"}],\"run\":{}}", "does not say"},
      {"{\"files\":[{\"name\":\"checkpoint-00000001.safetensors\",\"bytes\":-1,\"crc32\":\"%2$08x\"}],\"run\":{}}", "does not say"},
      {"{\"files\":[{\"name\":\"checkpoint-00000001.safetensors\",\"bytes\":1e2,\"crc32\":\"%2$08x\"}],\"run\":{}}", "does not say"},
      {"{\"files\":[{\"name\":\"checkpoint-00000001.safetensors\",\"bytes\":1,\"crc32\":\"%2$08x\"}],\"run\":{}}", "it should have 1 "},
      {"{\"files\":[{\"name\":\"checkpoint-00000001.safetensors\",\"bytes\":%1$zu,\"crc32\":\"00000000\"}],\"run\":{}}", "with 00000000"},
      {"{\"files\":[{\"name\":\"checkpoint-00000001.safetensors\",\"bytes\":%1$zu,\"crc32\":\"%2$08x0\"}],\"run\":{}}", "does not say"},
      {"{\"files\":[{\"name\":\"checkpoint-00000001.safetensors\",\"bytes\":%1$zu,\"crc32\":\"%2$08X\"}],\"run\":{}}", "does not say"},
      {"{\"files\":[{\"name\":\"checkpoint-00000001.safetensors\",\"bytes\":%1$zu,\"crc32\":\"%2$08x\"}],\"run\":[]}", "does not say"},
      {"{\"files\":[{\"name\":\"checkpoint-00000001.safetensors\",\"bytes\":%1$zu,\"crc32\":\"%2$08x\"},{}],\"run\":{}}", "does not say"},
  };
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    char body[512], whole[1024];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    const int n = snprintf(body, sizeof body, rows[i].body, bytes, (unsigned)sum.crc32);
#pragma GCC diagnostic pop
    tct_checksum own = {0};
    tct_checksum_add(&own, body, (size_t)n);
    const int all = snprintf(whole, sizeof whole, "{\"format\":\"tercet.checkpoint.1\",\"crc32\":\"%08x\",\"body\":%s}", own.crc32, body);
    put("checkpoint-00000001.json", whole, (size_t)all);
    tct_checkpoint c;
    if (rows[i].part == NULL) {
      OK(tct_checkpoint_read(folder, &c));
      tct_checkpoint_close(&c);
    } else {
      FAILS(tct_checkpoint_read(folder, &c), TCT_BAD_DATA, rows[i].part);
    }
  }
  static const char frames[][65] = {"{\"format\":\"tercet.checkpoint.1\",\"crc32\":\"0000\000000\",\"body\":{}}",
                                    "{\"format\":\"tercet.checkpoint.2\",\"crc32\":\"00000000\",\"body\":{}}",
                                    "{\"format\":\"tercet.checkpoint.1\",\"crc32\":\"00000000\",\"BODY\":{}}",
                                    "{\"format\":\"tercet.checkpoint.1\",\"crc32\":\"00000000\",\"body\":{}]"};
  for (size_t i = 0; i < TCT_COUNT_OF(frames); i++) {
    put("checkpoint-00000001.json", frames[i], strlen("{'format':'tercet.checkpoint.1','crc32':'00000000','body':{}}"));
    FAILS(tct_checkpoint_read(folder, &(tct_checkpoint){0}), TCT_BAD_DATA, "is cut short, or no checkpoint of this version");
  }
  tct_release(tensors);
  scratch_remove(folder);
}

/* jansson allocates by hooks of its own, which a program may have set; short texts, since its lexer has no care for longer. */
static int64_t json_countdown;
static bool json_says_so;

static void *json_malloc(size_t bytes) {
  if (--json_countdown != 0) return malloc(bytes);
  errno = json_says_so ? ENOMEM : 0;
  return NULL;
}

TEST(checkpoint, a_json_reader_without_memory_is_no_damage) {
  begin();
  OK(write_version(1));
  tct_checksum own = {0};
  char whole[256];
  tct_checksum_add(&own, "{\"a\":1}", 7);
  const int all = snprintf(whole, sizeof whole, "{\"format\":\"tercet.checkpoint.1\",\"crc32\":\"%08x\",\"body\":{\"a\":1}}", own.crc32);
  put("checkpoint-00000001.json", whole, (size_t)all);
  put("short.safetensors", "\7\0\0\0\0\0\0\0{\"a\":1}", 15);
  for (int says_so = 0; says_so <= 1; says_so++) {
    json_says_so = says_so != 0;
    for (int64_t nth = 1; nth <= 2; nth++) { /* the lexer's buffer, the object */
      tct_safetensors *file = NULL;
      json_set_alloc_funcs(json_malloc, free);
      json_countdown = nth;
      const tct_status of_pair = tct_checkpoint_read(folder, &(tct_checkpoint){0});
      json_countdown = nth;
      const tct_status of_file = tct_safetensors_read(in_folder("short.safetensors"), &file);
      json_set_alloc_funcs(malloc, free);
      CHECK(of_pair == TCT_OUT_OF_MEMORY && of_file == TCT_OUT_OF_MEMORY, "allocation %d: %s, %s: %s", (int)nth, tct_status_name(of_pair),
            tct_status_name(of_file), tct_error_message());
    }
  }
  scratch_remove(folder);
}

/* ---- faults ------------------------------------------------------------------------------------------ */

TEST(checkpoint, every_file_call_fails_in_turn) {
  static const int errors[] = {EIO, ENOSPC, EMFILE, EINTR, FAULT_SHORT};
  for (size_t e = 0; e < TCT_COUNT_OF(errors); e++) {
    bool struck = true;
    for (int64_t nth = 1; struck; nth++) {
      begin();
      OK(write_version(1));
      const int64_t live = tct_alloc_live();
      (void)fault_file(nth, errors[e]);
      const tct_status wrote = write_version(2);
      struck = fault_file(0, 0);
      const bool must_fail = struck && errors[e] != EINTR && errors[e] != FAULT_SHORT;
      CHECK(wrote == TCT_OK || (struck && wrote == TCT_IO), "write, call %d (%s): %s", (int)nth, fault_file_call(), tct_error_message());
      CHECK(!must_fail || wrote == TCT_IO || strcmp(fault_file_call(), "close") == 0, "call %d (%s) was missed", (int)nth, fault_file_call());
      if (wrote != TCT_OK) CHECK(strstr(tct_error_message(), folder) != NULL, "%s", tct_error_message());
      const int version = read_version();
      CHECK(version == (wrote == TCT_OK ? 2 : 1), "call %d (%s): version %d", (int)nth, fault_file_call(), version);
      CHECK(tct_alloc_live() == live && lines[0] == '\0', "call %d (%s): leaks, or logs %s", (int)nth, fault_file_call(), lines);
      scratch_remove(folder);
      CHECK(nth < 100);
    }
    struck = true;
    begin();
    OK(write_version(1));
    OK(write_version(2));
    for (int64_t nth = 1; struck; nth++) {
      const int64_t live = tct_alloc_live();
      (void)fault_file(nth, errors[e]);
      const int version = read_version(); /* the newest, which is whole, or an error: never the older one */
      const tct_status status = tct_error_status();
      struck = fault_file(0, 0);
      CHECK(version == 2 || (struck && version == -1 && status == TCT_IO), "read, call %d (%s): version %d", (int)nth,
            fault_file_call(), version);
      CHECK(lines[0] == '\0', "call %d (%s): %s", (int)nth, fault_file_call(), lines);
      CHECK(tct_alloc_live() == live && nth < 100);
    }
    scratch_remove(folder);
  }
}

TEST(checkpoint, every_allocation_fails_in_turn) {
  bool struck = true;
  fault_pieces(true);
  for (int64_t nth = 1; struck; nth++) {
    begin();
    OK(write_version(1));
    const int64_t live = tct_alloc_live();
    (void)fault_alloc(nth);
    const tct_status wrote = write_version(2);
    const int version = wrote == TCT_OK ? read_version() : -1;
    const tct_status read = version < 0 ? tct_error_status() : TCT_OK;
    tct_checkpoint_prune(folder, 1, 0, 0);
    struck = fault_alloc(0);
    CHECK(version == 2 || (struck && read == TCT_OUT_OF_MEMORY), "allocation %d: version %d, %s", (int)nth, version, tct_error_message());
    CHECK(read_version() == (wrote == TCT_OK ? 2 : 1) && tct_alloc_live() == live, "allocation %d: leaks, or the old one is gone", (int)nth);
    scratch_remove(folder);
    CHECK(nth < 400);
  }
  fault_pieces(false);
}

TEST(checkpoint, every_allocation_of_a_search_among_damaged_ones_fails_in_turn) {
  begin();
  for (int v = 1; v <= 2; v++) OK(write_version(v));
  put("checkpoint-00000001.json", "{", 1);
  put("checkpoint-00000002.safetensors", "abc", 3);
  tct_set_log(NULL, NULL, TCT_LOG_WARNING);
  bool struck = true;
  for (int64_t nth = 1; struck; nth++) {
    const int64_t live = tct_alloc_live();
    (void)fault_alloc(nth);
    const tct_status status = tct_checkpoint_read(folder, &(tct_checkpoint){0});
    struck = fault_alloc(0);
    /* The list of reasons may be cut for want of memory, not the verdict. */
    CHECK(status == TCT_BAD_DATA || (struck && status == TCT_OUT_OF_MEMORY), "allocation %d: %s", (int)nth, tct_error_message());
    CHECK(tct_alloc_live() == live && nth < 100, "allocation %d leaks", (int)nth);
  }
  scratch_remove(folder);
}
