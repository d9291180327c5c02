/* The simulated TPU's one door. */
#ifndef TCT_BACKENDS_TPU_ENTRY_H
#define TCT_BACKENDS_TPU_ENTRY_H

#include <tercet/backend.h>

/* Static lifetime; `host` must outlive it. */
const tct_backend *tct_backend_entry_tpu(const tct_host *host);

#endif
