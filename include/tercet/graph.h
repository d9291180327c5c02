/* Level 1, the graph: build it with ops (<tercet/ops.h>), differentiate it, compile it for a device, run it.
 *
 * Builders return handles and cannot fail visibly: a wrong op records an error in the graph and returns a poisoned handle;
 * ops on poisoned handles are skipped; ops on healthy ones are still checked. tct_compile (or tct_graph_status) reports
 * up to 20 errors together, the first one first. */
#ifndef TERCET_GRAPH_H
#define TERCET_GRAPH_H

#include <tercet/attrs.h>
#include <tercet/device.h>
#include <tercet/types.h>

TCT_BEGIN_DECLS

typedef struct tct_graph tct_graph;

/* A symbolic tensor. Copy it freely; it is valid as long as its graph. id < 0: poisoned. */
typedef struct tct_tensor {
  tct_graph *graph;
  int32_t id;
} tct_tensor;

TCT_API tct_status tct_graph_create(tct_graph **out) TCT_CHECKED;
TCT_API void tct_graph_free(tct_graph *graph); /* NULL is fine */
/* TCT_OK, or the first error's status with all messages in the error record. */
TCT_API tct_status tct_graph_status(const tct_graph *graph) TCT_CHECKED;

/* ---- sources ---- */

/* Fed before each run. */
TCT_API tct_tensor tct_input(tct_graph *graph, const char *name, tct_dtype dtype, tct_shape shape);

/* Where a variable's first value comes from. Random ones draw from (seed, name, element), so they are the same on every
 * device. fans: of a kernel [.., in, out] (dense) or [r, s, in, out] (conv), as in Keras. */
typedef enum tct_init_kind {
  TCT_INIT_DEFAULT = 0, /* zeros */
  TCT_INIT_ZEROS,
  TCT_INIT_ONES,
  TCT_INIT_CONSTANT,      /* value */
  TCT_INIT_UNIFORM,       /* ±value (0: 0.05) */
  TCT_INIT_NORMAL,        /* standard deviation value (0: 0.05) */
  TCT_INIT_GLOROT_UNIFORM, /* ±√(6/(fan_in+fan_out)): Glorot & Bengio 2010 */
  TCT_INIT_GLOROT_NORMAL,  /* truncated at 2σ, σ = √(2/(fan_in+fan_out))/0.87962566 */
  TCT_INIT_HE_UNIFORM,     /* ±√(6/fan_in): He et al. 2015 */
  TCT_INIT_HE_NORMAL,      /* truncated at 2σ, σ = √(2/fan_in)/0.87962566 */
  TCT_INIT_LECUN_UNIFORM,
  TCT_INIT_LECUN_NORMAL,
  TCT_INIT_ORTHOGONAL, /* gain value (0: 1) */
  TCT_INIT_UNIT_FORGET, /* 1 in the second quarter, else 0: the forget gate's part of an LSTM's bias (Jozefowicz et al. 2015) */
  TCT_N_INITS
} tct_init_kind;
typedef struct tct_init {
  tct_init_kind kind;
  double value;
  int64_t fan_in, fan_out; /* 0: from the shape */
} tct_init;

/* Persistent between runs; shared by programs that are compiled with the same tct_variables. Names are unique. */
TCT_API tct_tensor tct_variable(tct_graph *graph, const char *name, tct_dtype dtype, tct_shape shape, tct_init init);

/* A copy of `data`, dense and row-major. */
TCT_API tct_tensor tct_constant(tct_graph *graph, tct_dtype dtype, tct_shape shape, const void *data);
/* A 0-d constant. */
TCT_API tct_tensor tct_scalar(tct_graph *graph, tct_dtype dtype, double value);
/* Every element `value`. */
TCT_API tct_tensor tct_full(tct_graph *graph, tct_dtype dtype, tct_shape shape, double value);

/* ---- questions ---- */

