/* The cases of op_cases.def as a table, and what can be done with one: its data, its graph, a run on a device. */
#ifndef TCT_TESTS_CASES_H
#define TCT_TESTS_CASES_H

#include <tercet/op.h>
#include <tercet/ops.h>
#include "ops/shape.h"

/* ---- the table ---- */

typedef enum operand_kind { KIND_REAL, KIND_WHOLE, KIND_INDEX, KIND_TRUTH, KIND_STATE, KIND_STEP } operand_kind;
typedef struct operand {
  operand_kind kind;
  double low, high;
  tct_shape shape;
} operand;

enum { MOST_OPERANDS = 8 };
typedef struct op_case {
  const char *label;
  tct_op op;
  unsigned dtypes; /* a bit per dtype that REAL, WHOLE and STATE operands take */
  bool gradient;
  int32_t n_operands;
  const operand *operands;
  tct_tensor (*build)(tct_graph *graph, tct_dtype dtype, const tct_tensor *x);
} op_case;
extern const op_case op_cases[];
extern const int32_t n_op_cases;

/* f64 where the case has it, else `dtype` itself: what its specification is computed in. */
tct_dtype case_spec_dtype(const op_case *c, tct_dtype dtype);

/* ---- tensors as doubles ---- */

typedef struct array {
  char name[16]; /* of the input, variable or output */
  tct_dtype dtype;
  int64_t n;
  double *value; /* owned */
} array;
enum { MOST_ARRAYS = 24 };
typedef struct arrays {
  int32_t n;
  array at[MOST_ARRAYS];
} arrays;
void arrays_free(arrays *all);
array *arrays_find(arrays *all, const char *name); /* NULL: not there */

/* Operands of a case: x0, x1 …, values that `dtype` and f32 hold exactly. The same for every device, run and
 * compiler. */
void case_operands(const op_case *c, tct_dtype dtype, arrays *out);

/* ---- graphs ---- */

typedef enum case_mode {
  CASE_FORWARD,  /* outputs: the result "y" and what the builder marked; after the run, states */
  CASE_LOSS,     /* output "loss": Σ w·output over float outputs, with random w of its own ("w0", …) */
  CASE_GRADIENT, /* that loss's gradients of the REAL operands ("g0", …) */
} case_mode;
/* Adds the case to a graph, whose status says whether it could; operands of row dtype as `dtype`. */
void case_build(const op_case *c, tct_dtype dtype, case_mode mode, tct_graph *graph);
/* The same in a new graph. Fails the test when the graph has an error. */
tct_graph *case_graph(const op_case *c, tct_dtype dtype, case_mode mode);
/* Roundings that one element of a result collects: the longest sum, or the work per element, of any node. */
double case_length(const tct_graph *graph);
/* How many results are rounded to their dtype: those of all nodes. */
double case_roundings(const tct_graph *graph);

/* ---- reports ---- */

/* Failures of a test so far, as text. */
typedef struct case_report {
  int32_t n_failed, n_compared;
  char text[6000];
} case_report;
void report_failure(case_report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- runs ---- */

/* A compiled case on a device. */
typedef struct case_run {
  tct_graph *graph;
  tct_program *program;
} case_run;
/* skip: optional passes that are left out, comma-separated (""). False when the device refuses an op that its list says it
 * does. */
bool case_compile(const op_case *c, tct_dtype dtype, case_mode mode, tct_device *device, const char *skip,
                  case_run *out);
void case_run_free(case_run *run);
/* Whether the device refuses a node of the graph that its list says it does (ops/conformance.h). Refusals that are not
 * listed, of ops that nothing opens up, are failures of `unlisted` (may be NULL). */
bool case_refusals(const tct_graph *graph, tct_device *device, case_report *unlisted);
/* Fills the arena with NaN, sets the operands (and the loss's weights), runs once, reads all outputs and states. */
void case_execute(const op_case *c, case_run *run, arrays *operands, arrays *out);

/* ---- comparing ---- */

/* What a result may have gone through: the case's dtype, the longest sum, and (bf16, f16) the roundings to storage. All
 * zero: nothing, the bits are the same. */
typedef struct case_error {
  tct_dtype dtype;
  double length, roundings;
} case_error;
/* Every element of every array within what `error` allows; the worst index is reported. */
void compare(case_report *report, const char *what, case_error error, const arrays *want, const arrays *got);

#endif
