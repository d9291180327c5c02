/* What libraries did not take and our own kernels ran instead: kept in words, so that a report can tell, each once. */
#include <stdio.h>
#include <string.h>
#include "backends/cuda/device.h"

enum { MOST_KEPT = 24, TEXT_BYTES = 1400 };

struct tct_cu_refusals {
  int32_t n, n_more; /* n_more: told of, not kept */
  char text[MOST_KEPT][TEXT_BYTES];
};

static bool is_known(const struct tct_cu_refusals *kept, const char *text) {
  for (int32_t i = 0; i < kept->n; i++)
    if (strcmp(kept->text[i], text) == 0) return true;
  return false;
}

static struct tct_cu_refusals *refusals_of(tct_device_impl *device) {
  if (device->refusals != NULL) return device->refusals;
  device->refusals = device->host->alloc(sizeof *device->refusals, 64);
  if (device->refusals != NULL) device->refusals->n = device->refusals->n_more = 0;
  return device->refusals;
}

static const char *const dtype_names[TCT_N_DTYPES] = {[TCT_F32] = "f32",   [TCT_BF16] = "bf16", [TCT_F16] = "f16", [TCT_I32] = "i32",
                                                      [TCT_I64] = "i64",   [TCT_U8] = "u8",     [TCT_BOOL] = "bool"};

/* "matmul f32[128,784], f32[784,512] -> f32[128,512]" */
static void describe(const tct_node_view *node, char *text, size_t text_bytes) {
  size_t used = (size_t)snprintf(text, text_bytes, "%s", node->op_name);
  for (int32_t i = 0; i < node->n_in + node->n_out && used < text_bytes; i++) {
    const tct_desc *const desc = i < node->n_in ? &node->in[i] : &node->out[i - node->n_in];
    const char *const name = dtype_names[desc->dtype] != NULL ? dtype_names[desc->dtype] : "?";
    used += (size_t)snprintf(text + used, text_bytes - used, "%s%s", i == 0 ? " " : i == node->n_in ? " -> " : ", ", name);
    for (int32_t k = 0; k < desc->shape.rank && used < text_bytes; k++)
      used += (size_t)snprintf(text + used, text_bytes - used, "%c%lld", k == 0 ? '[' : ',', (long long)desc->shape.dim[k]);
    if (used < text_bytes) used += (size_t)snprintf(text + used, text_bytes - used, "%s", desc->shape.rank > 0 ? "]" : "[]");
  }
}

tct_status tct_cu_refused_for(tct_device_impl *device, const tct_node_view *node, const char *library, const char *why, const char *instead) {
  char what[500] = "", text[TEXT_BYTES];
  if (node != NULL) describe(node, what, sizeof what);
  snprintf(text, sizeof text, "%s%s%s: %s; %s", what, node != NULL ? ": " : "", library, why, instead);
  struct tct_cu_refusals *const kept = refusals_of(device);
  if (kept == NULL) return TCT_OUT_OF_MEMORY;
  if (!is_known(kept, text)) {
    if (kept->n < MOST_KEPT) memcpy(kept->text[kept->n++], text, sizeof text);
    else kept->n_more++;
    device->host->log(TCT_LOG_WARNING, "device 'gpu:%d': %s", (int)device->ordinal, text);
  }
  return device->host->fail(TCT_UNSUPPORTED, "%s", text);
}

tct_status tct_cu_refused(tct_device_impl *device, const tct_node_view *node, const char *library, const char *why) {
  return tct_cu_refused_for(device, node, library, why, "the module's own kernel runs it");
}

void tct_cu_tell_refusals(const tct_device_impl *device, tct_fact_fn fn, void *user) {
  const struct tct_cu_refusals *const kept = device->refusals;
  char name[32], text[64];
  for (int32_t i = 0; kept != NULL && i < kept->n; i++) {
    snprintf(name, sizeof name, "refused.%d", (int)i + 1);
    fn(user, name, kept->text[i]);
  }
  if (kept == NULL || kept->n_more == 0) return;
  snprintf(text, sizeof text, "%d more, in the log", (int)kept->n_more);
  fn(user, "refused.more", text);
}
