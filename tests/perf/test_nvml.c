/* The energy of a GPU, over a stand-in for NVIDIA's library. */
#include <dlfcn.h>
#include <math.h>
#include "perf/support/nvml.h"
#include "test.h"

TEST(nvml, boards_and_reasons) {
  char why[200] = "";
  void *const own = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  if (own != NULL) {
    (void)dlclose(own);
    SKIP("NVIDIA's own library is here");
  }
  CHECK(setenv("TERCET_CUDA_LIBRARY_PATH", "/nowhere::/tmp", 1) == 0);
  CHECK(isnan(perf_gpu_joules("0000:01:00.0", why, sizeof why)) && strstr(why, "not readable: libnvidia-ml.so.1: cannot open") != NULL, "%s", why);
  CHECK(setenv("TERCET_CUDA_LIBRARY_PATH", "/nowhere:" TCT_BINARY_DIR "/modules/nvml", 1) == 0);
  const double first = perf_gpu_joules("0000:01:00.0", why, sizeof why), second = perf_gpu_joules("0000:01:00.0", why, sizeof why);
  CHECK(first == 41.5 && second == 43, "%g %g: %s", first, second, why);
  CHECK(isnan(perf_gpu_joules("0000:02:00.0", why, sizeof why)));
  CHECK(strcmp(why, "not readable: NVML of the GPU at 0000:02:00.0: Not Found") == 0, "%s", why);
}
