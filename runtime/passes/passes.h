/* The passes between a graph as the user built it and a program: graph → graph ones (passes.def), then select, schedule
 * and memory, which describe how the final graph runs. */
#ifndef TCT_PASSES_PASSES_H
#define TCT_PASSES_PASSES_H

#include "device/device.h"
#include "graph/graph.h"

typedef struct tct_pass_context {
  tct_device *device;
  bool fallback_host; /* ops that the device refuses run on the reference kernels */
  tct_dtype precision; /* bf16, f16: what f32 values are stored in where that does; NONE, f32: in f32 */
  bool no_fusion;     /* without the passes fuse_… */
} tct_pass_context;

#define PASS(name, optional)                                                                                           \
  tct_status tct_pass_##name(const tct_graph *in, const tct_pass_context *context, tct_graph **out) TCT_CHECKED;
#include "passes/passes.def"
#undef PASS

/* Runs them all with the verifier between; honours TERCET_SKIP and TERCET_DUMP. */
tct_status tct_run_passes(const tct_graph *in, const tct_pass_context *context, tct_graph **out) TCT_CHECKED;

/* Which kernel runs a node, and what it asked for. Sources and views have none. */
typedef struct tct_selection {
  tct_device *device;       /* the program's, or the reference device */
  const tct_kernel *kernel; /* NULL: no step */
  tct_prepared prepared;    /* state is owned: tct_selections_free */
} tct_selection;
/* One per node, from `arena`. */
tct_status tct_select_kernels(const tct_graph *graph, const tct_pass_context *context, tct_arena *arena,
                              tct_selection **out) TCT_CHECKED;
void tct_selections_free(tct_selection *selections, int32_t n);

/* The order of execution: node numbers of the steps. An update comes as early as it can, behind every other reader of what
 * it writes; one whose kernel launches many at once comes behind all that is no update. */
typedef struct tct_schedule {
  int32_t *node; /* [n_steps], from the arena */
  int32_t n_steps;
} tct_schedule;
/* selections: NULL, or one per node. */
tct_status tct_plan_schedule(const tct_graph *graph, const tct_selection *selections, tct_arena *arena, tct_schedule *out) TCT_CHECKED;

/* Where each value lives. Views share their operand's storage. */
typedef enum tct_storage { TCT_STORAGE_ARENA, TCT_STORAGE_VARIABLE, TCT_STORAGE_INPUT, TCT_STORAGE_CONSTANT } tct_storage;
typedef struct tct_memory_plan {
  int32_t *root;            /* [values] the value whose storage this one uses */
  tct_storage *storage;     /* [values] of the root */
  size_t *offset;           /* [values] of a root in the arena */
  size_t *workspace_offset; /* [n_steps] */
  size_t arena_bytes;       /* exact peak */
  size_t no_reuse_bytes;    /* what it would be without sharing */
} tct_memory_plan;
tct_status tct_plan_memory(const tct_graph *graph, const tct_schedule *schedule, const tct_selection *selections,
                           size_t alignment, tct_arena *arena, tct_memory_plan *out) TCT_CHECKED;

#endif
