/* See nvrtc.h. Code is for the device's own architecture; where NVRTC is older than the device, it is PTX of the newest that it knows,
 * which the driver compiles. */
#include "backends/cuda/libraries/nvrtc.h"

#include <stdio.h>
#include <string.h>

enum { MOST_OPTIONS = 32, MOST_TARGETS = 128, LOG_SHOWN = 3000 };

static const tct_cu_function functions[] = {
#define NVRTC(member, symbol) {#symbol, offsetof(tct_cu_nvrtc, member)},
#include "backends/cuda/libraries/nvrtc.def"
#undef NVRTC
};

static size_t version_of(const void *table) {
  int major = 0, minor = 0;
  return ((const tct_cu_nvrtc *)table)->version(&major, &minor) == NVRTC_SUCCESS ? 10000 * (size_t)major + 100 * (size_t)minor : 0;
}

/* Opened at the first call that finds it, then the same for the process. NULL: `why`. Any thread. */
static const tct_cu_nvrtc *open_nvrtc(const tct_host *host, char *why, size_t why_bytes) {
  static const tct_cu_library_kind kind = {.file = "libnvrtc.so.13",
                                           .name = "NVRTC",
                                           .package = "NVRTC 13 (a CUDA toolkit, or pip's nvidia-cuda-nvrtc)",
                                           .major = CUDA_VERSION / 1000,
                                           .minor = CUDA_VERSION % 1000 / 10,
                                           .functions = functions,
                                           .n_functions = sizeof functions / sizeof functions[0],
                                           .version_of = version_of};
  static tct_cu_library_once once = {.mutex = PTHREAD_MUTEX_INITIALIZER};
  static tct_cu_nvrtc api;
  return tct_cu_library_use(host, &kind, &once, &api.library, &api, api.name, why, why_bytes) ? &api : NULL;
}

void tct_cu_tell_nvrtc(const tct_host *host, tct_fact_fn fn, void *user) {
  char why[1200], text[1400];
  const tct_cu_nvrtc *const api = open_nvrtc(host, why, sizeof why);
  if (api != NULL) snprintf(text, sizeof text, "%s: %s; it compiles custom ops in CUDA C++", api->library.path, api->name);
  else snprintf(text, sizeof text, "not used: custom ops need to be PTX: %s", why);
  fn(user, "nvrtc", text);
}

/* ---- one compilation ---- */

typedef struct compilation {
  tct_device_impl *device;
  const tct_cu_nvrtc *api;
  const char *op;
  char target[24]; /* "sm_90", "compute_120" */
  bool is_ptx;
  nvrtcProgram program;
} compilation;

static tct_status failed(const compilation *c, nvrtcResult result, const char *call) {
  const tct_host *const host = c->device->host;
  const bool is_source = result == NVRTC_ERROR_COMPILATION || result == NVRTC_ERROR_INVALID_OPTION;
  const tct_status status = is_source ? TCT_INVALID : result == NVRTC_ERROR_OUT_OF_MEMORY ? TCT_OUT_OF_MEMORY : TCT_INTERNAL;
  size_t bytes = 0;
  char *log = NULL;
  if (is_source && c->api->log_size(c->program, &bytes) == NVRTC_SUCCESS && bytes > 1) log = host->alloc(bytes, 64);
  if (log != NULL && c->api->log(c->program, log) != NVRTC_SUCCESS) log[0] = '\0';
  (void)host->fail(status, "op '%s' on device 'gpu:%d': its CUDA C++ does not compile for %s: %s of %s says %s%s%.*s", c->op,
                   (int)c->device->ordinal, c->target, call, c->api->name, c->api->status_name(result), log != NULL ? ":\n" : "",
                   LOG_SHOWN, log != NULL ? log : "");
  host->release(log);
  return status;
}

#define TRY(c, call, name)                                                                                             \
  do {                                                                                                                 \
    const nvrtcResult result_ = (call);                                                                                \
    if (result_ != NVRTC_SUCCESS) return failed(c, result_, name);                                                     \
  } while (0)

