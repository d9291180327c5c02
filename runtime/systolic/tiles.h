/* What the array models share: the check of a tile list. */
#ifndef TCT_SYSTOLIC_TILES_H
#define TCT_SYSTOLIC_TILES_H

#include <tercet/systolic.h>

#include "systolic/refusal.h"

typedef enum tct_array_field {
  TCT_ARRAY_FIELD_MODE,
  TCT_ARRAY_FIELD_ROWS,
  TCT_ARRAY_FIELD_COLS,
  TCT_ARRAY_FIELD_STEPS,
  TCT_ARRAY_FIELD_READY
} tct_array_field;

/* True with the first value that is out of range (a tct_array_field). Else sums over the list stay below 2^62. */
bool tct_array_refused(tct_array_mode mode, int64_t rows, int64_t cols, const tct_array_tile *tiles, int64_t n,
                       tct_refusal *out);
/* The same as an error. */
tct_status tct_array_check(tct_array_mode mode, int64_t rows, int64_t cols, const tct_array_tile *tiles, int64_t n)
    TCT_CHECKED;

static inline bool tct_array_output_stationary(tct_array_mode mode) {
  return mode == TCT_OS_OVERLAP || mode == TCT_OS_SERIAL;
}

static inline bool tct_array_serial(tct_array_mode mode) {
  return mode == TCT_WS_SERIAL || mode == TCT_OS_SERIAL || mode == TCT_IS_SERIAL;
}

#endif
