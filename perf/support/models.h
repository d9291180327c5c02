/* The networks that the programs of perf/ time: name, what one sample is, how they train. */
#ifndef TERCET_PERF_MODELS_H
#define TERCET_PERF_MODELS_H

#include <tercet/tercet.h>

typedef struct perf_model {
  const char *name;
  tct_shape x, y; /* of one sample; y holds class numbers */
  int64_t n_tokens; /* x holds token numbers below this; 0: floats */
  int64_t n_classes;
  tct_optimizer optimizer;
  void (*build)(tct_layer x);
} perf_model;

/* NULL when there is none of that name; perf_model_names lists them, separated by '|'. */
const perf_model *perf_model_find(const char *name);
const char *perf_model_names(void);

/* GPT-2's tokens, and the rows that its table has here. */
enum { PERF_GPT2_TOKENS = 50257, PERF_GPT2_ROWS = 50304 };

typedef struct perf_session_options {
  int64_t batch;
  int64_t n_batches;     /* taken in turn, step by step; 0: 1 */
  const char *device;
  const char *precision; /* tct_training's */
  int32_t n_threads;
} perf_session_options;

/* A model that is compiled, its training program, and batches of noise. */
typedef struct perf_session {
  const perf_model *what;
  int64_t batch, n_batches, n_steps;
  tct_model *model;
  tct_program *program; /* the model's */
  void *x;              /* [n_batches,batch,..] */
  int32_t *y;
  size_t x_bytes, y_bytes; /* of one batch */
} perf_session;

/* False after a failure, which tct_error_message describes; perf_session_close is due either way. */
bool perf_session_open(const perf_model *what, const perf_session_options *options, perf_session *out);
void perf_session_close(perf_session *session);
/* n training steps; out_loss: of the last, before its update. reads_each: every step's loss is waited for, as a loop does that looks at it;
 * else the last one's. */
bool perf_session_run(perf_session *session, int64_t n, bool reads_each, double *out_loss);

#endif
