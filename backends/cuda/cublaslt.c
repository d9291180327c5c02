/* See cublaslt.h. */
#include "backends/cuda/cublaslt.h"

#include <pthread.h>
#include <stdio.h>

static const char file[] = "libcublasLt.so.13";

static const tct_cu_function functions[] = {
#define CUBLASLT(member, symbol) {#symbol, offsetof(tct_cu_cublaslt, member)},
#include "backends/cuda/cublaslt.def"
#undef CUBLASLT
};

/* "13.1.0" of 130100. */
#define VERSION_ARGS(number) (int)((number) / 10000), (int)((number) / 100 % 100), (int)((number) % 100)

static bool start(tct_cu_cublaslt *api, char *why, size_t why_bytes) {
  const char *const lacks = tct_cu_library_take(&api->library, functions, sizeof functions / sizeof functions[0], api);
  if (lacks != NULL) {
    snprintf(why, why_bytes, "%s has no function %s: it is too old; install cuBLAS %d.%d or later", api->library.path, lacks,
             CUBLAS_VER_MAJOR, CUBLAS_VER_MINOR);
    return false;
  }
  const size_t version = api->version();
  if (version / 10000 != CUBLAS_VER_MAJOR) {
    snprintf(why, why_bytes, "%s is version %d.%d.%d, needs %d; install cuBLAS %d.%d or later", api->library.path, VERSION_ARGS(version),
             CUBLAS_VER_MAJOR, CUBLAS_VER_MAJOR, CUBLAS_VER_MINOR);
    return false;
  }
  snprintf(api->name, sizeof api->name, "cuBLASLt %d.%d.%d", VERSION_ARGS(version));
  return true;
}

const tct_cu_cublaslt *tct_cu_cublaslt_open(const tct_host *host, char *why, size_t why_bytes) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  static tct_cu_cublaslt api;
  static bool started;
  (void)pthread_mutex_lock(&mutex);
  if (!started) {
    if (tct_cu_library_open(host, file, &api.library)) started = start(&api, why, why_bytes);
    else
      snprintf(why, why_bytes, "%s is not in %s; install cuBLAS %d (a CUDA toolkit, or pip's nvidia-cublas), or name its folder in "
               "TERCET_CUDA_LIBRARY_PATH", file, api.library.looked, CUBLAS_VER_MAJOR);
  }
  const bool here = started;
  (void)pthread_mutex_unlock(&mutex);
  return here ? &api : NULL;
}

void tct_cu_tell_cublaslt(const tct_host *host, tct_fact_fn fn, void *user) {
  char why[1200], text[1400];
  const tct_cu_cublaslt *const api = tct_cu_cublaslt_open(host, why, sizeof why);
  if (api != NULL) snprintf(text, sizeof text, "%s: %s; it takes products, but small ones", api->library.path, api->name);
  else snprintf(text, sizeof text, "not used: products run on the module's own kernels: %s", why);
  fn(user, "cublaslt", text);
}
