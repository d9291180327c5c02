/* The direct filter gradient: dw[tap, k] = Σ x[pixel + tap]·dy[pixel, k] over all pixels of an image in one register
 * tile of taps × channels, image after image. Images are summed in groups that follow from the shape; the groups'
 * partial filters are added in order, so that the result does not depend on the number of threads. */
#include <string.h>
#include "backends/cpu/conv_direct.h"

enum { ENOUGH_GROUPS = 16, BAND_FLOATS = 8192, BAND_PIXELS = 128 };

/* Output rows of an image in which a tile may read a whole block of dy at every pixel: beyond a narrow part's channels lie
 * those of later pixels, whose sums are not kept; only the image's end has none. */
static int64_t rows_within(const tct_cpu_image *at, const tct_cpu_conv_part *part) {
  const int64_t room = at->p * at->q * at->k - part->first - part->tile->block;
  return room < 0 || at->q == 0 ? 0 : tct_cpu_least((room / at->k + 1) / at->q, at->p);
}

tct_status tct_cpu_direct_filter_prepare(tct_device_impl *device, const tct_node_view *node, tct_prepared *out) {
  const tct_cpu_conv conv = tct_cpu_conv_of(device, node);
  tct_cpu_direct *d = tct_cpu_direct_new(device, &conv);
  if (d == NULL) return TCT_OUT_OF_MEMORY;
  const tct_cpu_image *at = &d->conv.at;
  const int64_t partial = d->tap_rows * d->taps * d->packed;
  d->groups = tct_cpu_conv_parts(&conv, partial);
  d->splits_channels = d->groups.count < ENOUGH_GROUPS && d->n_parts > 1;
  /* Rows that pass all taps together: their pixels of x and dy stay in the first cache. */
  const int64_t row = tct_cpu_most(at->q * at->k + at->stride[0] * tct_cpu_halo_pitch(d), 1);
  d->rows = tct_cpu_most(BAND_FLOATS / row, tct_cpu_divide_up(BAND_PIXELS, tct_cpu_most(at->q, 1)));
  /* A worker's scratch: the halo of an image, then dy's last rows of a narrow part. */
  const int64_t halo = d->halo.is_direct ? 0 : tct_cpu_halo_rows(d, at->p) * tct_cpu_halo_pitch(d);
  const tct_cpu_conv_part *last = &d->part[d->n_parts - 1];
  const int64_t tail =
      d->n_parts > 0 ? (at->p - rows_within(at, last)) * at->q * last->tile->block : 0;
  d->scratch = tct_cpu_lines(halo * (int64_t)sizeof(float)) + tct_cpu_lines(tail * (int64_t)sizeof(float));
  d->fixed = tct_cpu_lines(d->groups.count * partial * (int64_t)sizeof(float));
  *out = (tct_prepared){.workspace_bytes = d->fixed + d->scratch * (size_t)device->n_threads, .state = d};
  return TCT_OK;
}

typedef struct job {
  tct_device_impl *device;
  const tct_launch *launch;
  const tct_cpu_direct *direct;
} job;

/* A part's partial filter within a group's: [taps of the window][block]. */
static float *partial_of(const job *j, int64_t group, const tct_cpu_conv_part *part) {
  const tct_cpu_direct *d = j->direct;
  return (float *)j->launch->workspace + (group * d->packed + part->at) * d->tap_rows * d->taps;
}

/* Rows of taps that one tile takes together when a row has few taps. */
static int64_t rows_together(const tct_cpu_conv_block *tile, int64_t taps) {
  for (int64_t rows = TCT_CPU_MOST_TAP_ROWS; rows > 1; rows--)
    if (rows * taps <= tile->most_pixels && tile->filter[rows][taps] != NULL) return rows;
  return 1;
}

/* All taps of one part, over `n_rows` output rows of an image. */
static void add_rows(const job *j, const tct_cpu_conv_part *part, const float *x, const float *dy, int64_t dy_step,
                     int64_t n_rows, float *dw) {
  const tct_cpu_direct *d = j->direct;
  const tct_cpu_image *at = &d->conv.at;
  const int64_t block = part->tile->block;
  tct_cpu_filter_tile tile = {.x_row = at->stride[0] * tct_cpu_halo_pitch(d),
                              .x_step = at->stride[1] * at->c,
                              .dy = dy,
                              .dy_row = at->q * dy_step,
                              .dy_step = dy_step,
                              .p = n_rows,
                              .q = at->q,
                              .dw_row = d->taps * block,
                              .dw_tap = block};
  const int64_t pieces = tct_cpu_divide_up(d->taps, part->tile->most_pixels);
  const int64_t least = d->taps / pieces, longer = d->taps % pieces;
  const int64_t together = pieces == 1 ? rows_together(part->tile, d->taps) : 1;
  for (int64_t a = 0; a < d->tap_rows; a += together) {
    const int64_t rows = tct_cpu_least(together, d->tap_rows - a);
    int64_t t = 0;
    for (int64_t i = 0; i < pieces; i++) {
      const int64_t taps = least + (i < longer);
      tile.x = x + t;
      tile.row_offset = d->row_offset + a;
      tile.dw = dw + (a * d->taps + t) * block;
      part->tile->filter[rows][taps](&tile);
      t += taps;
    }
  }
}

