/* Matmul and the three convolutions as one product each: its extents, and where an element of an operand lies. A convolution
 * is implicit: no matrix of windows is made.
 *
 *   forward          [N·P·Q, c] · [c, f], a tap for each place of the window; of an even stride also [N·P·Q, 4c] · [4c, f], a tap
 *                    for 2×2 places (space-to-depth)
 *   input gradient   [N·⌈H/s⌉·⌈W/s⌉, f] · [f, c], one for each phase of the stride's s·s, a tap for each place that meets it
 *   filter gradient  [R·S·c, N·P·Q] · [N·P·Q, f]
 * with c and f channels and filters of a group; groups share nothing and are a batch. */
#include <string.h>

#include "backends/tpu/list.h"


static int64_t elements(const tct_shape *shape) {
  int64_t n = 1;
  for (int32_t i = 0; i < shape->rank; i++) n *= shape->dim[i];
  return n;
}

/* ---- matmul ---- */

/* The number of a batch's matrix in an operand whose leading extents are broadcast to y's. */
static int64_t matrix_of(const tct_shape *operand, const tct_shape *y, int64_t batch) {
  int64_t at = 0, step = 1;
  for (int32_t i = y->rank - 3, o = operand->rank - 3; i >= 0; i--, o--) {
    const int64_t index = batch % y->dim[i];
    batch /= y->dim[i];
    if (o < 0) continue;
    if (operand->dim[o] > 1) at += index * step;
    step *= operand->dim[o];
  }
  return at;
}

static int64_t matmul_x(const tpu_map *map, int64_t batch, int64_t tap, int64_t row, int64_t k) {
  (void)tap;
  const tct_matmul_attrs *attrs = map->node->attrs;
  const tct_product *p = &map->extents;
  const int64_t in_matrix = attrs != NULL && attrs->transpose_a ? k * p->m + row : row * p->k + k;
  /* A batch of one takes all rows of all matrices. */
  return (p->batch == 1 ? 0 : matrix_of(&map->node->in[0].shape, &map->node->out[0].shape, batch) * p->m * p->k) + in_matrix;
}

static int64_t matmul_w(const tpu_map *map, int64_t batch, int64_t tap, int64_t k, int64_t col) {
  (void)tap;
  const tct_matmul_attrs *attrs = map->node->attrs;
  const tct_product *p = &map->extents;
  const int64_t in_matrix = attrs != NULL && attrs->transpose_b ? col * p->k + k : k * p->n + col;
  return (p->batch == 1 ? 0 : matrix_of(&map->node->in[1].shape, &map->node->out[0].shape, batch) * p->k * p->n) + in_matrix;
}

static int64_t matmul_y(const tpu_map *map, int64_t batch, int64_t row, int64_t col) {
  return (batch * map->extents.m + row) * map->extents.n + col;
}

/* One weight matrix for the whole batch: its matrices are the rows of one product. */
static void map_matmul(const tct_node_view *node, tpu_map *out) {
  const tct_matmul_attrs *attrs = node->attrs;
  const tct_shape *a = &node->in[0].shape, *b = &node->in[1].shape, *y = &node->out[0].shape;
  const bool transposed = attrs != NULL && attrs->transpose_a;
  const int64_t m = y->dim[y->rank - 2], n = y->dim[y->rank - 1], k = a->dim[a->rank - (transposed ? 2 : 1)];
  const int64_t all = elements(y), weights = b->dim[b->rank - 1] * b->dim[b->rank - 2];
  const bool shared = elements(b) == weights && !transposed;
  const int64_t batch = shared || m * n == 0 ? 1 : all / (m * n);
  const bool several = batch > 1 && m * k * n > 0;
  *out = (tpu_map){.x = matmul_x, .w = matmul_w, .y = matmul_y, .node = node,
                   .extents = {.m = shared && n > 0 ? all / n : m, .k = k, .n = n, .taps = 1, .batch = batch,
                               .x_copies = several ? elements(a) / (m * k) : 0, .w_copies = several ? elements(b) / (k * n) : 0}};
}

/* ---- convolutions ---- */

/* Extents of a convolution as both directions see it. */
typedef struct window {
  const tct_conv2d_attrs *a;
  int64_t h, w, channels, filters, rows, cols, c, f; /* image; all channels and filters; the window; those of a group */
  int64_t p, q;                                      /* extents of y */
} window;

static window window_of(const tct_node_view *node) {
  const tct_conv2d_attrs *a = node->attrs;
  const int64_t *x = a->x_shape, *w = a->w_shape;
  window o = {.a = a, .h = x[1], .w = x[2], .channels = x[3], .filters = w[3], .rows = w[0], .cols = w[1], .c = w[2],
              .f = w[3] / (a->groups > 0 ? a->groups : 1)};
  o.p = (o.h + a->pad[0] + a->pad[1] - a->dilation[0] * (o.rows - 1) - 1) / a->stride[0] + 1;
  o.q = (o.w + a->pad[2] + a->pad[3] - a->dilation[1] * (o.cols - 1) - 1) / a->stride[1] + 1;
  return o;
}

