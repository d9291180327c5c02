/* matmul of i8: (a [..,m,k], b [..,k,n]) → i32 [..,m,n], leading axes broadcast. The pool shares the rows. */
#include "backends/cpu/device.h"

enum { ROWS = 16 }; /* of a task */

typedef struct plan {
  int64_t m, n, k;
  bool transpose_a, transpose_b;
  int64_t batch, bands; /* tasks: batch · bands */
  int64_t offsets[];    /* a's, then b's, in elements */
} plan;

typedef struct job {
  const tct_device_impl *device;
  const plan *plan;
  const int8_t *a, *b;
  int32_t *c;
} job;

bool tct_cpu_matmul_i8_supports(const tct_node_view *node, char *why, size_t why_bytes) {
  (void)why;
  (void)why_bytes; /* the floats' entry says what is taken */
  return node->in[0].dtype == TCT_I8;
}

tct_status tct_cpu_matmul_i8_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_matmul_attrs *attrs = node->attrs;
  const tct_shape *a = &node->in[0].shape, *b = &node->in[1].shape, *c = &node->out[0].shape;
  const int64_t batch = tct_cpu_extent(c, 0, c->rank - 2);
  plan *p = tct_cpu_state(device, sizeof *p + 2 * (size_t)batch * sizeof(int64_t));
  if (p == NULL) return TCT_OUT_OF_MEMORY;
  p->m = c->dim[c->rank - 2];
  p->n = c->dim[c->rank - 1];
  p->k = a->dim[a->rank - (attrs->transpose_a ? 2 : 1)];
  p->transpose_a = attrs->transpose_a;
  p->transpose_b = attrs->transpose_b;
  p->batch = batch;
  p->bands = tct_cpu_divide_up(p->m, ROWS);
  tct_cpu_batch_offsets(a, c, p->offsets);
  tct_cpu_batch_offsets(b, c, p->offsets + batch);
  *out = (tct_prepared){.state = p};
  return TCT_OK;
}

static void band(void *user, int64_t task, int32_t worker) {
  const job *j = user;
  const plan *p = j->plan;
  const int64_t index = task / p->bands, first = task % p->bands * ROWS;
  const int64_t a_row = p->transpose_a ? 1 : p->k, a_col = p->transpose_a ? p->m : 1;
  j->device->k->gemm_i8(tct_cpu_least(ROWS, p->m - first), p->n, p->k, j->a + p->offsets[index] + first * a_row, a_row, a_col,
                        j->b + p->offsets[p->batch + index], p->transpose_b ? 1 : p->n, p->transpose_b ? p->k : 1,
                        j->c + (index * p->m + first) * p->n);
  (void)worker;
}

tct_status tct_cpu_matmul_i8_launch(tct_device_impl *device, const tct_launch *launch) {
  const plan *p = launch->state;
  job j = {device, p, launch->in[0], launch->in[1], launch->out[0]};
  tct_cpu_run(device, p->batch * p->bands, 0.1 * (double)p->batch * (double)p->m * (double)p->n * (double)p->k, band, &j);
  return TCT_OK;
}
