/* Attention's numbers, head by head: with r the rounding of what meets in the arrays,
 *
 *   s = scale·r(q)·r(k)ᵀ,  l = ln Σ e^s over the keys that the query sees,  p = e^s / Σ e^s,  y = r(p)·r(v)
 *   backward, with p = e^(s - l):  dv = r(p)ᵀ·r(dy),  ds = scale·p∘(r(dy)·r(v)ᵀ - Σ dy∘y),  dq = r(ds)·r(k),  dk = r(ds)ᵀ·r(q)
 *
 * A head's scores are all there at once, [T,S], also those that a causal query does not see: they become 0. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "backends/tpu/inside.h"

#define TCT_SCALAR float
#include "kernels/common/scalar.h"

/* q [B,T,H,D], k [B,S,H,D], v [B,S,H,V], mask bool [B|1,H|1,T|1,S|1] or NULL */
typedef struct problem {
  int64_t b, t, s, h, d, v;
  float scale;
  bool causal;
  const uint8_t *mask;
  int64_t mask_stride[4];
} problem;

/* Whole operands, then one head's: a name for each room. W: weights, or the gradients of scores, as operands. */
enum { ALL_Q, ALL_K, ALL_V, Q, K, V, S, W, Y, FORWARD_ROOMS, ALL_DY = FORWARD_ROOMS, DY, DS, BACKWARD_ROOMS };
static_assert((int)BACKWARD_ROOMS <= (int)TPU_MOST_ROOMS, "a room for each buffer");

static problem problem_of(const tct_node_view *node) {
  const tct_attention_attrs *attrs = node->attrs;
  const tct_shape *q = &node->in[0].shape;
  return (problem){.b = q->dim[0], .t = q->dim[1], .h = q->dim[2], .d = q->dim[3], .s = node->in[1].shape.dim[1],
                   .v = node->in[2].shape.dim[3], .scale = (float)attrs->scale, .causal = attrs->causal};
}

static problem problem_with_mask(const tpu_running *run, int32_t mask) {
  problem p = problem_of(run->node);
  if (mask >= run->node->n_in) return p;
  p.mask = run->in[mask];
  int64_t step = 1;
  for (int32_t axis = 3; axis >= 0; axis--) {
    const int64_t extent = run->node->in[mask].shape.dim[axis];
    p.mask_stride[axis] = extent == 1 ? 0 : step;
    step *= extent;
  }
  return p;
}

static void rooms(const problem *p, bool backward, tpu_inside *inside) {
  const int64_t all = p->b * p->h;
  const int64_t floats[] = {[ALL_Q] = all * p->t * p->d, [ALL_K] = all * p->s * p->d, [ALL_V] = all * p->s * p->v,
                            [Q] = p->t * p->d, [K] = p->s * p->d, [V] = p->s * p->v, [S] = p->t * p->s, [W] = p->t * p->s,
                            [Y] = p->t * (p->v > p->d ? p->v : p->d), [ALL_DY] = all * p->t * p->v, [DY] = p->t * p->v, [DS] = p->t * p->s};
  for (int32_t i = 0; i < (int32_t)(backward ? BACKWARD_ROOMS : FORWARD_ROOMS); i++) inside->at[i] = tct_tpu_room(inside, (size_t)floats[i]);
}

/* ---- heads ---- */

/* The rows of one head of x [B,positions,H,width], one behind the other. */
static void take_head(const problem *p, int64_t head, int64_t positions, int64_t width, const float *x, float *to) {
  const float *from = x + (head / p->h * positions * p->h + head % p->h) * width;
  for (int64_t i = 0; i < positions; i++) memcpy(to + i * width, from + i * p->h * width, (size_t)width * sizeof *to);
}

static void put_head(const problem *p, int64_t head, int64_t positions, int64_t width, const float *from, float *x) {
  float *to = x + (head / p->h * positions * p->h + head % p->h) * width;
  for (int64_t i = 0; i < positions; i++) memcpy(to + i * p->h * width, from + i * width, (size_t)width * sizeof *to);
}

static void round_all(const tpu_running *run, int32_t input, int32_t room) {
  tct_tpu_operand(&run->device->chip, run->in[input], tpu_room(run, room), tpu_elements(&run->node->in[input].shape));
}

/* ---- the vector unit ---- */