/* The element of x that pixel (n, p, q) of y meets at the window's place (r, s), channel c; −1 outside of the image. */
static int64_t image_element(const window *o, int64_t pixel, int64_t r, int64_t s, int64_t c) {
  const int64_t q = pixel % o->q, p = pixel / o->q % o->p, n = pixel / o->q / o->p;
  const int64_t h = p * o->a->stride[0] - o->a->pad[0] + r * o->a->dilation[0];
  const int64_t w = q * o->a->stride[1] - o->a->pad[2] + s * o->a->dilation[1];
  if (h < 0 || h >= o->h || w < 0 || w >= o->w) return -1;
  return ((n * o->h + h) * o->w + w) * o->channels + c;
}

static int64_t filter_element(const window *o, int64_t r, int64_t s, int64_t c, int64_t filter) {
  return ((r * o->cols + s) * o->c + c) * o->filters + filter;
}

/* The place of the window and the channel that a tap and an element of k stand for; false: past the window's edge. Where places
 * are folded, k counts (row in the fold, column in the fold, channel). */
static bool place_of(const tpu_map *map, const window *o, int64_t tap, int64_t k, int64_t *r, int64_t *s, int64_t *c) {
  const int64_t fold = map->fold, across = tpu_divide_up(o->cols, fold);
  *c = k % o->c;
  *r = tap / across * fold + k / o->c / fold;
  *s = tap % across * fold + k / o->c % fold;
  return *r < o->rows && *s < o->cols;
}

static int64_t forward_x(const tpu_map *map, int64_t batch, int64_t tap, int64_t row, int64_t k) {
  const window o = window_of(map->node);
  int64_t r = 0, s = 0, c = 0;
  return place_of(map, &o, tap, k, &r, &s, &c) ? image_element(&o, row, r, s, batch * o.c + c) : -1;
}

static int64_t forward_w(const tpu_map *map, int64_t batch, int64_t tap, int64_t k, int64_t col) {
  const window o = window_of(map->node);
  int64_t r = 0, s = 0, c = 0;
  return place_of(map, &o, tap, k, &r, &s, &c) ? filter_element(&o, r, s, c, batch * o.f + col) : -1;
}

static int64_t forward_y(const tpu_map *map, int64_t batch, int64_t row, int64_t col) {
  const window o = window_of(map->node);
  return row * o.filters + batch * o.f + col;
}

static int64_t filter_x(const tpu_map *map, int64_t batch, int64_t tap, int64_t row, int64_t k) {
  (void)tap;
  const window o = window_of(map->node);
  return image_element(&o, k, row / o.c / o.cols, row / o.c % o.cols, batch * o.c + row % o.c);
}

static int64_t filter_w(const tpu_map *map, int64_t batch, int64_t tap, int64_t k, int64_t col) {
  (void)tap;
  const window o = window_of(map->node);
  return k * o.filters + batch * o.f + col;
}

static int64_t filter_y(const tpu_map *map, int64_t batch, int64_t row, int64_t col) {
  const window o = window_of(map->node);
  return row * o.filters + batch * o.f + col; /* row = (r·S + s)·c + channel */
}

/* Along one axis: the n-th place of the window whose products reach pixels of this phase (pixel mod stride); −1: no more. */
static int64_t meeting_place(int64_t extent, int64_t stride, int64_t dilation, int64_t pad, int64_t phase, int64_t nth) {
  for (int64_t r = 0; r < extent; r++) {
    const int64_t distance = phase + pad - r * dilation;
    if (((distance % stride) + stride) % stride == 0 && nth-- == 0) return r;
  }
  return -1;
}

/* The most places that any phase meets. */
static int64_t most_places(int64_t extent, int64_t stride, int64_t dilation, int64_t pad) {
  int64_t most = 0;
  for (int64_t phase = 0; phase < stride; phase++) {
    while (most < extent && meeting_place(extent, stride, dilation, pad, phase, most) >= 0) most++;
  }
  return most;
}

/* What a batch and a tap of the input's gradient stand for; false: no such place of the window. */
typedef struct meeting {
  int64_t group, phase_h, phase_w, r, s;
} meeting;
static bool meet(const window *o, int64_t batch, int64_t tap, meeting *out) {
  const tct_conv2d_attrs *a = o->a;
  const int64_t across = most_places(o->cols, a->stride[1], a->dilation[1], a->pad[2]);
  *out = (meeting){.group = batch / (a->stride[0] * a->stride[1]), .phase_h = batch / a->stride[1] % a->stride[0],
                   .phase_w = batch % a->stride[1]};
  if (across == 0) return false;
  out->r = meeting_place(o->rows, a->stride[0], a->dilation[0], a->pad[0], out->phase_h, tap / across);
  out->s = meeting_place(o->cols, a->stride[1], a->dilation[1], a->pad[2], out->phase_w, tap % across);
  return out->r >= 0 && out->s >= 0;
}

