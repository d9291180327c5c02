/* Names for profilers: NVTX ranges around what the host enqueues, in a domain of their own. Nothing but a test of a flag without a
 * profiler. */
#ifndef TCT_BACKENDS_CUDA_RANGES_H
#define TCT_BACKENDS_CUDA_RANGES_H

#include <tercet/backend.h>

/* Whether a profiler is there, asked once a device. */
bool tct_cu_ranges_wanted(const tct_host *host);
/* They nest; on one thread. Only where wanted. */
void tct_cu_range_push(const char *name);
void tct_cu_range_pop(void);

#endif
