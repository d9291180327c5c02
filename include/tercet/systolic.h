/* For computer architects: a systolic array by itself, without a graph or a device. Three models of its clock:
 *   registers  every register of every processing element is stepped, cycle by cycle, and the product is computed through them
 *   fast       the closed form: equal to `registers` in cycles for every list of tiles
 *   scale      SCALE-Sim's counts (Samajdar et al., ISPASS 2020; versions 2 and 3), its quirks included
 * Cycles are elapsed cycles: the first is number 0, and a run whose last result is registered in cycle 9 took 10. */
#ifndef TERCET_SYSTOLIC_H
#define TERCET_SYSTOLIC_H

#include <tercet/types.h>

TCT_BEGIN_DECLS

/* Which operand stays in the array. Weight stationary: a tile of R×C weights, T rows of activations stream through. Output
 * stationary: R×C accumulators, T steps of the inner dimension. Input stationary is weight stationary with the operands'
 * roles swapped: its clock is the same. Overlapped: the next tile is loaded (or the last result drained) behind the work;
 * serial: one after the other. */
typedef enum tct_array_mode {
  TCT_WS_OVERLAP,
  TCT_WS_SERIAL,
  TCT_OS_OVERLAP,
  TCT_OS_SERIAL,
  TCT_IS_OVERLAP,
  TCT_IS_SERIAL,
  TCT_N_ARRAY_MODES
} tct_array_mode;
TCT_API const char *tct_array_mode_name(tct_array_mode mode); /* "ws_overlap", "os_serial_drain" …; "?" out of range */
/* false: unknown name. */
TCT_API bool tct_array_mode_find(const char *name, tct_array_mode *out);

typedef struct tct_array_tile {
  int64_t steps; /* T: how many rows of activations (ws, is) or steps of the inner dimension (os); at least 1 */
  int64_t ready; /* the first cycle in which the tile's stationary operand can enter (ws, is) or its work begin (os) */
} tct_array_tile;

typedef struct tct_array_clock {
  int64_t cycles;
  int64_t active; /* a processing element's cycles with work: Σ T */
  int64_t shift;  /* exposed: waiting while weights shift in, or results out, although they were there */
  int64_t stall;  /* waiting for `ready` */
  int64_t skew;   /* filling and draining the pipeline. active + shift + stall + skew = cycles */
} tct_array_clock;

/* The closed form, O(n). Errors: TCT_INVALID for R or C under 1, no tile, steps under 1, ready under 0, or cycles that
 * could exceed 2^62. */
TCT_API tct_status tct_array_fast(tct_array_mode mode, int64_t rows, int64_t cols, const tct_array_tile *tiles, int64_t n,
                                  tct_array_clock *out) TCT_CHECKED;

/* The numbers of a tile, dense and row-major. ws, is: y [T, C] = x [T, R] · w [R, C]. os: y [R, C] = x [R, T] · w [T, C].
 * Products are added in the array's order (row 0 first; step 0 first) in f32. */
typedef struct tct_array_operands {
  const float *x, *w;
  float *y;
} tct_array_operands;

/* Steps the registers. `operands` [n]. *out_cycles is found by the stepping, not by a formula. Errors as above;
 * TCT_OUT_OF_MEMORY; TCT_INTERNAL when two values met in one register (the schedule would be wrong). */
TCT_API tct_status tct_array_registers(tct_array_mode mode, int64_t rows, int64_t cols, const tct_array_tile *tiles,
                                       const tct_array_operands *operands, int64_t n, int64_t *out_cycles) TCT_CHECKED;

/* ---- SCALE-Sim ---- */

typedef enum tct_dataflow { TCT_WEIGHT_STATIONARY, TCT_OUTPUT_STATIONARY, TCT_INPUT_STATIONARY, TCT_N_DATAFLOWS } tct_dataflow;
TCT_API const char *tct_dataflow_name(tct_dataflow dataflow); /* "ws", "os", "is" */
TCT_API bool tct_dataflow_find(const char *name, tct_dataflow *out);

/* Some DRAM counts have no closed form and take a walk over the addresses, which a run may leave out: they are −1 then. */
typedef enum tct_scale_walks { TCT_SCALE_WALK_ALL, TCT_SCALE_WALK_READS, TCT_SCALE_WALK_NONE } tct_scale_walks;

