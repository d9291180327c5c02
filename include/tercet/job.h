/* Level 3 from a file: a job file (YAML, docs/job-file.md) names data, model, loss, optimizer and device; these calls
 * train it, evaluate it and save it. The `tercet` command is written with them, so a C program can do what it does:
 *
 *   tct_job *job = NULL;
 *   tct_evaluation result;
 *   tct_status status = tct_job_load("mnist.yaml", NULL, &job);
 *   if (status == TCT_OK) status = tct_job_train(job, NULL);
 *   if (status == TCT_OK) status = tct_job_evaluate(job, TCT_JOB_TEST, &result);
 *   if (status == TCT_OK) status = tct_job_save(job, "mnist.safetensors");
 *   if (status != TCT_OK) fprintf(stderr, "%s\n", tct_error_message());
 *   tct_job_free(job);
 *
 * One thread at a time uses a job. */
#ifndef TERCET_JOB_H
#define TERCET_JOB_H

#include <tercet/train.h>

TCT_BEGIN_DECLS

typedef struct tct_job tct_job;

typedef struct tct_job_options {
  /* What relative paths of the data start from. NULL: the job file's own folder; for a text or a model file, the current
   * folder. (`save` always starts from the current folder: results do not land among the sources.) */
  const char *directory;
  /* Overrides "model.width=64", applied in order; the value is YAML, `null` removes. A list item is named by its number
   * or its name: "model.layers[2].units=5", "model.layers.fc1.units=5". */
  const char *const *set;
  int32_t n_set;
  uint64_t reserved[4];
} tct_job_options;

/* Reads and checks a job; the data files are opened when they are first needed. Errors: TCT_INVALID with up to 20 problems
 * at once, each with line, column and path in the job; TCT_NOT_FOUND, TCT_IO. options NULL: all defaults. */
TCT_API tct_status tct_job_load(const char *path, const tct_job_options *options, tct_job **out) TCT_CHECKED;
/* `origin` names the text in messages; NULL: "job". */
TCT_API tct_status tct_job_parse(const char *text, size_t length, const char *origin, const tct_job_options *options,
                                 tct_job **out) TCT_CHECKED;
/* The job that made a model file; tct_job_model then has the file's weights. */
TCT_API tct_status tct_job_from_model(const char *path, const tct_job_options *options, tct_job **out) TCT_CHECKED;
TCT_API void tct_job_free(tct_job *job); /* with its model and datasets; NULL is fine */

/* What the job says, with defaults filled in. Text lives as long as the job. */
typedef struct tct_job_info {
  const char *name;
  const char *device;
  const char *save; /* resolved path; NULL: the job names none */
  const char *checkpoint; /* resolved folder of its checkpoints; NULL: the job keeps none */
  tct_dtype dtype;
  uint64_t seed;
  int64_t epochs, batch_size;
  int64_t steps;       /* 0: no limit */
  bool has_validation; /* a split or files of its own */
  bool has_test;
  bool classifies;     /* the loss is a categorical cross-entropy: outputs are scores of classes */
} tct_job_info;
TCT_API void tct_job_describe(const tct_job *job, tct_job_info *out);

typedef enum tct_job_part { TCT_JOB_TRAIN, TCT_JOB_VALIDATION, TCT_JOB_TEST, TCT_JOB_N_PARTS } tct_job_part;

/* A part of the data, ready for the model: split, converted to the model's types, standardised with the training
 * split's moments. Opened at the first call; owned by the job. TCT_NOT_FOUND when the job has no such part. */
TCT_API tct_status tct_job_dataset(tct_job *job, tct_job_part part, tct_dataset **out) TCT_CHECKED;
/* The program's own data in place of what the job says; the job keeps a reference. It is used as it is. */
TCT_API void tct_job_use(tct_job *job, tct_job_part part, tct_dataset *data);

/* A file of inputs without targets, for predictions: IDX images (plain or .gz), .npy, .csv (features only; header and
 * delimiter as in the job's CSV) or text, by its extension and the job's own format; made ready as the job's data is. The
 * path is the process's own. Owned by the job, until the next call. */
TCT_API tct_status tct_job_open_inputs(tct_job *job, const char *path, tct_dataset **out) TCT_CHECKED;

/* Names of the classes, where the data or the model file has names; 0 and NULL otherwise. */
TCT_API int32_t tct_job_n_classes(const tct_job *job);
TCT_API const char *tct_job_class_name(const tct_job *job, int32_t class_id);

/* The model, compiled for the job's device with its loss, optimizer and metrics; built at the first call, owned by the job.
 * Input shapes come from `model.inputs`, else from the training data. */
TCT_API tct_status tct_job_model(tct_job *job, tct_model **out) TCT_CHECKED;

/* Trains as the job says. Of `hooks` progress, on_step, user, callbacks (behind the job's own), prefetch, resume and
 * cancel are used; NULL: none. With `train.steps` exactly so many steps, over as many epochs as they take. */
TCT_API tct_status tct_job_train(tct_job *job, const tct_fit_options *hooks) TCT_CHECKED;
TCT_API tct_status tct_job_evaluate(tct_job *job, tct_job_part part, tct_evaluation *out) TCT_CHECKED;
/* The model's output for every sample of `data` (tct_predict). *out is owned by the caller (tct_job_release), dense in the
 * dtype and shape of *out_desc: [n_samples, output shape…]. */
TCT_API tct_status tct_job_predict(tct_job *job, tct_dataset *data, tct_desc *out_desc, void **out) TCT_CHECKED;
TCT_API void tct_job_release(void *memory); /* NULL is fine */
/* tct_model_save with the job's text. path NULL: the job's `save`. */
TCT_API tct_status tct_job_save(tct_job *job, const char *path) TCT_CHECKED;

/* The job as YAML after overrides, with what was learnt from the data so far (input shapes, moments, class names), so
 * that it stands without the training data, and without `checkpoint`: that belongs to a run, not to its model. Owned by the job until its next call. */
TCT_API tct_status tct_job_text(tct_job *job, const char **out) TCT_CHECKED;

TCT_END_DECLS
#endif
