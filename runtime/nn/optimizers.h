/* Optimizers by Keras' names: defaults resolved and checked, update nodes appended; learning-rate schedules. */
#ifndef TCT_NN_OPTIMIZERS_H
#define TCT_NN_OPTIMIZERS_H

#include <tercet/ops.h>
#include <tercet/train.h>

#define TCT_MAX_SLOTS 3

typedef struct tct_optimizer_plan {
  const char *type; /* static */
  tct_op op;
  int32_t n_slots;
  const char *slot[TCT_MAX_SLOTS];
  tct_init slot_init[TCT_MAX_SLOTS];
  tct_update_attrs attrs;
  double learning_rate, global_clipnorm, clipnorm;
} tct_optimizer_plan;

tct_status tct_optimizer_resolve(const tct_optimizer *optimizer, tct_optimizer_plan *out) TCT_CHECKED;

/* Appends one update per variable, with its slots as variables "optimizer/<variable>/<slot>". lr: []; step: i64 [];
 * unscale: a factor [] that turns the given gradients into the loss's ({0}: they are). */
void tct_optimizer_apply(const tct_optimizer_plan *plan, const tct_tensor *variables, const char *const *names,
                         const tct_tensor *grads, int32_t n, tct_tensor lr, tct_tensor step, tct_tensor unscale);

/* Checked copy; type is static text. */
tct_status tct_schedule_resolve(const tct_schedule_options *schedule, tct_schedule_options *out) TCT_CHECKED;
/* The factor of the learning rate at `step` of a fit of `steps`. */
double tct_schedule_factor(const tct_schedule_options *schedule, int64_t step, int64_t steps);

#endif
