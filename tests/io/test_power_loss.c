/* Power is lost at every call of a save: what was acknowledged last is there, or what was being written, whole; never
 * neither. The same test finds each of six wrong protocols, so that it is known to look. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/status.h"
#include "disk.h"
#include "faults.h"
#include "io/checkpoint.h"
#include "test.h"

/* Two bytes of numbers more than a block of the disk, so that a torn file shows. */
enum { N = 65 };
#define RUN   "/disk/runs/first"
#define MODEL "/disk/model.safetensors"

static void payload_of(int version, float out[N]) {
  for (int i = 0; i < N; i++) out[i] = (float)(version * 1000 + i);
}

/* The version that a file of tensors holds, whole; -1: none. */
static int version_of(const tct_safetensors *file) {
  const tct_named_array *const array = tct_safetensors_find(file, "w");
  float want[N];
  if (array == NULL || tct_shape_size(&array->desc.shape) != N) return -1;
  const int version = (int)(((const float *)array->data)[0] / 1000);
  payload_of(version, want);
  return memcmp(array->data, want, sizeof want) == 0 ? version : -1;
}

/* What is saved, and what is found after. version: 1, 2 … */
typedef struct subject {
  const char *name;
  tct_status (*save)(int version);
  int (*load)(void); /* the version; -1: nothing that is whole */
} subject;

static tct_status save_model(int version) {
  float w[N];
  payload_of(version, w);
  const tct_named_array array = {"w", {TCT_F32, TCT_SHAPE(N)}, w};
  return tct_safetensors_write(MODEL, &array, 1, NULL, 0);
}

static int load_model(void) {
  tct_safetensors *file = NULL;
  if (tct_safetensors_read(MODEL, &file) != TCT_OK) return -1;
  const int version = version_of(file);
  tct_safetensors_free(file);
  return version;
}

static tct_status save_checkpoint(int version) {
  float w[N];
  char run[64];
  int64_t number = 0;
  payload_of(version, w);
  (void)snprintf(run, sizeof run, "{\"version\":%d}", version);
  const tct_named_array array = {"w", {TCT_F32, TCT_SHAPE(N)}, w};
  TCT_TRY(tct_make_directories(RUN));
  TCT_TRY(tct_checkpoint_write(RUN, &array, 1, run, &number));
  tct_checkpoint_prune(RUN, 2, 0, 0);
  return TCT_OK;
}

static int load_checkpoint(void) {
  tct_checkpoint c;
  if (tct_checkpoint_read(RUN, &c) != TCT_OK) return -1;
  const int version = version_of(c.tensors), says = (int)json_integer_value(json_object_get(c.run, "version"));
  tct_checkpoint_close(&c);
  return version == says ? version : -1;
}

static const subject subjects[] = {{"model", save_model, load_model}, {"checkpoint", save_checkpoint, load_checkpoint}};

/* Saves 0 … before - 1 in peace, then one more with the fault armed. Returns whether what the disk then holds is wrong. */
static bool is_lost(const subject *s, disk_mutant mutant, int before, int64_t crash_at, int64_t fail_sync, uint64_t luck,
                    bool *out_struck) {
  disk_begin(mutant, MODEL);
  for (int v = 1; v <= before; v++) OK(s->save(v));
  (void)disk_crash_at(crash_at);
  (void)disk_fail_sync(fail_sync);
  const bool acknowledged = s->save(before + 1) == TCT_OK;
  *out_struck = disk_crash_at(0) || disk_fail_sync(0);
  disk_lose_power(luck);
  const int found = s->load();
  const bool is_new = found == before + 1, is_old = before == 0 ? found < 0 : found == before;
  disk_end();
  return acknowledged ? !is_new : !(is_new || is_old);
}

/* Every call of the save, and every sync of it that fails; each with several outcomes of what was not synced. */
static int count_losses(const subject *s, disk_mutant mutant, int *out_points) {
  int n_lost = 0;
  for (int before = 0; before <= 3; before += 3) {
    for (int sync = 0; sync <= 1; sync++) {
      bool struck = true;
      for (int64_t nth = 1; struck; nth++) {
        for (uint64_t luck = 0; luck < 8; luck++) {
          n_lost += is_lost(s, mutant, before, sync ? 0 : nth, sync ? nth : 0, luck, &struck);
          ++*out_points;
        }
        CHECK(nth < 200);
      }
    }
  }
  return n_lost;
}

