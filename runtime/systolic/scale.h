/* SCALE-Sim's model, inside: the mapping of a layer on the array, the order in which operands are asked for, and the
 * walks over it. */
#ifndef TCT_SYSTOLIC_SCALE_H
#define TCT_SYSTOLIC_SCALE_H

#include <tercet/systolic.h>

#include "systolic/refusal.h"

/* What a configuration or a layer can be refused for; TCT_SCALE_FIELD_LAYER: for more than one value together. */
typedef enum tct_scale_field {
  TCT_SCALE_FIELD_ROWS,
  TCT_SCALE_FIELD_COLS,
  TCT_SCALE_FIELD_IFMAP_KB,
  TCT_SCALE_FIELD_FILTER_KB,
  TCT_SCALE_FIELD_OFMAP_KB,
  TCT_SCALE_FIELD_BANDWIDTH,
  TCT_SCALE_FIELD_VERSION,
  TCT_SCALE_FIELD_DATAFLOW,
  TCT_SCALE_FIELD_IFMAP_H,
  TCT_SCALE_FIELD_IFMAP_W,
  TCT_SCALE_FIELD_FILTER_H,
  TCT_SCALE_FIELD_FILTER_W,
  TCT_SCALE_FIELD_CHANNELS,
  TCT_SCALE_FIELD_FILTERS,
  TCT_SCALE_FIELD_STRIDE_H,
  TCT_SCALE_FIELD_STRIDE_W,
  TCT_SCALE_FIELD_LAYER
} tct_scale_field;

/* The im2col product Y [M,N] = X [M,K] · W [K,N] and how it is folded. */
typedef struct tct_scale_map {
  const tct_scale_config *config;
  tct_scale_layer layer;
  int64_t m, k, n, out_w;
  int64_t spatial_rows, spatial_cols, steps; /* S_R, S_C, T */
  int64_t row_folds, col_folds;
  int64_t lines; /* of one fold's demand: cycles */
  bool overlaps; /* ifmap addresses repeat, or windows stick out: no closed form */
} tct_scale_map;

/* True with the first value that is out of range (a tct_scale_field), or a run that would take too long. Else the map:
 * counts stay below 2^52, those of a walk below 2^36. */
bool tct_scale_refused(const tct_scale_config *config, const tct_scale_layer *layer, tct_scale_map *out_map,
                       tct_refusal *out);
/* Of a layer alone: its values' ranges. */
bool tct_scale_layer_refused(const tct_scale_layer *layer, tct_refusal *out);

/* ---- demand.c: who is asked for when ---- */

/* An operand as the array asks for it. Stationary: loaded row by row, the last row first, element (a, b) of spatial row a
 * and column b. Streamed: lane by lane skewed, element (a, b) of lane a in step b. */
typedef struct tct_scale_operand {
  const tct_scale_map *map;
  bool filter, stationary, by_cols; /* by_cols: the lanes are the array's columns */
  bool k_is_a;                      /* which coordinate is K's */
  int64_t first_line;               /* of the stream within a fold */
  int64_t words;                    /* addresses are 0 … words − 1 */
  int64_t *k_part, *m_part;         /* ifmap: address = m_part + k_part; owned */
  int32_t (*k_at)[2], (*m_at)[2];   /* ifmap: vertical and horizontal position, for windows that stick out; owned */
} tct_scale_operand;

tct_status tct_scale_operand_begin(const tct_scale_map *map, bool filter, tct_scale_operand *out) TCT_CHECKED;
void tct_scale_operand_end(tct_scale_operand *operand);
/* −1: outside of the image. Inline: a walk asks for little else. */
static inline int64_t tct_scale_address(const tct_scale_operand *o, int64_t a, int64_t b) {
  const int64_t k = o->k_is_a ? a : b, other = o->k_is_a ? b : a;
  if (o->filter) return other * o->map->k + k;
  const tct_scale_layer *l = &o->map->layer;
  const bool inside = (int64_t)o->m_at[other][0] + o->k_at[k][0] < l->ifmap_h &&
                      (int64_t)o->m_at[other][1] + o->k_at[k][1] < l->ifmap_w;
  return inside ? o->m_part[other] + o->k_part[k] : -1;
}
/* The elements asked for in one line: b0 − i·db … for lanes a0 + i·da, i < n, in order of the array's lanes. */
typedef struct tct_scale_line {
  int64_t n, a, b, da, db;
} tct_scale_line;
tct_scale_line tct_scale_demand(const tct_scale_operand *operand, int64_t row_fold, int64_t col_fold, int64_t line);
/* How many results leave in one line. */
int64_t tct_scale_results(const tct_scale_map *map, int64_t row_fold, int64_t col_fold, int64_t line);

/* ---- reads.c, writes.c ---- */

/* calc mode: the words that a window of `capacity` distinct words, emptied when it is full, reads of the ifmap. */
tct_status tct_scale_walk_ifmap(const tct_scale_map *map, int64_t capacity, int64_t *out_reads) TCT_CHECKED;
/* calc mode: the words that leave the ofmap's SRAM, the padding of its lines included. */
tct_status tct_scale_walk_writes(const tct_scale_map *map, int64_t *out_writes) TCT_CHECKED;
/* user mode: cycles, stalls and DRAM words. */
tct_status tct_scale_walk_user(const tct_scale_map *map, tct_scale_report *out) TCT_CHECKED;

/* The ofmap's SRAM: results gather in lines of `bandwidth` words; when the free space falls under the active half, the
 * drain half leaves, a line a cycle; a full SRAM waits for that. */
typedef struct tct_scale_writer {
  int64_t bandwidth, active, drain; /* words */
  int64_t free_words, line_words;   /* free; gathered in the current line */
  int64_t lines, drained;           /* whole lines so far; lines that left */
  int64_t drain_end;                /* cycle */
  int64_t written;                  /* DRAM words */
  struct { int64_t line, words; } *partial; /* lines that a drain cut short, in order; owned */
  int64_t n_partial, first_partial, cap_partial;
} tct_scale_writer;
void tct_scale_writer_begin(const tct_scale_config *config, int64_t bandwidth, tct_scale_writer *out);
void tct_scale_writer_end(tct_scale_writer *writer);
/* `n` results in `*cycle`, which moves when they had to wait. */
tct_status tct_scale_writer_put(tct_scale_writer *writer, int64_t n, int64_t *cycle) TCT_CHECKED;
/* What is left leaves. */
tct_status tct_scale_writer_flush(tct_scale_writer *writer) TCT_CHECKED;

#endif
