/* NVML by name. Its functions and numbers are part of its stable interface (nvml.h, "NVML API Reference Guide"): millijoules of a board. */
#include "perf/support/nvml.h"

#include <dlfcn.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char FILE_NAME[] = "libnvidia-ml.so.1";

typedef struct nvml {
  int (*init)(void);
  int (*by_pci)(const char *pci, void **out);
  int (*energy)(void *device, unsigned long long *millijoules);
  const char *(*error)(int code);
} nvml;

static void *open_file(char *why, size_t size) {
  const char *folders = getenv("TERCET_CUDA_LIBRARY_PATH");
  for (size_t n; folders != NULL && *folders != '\0'; folders += n + (folders[n] == ':')) {
    char path[4096];
    n = strcspn(folders, ":");
    if (n == 0) continue;
    void *const library = snprintf(path, sizeof path, "%.*s/%s", (int)n, folders, FILE_NAME) < (int)sizeof path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (library != NULL) return library;
  }
  void *const library = dlopen(FILE_NAME, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) (void)snprintf(why, size, "not readable: %s", dlerror());
  return library;
}

/* false: `why`. The library stays open: it is asked twice a run. */
static bool open_library(nvml *out, char *why, size_t size) {
  static const char *const names[] = {"nvmlInit_v2", "nvmlDeviceGetHandleByPciBusId_v2", "nvmlDeviceGetTotalEnergyConsumption", "nvmlErrorString"};
  void *const library = open_file(why, size);
  void *found[4] = {NULL};
  if (library == NULL) return false;
  for (int i = 0; i < 4; i++) {
    found[i] = dlsym(library, names[i]);
    if (found[i] != NULL) continue;
    (void)snprintf(why, size, "not readable: %s has no %s", FILE_NAME, names[i]);
    return false;
  }
  /* POSIX lets an object pointer of dlsym be a function's; C has no cast for it. */
  *(void **)&out->init = found[0];
  *(void **)&out->by_pci = found[1];
  *(void **)&out->energy = found[2];
  *(void **)&out->error = found[3];
  return true;
}

double perf_gpu_joules(const char *pci, char *why, size_t why_bytes) {
  static nvml library;
  static bool is_open;
  void *device = NULL;
  unsigned long long millijoules = 0;
  if (!is_open) {
    if (!open_library(&library, why, why_bytes)) return (double)NAN;
    const int code = library.init();
    if (code != 0) {
      (void)snprintf(why, why_bytes, "not readable: nvmlInit: %s", library.error(code));
      return (double)NAN;
    }
    is_open = true;
  }
  int code = library.by_pci(pci, &device);
  if (code == 0) code = library.energy(device, &millijoules);
  if (code == 0) return 1e-3 * (double)millijoules;
  (void)snprintf(why, why_bytes, "not readable: NVML of the GPU at %s: %s", pci, library.error(code));
  return (double)NAN;
}
