/* See ranges.h. NVTX is NVIDIA's header alone: it opens the library that a profiler names in NVTX_INJECTION64_PATH, and otherwise leaves
 * empty functions. The variable is asked for first, so that a set-user-ID program opens nothing. */
#include "backends/cuda/ranges.h"

#include <nvtx3/nvToolsExt.h>
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static nvtxDomainHandle_t domain;

static void make_domain(void) { domain = nvtxDomainCreateA("tercet"); }

bool tct_cu_ranges_wanted(const tct_host *host) {
  if (host->env("NVTX_INJECTION64_PATH")[0] == '\0') return false;
  (void)pthread_once(&once, make_domain);
  return true;
}

void tct_cu_range_push(const char *name) {
  const nvtxEventAttributes_t range = {.version = NVTX_VERSION,
                                       .size = NVTX_EVENT_ATTRIB_STRUCT_SIZE,
                                       .messageType = NVTX_MESSAGE_TYPE_ASCII,
                                       .message.ascii = name};
  (void)nvtxDomainRangePushEx(domain, &range);
}

void tct_cu_range_pop(void) { (void)nvtxDomainRangePop(domain); }
