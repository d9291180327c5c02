/* Losses by Keras' names, built into a graph from a model's output. */
#ifndef TCT_NN_LOSSES_H
#define TCT_NN_LOSSES_H

#include <tercet/ops.h>

typedef enum tct_target_kind {
  TCT_TARGET_CLASS, /* i32, the logits' shape without its last axis */
  TCT_TARGET_DENSE  /* the output's dtype and shape */
} tct_target_kind;

typedef struct tct_loss_settings {
  double label_smoothing, huber_delta;
} tct_loss_settings;

typedef struct tct_loss_type {
  const char *name, *alias;
  tct_target_kind target;
  bool from_logits;
  const char *activation; /* whose logits: "softmax", "sigmoid"; NULL where the loss takes the output as it is */
  /* One value per row: the output's shape without its last axis. `prediction` is the logits where from_logits. */
  tct_tensor (*build)(tct_tensor prediction, tct_tensor target, const tct_loss_settings *settings);
} tct_loss_type;

/* NULL after recording the error with "did you mean". */
const tct_loss_type *tct_loss_find(const char *name);

#endif