TCT_API bool tct_tensor_ok(tct_tensor tensor);
TCT_API tct_dtype tct_tensor_dtype(tct_tensor tensor); /* NONE when poisoned */
TCT_API tct_shape tct_tensor_shape(tct_tensor tensor); /* rank 0 when poisoned */

/* Names of nodes built until the matching pop are prefixed with "scope/". */
TCT_API void tct_scope_push(tct_graph *graph, const char *scope);
TCT_API void tct_scope_pop(tct_graph *graph);

/* Marks a tensor that can be read after a run, under a unique name. Of a variable that the graph updates it is the value
 * from before the update, as every reader has it; tct_variables_read gives the one from after. */
TCT_API void tct_output(tct_graph *graph, const char *name, tct_tensor tensor);

/* ---- gradients ---- */

/* Appends the nodes of d loss/d wrt[i] (loss is 0-d and float). A wrt that the loss does not depend on gets zeros. An op
 * without a gradient on a path from wrt to loss is an error of the graph that names the path; out[] is then poisoned. */
TCT_API void tct_gradients(tct_tensor loss, const tct_tensor *wrt, int32_t n_wrt, tct_tensor *out);

/* ---- updates ---- */

/* The graph's updates (<tercet/ops.h>) write only in runs in which `condition`, a bool [], is true; a later call replaces an
 * earlier one. An update that is computed from the condition itself writes in every run. */
TCT_API void tct_update_when(tct_tensor condition);

/* ---- text ---- */

/* One line per node: name = op(inputs) {attrs} : dtype[shape]. `write` gets pieces of text. */
typedef void (*tct_write_fn)(void *user, const char *text, size_t length);
TCT_API void tct_graph_print(const tct_graph *graph, tct_write_fn write, void *user);
TCT_API void tct_graph_print_dot(const tct_graph *graph, tct_write_fn write, void *user); /* Graphviz */

/* ---- running ---- */

/* The variables of one model on one device: created by the first program that names them. */
typedef struct tct_variables tct_variables;
TCT_API tct_status tct_variables_create(tct_device *device, uint64_t seed, tct_variables **out) TCT_CHECKED;
TCT_API void tct_variables_free(tct_variables *variables); /* after the programs that use them; NULL is fine */
TCT_API int32_t tct_variables_count(const tct_variables *variables);
TCT_API const char *tct_variables_name(const tct_variables *variables, int32_t i);
TCT_API tct_status tct_variables_desc(const tct_variables *variables, const char *name, tct_desc *out) TCT_CHECKED;
/* Dense row-major data of exactly the variable's size; waits for the device. */
TCT_API tct_status tct_variables_read(tct_variables *variables, const char *name, void *data, size_t bytes) TCT_CHECKED;
TCT_API tct_status tct_variables_write(tct_variables *variables, const char *name, const void *data, size_t bytes)
    TCT_CHECKED;
TCT_API size_t tct_variables_bytes(const tct_variables *variables);

typedef struct tct_program tct_program;

typedef struct tct_compile_options {
  tct_variables *variables; /* shared; NULL: the program's own, seeded with `seed` */
  uint64_t seed;
  bool fallback_host; /* an op that the device refuses runs on the reference kernels, and the program says so */
  /* Programs that never run at the same time may share one arena: give the first program here. A run of one ends the
   * outputs of the others: read them before. */
  tct_program *share_arena;
  /* TCT_BF16 or TCT_F16: mixed precision. Products and what lies between them are stored so, arithmetic, sums, losses,
   * variables, inputs and outputs stay f32. NONE, TCT_F32: everything as it was built. */
  tct_dtype precision;
  bool no_fusion; /* every node a step of its own, under the name that it was built with: for finding out */
  uint64_t reserved[3];
} tct_compile_options;

/* The graph is copied: it may be freed after. Updates run in the program when the graph has them. */
TCT_API tct_status tct_compile(const tct_graph *graph, tct_device *device, const tct_compile_options *options,
                               tct_program **out) TCT_CHECKED;
