/* A door before NVRTC: libnvrtc.so.13 with the functions of backends/cuda/libraries/nvrtc.def, which counts their calls, lets those fail that it
 * was told to, and has the real library do the work: compiling needs no GPU. */
#include <dlfcn.h>
#include <nvrtc.h>
#include <stdlib.h>
#include <string.h>
#include "support/standin_cuda/settings.h"

int64_t standin_nvrtc_live(void);

static int64_t n_live; /* programs */

int64_t standin_nvrtc_live(void) { return n_live; }

static void *real(const char *name) {
  static void *library;
  if (library == NULL) library = dlopen(REAL_NVRTC, RTLD_NOW | RTLD_LOCAL);
  void *const symbol = library != NULL ? dlsym(library, name) : NULL;
  if (symbol == NULL) abort();
  return symbol;
}

/* The real function's answer, unless this call is to fail. */
#define THROUGH(prototype, ...)                                                                                        \
  const CUresult told = standin_called(__func__);                                                                      \
  if (told != CUDA_SUCCESS) return (nvrtcResult)told;                                                                  \
  __typeof__(prototype) *function;                                                                                     \
  void *const symbol = real(#prototype);                                                                               \
  memcpy(&function, &symbol, sizeof function);                                                                         \
  const nvrtcResult result = function(__VA_ARGS__)

nvrtcResult nvrtcVersion(int *major, int *minor) {
  THROUGH(nvrtcVersion, major, minor);
  if (standin_now.nvrtc == 0) return result;
  *major = (int)(standin_now.nvrtc / 10000);
  *minor = (int)(standin_now.nvrtc / 100 % 100);
  return result;
}

const char *nvrtcGetErrorString(nvrtcResult result) {
  const char *(*function)(nvrtcResult);
  void *const symbol = real("nvrtcGetErrorString");
  memcpy(&function, &symbol, sizeof function);
  return function(result);
}

nvrtcResult nvrtcGetNumSupportedArchs(int *n) {
  THROUGH(nvrtcGetNumSupportedArchs, n);
  return result;
}

nvrtcResult nvrtcGetSupportedArchs(int *all) {
  THROUGH(nvrtcGetSupportedArchs, all);
  return result;
}

nvrtcResult nvrtcCreateProgram(nvrtcProgram *out, const char *text, const char *name, int n, const char *const *headers, const char *const *names) {
  THROUGH(nvrtcCreateProgram, out, text, name, n, headers, names);
  n_live += result == NVRTC_SUCCESS;
  return result;
}

/* It is gone, also when the call was told to fail. */
nvrtcResult nvrtcDestroyProgram(nvrtcProgram *program) {
  const CUresult told = standin_called(__func__);
  nvrtcResult (*function)(nvrtcProgram *);
  void *const symbol = real(__func__);
  memcpy(&function, &symbol, sizeof function);
  const nvrtcResult result = function(program);
  n_live--;
  return told != CUDA_SUCCESS ? (nvrtcResult)told : result;
}

nvrtcResult nvrtcCompileProgram(nvrtcProgram program, int n, const char *const *options) {
  THROUGH(nvrtcCompileProgram, program, n, options);
  return result;
}

nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, size_t *bytes) {
  THROUGH(nvrtcGetProgramLogSize, program, bytes);
  return result;
}

nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, char *log) {
  THROUGH(nvrtcGetProgramLog, program, log);
  return result;
}

nvrtcResult nvrtcGetCUBINSize(nvrtcProgram program, size_t *bytes) {
  THROUGH(nvrtcGetCUBINSize, program, bytes);
  return result;
}

nvrtcResult nvrtcGetCUBIN(nvrtcProgram program, char *image) {
  THROUGH(nvrtcGetCUBIN, program, image);
  return result;
}

nvrtcResult nvrtcGetPTXSize(nvrtcProgram program, size_t *bytes) {
  THROUGH(nvrtcGetPTXSize, program, bytes);
  return result;
}

nvrtcResult nvrtcGetPTX(nvrtcProgram program, char *text) {
  THROUGH(nvrtcGetPTX, program, text);
  return result;
}
