/* bf16 and f16, for every op at once: an entry behind the op's own kernels widens narrow operands into its workspace, runs
 * the first of those kernels that takes the node in f32, and narrows the results. Slow beside kernels that would convert
 * in their tiles, but each op computes what its f32 kernel computes, rounded once.
 *
 * Workspace: the inner kernel's, then the widened operands and results, each in whole cache lines. */
#include <string.h>
#include "backends/cpu/device.h"

enum { MOST_OPERANDS = 64 };

typedef struct plan {
  const tct_kernel *inner;
  void *inner_state;
  size_t inner_bytes;
  tct_node_view node; /* in f32 */
  tct_desc desc[MOST_OPERANDS];
  void *at[MOST_OPERANDS]; /* set by each launch */
} plan;

/* The node with f32 for bf16 and f16; whether it has any of them. */
static bool widen(const tct_node_view *node, tct_desc *desc, tct_node_view *out) {
  bool any = false;
  for (int32_t i = 0; i < node->n_in + node->n_out; i++) {
    desc[i] = i < node->n_in ? node->in[i] : node->out[i - node->n_in];
    if (!tct_cpu_is_narrow(desc[i].dtype)) continue;
    desc[i].dtype = TCT_F32;
    any = true;
  }
  *out = *node;
  out->in = desc;
  out->out = desc + node->n_in;
  return any;
}

static const tct_kernel *inner_of(const tct_node_view *wide, char *why, size_t why_bytes) {
  for (size_t k = 0; k < tct_cpu_kernel_count; k++) {
    const tct_kernel *kernel = &tct_cpu_kernel_table[k];
    if (kernel->launch == tct_cpu_wide_launch || strcmp(kernel->op, wide->op_name) != 0) continue;
    if (kernel->supports(wide, why, why_bytes)) return kernel;
  }
  return NULL;
}

bool tct_cpu_wide_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  tct_desc desc[MOST_OPERANDS];
  tct_node_view wide;
  if (node->n_in + node->n_out > MOST_OPERANDS) return false; /* the op's own kernels say what they take */
  return widen(node, desc, &wide) && inner_of(&wide, why, why_bytes) != NULL;
}

static size_t widened_bytes(const tct_desc *desc) {
  return tct_cpu_lines(tct_cpu_size(&desc->shape) * (int64_t)sizeof(float));
}

static const tct_desc *given(const tct_node_view *node, int32_t i) {
  return i < node->n_in ? &node->in[i] : &node->out[i - node->n_in];
}

tct_status tct_cpu_wide_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  char why[256];
  plan *p = tct_cpu_state(device, sizeof *p);
  if (p == NULL) return TCT_OUT_OF_MEMORY;
  (void)widen(node, p->desc, &p->node);
  p->inner = inner_of(&p->node, why, sizeof why);
  tct_prepared inner = {.kernel = p->inner};
  const tct_status status = p->inner->prepare(device, &p->node, &inner);
  if (status != TCT_OK) {
    tct_cpu_release_state(device, p);
    return status;
  }
  p->inner_state = inner.state;
  p->inner_bytes = tct_cpu_lines((int64_t)inner.workspace_bytes);
  *out = (tct_prepared){.workspace_bytes = p->inner_bytes, .state = p};
  for (int32_t i = 0; i < node->n_in + node->n_out; i++)
    if (tct_cpu_is_narrow(given(node, i)->dtype)) out->workspace_bytes += widened_bytes(&p->desc[i]);
  return TCT_OK;
}

void tct_cpu_wide_release(tct_device_impl *device, void *state) {
  plan *p = state;
  if (p != NULL && p->inner->release != NULL) p->inner->release(device, p->inner_state);
  tct_cpu_release_state(device, p);
}

typedef struct conversion {
  tct_cpu_row row;
  const char *from;
  char *to;
  size_t from_bytes, to_bytes;
  int64_t n;
} conversion;

static void convert_task(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const conversion *c = user;
  const int64_t first = task * TCT_CPU_TASK;
  const void *from = c->from + (size_t)first * c->from_bytes;
  const void *const arg[3] = {from, from, from};
  c->row(arg, c->to + (size_t)first * c->to_bytes, tct_cpu_least(TCT_CPU_TASK, c->n - first), (const double[2]){0, 0});
}

static void convert(tct_device_impl *device, const tct_shape *shape, tct_dtype from_type, const void *from,
                    tct_dtype to_type, void *to) {
  conversion c = {device->k->cast_row(from_type, to_type), from, to, tct_cpu_bytes(from_type), tct_cpu_bytes(to_type),
                  tct_cpu_size(shape)};
  tct_cpu_run(device, tct_cpu_tasks(c.n), 0.5 * (double)c.n, convert_task, &c);
}

tct_status tct_cpu_wide_launch(tct_device_impl *device, const tct_launch *launch) {
  plan *p = launch->state;
  const tct_node_view *node = launch->node;
  char *at = (char *)launch->workspace + p->inner_bytes;
  for (int32_t i = 0; i < node->n_in + node->n_out; i++) {
    const bool is_in = i < node->n_in;
    const tct_dtype dtype = given(node, i)->dtype;
    p->at[i] = is_in ? launch->in[i] : launch->out[i - node->n_in];
    if (!tct_cpu_is_narrow(dtype)) continue;
    if (is_in) convert(device, &p->desc[i].shape, dtype, p->at[i], TCT_F32, at);
    p->at[i] = at;
    at += widened_bytes(&p->desc[i]);
  }
  const tct_launch inner = {&p->node, p->at, p->at + node->n_in, launch->workspace, p->inner_state};
  const tct_status status = p->inner->launch(device, &inner);
  for (int32_t o = 0; o < node->n_out && status == TCT_OK; o++) {
    if (!tct_cpu_is_narrow(node->out[o].dtype)) continue;
    convert(device, &node->out[o].shape, TCT_F32, p->at[node->n_in + o], node->out[o].dtype, launch->out[o]);
  }
  return status;
}