static tct_status choose_target(compilation *c) {
  const tct_cu_chip *const chip = &c->device->chip;
  const int own = 10 * chip->major + chip->minor;
  int n = 0, known[MOST_TARGETS] = {0}, best = 0;
  snprintf(c->target, sizeof c->target, "sm_%d", own);
  TRY(c, c->api->target_count(&n), "nvrtcGetNumSupportedArchs");
  if (n > MOST_TARGETS) return failed(c, NVRTC_ERROR_INTERNAL_ERROR, "nvrtcGetNumSupportedArchs");
  TRY(c, c->api->targets(known), "nvrtcGetSupportedArchs");
  for (int i = 0; i < n; i++)
    if (known[i] <= own && known[i] > best) best = known[i];
  if (best == 0)
    return c->device->host->fail(TCT_UNSUPPORTED, "op '%s' on device 'gpu:%d': %s has no target for compute capability %d.%d; give the op "
                                 "PTX, or use an older NVRTC (TERCET_CUDA_LIBRARY_PATH names its folder)", c->op, (int)c->device->ordinal,
                                 c->api->name, (int)chip->major, (int)chip->minor);
  c->is_ptx = best != own;
  if (c->is_ptx) snprintf(c->target, sizeof c->target, "compute_%d", best);
  return TCT_OK;
}

/* `words` are the user's options, cut at their blanks. */
static tct_status compile(const compilation *c, char *words) {
  char architecture[48], *rest = words;
  const char *options[MOST_OPTIONS];
  int n = 0;
  snprintf(architecture, sizeof architecture, "--gpu-architecture=%s", c->target);
  options[n++] = architecture;
  for (char *word = strtok_r(words, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
    if (n == MOST_OPTIONS)
      return c->device->host->fail(TCT_INVALID, "op '%s': its code has more than %d compiler options", c->op, MOST_OPTIONS - 1);
    options[n++] = word;
  }
  TRY(c, c->api->compile(c->program, n, options), "nvrtcCompileProgram");
  return TCT_OK;
}

static tct_status take_image(const compilation *c, void **out_image, size_t *out_bytes) {
  if (c->is_ptx) TRY(c, c->api->ptx_size(c->program, out_bytes), "nvrtcGetPTXSize");
  else TRY(c, c->api->cubin_size(c->program, out_bytes), "nvrtcGetCUBINSize");
  *out_image = c->device->host->alloc(*out_bytes, 64);
  if (*out_image == NULL) return TCT_OUT_OF_MEMORY;
  const nvrtcResult result = c->is_ptx ? c->api->ptx(c->program, *out_image) : c->api->cubin(c->program, *out_image);
  if (result == NVRTC_SUCCESS) return TCT_OK;
  c->device->host->release(*out_image);
  *out_image = NULL;
  return failed(c, result, c->is_ptx ? "nvrtcGetPTX" : "nvrtcGetCUBIN");
}

static tct_status make_image(compilation *c, const char *text, char *words, void **out_image, size_t *out_bytes) {
  char name[96];
  snprintf(name, sizeof name, "%s.cu", c->op);
  TRY(c, c->api->create(&c->program, text, name, 0, NULL, NULL), "nvrtcCreateProgram");
  tct_status status = compile(c, words);
  if (status == TCT_OK) status = take_image(c, out_image, out_bytes);
  (void)c->api->destroy(&c->program);
  return status;
}
#undef TRY

tct_status tct_cu_compile(tct_device_impl *device, const char *op, const char *text, const char *options, void **out_image) {
  const tct_host *const host = device->host;
  compilation c = {.device = device, .op = op};
  char why[1200];
  *out_image = NULL;
  c.api = open_nvrtc(host, why, sizeof why);
  if (c.api == NULL)
    return host->fail(TCT_UNAVAILABLE, "op '%s' on device 'gpu:%d': its code is CUDA C++, and %s; or give the op PTX, which the driver compiles",
                      op, (int)device->ordinal, why);
  tct_status status = choose_target(&c);
  if (status != TCT_OK) return status;
  if (options == NULL) options = "";
  /* What the image depends on, and behind it the options once more, to be cut. What a text includes may have changed without it. */
  const size_t key_room = strlen(c.api->name) + strlen(c.target) + strlen(op) + strlen(options) + strlen(text) + 5;
  char *const key = host->alloc(key_room + strlen(options) + 1, 64);
  if (key == NULL) return TCT_OUT_OF_MEMORY;
  const size_t key_bytes = (size_t)snprintf(key, key_room, "%s\n%s\n%s\n%s\n%s", c.api->name, c.target, op, options, text);
  const bool is_kept = strstr(key, "include") == NULL;
  char *const words = strcpy(key + key_room, options);
  size_t bytes = 0;
  if (!is_kept || !host->cache_read("code", key, key_bytes, out_image, &bytes)) {
    status = make_image(&c, text, words, out_image, &bytes);
    if (status == TCT_OK && is_kept) host->cache_write("code", key, key_bytes, *out_image, bytes);
  }
  host->release(key);
  return status;
}
