/* The device gpu over the stand-in driver (tests/support/standin_cuda), for tests of several files. Nothing of it runs on a GPU. */
#ifndef TCT_TESTS_STANDIN_GPU_H
#define TCT_TESTS_STANDIN_GPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tercet/graph.h>

#ifndef TCT_NO_GPU_TESTS
#define TCT_NO_GPU_TESTS ""
#endif
#define GPU_MODULES TCT_BINARY_DIR "/modules/cuda"
#define GPU_STANDIN TCT_BINARY_DIR "/standin"

/* First in a test: the stand-in has these settings (standin.h), and counts anew. */
#define NEEDS_GPU(settings)                                                                                            \
  do {                                                                                                                 \
    if (TCT_NO_GPU_TESTS[0] != '\0') SKIP("%s", TCT_NO_GPU_TESTS);                                                     \
    if (!gpu_find(settings)) SKIP("this process looked for modules before");                                            \
  } while (0)

/* false: the device is not known to this process, and can no more be. What earlier tests asked for by TERCET_… is taken back. */
bool gpu_find(const char *settings);
void gpu_set(const char *settings);
int64_t gpu_calls(const char *function);
int64_t gpu_allocations(void);   /* of device memory, not freed */
int64_t gpu_nvrtc_programs(void); /* of NVRTC, not destroyed */
int64_t gpu_library_objects(void); /* of NVIDIA's libraries, not destroyed */

/* Two runs of the graph on the device: its outputs, of f32, one every `most` elements of `out`, and how many of its ops whose names begin with
 * `op` are a kernel of cuDNN or of our own tiles. */
tct_status gpu_run_graph(const char *spec, bool nondeterministic, const tct_graph *graph, const char *op, int64_t most, float *out, int *out_library, int *out_own);
int64_t gpu_output_size(const tct_graph *graph, int o);
/* No element further from b's than the tolerance of b's largest, or of 1. */
bool gpu_near(const float *a, const float *b, int64_t n, double tolerance);

enum { GPU_REFUSALS = 6000 };
/* What the device tells of refusals, a line each, behind what `text` [GPU_REFUSALS] has. */
void gpu_refusals(tct_device *device, char *text);

/* A run that may fail, with these settings; `out_refused`: our own kernel had what is the library's. It looks at the numbers itself. */
typedef tct_status (*gpu_run_fn)(void *user, const char *settings, bool *out_refused);
typedef enum gpu_library { GPU_CUBLASLT, GPU_CUDNN } gpu_library;
/* Each function of the library fails at each of these of its calls, ascending, in a run for each: it works by our own kernel, or the error is
 * that of the library's run, and nothing is left. */
void gpu_fail_calls(gpu_library library, const int *numbers, size_t n_numbers, gpu_run_fn run, void *user, int *out_failures, int *out_refusals);

/* What `tercet ARGUMENTS` prints over the stand-in, both streams, valid until the next; `environment`: "A=1 B=2". Its exit code. */
extern char gpu_out[65536];
int gpu_run(const char *environment, const char *arguments);

#endif
