/* Opening cuDNN. */
#include "backends/cuda/libraries/cudnn.h"

static const tct_cu_function functions[] = {
#define CUDNN(member, symbol) {#symbol, offsetof(tct_cu_cudnn, member)},
#include "backends/cuda/libraries/cudnn.def"
#undef CUDNN
};

const tct_cu_cudnn *tct_cu_cudnn_open(const tct_host *host, char *why, size_t why_bytes) {
  static const tct_cu_library_kind kind = {.file = "libcudnn.so.9",
                                           .name = "cuDNN",
                                           .package = "cuDNN 9 for CUDA 13 (NVIDIA's packages, or pip's nvidia-cudnn-cu13)",
                                           .major = CUDNN_MAJOR,
                                           .minor = CUDNN_MINOR,
                                           .functions = functions,
                                           .n_functions = sizeof functions / sizeof functions[0]};
  static tct_cu_library_once once = {.mutex = PTHREAD_MUTEX_INITIALIZER};
  static tct_cu_cudnn api;
  return tct_cu_library_use(host, &kind, &once, &api.library, &api, api.name, why, why_bytes) ? &api : NULL;
}

void tct_cu_tell_cudnn(const tct_host *host, tct_fact_fn fn, void *user) {
  char why[1200];
  const tct_cu_cudnn *const api = tct_cu_cudnn_open(host, why, sizeof why);
  tct_cu_tell_library("cudnn", api != NULL ? &api->library : NULL, api != NULL ? api->name : NULL, "convolutions and attention", why, fn, user);
}
