/* tct_chip_product on a chip with a weight FIFO. */
#ifndef TCT_SYSTOLIC_FIFO_H
#define TCT_SYSTOLIC_FIFO_H

#include <tercet/chip.h>

/* Extents are in range; `out` is zero. */
tct_status tct_chip_fifo_product(const tct_chip *chip, const tct_product *product, tct_chip_time *out) TCT_CHECKED;

#endif
