/* The module: what the loader asks for, and what `tercet doctor` prints of a device that is here. */
#include "backends/cuda/entry.h"

#include <stdio.h>
#include <string.h>
#include "backends/cuda/libraries/cublaslt.h"
#include "backends/cuda/libraries/cudnn.h"
#include "backends/cuda/ops/custom.h"
#include "backends/cuda/image.h"
#include "backends/cuda/libraries/nvrtc.h"
#include "backends/cuda/ranges.h"
#include "backends/cuda/table.h"

/* The table of the process, set by the entry. */
static const tct_host *host;

/* As many as the driver lists, if the first has code: which of several is meant, and whether that one has, is asked when it is opened. */
static int32_t probe(char *why, size_t why_bytes) {
  tct_cu_chip chip;
  if (why_bytes > 0) why[0] = '\0';
  const tct_cu_driver *const cu = tct_cu_driver_open(host, why, why_bytes);
  if (cu == NULL || !tct_cu_chip_of(cu, 0, &chip, why, why_bytes)) return 0;
  return cu->n_devices > 1 || tct_cu_chip_has_code(&chip, why, why_bytes) ? cu->n_devices : 0;
}

static tct_status open_device(const tct_open_options *options, tct_device_impl **out) {
  char why[500];
  *out = NULL;
  const tct_cu_driver *const cu = tct_cu_driver_open(host, why, sizeof why);
  return cu != NULL ? tct_cu_open(host, cu, options, out) : host->fail(TCT_UNAVAILABLE, "device 'gpu': %s", why);
}

static int32_t counters(tct_device_impl *device, tct_counter *out, int32_t most) {
  double near, pinned;
  tct_cu_staging(device, &near, &pinned);
  const tct_counter all[] = {
      {"launches", "", device->counts.launches}, {"recordings", "", device->counts.recordings}, {"replays", "", device->counts.replays},
      {"uploaded", "B", device->counts.uploaded}, {"downloaded", "B", device->counts.downloaded},
      {"staging", "B", near}, {"pinned", "B", pinned},
  };
  const int32_t n = most < (int32_t)(sizeof all / sizeof all[0]) ? most : (int32_t)(sizeof all / sizeof all[0]);
  for (int32_t i = 0; i < n; i++) out[i] = all[i];
  return n;
}

static void facts(tct_device_impl *device, tct_fact_fn fn, void *user) {
  const tct_cu_driver *const cu = device->cu;
  char text[200] = "";
  size_t left = 0, total = 0;
  fn(user, "driver", cu->library.path);
  snprintf(text, sizeof text, "CUDA %d.%d; the device code needs %d.0 or later", cu->number / 1000, cu->number % 1000 / 10,
           CUDA_VERSION / 1000);
  fn(user, "driver.version", text);
  snprintf(text, sizeof text, "%d.%d", (int)device->chip.major, (int)device->chip.minor);
  fn(user, "compute_capability", text);
  text[0] = '\0';
  for (int32_t i = 0; i < tct_cuda_n_architectures; i++) {
    const size_t used = strlen(text);
    snprintf(text + used, sizeof text - used, "%s%d.%d", i > 0 ? ", " : "", (int)tct_cuda_architectures[i] / 10,
             (int)tct_cuda_architectures[i] % 10);
  }
  fn(user, "code.runs_on", strncat(text, " and later", sizeof text - strlen(text) - 1));
  if (cu->device_pci(text, (int)sizeof text, device->device) == CUDA_SUCCESS) fn(user, "pci", text);
  if (cu->context_set(device->context) == CUDA_SUCCESS && cu->memory_info(&left, &total) == CUDA_SUCCESS) {
    snprintf(text, sizeof text, "%.1f GiB, %.1f GiB free", (double)total / (1 << 30), (double)left / (1 << 30));
    fn(user, "memory", text);
  }
  fn(user, "graphs", device->records ? "a step is recorded once and replayed" : "off by TERCET_CUDA_GRAPHS=0: a step is launched op by op");
  snprintf(text, sizeof text, "of each problem the quickest on this device, by the cache: %d timed, %d read", (int)device->n_timed,
           (int)device->n_kept);
  fn(user, "algorithms", device->tunes ? text : "the first that a library names; TERCET_CUDA_TUNE=1 times them once and keeps the quickest");
  tct_cu_tell_cublaslt(host, fn, user);
  tct_cu_tell_cudnn(host, fn, user);
  tct_cu_tell_nvrtc(host, fn, user);
  tct_cu_tell_refusals(device, fn, user);
}

/* ---- the table's functions that a profiler shows by name ---- */

#define NAMED(name, call)                                                                                              \
  if (device->ranges) tct_cu_range_push(name);                                                                         \
  const tct_status status = call;                                                                                      \
  if (device->ranges) tct_cu_range_pop();                                                                              \
  return status

static tct_status upload(tct_device_impl *device, void *to, const void *from_host, size_t bytes) {
  NAMED("upload", tct_cu_upload(device, to, from_host, bytes));
}

static tct_status download(tct_device_impl *device, void *to_host, const void *from, size_t bytes) {
  NAMED("download", tct_cu_download(device, to_host, from, bytes));
}

static tct_status sync(tct_device_impl *device) {
  NAMED("wait", tct_cu_sync(device));
}

static tct_status record(tct_device_impl *device, tct_status (*launches)(void *user), void *user, void **out) {
  NAMED("record step", tct_cu_record(device, launches, user, out));
}

static tct_status replay(tct_device_impl *device, void *recording) {
  NAMED("replay step", tct_cu_replay(device, recording));
}
#undef NAMED

static const char *const aliases[] = {"cuda", NULL};

const tct_backend *tct_backend_entry(const tct_host *given) {
  static tct_backend backend = {
      .abi = TCT_BACKEND_ABI,
      .name = "gpu",
      .aliases = aliases,
      .kernels = tct_cu_kernel_table,
      .probe = probe,
      .open = open_device,
      .close = tct_cu_close,
      .info = tct_cu_info,
      .alloc = tct_cu_alloc,
      .free = tct_cu_free,
      .upload = upload,
      .download = download,
      .mark = tct_cu_mark,
      .reached = tct_cu_reached,
      .elapsed = tct_cu_elapsed,
      .sync = sync,
      .copy = tct_cu_copy,
      .wait = tct_cu_wait,
      .record = record,
      .replay = replay,
      .drop = tct_cu_drop,
      .counters = counters,
      .facts = facts,
  };
  if (given->abi != TCT_BACKEND_ABI) {
    (void)given->fail(TCT_INTERNAL, "backend gpu: the host speaks version %u of the interface, this one %u", (unsigned)given->abi,
                      TCT_BACKEND_ABI);
    return NULL;
  }
  host = given;
  host->run_code_by(backend.name, &tct_cu_custom_kernel);
  backend.n_kernels = tct_cu_kernel_count;
  return &backend;
}
