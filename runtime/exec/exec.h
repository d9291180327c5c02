/* The inside of programs and variables. */
#ifndef TCT_EXEC_EXEC_H
#define TCT_EXEC_EXEC_H

#include "base/pool.h"
#include "device/device.h"
#include "graph/graph.h"
#include "passes/passes.h"

/* ---- variables ---- */

typedef struct tct_variable_entry {
  char *name; /* owned */
  tct_desc desc;
  size_t bytes;
  void *data; /* device memory inside one of the slabs */
} tct_variable_entry;

struct tct_variables {
  tct_device *device; /* borrowed */
  uint64_t seed;
  tct_variable_entry *entries; /* owned */
  int32_t n, capacity;
  void **slabs; /* device allocations, one per program that brought new variables; owned */
  int32_t n_slabs, cap_slabs;
  size_t bytes;
};

/* Makes the graph's variables that are not there yet, in one device allocation, and gives them their first values. A
 * variable that is there with another dtype or shape is an error. */
tct_status tct_variables_add(tct_variables *variables, const tct_graph *graph) TCT_CHECKED;
const tct_variable_entry *tct_variables_find(const tct_variables *variables, const char *name); /* NULL: not there */

/* First values on the host: `data` is dense, of `desc` (float dtypes; integers take zeros, ones and constants only); `pool` may be NULL, and
 * makes no difference to them. */
tct_status tct_initialize(const char *name, const tct_desc *desc, tct_init init, uint64_t seed, tct_pool *pool, void *data) TCT_CHECKED;

/* ---- programs ---- */

typedef struct tct_step {
  const tct_kernel *kernel;
  tct_device *device;
  tct_launch launch;
  tct_cost cost;
  double seconds;   /* profiled, summed */
  int32_t together; /* steps from this one on that are launched as one; 0: one before it launches it */
} tct_step;

/* Enqueues it; an error names the step. */
tct_status tct_step_launch(const tct_step *step) TCT_CHECKED;

typedef struct tct_port {
  const char *name;
  void *data; /* device memory */
  size_t bytes;
  tct_desc desc;
} tct_port;

/* Device memory that programs share. */
typedef struct tct_shared_arena {
  tct_device *device;
  void *data;
  size_t bytes;
  int32_t references;
} tct_shared_arena;

struct tct_program {
  tct_device *device; /* borrowed */
  tct_graph *graph;   /* after the passes; owned */
  tct_arena arena;    /* steps, views, plans */
  tct_selection *selections;
  tct_schedule schedule;
  tct_memory_plan plan;
  tct_variables *variables;
  bool owns_variables;
  tct_shared_arena *memory; /* counted */
  void *fixed;              /* inputs and constants on the device; owned */
  tct_step *steps;
  const tct_launch **launches; /* [n_steps] the steps' */
  int32_t n_steps;
  tct_port *inputs, *outputs;
  int32_t n_inputs, n_outputs;
  bool has_run;
  bool profiling;
  int64_t profiled_runs;
  bool warm, unrecordable; /* warm: every step has run; unrecordable: the device was asked to record, and refused */
  void *recording;        /* the device's, of all steps; NULL: none */
};

#endif
