/* The chip files of runtime/systolic/chips, compiled in: CMake writes their texts into chips.c of the build folder. */
#ifndef TCT_SYSTOLIC_CHIPS_H
#define TCT_SYSTOLIC_CHIPS_H

#include <stdint.h>

typedef struct tct_chip_file {
  const char *name; /* without ".yaml" */
  const char *text;
} tct_chip_file;
extern const tct_chip_file tct_chip_files[];
extern const int32_t tct_n_chip_files;

#endif
