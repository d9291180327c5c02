/* The recurrent composites step by step in simpler ops. */
#ifndef TCT_OPS_RECURRENT_H
#define TCT_OPS_RECURRENT_H

#include <tercet/op.h>

void tct_lstm_steps(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in, tct_tensor *out);
void tct_lstm_grad_steps(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in, tct_tensor *out);
void tct_gru_steps(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in, tct_tensor *out);
void tct_gru_grad_steps(tct_graph *graph, const void *attrs, const tct_tensor *in, int32_t n_in, tct_tensor *out);

#endif
