/* The device `check`: any other device, watched. */
#ifndef TCT_BACKENDS_CHECK_ENTRY_H
#define TCT_BACKENDS_CHECK_ENTRY_H

#include <tercet/backend.h>

/* The backend `check`. `host` lives as long as the process. NULL after host->fail when the ABI differs. */
const tct_backend *tct_backend_entry_check(const tct_host *host);

#endif
