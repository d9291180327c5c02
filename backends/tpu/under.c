/* The CPU's kernels for nodes of our own: a bias behind the machine's product, a product inside of a composite. */
#include "backends/tpu/device.h"

#include <string.h>

const tct_kernel *tct_tpu_kernel_under(const tct_backend *inner, const tct_node_view *node, char *why, size_t why_bytes) {
  for (size_t k = 0; k < inner->n_kernels; k++) {
    const tct_kernel *kernel = &inner->kernels[k];
    if (strcmp(kernel->op, node->op_name) != 0) continue;
    if (kernel->supports == NULL || kernel->supports(node, why, why_bytes)) return kernel;
  }
  return NULL;
}

void tct_tpu_under_node(tpu_under *under, tct_op op, const char *name, int32_t n_in) {
  under->view = (tct_node_view){.op = op, .op_name = name, .name = name, .attrs = &under->attrs, .n_in = n_in, .n_out = 1,
                                .in = under->in, .out = &under->out};
}

tct_status tct_tpu_under_prepare(tct_device_impl *device, tpu_under *under, size_t *bytes) {
  char why[256] = "";
  const tct_kernel *kernel = tct_tpu_kernel_under(device->inner, &under->view, why, sizeof why);
  if (kernel == NULL) return device->host->fail(TCT_UNSUPPORTED, "tpu: %s inside of a node: %s", under->view.op_name, why);
  tct_prepared prepared = {.kernel = kernel};
  if (kernel->prepare != NULL) {
    const tct_status status = kernel->prepare(device->impl, &under->view, &prepared);
    if (status != TCT_OK) return status;
  }
  under->kernel = kernel;
  under->state = prepared.state;
  if (prepared.workspace_bytes > *bytes) *bytes = prepared.workspace_bytes;
  return TCT_OK;
}

tct_status tct_tpu_under_launch(tct_device_impl *device, const tpu_under *under, void *const *in, void *const *out, void *workspace) {
  const tct_launch inside = {.node = &under->view, .in = in, .out = out, .state = under->state, .workspace = workspace};
  return under->kernel->launch(device->impl, &inside);
}

void tct_tpu_under_release(tct_device_impl *device, tpu_under *under) {
  if (under->kernel != NULL && under->kernel->release != NULL) under->kernel->release(device->impl, under->state);
  under->kernel = NULL;
}
