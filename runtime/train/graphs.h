/* The graphs of a compiled model: forward, loss, metrics, gradients and updates for one batch size. */
#ifndef TCT_TRAIN_GRAPHS_H
#define TCT_TRAIN_GRAPHS_H

#include "train/session.h"

/* Inputs: the model's, "y" (train, evaluate), "weight" when weighted. Outputs: "sums" [n_sums], "data_loss" [] (train,
 * evaluate), "confusion" [classes, classes], "scores" and "truth" (evaluate, when asked for), "output" (predict). */
tct_status tct_build_step(const tct_model *model, const tct_session *session, tct_mode mode, int64_t batch, bool weighted,
                          tct_graph **out) TCT_CHECKED;
/* Every variable that a model has whatever its programs use, as outputs: the parameters, and the optimizer's step and
 * rate. */
tct_status tct_build_variables(const tct_model *model, tct_graph **out) TCT_CHECKED;

#endif
