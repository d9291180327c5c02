/* Opening NVIDIA's driver and asking for its devices: every way in which there is no GPU to use has its sentence here. */
#include "backends/cuda/driver.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "backends/cuda/errors.h"
#include "backends/cuda/image.h"

static const tct_cu_function functions[] = {
#define DRIVER(member, symbol, prototype) {#symbol, offsetof(tct_cu_driver, member)},
#include "backends/cuda/driver.def"
#undef DRIVER
};

/* "13.0" of 13000. */
#define VERSION_ARGS(number) (number) / 1000, (number) % 1000 / 10

static bool take_functions(tct_cu_driver *driver, char *why, size_t why_bytes) {
  const char *const lacks = tct_cu_library_take(&driver->library, functions, sizeof functions / sizeof functions[0], driver);
  if (lacks != NULL)
    snprintf(why, why_bytes, "the driver %s has no function %s: it is too old; install NVIDIA's driver for CUDA %d.%d or later",
             driver->library.path, lacks, VERSION_ARGS(CUDA_VERSION));
  return lacks == NULL;
}

static bool start(tct_cu_driver *driver, char *why, size_t why_bytes) {
  char text[200];
  int n = 0;
  CUresult result = driver->init(0);
  if (result == CUDA_SUCCESS) result = driver->version(&driver->number);
  if (result == CUDA_SUCCESS) result = driver->device_count(&n);
  if (result == CUDA_ERROR_NO_DEVICE || (result == CUDA_SUCCESS && n == 0)) {
    snprintf(why, why_bytes, "the driver %s is here, but no device is: no NVIDIA GPU in this machine or container, or "
             "CUDA_VISIBLE_DEVICES hides it (nvidia-smi lists them)", driver->library.path);
    return false;
  }
  if (result != CUDA_SUCCESS) {
    snprintf(why, why_bytes, "the driver %s does not start: %s; 'nvidia-smi' may say more", driver->library.path,
             tct_cu_text(driver, result, text, sizeof text));
    return false;
  }
  /* Device code of a toolkit runs with every later driver, and with earlier ones of its own major version. */
  if (driver->number / 1000 < CUDA_VERSION / 1000) {
    snprintf(why, why_bytes, "the driver %s is too old: it is for CUDA %d.%d, the device code needs %d.0 or later; install a newer "
             "NVIDIA driver", driver->library.path, VERSION_ARGS(driver->number), CUDA_VERSION / 1000);
    return false;
  }
  driver->n_devices = n;
  return true;
}

const tct_cu_driver *tct_cu_driver_open(const tct_host *host, char *why, size_t why_bytes) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  static tct_cu_driver driver;
  static bool started;
  (void)pthread_mutex_lock(&mutex);
  if (!started) {
    if (!tct_cu_library_open_driver(host, "libcuda.so.1", &driver.library)) {
      snprintf(why, why_bytes, "no NVIDIA driver: libcuda.so.1 is not in %.300s; on a machine with an NVIDIA GPU install its driver "
               "(Debian: nvidia-driver), or name the library's folder in TERCET_CUDA_LIBRARY_PATH", driver.library.looked);
    } else {
      started = take_functions(&driver, why, why_bytes) && start(&driver, why, why_bytes);
    }
  }
  const bool here = started;
  (void)pthread_mutex_unlock(&mutex);
  return here ? &driver : NULL;
}

bool tct_cu_chip_of(const tct_cu_driver *driver, int32_t ordinal, tct_cu_chip *out, char *why, size_t why_bytes) {
  CUdevice device;
  int major = 0, minor = 0, n_units = 0;
  *out = (tct_cu_chip){.major = 0};
  CUresult result = driver->device_get(&device, ordinal);
  if (result == CUDA_SUCCESS) result = driver->device_name(out->name, (int)sizeof out->name, device);
  if (result == CUDA_SUCCESS) result = driver->device_memory(&out->memory_bytes, device);
  if (result == CUDA_SUCCESS) result = driver->device_attribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
  if (result == CUDA_SUCCESS) result = driver->device_attribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
  if (result == CUDA_SUCCESS) result = driver->device_attribute(&n_units, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device);
  out->major = major;
  out->minor = minor;
  out->n_units = n_units;
  char text[200];
  if (result != CUDA_SUCCESS)
    snprintf(why, why_bytes, "device %d does not answer: %s", (int)ordinal, tct_cu_text(driver, result, text, sizeof text));
  return result == CUDA_SUCCESS;
}

/* Code of sm_XY runs on X.Z with Z ≥ Y; the last one is there as PTX too, which the driver compiles for all that is newer. */
bool tct_cu_chip_has_code(const tct_cu_chip *chip, char *why, size_t why_bytes) {
  const int32_t own = 10 * chip->major + chip->minor;
  for (int32_t i = 0; i < tct_cuda_n_architectures; i++) {
    const int32_t code = tct_cuda_architectures[i];
    const bool last = i == tct_cuda_n_architectures - 1;
    if (own >= code && (last || code / 10 == chip->major)) return true;
  }
  char list[96] = "";
  for (int32_t i = 0; i < tct_cuda_n_architectures; i++) {
    const size_t used = strlen(list);
    snprintf(list + used, sizeof list - used, "%s%d.%d", i > 0 ? ", " : "", (int)tct_cuda_architectures[i] / 10,
             (int)tct_cuda_architectures[i] % 10);
  }
  snprintf(why, why_bytes, "%s has compute capability %d.%d, for which this module has no code: it has %s%s; build it with "
           "-DTERCET_CUDA_ARCHITECTURES=%d", chip->name, (int)chip->major, (int)chip->minor, list[0] != '\0' ? list : "none",
           list[0] != '\0' ? " and later" : "", (int)own);
  return false;
}
