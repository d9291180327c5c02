/* The CPU kernels as one table per instruction-set level. Everything under kernels/cpu is compiled once per level, with
 * TCT_ISA naming it; the backend picks a table at open. kernels.def lists the kernels with their contracts. */
#ifndef TCT_KERNELS_CPU_KERNELS_H
#define TCT_KERNELS_CPU_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tercet/attrs.h>

/* One elementwise op over n contiguous elements: out[i] = f(arg[0][i], arg[1][i], arg[2][i]; p[0], p[1]). `arg` has
 * three entries, of which the op reads those it has; out may be one of them. */
typedef void (*tct_cpu_row)(const void *const *arg, void *out, int64_t n, const double *p);

/* SUM_EXP sums e^(x - m). The identities (what an empty reduction gives) are 0, -inf, +inf, 1, 0. */
typedef enum tct_cpu_fold { TCT_FOLD_SUM, TCT_FOLD_MAX, TCT_FOLD_MIN, TCT_FOLD_PROD, TCT_FOLD_SUM_EXP } tct_cpu_fold;

/* A convolution's geometry for the kernels that take whole images: x [H,W,C], y [P,Q,K]. */
typedef struct tct_cpu_image {
  int64_t h, w, c, p, q, k;
  int64_t r, s;                           /* window */
  int64_t stride[2], dilation[2], pad[2]; /* pad: top, left */
} tct_cpu_image;

/* One register tile of a direct convolution: n output pixels of a row (n chooses the kernel) × `width` output channels.
 * Where width is below the block, channels of later pixels of the tile may be overwritten: other blocks come after.
 * y[i, 0..width) = bias + Σ over tap rows a and taps t: x[i·x_step + row_offset[a] + t] · w[(a·taps + t)·block + lane].
 */
typedef struct tct_cpu_conv_tile {
  const float *x;
  int64_t x_step; /* floats between the inputs of neighbouring output pixels */
  const int64_t *row_offset;
  int64_t n_rows, taps;
  const float *w;    /* packed [n_rows·taps][block] */
  const float *bias; /* [block], or NULL: zeros */
  float *y;
  int64_t y_step;
  int64_t width; /* channels to store: up to the block */
  bool relu;
} tct_cpu_conv_tile;
typedef void (*tct_cpu_conv_fn)(const tct_cpu_conv_tile *tile);

/* One register tile of a filter gradient: n tap rows × m taps × a block of output channels, accumulated over an image.
 * dw[(a·dw_row + t·dw_tap) + lane] += Σ over p, q: x[p·x_row + q·x_step + row_offset[a] + t] · dy[p·dy_row + q·dy_step
 * + lane] */
typedef struct tct_cpu_filter_tile {
  const float *x;
  int64_t x_row, x_step;
  const int64_t *row_offset;
  const float *dy;
  int64_t dy_row, dy_step;
  int64_t p, q;
  float *dw;
  int64_t dw_row, dw_tap;
} tct_cpu_filter_tile;
typedef void (*tct_cpu_filter_fn)(const tct_cpu_filter_tile *tile);

/* A shape of register tile: `block` output channels; fn[n] handles n output pixels, 1 <= n <= most_pixels;
 * filter[n][m] handles n tap rows × m taps, n·m <= most_pixels, NULL where there is none. */
#define TCT_CPU_MOST_PIXELS   14
#define TCT_CPU_MOST_TAP_ROWS 3
typedef struct tct_cpu_conv_block {
  int64_t block;
  int32_t most_pixels;
  tct_cpu_conv_fn forward[TCT_CPU_MOST_PIXELS + 1];
  tct_cpu_filter_fn filter[TCT_CPU_MOST_TAP_ROWS + 1][TCT_CPU_MOST_PIXELS + 1];
} tct_cpu_conv_block;

/* Which keys the queries of a block see: those whose mask is not 0 and, when causal, whose number is at most the
 * query's. */
typedef struct tct_cpu_sight {
  int64_t ahead;       /* number of the block's first query less that of its first key; not causal: a large number */
  const uint8_t *mask; /* of the first query and key; NULL: none */
  int64_t mask_row, mask_column;
} tct_cpu_sight;

/* One step of a recurrent layer for m samples and n of its units; each pointer is that of the first sample and unit, each
 * *_row the distance of samples. */
typedef struct tct_cpu_cell {
  int64_t m, n, units; /* units: of the layer, the distance of gates */
  float *gates;        /* in: sums of products; out: what the backward needs */
  int64_t gates_row;
  const float *before; /* the state before: c, of a gru y */
  int64_t before_row;
  float *c, *y; /* c: lstm */
  int64_t y_row;
  float *dense; /* y again, for the next step's product */
  int64_t dense_row;
  const float *bias; /* gru */
} tct_cpu_cell;
typedef struct tct_cpu_cell_grad {
  int64_t m, n, units;
  const float *gates;
  int64_t gates_row;
  const float *before;
  int64_t before_row;
  const float *c, *dy, *dc_in; /* c: lstm; dc_in: lstm, or NULL */
  int64_t y_row;
  float *dh, *dc; /* [.., units]; in: from the next step; dc out, and a gru's dh: without the product, to the one before */
  float *da, *dq; /* dq: gru */
  int64_t da_row;
  float *dense; /* what the product takes: da, of a gru dq */
  int64_t dense_row;
} tct_cpu_cell_grad;

/* The common part of the updates: g' = clip(scale·g) + l2·w + l1·sign(w), w' = w·keep. */
typedef struct tct_cpu_update {
  float lr, scale, clip /* infinity: none */, l2, l1, keep;
  float beta1, beta2, epsilon, momentum;
  bool nesterov;
} tct_cpu_update;

typedef struct tct_cpu_kernels {
  const char *isa;
#define KERNEL(result, name, args) result(*name) args;
#include "kernels/cpu/kernels.def"
#undef KERNEL
} tct_cpu_kernels;

extern const tct_cpu_kernels tct_cpu_kernels_generic;
#ifdef TCT_ISA_X86
extern const tct_cpu_kernels tct_cpu_kernels_avx2;
extern const tct_cpu_kernels tct_cpu_kernels_avx512;
#endif

#ifdef TCT_ISA
#include "kernels/cpu/simd.h"
#define TCT_CPU(name)              TCT_LEVEL(tct_cpu_##name)
#define KERNEL(result, name, args) result TCT_CPU(name) args;
#include "kernels/cpu/kernels.def"
#undef KERNEL
extern const tct_cpu_kernels TCT_LEVEL(tct_cpu_kernels);
#endif

#endif
