/* What the direct convolution and the direct filter gradient share: a copy of an image's rows inside a halo of zeros,
 * the offsets of the window's rows in it, and the output channels cut into blocks of the register tiles. */
#ifndef TCT_BACKENDS_CPU_CONV_DIRECT_H
#define TCT_BACKENDS_CPU_CONV_DIRECT_H

#include "backends/cpu/conv.h"

typedef struct tct_cpu_conv_part {
  const tct_cpu_conv_block *tile;
  int64_t first, width; /* output channels; width is less than the tile's block in a tail */
  int64_t at;           /* offset of its packed data, in floats per tap */
} tct_cpu_conv_part;

/* The input that one image's windows read: rows of `width` pixels, zeros outside the image. */
typedef struct tct_cpu_halo {
  bool is_direct; /* nothing lies outside: x itself is read */
  int64_t width;  /* pixels */
  int64_t pad[2];
  int64_t rows_beside; /* rows that one output row's window spans */
} tct_cpu_halo;

typedef struct tct_cpu_direct {
  tct_cpu_conv conv; /* of the problem as computed: an input gradient is a convolution of dy with flipped filters */
  tct_cpu_halo halo;
  int64_t tap_rows, taps;  /* taps: contiguous (s, c) of one window row */
  int64_t n_parts, packed; /* parts, and floats per tap of all */
  int64_t rows, images;    /* forward: output rows and images of a task, one of them 1 or all; filter: rows of a band */
  tct_cpu_parts groups;    /* filter gradient: images of a partial sum */
  bool splits_channels;    /* filter gradient: a task has one part, not all */
  size_t scratch;          /* bytes per worker */
  size_t fixed;            /* bytes of the workspace before the workers' */
  tct_cpu_conv_part *part; /* in the same allocation */
  int64_t *row_offset;     /* [tap_rows], in the same allocation */
} tct_cpu_direct;

/* Whether `node` is a convolution, or an input gradient, that the tiles take. */
bool tct_cpu_direct_applies(const tct_node_view *node, char *why, size_t why_bytes);
/* The plan's common part; NULL with the error recorded. */
tct_cpu_direct *tct_cpu_direct_new(tct_device_impl *device, const tct_cpu_conv *conv);
/* Rows [first, first + rows) of x [h,w,c] in window coordinates (first < 0 is above the image), into `to` or, when the
 * halo is direct, x's own rows; returns where they begin. */
const float *tct_cpu_halo_fill(const tct_cpu_direct *direct, const float *x, int64_t first, int64_t rows, float *to);
static inline int64_t tct_cpu_halo_rows(const tct_cpu_direct *direct, int64_t out_rows) {
  return (out_rows - 1) * direct->conv.at.stride[0] + direct->halo.rows_beside;
}
static inline int64_t tct_cpu_halo_pitch(const tct_cpu_direct *direct) {
  return direct->halo.width * direct->conv.at.c;
}

tct_status tct_cpu_direct_filter_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out);
tct_status tct_cpu_direct_filter_launch(tct_device_impl *device, const tct_launch *launch);

#endif
