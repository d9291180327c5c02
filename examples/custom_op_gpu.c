/* An op of one's own with kernels for a GPU: row_rms, each row divided by its root mean square, and its gradient, an op too. Their
 * device code is a file of CUDA C++, row_rms.cu, which the device compiles when a program with the op is; on a host they are loops.
 * custom_op_gpu [DEVICE [FILE]], "gpu" and examples/row_rms.cu unless given. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <tercet/op.h>
#include <tercet/tercet.h>

typedef struct row_rms_attrs {
  double eps;
  int64_t columns; /* set by the shape rule */
} row_rms_attrs;

static tct_op row_rms_op, row_rms_grad_op;

/* x [rows, columns] → y of x's shape; (x, dy) → dx likewise. */
static bool infer(tct_infer *infer) {
  row_rms_attrs *attrs = infer->attrs;
  const tct_desc *x = &infer->in[0];
  if (x->dtype != TCT_F32 && x->dtype != TCT_F64) return tct_refuse(infer, "x is %s, needs f32 or f64", tct_dtype_name(x->dtype));
  if (x->shape.rank != 2) return tct_refuse(infer, "x has rank %d, needs rank 2 [rows,columns]", (int)x->shape.rank);
  attrs->columns = x->shape.dim[1];
  infer->out[0] = *x;
  return true;
}

static void gradient(tct_grad *grad) {
  const tct_tensor in[] = {grad->in[0], grad->dout[0]};
  grad->din[0] = tct_emit(grad->graph, row_rms_grad_op, grad->attrs, in, 2, NULL);
}

/* ---- on a host ---- */

static double get(const tct_launch *l, int32_t in, int64_t i) {
  return l->node->in[in].dtype == TCT_F64 ? ((const double *)l->in[in])[i] : (double)((const float *)l->in[in])[i];
}

static void put(const tct_launch *l, int64_t i, double value) {
  if (l->node->out[0].dtype == TCT_F64) ((double *)l->out[0])[i] = value;
  else ((float *)l->out[0])[i] = (float)value;
}

/* With one input the forward, with two the gradient. */
static tct_status launch(tct_device_impl *device, const tct_launch *l) {
  (void)device;
  const row_rms_attrs *attrs = l->node->attrs;
  const int64_t n = attrs->columns, size = tct_shape_size(&l->node->in[0].shape);
  for (int64_t row = 0; row < size; row += n) {
    double squares = 0, products = 0;
    for (int64_t i = row; i < row + n; i++) {
      squares += get(l, 0, i) * get(l, 0, i);
      if (l->node->n_in == 2) products += get(l, 0, i) * get(l, 1, i);
    }
    const double s = 1 / sqrt(squares / (double)n + attrs->eps), mean = s * products / (double)n;
    for (int64_t i = row; i < row + n; i++) {
      const double y = get(l, 0, i) * s;
      put(l, i, l->node->n_in == 2 ? (get(l, 1, i) - y * mean) * s : y);
    }
  }
  return TCT_OK;
}

/* ---- on a GPU ---- */

static bool is_f32(const tct_node_view *node, char *why, size_t why_bytes) {
  if (node->in[0].dtype != TCT_F32) snprintf(why, why_bytes, "its code is for f32");
  return node->in[0].dtype == TCT_F32;
}

/* A block to each row. */
static void a_block_to_a_row(const tct_node_view *node, tct_op_extent *out) {
  out->grid[0] = (uint32_t)node->in[0].shape.dim[0];
  out->block[0] = 128; /* THREADS of row_rms.cu */
}

/* ---- registering ---- */

static const tct_op_def definitions[] = {{.abi = TCT_OP_ABI, .name = "row_rms", .version = 1, .attrs_bytes = sizeof(row_rms_attrs),
                                          .min_in = 1, .max_in = 1, .n_out = 1, .infer = infer, .gradient = gradient},
                                         {.abi = TCT_OP_ABI, .name = "row_rms_grad", .version = 1, .attrs_bytes = sizeof(row_rms_attrs),
                                          .min_in = 2, .max_in = 2, .n_out = 1, .infer = infer}};

static tct_status register_ops(const char *source) {
  tct_op *const ops[] = {&row_rms_op, &row_rms_grad_op};
  tct_status status = TCT_OK;
  for (int i = 0; i < 2 && status == TCT_OK; i++) {
    const tct_op_code code = {.language = TCT_OP_CUDA, .source = source, .entry = definitions[i].name, .extent = a_block_to_a_row};
    const tct_op_kernel kernels[] = {
        {.device = "ref", .kernel = {.launch = launch}},
        {.device = "cpu", .kernel = {.launch = launch}},
        {.device = "gpu", .kernel = {.supports = is_f32}, .code = &code},
    };
    status = tct_op_register(&definitions[i], kernels, 3, ops[i]);
  }
  return status;
}

/* The text of a file, to be freed; NULL: it cannot be read. */
static char *read_text(const char *path) {
  enum { MOST = 1 << 20 };
  FILE *file = fopen(path, "r");
  char *text = file != NULL ? calloc(1, MOST) : NULL;
  if (text != NULL) (void)fread(text, 1, MOST - 1, file);
  if (file != NULL) fclose(file);
  return text;
}

int main(int argc, char **argv) {
  const char *device = argc > 1 ? argv[1] : "gpu", *file = argc > 2 ? argv[2] : "examples/row_rms.cu";
  const row_rms_attrs attrs = {1e-5, 0};
  const tct_desc in = {TCT_F32, TCT_SHAPE(9, 200)};
  char *source = read_text(file);
  if (source == NULL) {
    fprintf(stderr, "custom_op_gpu: cannot read %s\n", file);
    return 1;
  }
  tct_status status = register_ops(source);
  free(source);
  if (status == TCT_OK) status = tct_op_check(row_rms_op, &attrs, &in, 1, device);
  if (status == TCT_OK) printf("row_rms on %s agrees with its reference, and its gradient with differences\n", device);
  else fprintf(stderr, "custom_op_gpu: %s\n", tct_error_message());
  return status == TCT_OK ? 0 : 1;
}
