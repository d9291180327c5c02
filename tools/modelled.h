/* What sim and lint share: a job's step on a device whose clock is a model's, op by op. */
#ifndef TERCET_TOOL_MODELLED_H
#define TERCET_TOOL_MODELLED_H

#include "tool.h"
#include <tercet/chip.h>

/* Classes of cycles, in the order of the device's counters; they sum to the step's time. */
enum { MODELLED_CLASSES = 8 };
extern const char *const modelled_class[MODELLED_CLASSES];

typedef enum modelled_phase { MODELLED_FORWARD, MODELLED_BACKWARD, MODELLED_UPDATE, MODELLED_PHASES } modelled_phase;
extern const char *const modelled_phase_name[MODELLED_PHASES];

typedef struct modelled_step {
  tct_step_info info;
  modelled_phase phase;
  char layer[64];                  /* "conv2d_1"; "loss" */
  double seconds, cycles, of[MODELLED_CLASSES];
  double all_reduce, bytes, macs, joules;
} modelled_step;

/* Free with modelled_free in any case. */
typedef struct modelled {
  tct_job *job;
  tct_model *model;
  tct_program *program;            /* the model's */
  tct_job_info info;
  char device[600];
  tct_chip chip;
  int64_t batch;
  modelled_step *step; /* [n], in the order of execution; malloc'ed */
  int32_t n;
  modelled_step sum;   /* of all steps, and of waiting for the other chips; energy and cost of all chips */
} modelled;

/* The step of the job (training, or the forward pass alone) with the options' batch and device, tpu:v3 where the job's is no
 * TPU. Prints what is wrong and returns the exit code, or TOOL_OK. */
int modelled_open(const tool_options *options, bool training, modelled *out);
/* The same job's step at another batch size, summed over its ops. The model keeps few programs: what `m` points to in its own,
 * names and nodes, may be gone afterwards. */
tct_status modelled_at_batch(const modelled *m, int64_t batch, bool training, modelled_step *out_sum);
void modelled_free(modelled *m);
/* The class with the most cycles. */
int modelled_bound(const modelled_step *step);

#endif
