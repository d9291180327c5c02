/* The reference device: host memory, one thread, every op in double. */
#ifndef TCT_BACKENDS_REF_ENTRY_H
#define TCT_BACKENDS_REF_ENTRY_H

#include <tercet/backend.h>

/* The backend `ref`. `host` lives as long as the process. NULL after host->fail when the ABI differs. */
const tct_backend *tct_backend_entry_ref(const tct_host *host);

#endif
