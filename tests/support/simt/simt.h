/* The CUDA kernels on the host, for tests: kernels/cuda compiled as C++, every thread of a block a fiber, so that barriers and
 * shuffles are real. What a GPU would leave undefined is an error here: a barrier that part of a block reaches, or that parts of
 * it reach at different lines; a shuffle without all 32 lanes; more threads than the launch bounds; shared memory read before
 * it is written is NaN, and an access behind the dynamic part faults. One thread of the process at a time. */
#ifndef TCT_TESTS_SIMT_H
#define TCT_TESTS_SIMT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Runs the kernel tct_cu_<name> (the name with or without "tct_cu_") to its end. args: its struct. NULL, or what is wrong. */
const char *tct_simt_launch(const char *name, const unsigned grid[3], const unsigned block[3], unsigned shared_bytes,
                            const void *args_struct);

/* Whether there is such a kernel. */
int tct_simt_knows(const char *name);
/* How many parameters a kernel of custom.cu has, and the bytes of each; 0: it is none of these. Their args: each parameter in turn, on 16
 * bytes. */
int tct_simt_parameters(const char *name, const size_t **bytes);

/* The order of blocks and threads: 0 as numbered; another seed, another order, so that a missing barrier gives wrong numbers. */
__attribute__((visibility("default"))) void tct_simt_order(uint64_t seed);

#ifdef __cplusplus
}
#endif

#endif
