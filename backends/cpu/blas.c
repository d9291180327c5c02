/* Opening OpenBLAS and taking the functions of blas.def from it. */
#ifdef __linux__
#define _GNU_SOURCE /* dladdr */
#endif
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include "backends/cpu/blas.h"

static const struct {
  const char *symbol;
  size_t offset;
} functions[] = {
#define BLAS(member, symbol_name) {#symbol_name, offsetof(tct_cpu_blas, member)},
#include "backends/cpu/blas.def"
#undef BLAS
};

/* No dlclose: OpenBLAS' threads run in its code, and the next device opens it again. */
static void *open_library(const tct_host *host, char *why, size_t why_bytes) {
  static const char *const names[] = {"libopenblas.so.0", "libopenblasp.so.0", "libopenblas.so"};
  const char *const wanted = host->env("TERCET_BLAS");
  if (wanted[0] != '\0') {
    void *const library = dlopen(wanted, RTLD_NOW | RTLD_LOCAL);
    const char *const said = library == NULL ? dlerror() : NULL;
    if (library == NULL) snprintf(why, why_bytes, "TERCET_BLAS=%s: %s", wanted, said != NULL ? said : "cannot be loaded");
    return library;
  }
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    void *const library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (library != NULL) return library;
    const char *const said = dlerror();
    if (i == 0) snprintf(why, why_bytes, "%s; install OpenBLAS (Debian: libopenblas0)", said != NULL ? said : names[0]);
  }
  return NULL;
}

bool tct_cpu_blas_open(const tct_host *host, tct_cpu_blas *out, char *why, size_t why_bytes) {
  *out = (tct_cpu_blas){0};
  if (why_bytes > 0) why[0] = '\0';
  void *const library = open_library(host, why, why_bytes);
  if (library == NULL) return false;
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
    /* POSIX promises that an object pointer from dlsym holds a function's address; ISO C has no cast for it. */
    void *const symbol = dlsym(library, functions[i].symbol);
    if (symbol == NULL) {
      snprintf(why, why_bytes, "the BLAS library has no function '%s'; it is not OpenBLAS", functions[i].symbol);
      return false;
    }
    memcpy((char *)out + functions[i].offset, &symbol, sizeof symbol);
  }
  return true;
}

const char *tct_cpu_blas_file(const tct_cpu_blas *blas) {
  void *address = NULL;
  Dl_info at;
  _Static_assert(sizeof address == sizeof blas->sgemm, "function and object pointers differ");
  memcpy(&address, &blas->sgemm, sizeof address);
  return dladdr(address, &at) != 0 && at.dli_fname != NULL ? at.dli_fname : "";
}