/* The pixel of x that a row of a phase is; false: past the image's edge. */
static bool pixel_of(const window *o, const meeting *at, int64_t row, int64_t *n, int64_t *h, int64_t *w) {
  const int64_t wide = tpu_divide_up(o->w, o->a->stride[1]), high = tpu_divide_up(o->h, o->a->stride[0]);
  *w = row % wide * o->a->stride[1] + at->phase_w;
  *h = row / wide % high * o->a->stride[0] + at->phase_h;
  *n = row / wide / high;
  return *h < o->h && *w < o->w;
}

static int64_t input_x(const tpu_map *map, int64_t batch, int64_t tap, int64_t row, int64_t k) {
  const window o = window_of(map->node);
  meeting at;
  int64_t n = 0, h = 0, w = 0;
  if (!meet(&o, batch, tap, &at) || !pixel_of(&o, &at, row, &n, &h, &w)) return -1;
  const int64_t from_top = h + o.a->pad[0] - at.r * o.a->dilation[0], from_left = w + o.a->pad[2] - at.s * o.a->dilation[1];
  const int64_t p = from_top / o.a->stride[0], q = from_left / o.a->stride[1];
  if (from_top < 0 || from_left < 0 || p >= o.p || q >= o.q) return -1;
  return ((n * o.p + p) * o.q + q) * o.filters + at.group * o.f + k;
}

static int64_t input_w(const tpu_map *map, int64_t batch, int64_t tap, int64_t k, int64_t col) {
  const window o = window_of(map->node);
  meeting at;
  return meet(&o, batch, tap, &at) ? filter_element(&o, at.r, at.s, col, at.group * o.f + k) : -1;
}

static int64_t input_y(const tpu_map *map, int64_t batch, int64_t row, int64_t col) {
  const window o = window_of(map->node);
  meeting at;
  int64_t n = 0, h = 0, w = 0;
  (void)meet(&o, batch, 0, &at);
  if (!pixel_of(&o, &at, row, &n, &h, &w)) return -1;
  return ((n * o.h + h) * o.w + w) * o.channels + at.group * o.c + col;
}

static void map_conv(const tct_node_view *node, int64_t fold, tpu_map *out) {
  const window o = window_of(node);
  const tct_conv2d_attrs *a = o.a;
  const int64_t pixels = a->x_shape[0] * o.p * o.q;
  const double useful = (double)pixels * (double)(o.rows * o.cols) * (double)o.c * (double)o.filters;
  if (strcmp(node->op_name, "conv2d_grad_filter") == 0) {
    *out = (tpu_map){.x = filter_x, .w = filter_w, .y = filter_y, .node = node,
                     .extents = {.m = o.rows * o.cols * o.c, .k = pixels, .n = o.f, .taps = 1, .batch = a->groups, .x_rows = o.c}};
    return;
  }
  if (strcmp(node->op_name, "conv2d") == 0) {
    *out = (tpu_map){.x = forward_x, .w = forward_w, .y = forward_y, .node = node, .fold = fold,
                     .extents = {.m = pixels, .k = fold * fold * o.c, .n = o.f,
                                 .taps = tpu_divide_up(o.rows, fold) * tpu_divide_up(o.cols, fold), .batch = a->groups, .useful = useful}};
    return;
  }
  const int64_t met = most_places(o.rows, a->stride[0], a->dilation[0], a->pad[0]) *
                      most_places(o.cols, a->stride[1], a->dilation[1], a->pad[2]);
  const int64_t phase = a->x_shape[0] * tpu_divide_up(o.h, a->stride[0]) * tpu_divide_up(o.w, a->stride[1]);
  *out = (tpu_map){.x = input_x, .w = input_w, .y = input_y, .node = node,
                   .extents = {.m = phase, .k = o.f, .n = o.c, .taps = met, .batch = a->groups * a->stride[0] * a->stride[1], .x_copies = a->groups,
                               .useful = useful}};
}

bool tct_tpu_folds(const tct_node_view *node) {
  const tct_conv2d_attrs *a = node->attrs;
  return strcmp(node->op_name, "conv2d") == 0 && a->groups == 1 && a->stride[0] % 2 == 0 && a->stride[1] % 2 == 0 &&
         a->dilation[0] == 1 && a->dilation[1] == 1;
}

void tct_tpu_map(const tct_node_view *node, bool folded, tpu_map *out) {
  if (strcmp(node->op_name, "matmul") == 0)
    map_matmul(node, out);
  else
    map_conv(node, folded ? 2 : 1, out);
}
