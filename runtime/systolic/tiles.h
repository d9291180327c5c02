/* What the array models share: the check of a tile list. */
#ifndef TCT_SYSTOLIC_TILES_H
#define TCT_SYSTOLIC_TILES_H

#include <tercet/systolic.h>

/* Names the value that is out of range. After it, sums over the list stay below 2^62. */
tct_status tct_array_check(tct_array_mode mode, int64_t rows, int64_t cols, const tct_array_tile *tiles, int64_t n)
    TCT_CHECKED;

static inline bool tct_array_output_stationary(tct_array_mode mode) {
  return mode == TCT_OS_OVERLAP || mode == TCT_OS_SERIAL;
}

static inline bool tct_array_serial(tct_array_mode mode) {
  return mode == TCT_WS_SERIAL || mode == TCT_OS_SERIAL || mode == TCT_IS_SERIAL;
}

#endif
