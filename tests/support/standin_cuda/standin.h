/* A stand-in for NVIDIA's driver, for tests on machines without a GPU: libcuda.so.1 with the functions of backends/cuda/driver.def
 * on host memory, kernels run by the emulator (tests/support/simt). It is stricter than a driver: allocations end at an unreadable
 * page, a queue's work runs no earlier than somebody waits for it, calls without a context or during a recording are refused, and a
 * kernel's fault ends the context. One setting string says what it
 * pretends to be, from STANDIN_CUDA when the process starts, or from standin_set. */
#ifndef TCT_TESTS_STANDIN_H
#define TCT_TESTS_STANDIN_H

#include <stdint.h>

/* "KEY=VALUE …", separated by spaces; what is not named has its default. Errors are cuda.h's numbers.
 *   devices=1         how many there are; 0: none
 *   driver=13000      the CUDA version of the driver
 *   capability=90     of every device
 *   units=2           multiprocessors of every device, which blocks and parts of sums are counted by
 *   memory=BYTES      of every device; 1 GiB
 *   cublaslt=130100   the version of libcublasLt.so.13, the stand-in's own (tests/support/standin_cublaslt)
 *   cudnn=91900       of libcudnn.so.9 likewise (tests/support/standin_cudnn)
 *   nvrtc=130000      of libnvrtc.so.13, which is the real one behind a door of the tests (tests/support/standin_nvrtc); its own
 *   queues=lazy       when work runs: lazy: when it is waited for; now: when it is enqueued and what it waits for is done;
 *                     ahead: transfers now, the computation lazily; behind: the other way round
 *   guard=0           1: device memory can be touched only while queued work runs; set before the first allocation
 *   fail=NAME:N:CODE  the N-th call of the function from now on answers CODE
 *   fault=NAME:N:CODE the N-th run of the kernel (chain; * for any) faults with CODE, and the context is gone
 * Counts start again. */
void standin_set(const char *settings);
/* How often a function of the driver, or of a library, was called, since standin_set. */
int64_t standin_calls(const char *function);
/* Allocations of device memory that are not freed. */
int64_t standin_allocations(void);

#endif
