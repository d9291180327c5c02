/* NVIDIA's driver, opened at run time: the table of its functions that everything in this folder calls through. */
#ifndef TCT_BACKENDS_CUDA_DRIVER_H
#define TCT_BACKENDS_CUDA_DRIVER_H

#include <cuda.h>

#include "backends/cuda/libraries/libraries.h"

typedef struct tct_cu_driver {
#define DRIVER(member, symbol, prototype) __typeof__(prototype) *member;
#include "backends/cuda/driver.def"
#undef DRIVER
  tct_cu_library library;
  int number; /* of the CUDA version that the driver speaks: 13000 is 13.0 */
  int32_t n_devices;
} tct_cu_driver;

/* The driver, opened and initialised at the first call that finds it, then the same for the process. NULL: `why` says what is missing,
 * where it was looked for and what to do. Any thread. */
const tct_cu_driver *tct_cu_driver_open(const tct_host *host, char *why, size_t why_bytes);

typedef struct tct_cu_chip {
  char name[64];
  int32_t major, minor; /* compute capability */
  int32_t n_units;      /* streaming multiprocessors */
  size_t memory_bytes;
} tct_cu_chip;

/* Of device number `ordinal`; false with the driver's reason. */
bool tct_cu_chip_of(const tct_cu_driver *driver, int32_t ordinal, tct_cu_chip *out, char *why, size_t why_bytes);
/* Whether the module holds code that runs on the chip; false with what it holds. */
bool tct_cu_chip_has_code(const tct_cu_chip *chip, char *why, size_t why_bytes);

#endif
