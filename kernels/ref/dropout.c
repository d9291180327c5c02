/* Dropout: a mask that depends on (seed, layer, step, element) only, so that the backward draws the same one again. */
#include "kernels/common/philox.h"
#include "kernels/ref/layout.h"
#include "kernels/ref/ref.h"

/* y = x·mask/(1-rate);  x, y any shape, step [] */
void tct_ref_dropout(const tct_ref_args *args) {
  const tct_dropout_attrs *attrs = args->attrs;
  const double *x = args->in[0].data;
  double *y = args->out[0].data;
  const uint32_t step = (uint32_t)(int64_t)args->in[1].data[0];
  const double factor = (double)(1.0f / (1.0f - (float)attrs->rate));
  const int64_t size = tct_ref_size(&args->out[0].shape);
  tct_philox block = {{0, 0, 0, 0}};
  for (int64_t e = 0; e < size; e++) {
    if (e % 4 == 0) block = tct_philox_block(attrs->seed, attrs->stream, step, (uint64_t)(e / 4));
    const bool kept = (double)tct_philox_unit(block.v[e % 4]) >= attrs->rate;
    y[e] = kept ? x[e] * factor : 0.0;
  }
}
