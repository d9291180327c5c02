/* The inside of a job: the tree, its sections as structs, and what was made from them so far. */
#ifndef TCT_TRAIN_JOB_H
#define TCT_TRAIN_JOB_H

#include <tercet/job.h>

#include "base/arena.h"
#include "nn/layer_types.h"
#include "nn/losses.h"
#include "train/job_spec.h"

#define TCT_JOB_MOST_INPUTS 16

typedef struct tct_job_input {
  const char *name;
  bool has_shape;
  tct_shape shape;
  tct_dtype dtype; /* NONE: the job's */
} tct_job_input;

typedef struct tct_job_layer {
  const tct_yaml *node;
  const tct_layer_type *type;
  void *options; /* begins like tct_layer_common */
  int32_t n_inputs; /* 0: the layer before */
  const char **inputs;
} tct_job_layer;

typedef struct tct_job_callback {
  const tct_yaml *node;
  tct_spec_callback spec;
  bool has_baseline;
  double baseline;
} tct_job_callback;

struct tct_job {
  tct_arena arena; /* the tree and all below but datasets and model */
  const char *origin, *directory, *name;
  const char **set;
  int32_t n_set;
  tct_yaml *root;

  tct_spec_job spec;
  tct_spec_data data[TCT_JOB_N_PARTS];
  bool has_data[TCT_JOB_N_PARTS];
  tct_spec_loss loss;
  const tct_loss_type *loss_type;
  tct_spec_optimizer optimizer;
  tct_spec_schedule schedule;
  tct_spec_train train;
  tct_spec_checkpoint checkpoint;
  const char *metrics; /* comma-separated */
  tct_dtype dtype;

  tct_job_callback *callbacks;
  int32_t n_callbacks;

  const tct_yaml *model_node;
  tct_job_input inputs[TCT_JOB_MOST_INPUTS];
  int32_t n_inputs; /* 0: the data's fields */
  tct_job_layer *layers;
  int32_t n_layers;

  bool standardize;
  double *mean, *std; /* [n_moments] of field "x" */
  int64_t n_moments;  /* 0: not known yet */
  const char **class_names;
  int32_t n_classes;

  tct_dataset *source;                 /* the training files, whole; owned reference */
  tct_dataset *parts[TCT_JOB_N_PARTS]; /* owned references */
  tct_dataset *opened;                 /* of tct_job_open_inputs; owned reference */
  tct_model *model;                    /* owned */
  const char *weights;                 /* the model file to load; NULL: none */
  tct_text text;                       /* of tct_job_text */
};

/* job_model.c: checks `model`, fills inputs and layers; adds the layers to a model whose inputs are known. */
tct_status tct_job_read_model(tct_job *job, tct_problems *problems) TCT_CHECKED;
tct_status tct_job_build_model(tct_job *job, tct_model **out) TCT_CHECKED;

/* job_data.c: checks `data`. A path of the job: ${VAR} expanded, relative ones from `directory` ("": the process's). */
tct_status tct_job_read_data(tct_job *job, tct_problems *problems) TCT_CHECKED;
tct_status tct_job_path(tct_job *job, const tct_yaml *node, const char *directory, const char *text,
                        const char **out) TCT_CHECKED;

/* job_callbacks.c: checks `callbacks`. Makes the job's callbacks, and behind them the program's own: an array for
 * tct_fit_options of job->n_callbacks + n_more. tct_job_callbacks_free releases the job's; NULL is fine. */
tct_status tct_job_read_callbacks(tct_job *job, tct_problems *problems) TCT_CHECKED;
tct_status tct_job_callbacks_make(tct_job *job, const tct_callback *more, int32_t n_more, tct_callback **out) TCT_CHECKED;
void tct_job_callbacks_free(const tct_job *job, tct_callback *callbacks);

/* job_class_weight.c: checks `train.class_weight`; the weights by class number, in the arena (0, NULL: the job has none). The
 * training data is open, so that its class names are known. */
void tct_job_read_class_weight(const tct_job *job, tct_problems *problems);
tct_status tct_job_class_weight(tct_job *job, const tct_model *model, const double **out, int32_t *out_n) TCT_CHECKED;

const char *tct_job_part_name(tct_job_part part);

/* Adds "job.yaml:12:5: data.test" to the error record. */
tct_status tct_job_context(const tct_job *job, const tct_yaml *node);

#endif