TEST(power_loss, the_last_save_or_the_new_one_never_neither) {
  for (size_t i = 0; i < TCT_COUNT_OF(subjects); i++) {
    int n_points = 0;
    const int n_lost = count_losses(&subjects[i], DISK_FAITHFUL, &n_points);
    CHECK(n_lost == 0, "%s: lost %d of %d times", subjects[i].name, n_lost, n_points);
    CHECK(n_points > 150, "%s: only %d points were tried", subjects[i].name, n_points);
  }
}

TEST(power_loss, wrong_protocols_are_found) {
  static const char *const names[DISK_N_MUTANTS] = {
      [DISK_NO_FILE_SYNC] = "no fsync of the file", [DISK_NO_FOLDER_SYNC] = "no fsync of the folder",
      [DISK_RENAME_FIRST] = "rename before fsync",  [DISK_IN_PLACE] = "overwritten in place",
      [DISK_SYNC_RETRIED] = "a failed fsync is tried again"};
  for (disk_mutant mutant = DISK_NO_FILE_SYNC; mutant < DISK_N_MUTANTS; mutant++) {
    int n_points = 0;
    CHECK(count_losses(&subjects[0], mutant, &n_points) > 0, "model, %s: not found in %d tries", names[mutant], n_points);
    /* A pair of new names has nothing to overwrite, and one whose rename came too early is passed over. */
    if (mutant == DISK_IN_PLACE || mutant == DISK_RENAME_FIRST) continue;
    CHECK(count_losses(&subjects[1], mutant, &n_points) > 0, "checkpoint, %s: not found in %d tries", names[mutant], n_points);
  }
}

/* ---- the checksum ------------------------------------------------------------------------------------ */

static bool checksum_is_blind;

/* Stands before zlib's, so that one mutant can have every checksum be the same. */
uLong crc32_z(uLong crc, const Bytef *data, z_size_t bytes) {
  static uLong (*real)(uLong, const Bytef *, z_size_t);
  if (real == NULL) *(void **)(void *)&real = dlsym(RTLD_NEXT, "crc32_z");
  return checksum_is_blind ? 0 : real(crc, data, bytes);
}

/* Flips each byte of both files of the newest of two checkpoints in turn. Returns how often the damage went unseen. */
static int count_unseen_damage(int *out_tries) {
  static const char *const endings[] = {"safetensors", "json"};
  char folder[SCRATCH_BYTES], path[SCRATCH_BYTES + 64];
  float w[N];
  int64_t number = 0;
  int n_unseen = 0;
  scratch_make(folder);
  for (int v = 1; v <= 2; v++) {
    payload_of(v, w);
    const tct_named_array array = {"w", {TCT_F32, TCT_SHAPE(N)}, w};
    OK(tct_checkpoint_write(folder, &array, 1, "{}", &number));
  }
  for (size_t e = 0; e < TCT_COUNT_OF(endings); e++) {
    void *data = NULL;
    size_t bytes = 0;
    (void)snprintf(path, sizeof path, "%s/checkpoint-00000002.%s", folder, endings[e]);
    OK(tct_file_read(path, 1 << 20, &data, &bytes));
    for (size_t at = 0; at < bytes; at++, ++*out_tries) {
      FILE *const file = fopen(path, "r+b");
      CHECK(file != NULL && fseek(file, (long)at, SEEK_SET) == 0);
      CHECK(fputc(((unsigned char *)data)[at] ^ 0x04, file) != EOF && fclose(file) == 0);
      tct_checkpoint c;
      OK(tct_checkpoint_read(folder, &c));
      n_unseen += c.number != 1 || c.newest != 2;
      tct_checkpoint_close(&c);
      const tct_file_part part = {data, bytes};
      FILE *const again = fopen(path, "r+b");
      CHECK(again != NULL && fwrite(part.data, 1, part.bytes, again) == part.bytes && fclose(again) == 0);
    }
    tct_release(data);
  }
  scratch_remove(folder);
  return n_unseen;
}

TEST(power_loss, damage_is_seen_by_the_checksum) {
  int n_tries = 0;
  const int n_unseen = count_unseen_damage(&n_tries);
  CHECK(n_unseen == 0 && n_tries > 500, "%d of %d damaged files were taken for whole", n_unseen, n_tries);
  checksum_is_blind = true;
  const int n_mutant = count_unseen_damage(&n_tries);
  checksum_is_blind = false;
  CHECK(n_mutant > 0, "a checksum that is not checked was not found");
}
