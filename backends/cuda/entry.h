/* The module's one symbol. */
#ifndef TCT_BACKENDS_CUDA_ENTRY_H
#define TCT_BACKENDS_CUDA_ENTRY_H

#include <tercet/backend.h>

__attribute__((visibility("default"))) const tct_backend *tct_backend_entry(const tct_host *host);

#endif
