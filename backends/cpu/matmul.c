/* matmul: (a [..,m,k], b [..,k,n], bias [n]?) → [..,m,n], leading axes broadcast. A batch of left factors that meets
 * one right factor is a single, taller product. */
#include <string.h>
#include "backends/cpu/device.h"

typedef struct plan {
  tct_cpu_gemm gemm;
  int64_t batch;
  int64_t offsets[]; /* a's, then b's */
} plan;

bool tct_cpu_matmul_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  if (!tct_cpu_is_f32(node, why, why_bytes)) return false;
  const tct_matmul_attrs *attrs = node->attrs;
  if (attrs->activation != TCT_OP_NONE && tct_cpu_kernels_generic.float_row(attrs->activation) == NULL) {
    return tct_cpu_refuse(why, why_bytes, "the activation is op %d, which is not an elementwise row",
                          (int)attrs->activation);
  }
  for (int32_t i = 0; i < 2; i++)
    for (int32_t axis = 0; axis < node->in[i].shape.rank; axis++)
      if (node->in[i].shape.dim[axis] > INT32_MAX / 2) {
        return tct_cpu_refuse(why, why_bytes, "an extent is %lld, OpenBLAS counts up to %d",
                              (long long)node->in[i].shape.dim[axis], INT32_MAX / 2);
      }
  return true;
}

void tct_cpu_batch_offsets(const tct_shape *in, const tct_shape *out, int64_t *offset) {
  const int32_t lead = out->rank - 2, shift = out->rank - in->rank;
  int64_t stride[TCT_MAX_RANK] = {0}, step = in->dim[in->rank - 1] * in->dim[in->rank - 2];
  for (int32_t i = lead - 1; i >= shift; i--) {
    stride[i] = in->dim[i - shift] == 1 ? 0 : step;
    step *= in->dim[i - shift];
  }
  const int64_t batch = tct_cpu_extent(out, 0, lead);
  for (int64_t index = 0; index < batch; index++) {
    int64_t rest = index, at = 0;
    for (int32_t i = lead - 1; i >= 0; i--) {
      at += rest % out->dim[i] * stride[i];
      rest /= out->dim[i];
    }
    offset[index] = at;
  }
}

tct_status tct_cpu_matmul_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_matmul_attrs *attrs = node->attrs;
  const tct_shape *a = &node->in[0].shape, *b = &node->in[1].shape, *c = &node->out[0].shape;
  const int64_t batch = tct_cpu_extent(c, 0, c->rank - 2);
  plan *p = tct_cpu_state(device, sizeof *p + 2 * (size_t)batch * sizeof(int64_t));
  if (p == NULL) return TCT_OUT_OF_MEMORY;
  const int64_t m = c->dim[c->rank - 2], n = c->dim[c->rank - 1];
  p->gemm = (tct_cpu_gemm){.m = m,
                           .n = n,
                           .k = a->dim[a->rank - (attrs->transpose_a ? 2 : 1)],
                           .lda = a->dim[a->rank - 1],
                           .ldb = b->dim[b->rank - 1],
                           .ldc = n,
                           .transpose_a = attrs->transpose_a,
                           .transpose_b = attrs->transpose_b,
                           .p = {attrs->activation_attrs.p0, attrs->activation_attrs.p1}};
  if (attrs->activation != TCT_OP_NONE) p->gemm.activation = device->k->float_row(attrs->activation);
  p->batch = batch;
  const bool one_b = tct_cpu_extent(b, 0, b->rank - 2) == 1;
  if (one_b && !attrs->transpose_a && tct_cpu_extent(a, 0, a->rank - 2) == batch) {
    p->gemm.m = m * batch;
    p->batch = batch > 0 ? 1 : 0;
  } else if (batch > 0) {
    tct_cpu_batch_offsets(a, c, p->offsets);
    tct_cpu_batch_offsets(b, c, p->offsets + batch);
  }
  *out = (tct_prepared){.state = p};
  out->workspace_bytes = tct_cpu_gemm_plan(device, &p->gemm, p->batch);
  return TCT_OK;
}

tct_status tct_cpu_matmul_launch(tct_device_impl *device, const tct_launch *launch) {
  const plan *p = launch->state;
  const bool is_one = p->batch == 1;
  tct_cpu_gemm_run(device, &p->gemm, p->batch, launch->in[0], is_one ? NULL : p->offsets, launch->in[1],
                   is_one ? NULL : p->offsets + p->batch, launch->node->n_in > 2 ? launch->in[2] : NULL, launch->out[0],
                   launch->workspace);
  return TCT_OK;
}
