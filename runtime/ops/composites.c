/* Functions of other ops, which need no node of their own; their gradients are those of their parts.
 *   reduce_var      mean((x - mean x)²) over the axes;  reduce_std  its root
 *   clip_by_norm    x·c/max(‖x‖, c)
 *   rms_norm        x/√(mean x² + ε)·gamma over the last axis
 *   group_norm      (x - mean)/√(variance + ε)·gamma + beta, moments of each sample's groups of channels */
#include <inttypes.h>
#include "graph/graph.h"
#include "ops/defs.h"
#include "ops/shape.h"

tct_tensor tct_reduce_var(tct_tensor x, const int32_t *axes, int32_t n_axes, bool keepdims) {
  if (!tct_tensor_ok(x)) return tct_poison(x.graph);
  const tct_tensor centred = tct_sub(x, tct_reduce_mean(x, axes, n_axes, true));
  return tct_reduce_mean(tct_square(centred), axes, n_axes, keepdims);
}

tct_tensor tct_reduce_std(tct_tensor x, const int32_t *axes, int32_t n_axes, bool keepdims) {
  return tct_sqrt(tct_reduce_var(x, axes, n_axes, keepdims));
}

tct_tensor tct_clip_by_norm(tct_tensor x, double norm) {
  if (!tct_tensor_ok(x)) return tct_poison(x.graph);
  if (!(norm > 0)) {
    return tct_graph_fail(x.graph, TCT_E_ATTRIBUTE, "clip_by_norm: the norm is %g, needs to be positive", norm);
  }
  const tct_tensor own = tct_global_norm(&x, 1);
  if (!tct_tensor_ok(own)) return own;
  const tct_tensor most = tct_scalar(x.graph, tct_tensor_dtype(x), norm);
  return tct_mul(x, tct_div(most, tct_maximum(own, most)));
}

/* x is [.., C] with elements and ε is positive; false after recording the error. */
static bool check_norm(const char *op, tct_tensor x, int32_t least_rank, double epsilon) {
  const tct_shape s = tct_tensor_shape(x);
  if (s.rank < least_rank) {
    tct_graph_fail(x.graph, TCT_E_RANK, "%s: x is %s (rank %" PRId32 "), needs %s", op, tct_show(&s).text, s.rank,
                   least_rank == 1 ? "[..,C]" : "[N,..,C]");
    return false;
  }
  if (!(epsilon > 0)) {
    tct_graph_fail(x.graph, TCT_E_ATTRIBUTE, "%s: epsilon is %g, needs to be positive", op, epsilon);
    return false;
  }
  return true;
}

static bool check_per_channel(const char *op, const char *what, tct_tensor vector, int64_t channels) {
  const tct_shape has = tct_tensor_shape(vector), needs = TCT_SHAPE(channels);
  if (tct_shape_equal(&has, &needs)) return true;
  tct_graph_fail(vector.graph, TCT_E_OPERANDS, "%s: %s is %s, needs %s: one per channel of x", op, what,
                 tct_show(&has).text, tct_show(&needs).text);
  return false;
}

tct_tensor tct_rms_norm(tct_tensor x, tct_tensor gamma, double epsilon) {
  static const int32_t last = -1;
  if (!tct_tensor_ok(x) || !tct_tensor_ok(gamma)) return tct_poison(x.graph != NULL ? x.graph : gamma.graph);
  const tct_shape s = tct_tensor_shape(x);
  if (!check_norm("rms_norm", x, 1, epsilon) || !check_per_channel("rms_norm", "gamma", gamma, s.dim[s.rank - 1])) {
    return tct_poison(x.graph);
  }
  const tct_tensor square = tct_reduce_mean(tct_square(x), &last, 1, true);
  return tct_mul(tct_mul(x, tct_rsqrt(tct_scale(square, 1, epsilon))), gamma);
}

tct_tensor tct_group_norm(tct_tensor x, tct_tensor gamma, tct_tensor beta, int64_t groups, double epsilon) {
  static const int32_t within[] = {1, 3};
  if (!tct_tensor_ok(x) || !tct_tensor_ok(gamma) || !tct_tensor_ok(beta)) {
    return tct_poison(x.graph != NULL ? x.graph : gamma.graph != NULL ? gamma.graph : beta.graph);
  }
  const tct_shape s = tct_tensor_shape(x);
  if (!check_norm("group_norm", x, 2, epsilon)) return tct_poison(x.graph);
  const int64_t channels = s.dim[s.rank - 1];
  if (groups < 1 || channels % groups != 0) {
    return tct_graph_fail(x.graph, TCT_E_CHANNELS,
                          "group_norm: the %" PRId64 " channels of x %s do not divide into %" PRId64 " groups",
                          channels, tct_show(&s).text, groups);
  }
  if (!check_per_channel("group_norm", "gamma", gamma, channels) ||
      !check_per_channel("group_norm", "beta", beta, channels)) {
    return tct_poison(x.graph);
  }
  /* [N, positions, groups, channels of a group] */
  const tct_shape split = TCT_SHAPE(s.dim[0], tct_shape_extent(&s, 1, s.rank - 1), groups, channels / groups);
  const tct_tensor grouped = tct_reshaped(x, split);
  const tct_tensor centred = tct_sub(grouped, tct_reduce_mean(grouped, within, 2, true));
  const tct_tensor variance = tct_reduce_mean(tct_square(centred), within, 2, true);
  const tct_tensor normal = tct_mul(centred, tct_rsqrt(tct_scale(variance, 1, epsilon)));
  return tct_add(tct_mul(tct_reshaped(normal, s), gamma), beta);
}