/* Sixteen sums beside each other, which a compiler keeps in registers. */
static float sum_of(const float *restrict x, const float *restrict y, int64_t n) {
  float lane[16] = {0}, sum = 0;
  int64_t j = 0;
  for (; j + 16 <= n; j += 16)
    for (int l = 0; l < 16; l++) lane[l] += x[j + l] * (y != NULL ? y[j + l] : 1);
  for (; j < n; j++) lane[j % 16] += x[j] * (y != NULL ? y[j] : 1);
  for (int l = 0; l < 16; l++) sum += lane[l];
  return sum;
}

/* s = scale·s where the query sees the key, else -∞; keys behind the number that is returned are not looked at, their weights are 0. */
static int64_t see(const problem *p, int64_t head, int64_t query, float *restrict s) {
  const int64_t seen = p->causal && query + 1 < p->s ? query + 1 : p->s;
  for (int64_t j = 0; j < seen; j++) s[j] *= p->scale;
  if (p->mask == NULL) return seen;
  const int64_t *stride = p->mask_stride;
  const uint8_t *mask = p->mask + head / p->h * stride[0] + head % p->h * stride[1] + query * stride[2];
  for (int64_t j = 0; j < seen; j++) {
    if (mask[j * stride[3]] == 0) s[j] = -INFINITY;
  }
  return seen;
}

static void clear(const problem *p, float *row, int64_t from) { memset(row + from, 0, (size_t)(p->s - from) * sizeof *row); }

/* Scores to weights; returns l, +∞ where the query sees no key. */
static float weigh(float *restrict s, int64_t n) {
  float top = -INFINITY;
  for (int64_t j = 0; j < n; j++) top = MAXIMUM(top, s[j]);
  if (top == -INFINITY) {
    memset(s, 0, (size_t)n * sizeof *s);
    return INFINITY;
  }
  tct_tpu_exp(s, top, (size_t)n);
  const float sum = sum_of(s, NULL, n);
  for (int64_t j = 0; j < n; j++) s[j] /= sum;
  return top + LOG(sum);
}

/* s to weights p, dp to the gradients of scores. */
static void gradients(float scale, float l, float delta, float *restrict s, float *restrict dp, int64_t n) {
  tct_tpu_exp(s, l, (size_t)n);
  for (int64_t j = 0; j < n; j++) dp[j] = scale * s[j] * (dp[j] - delta);
}

/* ---- forward ---- */

enum { SCORES, RESULT };

static tct_status forward_head(const tpu_running *run, const problem *p, int64_t head) {
  float *const q = tpu_room(run, Q), *const k = tpu_room(run, K), *const v = tpu_room(run, V);
  float *const s = tpu_room(run, S), *const w = tpu_room(run, W), *const y = tpu_room(run, Y), *const l = run->out[1];
  take_head(p, head, p->t, p->d, tpu_room(run, ALL_Q), q);
  take_head(p, head, p->s, p->d, tpu_room(run, ALL_K), k);
  take_head(p, head, p->s, p->v, tpu_room(run, ALL_V), v);
  tct_status status = tpu_product(run, SCORES, q, k, s);
  for (int64_t i = 0; i < p->t; i++) {
    float *const row = s + i * p->s;
    const int64_t seen = see(p, head, i, row);
    l[head * p->t + i] = weigh(row, seen);
    clear(p, row, seen);
  }
  tct_tpu_operand(&run->device->chip, s, w, (size_t)(p->t * p->s));
  if (status == TCT_OK) status = tpu_product(run, RESULT, w, v, y);
  put_head(p, head, p->t, p->v, y, run->out[0]);
  return status;
}

static tct_status forward(const tpu_running *run) {
  const problem p = problem_with_mask(run, 3);
  for (int32_t i = 0; i < 3; i++) round_all(run, i, ALL_Q + i);
  tct_status status = TCT_OK;
  for (int64_t head = 0; head < p.b * p.h && status == TCT_OK; head++) status = forward_head(run, &p, head);
  return status;
}

/* The products in the order of their enum. */
static tct_status prepare(tct_device_impl *device, const tpu_extents *products, int n, tpu_inside *inside) {
  tct_status status = TCT_OK;
  for (int i = 0; i < n && status == TCT_OK; i++) status = tct_tpu_inside_product(device, inside, products[i]);
  return status;
}

