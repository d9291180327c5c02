/* What Nsight injects through NVTX_INJECTION64_PATH, for tests: prints the name of every range, indented by its depth, and how deep the
 * process was when it ended. */
#define NVTX_NO_IMPL
#include <nvtx3/nvToolsExt.h>
#include <stdio.h>

/* NVTX declares these behind its implementation, which a tool does not include: by their numbers. */
enum { CALLBACKS = 1, CORE2 = 5, PUSH = 4, POP = 5, CREATE = 12 };
typedef struct callbacks {
  size_t struct_size;
  int (*functions)(int module, void (****out_table)(void), unsigned *out_n);
} callbacks;

__attribute__((visibility("default"))) int InitializeInjectionNvtx2(const void *(*table_of)(uint32_t id));

static char domain[32];
static int depth;

static nvtxDomainHandle_t create(const char *name) {
  snprintf(domain, sizeof domain, "%s", name);
  return (nvtxDomainHandle_t)(void *)domain;
}

static int push(nvtxDomainHandle_t in, const nvtxEventAttributes_t *range) {
  fprintf(stderr, "%s: %*s%s\n", (const char *)(const void *)in, 2 * depth, "", range->message.ascii);
  return depth++;
}

static int pop(nvtxDomainHandle_t in) {
  (void)in;
  return --depth;
}

int InitializeInjectionNvtx2(const void *(*table_of)(uint32_t id)) {
  const callbacks *const table = table_of(CALLBACKS);
  void (***core)(void) = NULL;
  unsigned n = 0;
  if (table == NULL || table->functions(CORE2, &core, &n) == 0 || n <= CREATE) return 0;
  *core[CREATE] = (void (*)(void))create;
  *core[PUSH] = (void (*)(void))push;
  *core[POP] = (void (*)(void))pop;
  return 1;
}

__attribute__((destructor)) static void end(void) { fprintf(stderr, "%s ends at depth %d\n", domain, depth); }
