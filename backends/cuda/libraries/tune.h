/* Which of a library's algorithms is the quickest for a problem on this device: timed once, with TERCET_CUDA_TUNE=1, and kept in the
 * user's cache. What is taken is always what the cache says, so that two runs of one cache have the same bits; where nothing can be kept,
 * the library's first is taken, as without timing. */
#ifndef TCT_BACKENDS_CUDA_TUNE_H
#define TCT_BACKENDS_CUDA_TUNE_H

#include "backends/cuda/device.h"

enum { TCT_CU_CANDIDATES = 8 }; /* at most */

/* All that the candidates follow from but the device: the library and its version, a name for the kind of problem, the problem. */
typedef struct tct_cu_contest {
  const char *library, *kind;
  const void *problem; /* at most 256 bytes, without gaps */
  size_t problem_bytes;
} tct_cu_contest;

/* The number of the candidate that is kept; -1: none. */
int32_t tct_cu_kept_choice(tct_device_impl *device, const tct_cu_contest *contest);
/* Enqueues candidate i on the compute queue, its operands anywhere in `memory`; false: it cannot. */
typedef bool (*tct_cu_run_fn)(void *user, int32_t i, char *memory);
/* Times n candidates in `memory_bytes` of device memory, keeps the quickest, and answers which is kept then. The host waits: for when a
 * program is compiled, never while one is recorded. */
int32_t tct_cu_time(tct_device_impl *device, const tct_cu_contest *contest, int32_t n, size_t memory_bytes, tct_cu_run_fn run, void *user);

#endif
