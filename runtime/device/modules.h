/* The backends of this process: those linked in and those loaded from shared objects (modules). Found once, at the first
 * question that needs them, and kept until the process ends. */
#ifndef TCT_DEVICE_MODULES_H
#define TCT_DEVICE_MODULES_H

#include "device/device.h"

/* A backend, or a module that is none and why. */
typedef struct tct_backend_row {
  const tct_backend *backend; /* NULL: `why` says why not; process lifetime */
  char name[64];              /* the backend's; of a module that did not load, NAME of libtercet-NAME.so */
  char origin[160];           /* the module's path; "" when linked in */
  char why[400];
} tct_backend_row;

/* The rows of those linked in; no module is loaded. Thread-safe. */
const tct_backend_row *tct_backend_linked_rows(int32_t *out_n);
/* All rows, those linked in first; the first call loads the modules. Thread-safe; the table never changes after. */
const tct_backend_row *tct_backend_rows(int32_t *out_n);

/* Whether a table can be used: its interface version, name, functions and kernels; false with the reason. */
bool tct_backend_usable(const tct_backend *backend, char *why, size_t why_bytes);

#endif
