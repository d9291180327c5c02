/* For op authors: what defines an op. In-tree ops stand in runtime/ops/, one family per file; a program registers its own
 * with tct_op_register. docs/adding-an-op.md leads through both. */
#ifndef TERCET_OP_H
#define TERCET_OP_H

#include <tercet/backend.h>
#include <tercet/graph.h>

TCT_BEGIN_DECLS

/* The shape rule's view of one node. It checks `in`, may complete `attrs` (the node's own copy) and fills `out`. */
typedef struct tct_infer {
  tct_op op;
  const char *op_name;
  int32_t n_in, n_out;
  const tct_desc *in;
  void *attrs;
  tct_desc *out;
  char why[512]; /* the refusal: a sentence with the values and the rule */
  uint32_t code; /* its kind, a tct_error_number; 0: TCT_E_OPERANDS */
} tct_infer;
/* Writes the refusal; returns false so that rules can `return tct_refuse(…)`. */
TCT_API bool tct_refuse(tct_infer *infer, const char *format, ...) TCT_PRINTF(2, 3);

/* The gradient rule's view: given the node's inputs, outputs and the gradients of its outputs, it sets din[i] for the
 * inputs that it is differentiable in and `wanted`; others stay unset: integer inputs, and those that no path leads
 * through. A din of another shape than its input (a broadcast) is summed to it by the autodiff pass.
 * dout[i].id < 0: nothing flows into that output. */
typedef struct tct_grad {
  tct_graph *graph;
  tct_op op;
  const void *attrs;
  int32_t n_in, n_out;
  const tct_tensor *in, *out, *dout;
  const bool *wanted;
  tct_tensor *din;
} tct_grad;

typedef struct tct_cost {
  double flops;
  double bytes; /* compulsory: each input read once, each output written once */
} tct_cost;

/* The version of tct_op_def, tct_op_kernel and tct_op_code. */
#define TCT_OP_ABI 2u

typedef struct tct_op_def {
  uint32_t abi; /* TCT_OP_ABI in a definition that is registered */
  const char *name;
  uint32_t version; /* of the schema: attributes and semantics */
  size_t attrs_bytes; /* copied byte by byte, and compared so: zero the padding, point to nothing that may go */
  int32_t min_in, max_in; /* max_in -1: any number */
  int32_t n_out;
  bool (*infer)(tct_infer *infer);
  void (*gradient)(tct_grad *grad); /* NULL: not differentiable; see gradient_why */
  const char *gradient_why;         /* with gradient NULL: "argmax is piecewise constant"; NULL: a gradient op itself */
  void (*cost)(const tct_node_view *node, tct_cost *out); /* NULL: one flop per output element */
  /* Builds the same function from simpler ops where a device has no kernel; NULL: not a composite. */
  void (*decompose)(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in, tct_tensor *out);
} tct_op_def;

/* ---- ops of one's own ---- */

/* How a kernel that was given as code is launched: blocks, the threads of a block, and the bytes of shared memory of a block beyond what
 * the kernel declares itself. */
typedef struct tct_op_extent {
  uint32_t grid[3], block[3];
  uint32_t shared_bytes;
} tct_op_extent;

typedef enum tct_op_language { TCT_OP_CUDA = 0, TCT_OP_PTX } tct_op_language;

/* A custom op's kernel as text, for a device that compiles what it is given: "gpu", CUDA C++ (which needs NVRTC there) or PTX.
 * Its parameters, of a node with N = n_in + n_out operands, the inputs first: parameter i < N is the address of operand i;
 * parameter N + i is its number of elements, an int64_t; where the definition has attrs_bytes, parameter 2·N is the attributes,
 * by value. Exactly these, which is checked. What else the kernel needs of the shapes goes into the attributes, which the shape rule
 * may complete. Results are not cleared before. One kernel is one op; a gradient op has code of its own. */
typedef struct tct_op_code {
  tct_op_language language;
  const char *source;
  const char *entry;   /* the kernel's name in it: in CUDA C++ of an extern "C" __global__ function */
  const char *options; /* of the compiler of CUDA C++, between blanks: "-I/opt/include -DWIDTH=8"; NULL: none */
  /* Pure. Changes what it is given: a thread for each element of output 0, 256 to a block. NULL: just that. */
  void (*extent)(const tct_node_view *node, tct_op_extent *out);
} tct_op_code;

/* A custom op's kernel on one kind of device: the backend's name, "ref" (any dtype, double arithmetic expected, what
 * fallback=host runs) or "cpu" or a module's. Fill in the kernel's in_place, supports, prepare, launch and release as in
 * <tercet/backend.h>; op and name are filled in. On "ref" and "cpu" operands are host memory, and the device of the calls is
 * to be passed by. A device under "check:" takes the kernels that were registered before it was opened. */
typedef struct tct_op_kernel {
  const char *device;
  tct_kernel kernel;
  const tct_op_code *code; /* instead of prepare, launch and release; in_place and supports hold for it too. NULL: functions */
} tct_op_kernel;

/* Makes the op known to the process, for good; *out is its number, for tct_emit. Definition, code and texts are copied, the
 * functions stay. The same definition again gives the same number; a name that is taken is an error. From any thread.
 * A device without a kernel of the op refuses it, unless `decompose` opens it there. Mixed precision runs it in f32. */
TCT_API tct_status tct_op_register(const tct_op_def *def, const tct_op_kernel *kernels, int32_t n_kernels, tct_op *out)
    TCT_CHECKED;

/* Tries an op on operands of these descriptions, with made-up values in ±1 and whole numbers 0: the device's kernel against
 * the reference kernel, the gradient against differences of the forward along a random direction (in f64 on the reference
 * where the op has it). TCT_NUMERIC with both numbers when they disagree. For tests: it compiles and runs small programs. */
TCT_API tct_status tct_op_check(tct_op op, const void *attrs, const tct_desc *in, int32_t n_in, const char *device)
    TCT_CHECKED;

/* The custom op's kernel on a backend, NULL: none. */
TCT_API const tct_kernel *tct_op_kernel_of(tct_op op, const char *backend);
/* The i-th kernel of any custom op on a backend, NULL past the last. */
TCT_API const tct_kernel *tct_op_kernel_at(const char *backend, int32_t i);
/* The code of a custom op for a backend, NULL: none. *out_attrs_bytes, which may be NULL, is the definition's. */
TCT_API const tct_op_code *tct_op_code_of(tct_op op, const char *backend, size_t *out_attrs_bytes);
/* From a backend that runs code: prepare, launch and release of `by` (it stays) are those of every custom op with code for it, of those
 * to come too. Before, such an op has no kernel there. */
TCT_API void tct_op_code_run_by(const char *backend, const tct_kernel *by);

/* ---- all ops ---- */

/* NULL when out of range. */
TCT_API const tct_op_def *tct_op_definition(tct_op op);
TCT_API const char *tct_op_name(tct_op op);
TCT_API tct_op tct_op_find(const char *name); /* TCT_OP_NONE: unknown */

/* Appends a node: checks operands and attributes by the op's shape rule. `attrs` is copied. out[n_out] may be NULL for one
 * output; returns output 0 (poisoned after an error). */
TCT_API tct_tensor tct_emit(tct_graph *graph, tct_op op, const void *attrs, const tct_tensor *in, int32_t n_in,
                            tct_tensor *out);

TCT_END_DECLS
#endif