TCT_API void tct_program_free(tct_program *program); /* NULL is fine */

/* Copies one input; it keeps its value until it is set again. `bytes` must be the input's size. */
TCT_API tct_status tct_program_set(tct_program *program, const char *input, const void *data, size_t bytes) TCT_CHECKED;
/* Enqueues one run of every step. */
TCT_API tct_status tct_program_run(tct_program *program) TCT_CHECKED;
/* Runs every step once more, as tct_program_run, and looks at every float value on the way: *out_found, and in `text` a
 * sentence about the first input or variable with NaN or Inf, or else the first step in the order of execution that makes
 * one, with the ranges of what it read. Slow; for finding out why a result is not finite. 600 bytes of text suffice. */
TCT_API tct_status tct_program_find_nonfinite(tct_program *program, char *text, size_t text_bytes, bool *out_found)
    TCT_CHECKED;
/* Reads an output of the last run; waits for it. */
TCT_API tct_status tct_program_get(tct_program *program, const char *output, void *data, size_t bytes) TCT_CHECKED;
TCT_API tct_variables *tct_program_variables(tct_program *program);

/* ---- single steps, for finding out ----
 * Operands of a step are numbered: its inputs in their order, then its outputs; an update has none of these, it writes its
 * leading inputs. Values die with their last reader, as in a whole run: what is not read between two steps may be gone. */

/* Launches step i alone (tct_program_step tells which it is). A run is every step once, in order. */
TCT_API tct_status tct_program_launch_step(tct_program *program, int32_t i) TCT_CHECKED;
/* The name of the node that makes the operand, or "". It lives as long as the program. */
TCT_API const char *tct_program_operand_name(const tct_program *program, int32_t i, int32_t operand);
/* Dense row-major data of exactly the operand's size; reading waits for the device. */
TCT_API tct_status tct_program_operand_read(tct_program *program, int32_t i, int32_t operand, void *data, size_t bytes)
    TCT_CHECKED;
TCT_API tct_status tct_program_operand_write(tct_program *program, int32_t i, int32_t operand, const void *data,
                                             size_t bytes) TCT_CHECKED;

/* What one run takes, known at compile time. */
typedef struct tct_program_info {
  int32_t n_steps;
  int32_t n_fallback;      /* steps that run on the host's reference kernels */
  size_t arena_bytes;      /* activations, gradients, workspace: the exact peak */
  size_t no_reuse_bytes;   /* what these would take without sharing memory */
  size_t variables_bytes;  /* of the variables it uses */
  double flops;            /* analytic */
  double bytes;            /* read and written by the steps, counted once each */
} tct_program_info;
TCT_API void tct_program_describe(const tct_program *program, tct_program_info *out);
typedef struct tct_step_info {
  const char *name, *op, *kernel, *device;
  double flops, bytes;
  const tct_node_view *node;
  double seconds; /* mean over the profiled runs; 0 without profiling */
} tct_step_info;
TCT_API bool tct_program_step(const tct_program *program, int32_t i, tct_step_info *out);
/* What one run of the step adds to its device's counters (tct_device_counters), where the device knows it beforehand: a
 * modelled one. At most `most`, how many is returned; 0: nothing, or no such step. */
TCT_API int32_t tct_program_step_counters(const tct_program *program, int32_t i, tct_counter *out, int32_t most);
/* The device's instructions for the step, a line each; none where the device keeps no list. */
TCT_API void tct_program_step_listing(const tct_program *program, int32_t i, tct_line_fn line, void *user);
/* The instructions that move the program's inputs to the device and its outputs back, a line each; none where the device has no list. */
TCT_API void tct_program_transfer_listing(const tct_program *program, tct_line_fn line, void *user);
/* Times every step of the following runs (each step is waited for); off by default. */
TCT_API void tct_program_profile(tct_program *program, bool on);

TCT_END_DECLS
#endif