/* One part, over one image. */
static void add_image(const job *j, const tct_cpu_conv_part *part, const float *x, const float *dy, float *tail,
                      float *dw) {
  const tct_cpu_direct *d = j->direct;
  const tct_cpu_image *at = &d->conv.at;
  const int64_t x_row = at->stride[0] * tct_cpu_halo_pitch(d), dy_row = at->q * at->k, block = part->tile->block;
  const int64_t within = rows_within(at, part), rest = at->p - within;
  for (int64_t p0 = 0; p0 < within; p0 += d->rows) {
    add_rows(j, part, x + p0 * x_row, dy + p0 * dy_row + part->first, at->k, tct_cpu_least(d->rows, within - p0), dw);
  }
  if (rest == 0) return;
  memset(tail, 0, (size_t)(rest * at->q * block) * sizeof *tail);
  j->device->k->copy2d(dy + within * dy_row + part->first, at->k, 1, tail, block, 1, rest * at->q, part->width,
                       sizeof *tail);
  add_rows(j, part, x + within * x_row, tail, block, rest, dw);
}

static void run_group(void *user, int64_t task, int32_t worker) {
  const job *j = user;
  const tct_cpu_direct *d = j->direct;
  const tct_cpu_image *at = &d->conv.at;
  const int64_t group = d->splits_channels ? task / d->n_parts : task;
  const int64_t begin = d->splits_channels ? task % d->n_parts : 0;
  const int64_t end = d->splits_channels ? begin + 1 : d->n_parts;
  float *scratch = (float *)((char *)j->launch->workspace + d->fixed + (size_t)worker * d->scratch);
  const int64_t halo_rows = tct_cpu_halo_rows(d, at->p);
  float *tail =
      (float *)((char *)scratch +
                (d->halo.is_direct ? 0 : tct_cpu_lines(halo_rows * tct_cpu_halo_pitch(d) * (int64_t)sizeof(float))));
  for (int64_t i = begin; i < end; i++) {
    float *dw = partial_of(j, group, &d->part[i]);
    memset(dw, 0, (size_t)(d->tap_rows * d->taps * d->part[i].tile->block) * sizeof *dw);
  }
  const int64_t first = group * d->groups.rows, stop = tct_cpu_least(first + d->groups.rows, d->conv.n);
  for (int64_t image = first; image < stop; image++) {
    const float *x = tct_cpu_halo_fill(d, (const float *)j->launch->in[0] + image * at->h * at->w * at->c,
                                       -d->halo.pad[0], halo_rows, scratch);
    const float *dy = (const float *)j->launch->in[1] + image * at->p * at->q * at->k;
    for (int64_t i = begin; i < end; i++) {
      add_image(j, &d->part[i], x, dy, tail, partial_of(j, group, &d->part[i]));
    }
  }
}

/* Adds a part's partial filters and spreads the sum over dw [r,s,c,k]. */
static void join_part(void *user, int64_t task, int32_t worker) {
  (void)worker;
  const job *j = user;
  const tct_cpu_direct *d = j->direct;
  const tct_cpu_conv_part *part = &d->part[task];
  const int64_t block = part->tile->block, taps = d->tap_rows * d->taps, k = d->conv.at.k;
  float *sum = partial_of(j, 0, part), *dw = j->launch->out[0];
  const bool is_whole = block == k;
  j->device->k->sum_parts(sum, d->groups.count, d->packed * taps, is_whole ? dw : sum, taps * block);
  if (!is_whole) j->device->k->copy2d(sum, block, 1, dw + part->first, k, 1, taps, part->width, sizeof *dw);
}

tct_status tct_cpu_direct_filter_launch(tct_device_impl *device, const tct_launch *launch) {
  job j = {device, launch, launch->state};
  const tct_cpu_direct *d = j.direct;
  const tct_cpu_image *at = &d->conv.at;
  if (d->conv.filter_size == 0) return TCT_OK;
  const double work = (double)(d->conv.n * at->p * at->q) * (double)d->conv.filter_size / 20.0;
  tct_cpu_run(device, d->groups.count * (d->splits_channels ? d->n_parts : 1), work, run_group, &j);
  tct_cpu_run(device, d->n_parts, 0.2 * (double)(d->groups.count * d->conv.filter_size), join_part, &j);
  return TCT_OK;
}
