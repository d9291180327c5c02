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

/* A model that is compiled, its training program, and one fixed batch of noise. */
typedef struct perf_session {
  const perf_model *what;
  int64_t batch;
  tct_model *model;
  tct_program *program; /* the model's */
  void *x;
  int32_t *y;
  size_t x_bytes, y_bytes;
} perf_session;

/* False after a failure, which tct_error_message describes; perf_session_close is due either way. */
bool perf_session_open(const perf_model *what, int64_t batch, const char *device, int32_t n_threads, perf_session *out);
void perf_session_close(perf_session *session);
/* n training steps on the batch; out_loss: of the last, before its update. */
bool perf_session_run(perf_session *session, int64_t n, double *out_loss);

#endif