tct_status tct_tpu_attention(tct_device_impl *device, const tct_node_view *node, tpu_inside *inside) {
  const problem p = problem_of(node);
  inside->launch = forward;
  rooms(&p, false, inside);
  const tpu_extents products[] = {[SCORES] = {.m = p.t, .k = p.d, .n = p.s, .transpose_b = true}, [RESULT] = {.m = p.t, .k = p.s, .n = p.v}};
  return prepare(device, products, 2, inside);
}

/* ---- backward ---- */

enum { OF_WEIGHTS = 1, OF_VALUES, OF_QUERIES, OF_KEYS, BACKWARD_PRODUCTS };

static tct_status backward_head(const tpu_running *run, const problem *p, int64_t head) {
  const tct_chip *chip = &run->device->chip;
  float *const q = tpu_room(run, Q), *const k = tpu_room(run, K), *const v = tpu_room(run, V), *const dy = tpu_room(run, DY);
  float *const s = tpu_room(run, S), *const w = tpu_room(run, W), *const ds = tpu_room(run, DS), *const dq = tpu_room(run, Y);
  const float *const y = run->in[3], *const l = run->in[4], *const dy_given = run->in[5];
  take_head(p, head, p->t, p->d, tpu_room(run, ALL_Q), q);
  take_head(p, head, p->s, p->d, tpu_room(run, ALL_K), k);
  take_head(p, head, p->s, p->v, tpu_room(run, ALL_V), v);
  take_head(p, head, p->t, p->v, tpu_room(run, ALL_DY), dy);
  tct_status status = tpu_product(run, SCORES, q, k, s);
  if (status == TCT_OK) status = tpu_product(run, OF_WEIGHTS, dy, v, ds);
  for (int64_t i = 0; i < p->t; i++) {
    const int64_t at = ((head / p->h * p->t + i) * p->h + head % p->h) * p->v;
    float *const row = s + i * p->s, *const gradient = ds + i * p->s;
    const int64_t seen = see(p, head, i, row);
    gradients(p->scale, l[head * p->t + i], sum_of(dy_given + at, y + at, p->v), row, gradient, seen);
    clear(p, row, seen);
    clear(p, gradient, seen);
  }
  tct_tpu_operand(chip, s, w, (size_t)(p->t * p->s));
  /* dv and dk are made in the rooms of v and k, which were read before. */
  if (status == TCT_OK) status = tpu_product(run, OF_VALUES, w, dy, v);
  put_head(p, head, p->s, p->v, v, run->out[2]);
  tct_tpu_operand(chip, ds, w, (size_t)(p->t * p->s));
  if (status == TCT_OK) status = tpu_product(run, OF_QUERIES, w, k, dq);
  put_head(p, head, p->t, p->d, dq, run->out[0]);
  if (status == TCT_OK) status = tpu_product(run, OF_KEYS, w, q, k);
  put_head(p, head, p->s, p->d, k, run->out[1]);
  return status;
}

static tct_status backward(const tpu_running *run) {
  const problem p = problem_with_mask(run, 6);
  for (int32_t i = 0; i < 3; i++) round_all(run, i, ALL_Q + i);
  round_all(run, 5, ALL_DY);
  tct_status status = TCT_OK;
  for (int64_t head = 0; head < p.b * p.h && status == TCT_OK; head++) status = backward_head(run, &p, head);
  return status;
}

tct_status tct_tpu_attention_grad(tct_device_impl *device, const tct_node_view *node, tpu_inside *inside) {
  const problem p = problem_of(node);
  inside->launch = backward;
  rooms(&p, true, inside);
  const tpu_extents products[] = {[SCORES] = {.m = p.t, .k = p.d, .n = p.s, .transpose_b = true},
                                  [OF_WEIGHTS] = {.m = p.t, .k = p.v, .n = p.s, .transpose_b = true},
                                  [OF_VALUES] = {.m = p.s, .k = p.t, .n = p.v, .transpose_a = true},
                                  [OF_QUERIES] = {.m = p.t, .k = p.s, .n = p.d},
                                  [OF_KEYS] = {.m = p.s, .k = p.t, .n = p.d, .transpose_a = true}};
  return prepare(device, products, BACKWARD_PRODUCTS, inside);
}