typedef struct tct_scale_config {
  int64_t rows, cols; /* of the array */
  tct_dataflow dataflow;
  int64_t ifmap_kb, filter_kb, ofmap_kb; /* SRAM of each operand, in KiB; words of one byte */
  /* 0: "calc" mode, in which memory never stalls the array; else "user" mode: words per cycle of each operand's memory. */
  int64_t bandwidth;
  int32_t version; /* 2 or 3: version 3 counts stalls twice (SCALE-Sim's issue 130); they agree in calc mode */
  tct_scale_walks walks; /* calc mode; in user mode the stalls need them all */
  uint64_t reserved[4];
} tct_scale_config;

/* A layer of a SCALE-Sim topology. A product [M,K]·[K,N] is ifmap M×K, filter 1×K, one channel, N filters. Padding is
 * none, the batch is one, and a window that sticks out of the image counts (SCALE-Sim rounds the output's size up). */
typedef struct tct_scale_layer {
  int64_t ifmap_h, ifmap_w, filter_h, filter_w, channels, n_filters, stride_h, stride_w;
} tct_scale_layer;

typedef struct tct_scale_report {
  int64_t m, k, n; /* of the im2col product */
  int64_t total_cycles, stall_cycles;
  /* Percent; overall is NaN where total_cycles is 0 (a 1×1 array and one product: SCALE-Sim divides by zero). */
  double overall_util, mapping_efficiency, compute_util;
  int64_t sram_ifmap_reads, sram_filter_reads, sram_ofmap_writes; /* words */
  int64_t dram_ifmap_reads, dram_filter_reads, dram_ofmap_writes; /* words */
} tct_scale_report;

/* Closed forms where they exist, else a walk over the addresses in SCALE-Sim's order. Errors: TCT_INVALID for a value out
 * of range, naming it, and for a walk of 2^36 steps or more (minutes; calc mode with TCT_SCALE_WALK_NONE has none);
 * TCT_OUT_OF_MEMORY. */
TCT_API tct_status tct_scale_run(const tct_scale_config *config, const tct_scale_layer *layer, tct_scale_report *out)
    TCT_CHECKED;

/* ---- topologies ---- */

/* A network as SCALE-Sim's files list it: one layer a row. Immutable. */
typedef struct tct_topology tct_topology;

typedef struct tct_topology_layer {
  const char *name; /* UTF-8, may be empty; owned by the topology */
  tct_scale_layer layer;
  int64_t copies; /* at least 1: a depthwise row stands for one layer per channel, all with the same numbers */
  int64_t line;   /* in the file, from 1 */
} tct_topology_layer;

/* Reads a topology file, plain or gzip. Its header says what the rows are:
 *   convolutions  Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides; a
 *                 column Stride Width gives the other direction's. A name with DP in it is depthwise: `channels` layers of
 *                 one channel.
 *   products      Layer, M, N, K
 * Columns are found by name, without regard to case, blanks and underscores; the layer's name is the first column if none
 * is called so; other columns are passed over. A column Batch must say 1; Sparsity is passed over with a warning in the log
 * (layers count as dense). Cells are separated by commas or, where the header has none, tabs or semicolons. Blank
 * rows, rows of empty cells, commas at the end or none, any line ends and a last line without one are fine. At most 64 MiB,
 * 2^20 layers with their copies. Errors: TCT_BAD_DATA with line and column, for values that tct_scale_run refuses too;
 * TCT_NOT_FOUND, TCT_IO, TCT_OUT_OF_MEMORY. *out is then NULL. */
TCT_API tct_status tct_topology_read(const char *path, tct_topology **out) TCT_CHECKED;
TCT_API void tct_topology_free(tct_topology *topology); /* NULL is fine */
TCT_API int64_t tct_topology_n_layers(const tct_topology *topology); /* rows, at least 1 */
TCT_API const tct_topology_layer *tct_topology_layer_at(const tct_topology *topology, int64_t i); /* NULL out of range */

/* Reads a CSV file of experiments and writes the same rows, in order, with the results behind them: `cycles` for tile lists
 * (columns mode, R, C, n_folds, T_per_fold, weight_ready_cycle_per_fold), SCALE-Sim's counts for layers (columns simulator
 * v2|v3, mode calc|user, bandwidth_words_per_cycle, sram_kb_ifmap/filter/ofmap "64/64/64", ifmap_h … stride_w, dataflow,
 * array_rows, array_cols; M, K and N are checked where they are given). Columns are found by name; result columns in the
 * input are replaced. `to` is written whole or not at all; "-" is standard output. Errors: TCT_BAD_DATA with the line and
 * column of the cell; TCT_NOT_FOUND, TCT_IO. */
TCT_API tct_status tct_systolic_batch(const char *from, const char *to) TCT_CHECKED;

TCT_END_DECLS
#endif
