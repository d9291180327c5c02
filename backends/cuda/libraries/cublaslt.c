/* See cublaslt.h. */
#include "backends/cuda/libraries/cublaslt.h"

static const tct_cu_function functions[] = {
#define CUBLASLT(member, symbol) {#symbol, offsetof(tct_cu_cublaslt, member)},
#include "backends/cuda/libraries/cublaslt.def"
#undef CUBLASLT
};

const tct_cu_cublaslt *tct_cu_cublaslt_open(const tct_host *host, char *why, size_t why_bytes) {
  static const tct_cu_library_kind kind = {.file = "libcublasLt.so.13",
                                           .name = "cuBLASLt",
                                           .package = "cuBLAS 13 (a CUDA toolkit, or pip's nvidia-cublas)",
                                           .major = CUBLAS_VER_MAJOR,
                                           .minor = CUBLAS_VER_MINOR,
                                           .functions = functions,
                                           .n_functions = sizeof functions / sizeof functions[0]};
  static tct_cu_library_once once = {.mutex = PTHREAD_MUTEX_INITIALIZER};
  static tct_cu_cublaslt api;
  return tct_cu_library_use(host, &kind, &once, &api.library, &api, api.name, why, why_bytes) ? &api : NULL;
}

void tct_cu_tell_cublaslt(const tct_host *host, tct_fact_fn fn, void *user) {
  char why[1200];
  const tct_cu_cublaslt *const api = tct_cu_cublaslt_open(host, why, sizeof why);
  tct_cu_tell_library("cublaslt", api != NULL ? &api->library : NULL, api != NULL ? api->name : NULL, "products", why, fn, user);
}
