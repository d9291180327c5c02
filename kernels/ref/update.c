/* Optimizer updates, in place on their variables. The formulas stand at tct_update_attrs in <tercet/attrs.h>.
 * Operands: the attrs.n_state variables, gradient, learning rate [], (adam) step [], (has_scale) a factor [], (conditional)
 * a truth []: false writes nothing. */
#include <math.h>

#include "kernels/ref/layout.h"
#include "kernels/ref/ref.h"

/* What every update has beside its state. */
typedef struct common {
  const tct_update_attrs *attrs;
  int64_t n; /* elements to write: 0 where the condition is false */
  double *w;
  const double *g;
  double lr, scale;
} common;

/* Whether the condition forbids writing. */
static bool is_held(const tct_ref_args *args) {
  const tct_update_attrs *attrs = args->attrs;
  return attrs->conditional && args->in[args->n_in - 1].data[0] == 0.0;
}

static common common_of(const tct_ref_args *args) {
  const tct_update_attrs *attrs = args->attrs;
  return (common){.attrs = attrs,
                  .n = is_held(args) ? 0 : tct_ref_size(&args->in[0].shape),
                  .w = args->in[0].data,
                  .g = args->in[attrs->n_state].data,
                  .lr = args->in[attrs->n_state + 1].data[0],
                  .scale = attrs->has_scale ? args->in[args->n_in - (attrs->conditional ? 2 : 1)].data[0] : 1.0};
}

/* g' = clip(scale·g, ±clip_value) + l2·w + l1·sign(w), at element i before w changes. */
static double gradient_at(const common *u, int64_t i) {
  const tct_update_attrs *attrs = u->attrs;
  const double w = u->w[i], limit = attrs->clip_value;
  double g = u->scale * u->g[i];
  if (limit > 0.0 && g > limit) g = limit;
  if (limit > 0.0 && g < -limit) g = -limit;
  return g + attrs->l2 * w + attrs->l1 * (w > 0.0 ? 1.0 : w < 0.0 ? -1.0 : 0.0);
}

/* w' = w - lr·weight_decay·w */
static double decayed_at(const common *u, int64_t i) {
  return u->w[i] - u->lr * u->attrs->weight_decay * u->w[i];
}

/* variable ← value */
void tct_ref_assign(const tct_ref_args *args) {
  const int64_t n = is_held(args) ? 0 : tct_ref_size(&args->in[0].shape);
  for (int64_t i = 0; i < n; i++) args->in[0].data[i] = args->in[1].data[i];
}

/* (w, velocity?, g, lr, scale?) */
void tct_ref_sgd_update(const tct_ref_args *args) {
  const common u = common_of(args);
  const double momentum = u.attrs->momentum;
  double *velocity = u.attrs->n_state > 1 ? args->in[1].data : NULL;
  for (int64_t i = 0; i < u.n; i++) {
    const double step = -u.lr * gradient_at(&u, i), w = decayed_at(&u, i);
    if (velocity == NULL) {
      u.w[i] = w + step;
      continue;
    }
    velocity[i] = momentum * velocity[i] + step;
    u.w[i] = w + (u.attrs->nesterov ? momentum * velocity[i] + step : velocity[i]);
  }
}

/* (w, m, v, g, lr, step, scale?) */
void tct_ref_adam_update(const tct_ref_args *args) {
  const common u = common_of(args);
  const double beta1 = u.attrs->beta1, beta2 = u.attrs->beta2;
  const double t = args->in[5].data[0] + 1.0;
  const double rate = u.lr * sqrt(1.0 - pow(beta2, t)) / (1.0 - pow(beta1, t));
  double *m = args->in[1].data, *v = args->in[2].data;
  for (int64_t i = 0; i < u.n; i++) {
    const double g = gradient_at(&u, i), w = decayed_at(&u, i);
    m[i] = beta1 * m[i] + (1.0 - beta1) * g;
    v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
    u.w[i] = w - rate * m[i] / (sqrt(v[i]) + u.attrs->epsilon);
  }
}

/* (w, mean square, momentum?, mean gradient? (centered), g, lr, scale?) */
void tct_ref_rmsprop_update(const tct_ref_args *args) {
  const common u = common_of(args);
  const double rho = u.attrs->beta2;
  const int32_t n_state = u.attrs->n_state;
  double *square = args->in[1].data;
  double *mean = u.attrs->centered ? args->in[n_state - 1].data : NULL;
  double *buffer = n_state - (mean != NULL ? 1 : 0) > 2 ? args->in[2].data : NULL;
  for (int64_t i = 0; i < u.n; i++) {
    const double g = gradient_at(&u, i), w = decayed_at(&u, i);
    square[i] = rho * square[i] + (1.0 - rho) * g * g;
    double d = square[i];
    if (mean != NULL) {
      mean[i] = rho * mean[i] + (1.0 - rho) * g;
      d -= mean[i] * mean[i];
    }
    const double step = u.lr * g / sqrt(d + u.attrs->epsilon);
    if (buffer != NULL) buffer[i] = u.attrs->momentum * buffer[i] + step;
    u.w[i] = w - (buffer != NULL ? buffer[i] : step);
  }
}

/* (w, accumulator, g, lr, scale?) */
void tct_ref_adagrad_update(const tct_ref_args *args) {
  const common u = common_of(args);
  double *sum = args->in[1].data;
  for (int64_t i = 0; i < u.n; i++) {
    const double g = gradient_at(&u, i), w = decayed_at(&u, i);
    sum[i] += g * g;
    u.w[i] = w - u.lr * g / sqrt(sum[i] + u.attrs->epsilon);
  }
}
