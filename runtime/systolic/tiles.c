/* Names of the array's modes and dataflows; the check of a tile list. */
#include "systolic/tiles.h"

#include <string.h>
#include "base/status.h"

#define MOST_CYCLES ((int64_t)1 << 62)
#define MOST_EXTENT ((int64_t)1 << 20)

static const char *const mode_names[TCT_N_ARRAY_MODES] = {
    [TCT_WS_OVERLAP] = "ws_overlap", [TCT_WS_SERIAL] = "ws_serial",  [TCT_OS_OVERLAP] = "os_overlap",
    [TCT_OS_SERIAL] = "os_serial_drain", [TCT_IS_OVERLAP] = "is_overlap", [TCT_IS_SERIAL] = "is_serial"};

static const char *const dataflow_names[TCT_N_DATAFLOWS] = {
    [TCT_WEIGHT_STATIONARY] = "ws", [TCT_OUTPUT_STATIONARY] = "os", [TCT_INPUT_STATIONARY] = "is"};

/* The position of a name; -1: unknown. */
static int32_t find(const char *const *names, int32_t n, const char *name) {
  for (int32_t i = 0; name != NULL && i < n; i++) {
    if (strcmp(names[i], name) == 0) return i;
  }
  return -1;
}

const char *tct_array_mode_name(tct_array_mode mode) {
  return (unsigned)mode < TCT_N_ARRAY_MODES ? mode_names[mode] : "?";
}

bool tct_array_mode_find(const char *name, tct_array_mode *out) {
  const int32_t i = find(mode_names, TCT_N_ARRAY_MODES, name);
  if (i >= 0) *out = (tct_array_mode)i;
  return i >= 0;
}

const char *tct_dataflow_name(tct_dataflow dataflow) {
  return (unsigned)dataflow < TCT_N_DATAFLOWS ? dataflow_names[dataflow] : "?";
}

bool tct_dataflow_find(const char *name, tct_dataflow *out) {
  const int32_t i = find(dataflow_names, TCT_N_DATAFLOWS, name);
  if (i >= 0) *out = (tct_dataflow)i;
  return i >= 0;
}

bool tct_array_refused(tct_array_mode mode, int64_t rows, int64_t cols, const tct_array_tile *tiles, int64_t n,
                       tct_refusal *out) {
  if ((unsigned)mode >= TCT_N_ARRAY_MODES) {
    return tct_refuse_value(out, TCT_ARRAY_FIELD_MODE, "mode is %d, needs one of tct_array_mode", (int)mode);
  }
  const bool few_rows = rows < 1 || rows > MOST_EXTENT;
  if (few_rows || cols < 1 || cols > MOST_EXTENT) {
    return tct_refuse_value(out, few_rows ? TCT_ARRAY_FIELD_ROWS : TCT_ARRAY_FIELD_COLS,
                      "it is %lld×%lld, needs 1 to %lld rows and columns", (long long)rows, (long long)cols,
                      (long long)MOST_EXTENT);
  }
  if (tiles == NULL || n < 1) return tct_refuse_value(out, TCT_ARRAY_FIELD_STEPS, "no tiles, needs at least one");
  int64_t most = 0; /* no schedule is longer: every tile waits for the latest, then runs alone */
  int64_t latest = 0;
  for (int64_t i = 0; i < n; i++) {
    if (tiles[i].steps < 1 || tiles[i].ready < 0) {
      return tct_refuse_value(out, tiles[i].steps < 1 ? TCT_ARRAY_FIELD_STEPS : TCT_ARRAY_FIELD_READY,
                        "tile %lld has %lld steps and is ready in cycle %lld; needs at least 1 and at least 0", (long long)i,
                        (long long)tiles[i].steps, (long long)tiles[i].ready);
    }
    if (tiles[i].ready > latest) latest = tiles[i].ready;
    if (__builtin_add_overflow(most, tiles[i].steps, &most) ||
        __builtin_add_overflow(most, 2 * rows + cols, &most) || most > MOST_CYCLES || latest > MOST_CYCLES - most) {
      return tct_refuse_value(out, latest > MOST_CYCLES / 2 ? TCT_ARRAY_FIELD_READY : TCT_ARRAY_FIELD_STEPS,
                        "the tiles up to number %lld could take more than 2^62 cycles; needs fewer steps or an earlier "
                        "`ready`", (long long)i);
    }
  }
  return false;
}

tct_status tct_array_check(tct_array_mode mode, int64_t rows, int64_t cols, const tct_array_tile *tiles, int64_t n) {
  tct_refusal refusal;
  const bool refused = tct_array_refused(mode, rows, cols, tiles, n, &refusal);
  return refused ? tct_fail(TCT_INVALID, "systolic array: %s", refusal.text) : TCT_OK;
}
