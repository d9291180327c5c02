/* Ready-made callbacks for tct_fit, with Keras' names, options and meanings. Each create function fills a tct_callback;
 * put it into tct_fit_options.callbacks, and give it to tct_callback_release after the fit. Options NULL: all defaults;
 * a zero member is the default. All keep what they know in a checkpoint, so that a fit that resumes goes on as if it had
 * never ended: patience goes on counting, logs go on behind the checkpoint's last row.
 *
 * What is *monitored* is a value of tct_progress by its name: "loss", "val_loss", "val_accuracy" …; a name that the fit
 * does not have is an error before the first step. Mode "auto" (or NULL) is "max" for metrics of which more is better and
 * "min" for the rest. A value that is not finite is never an improvement. */
#ifndef TERCET_CALLBACKS_H
#define TERCET_CALLBACKS_H

#include <tercet/train.h>

TCT_BEGIN_DECLS

/* Ends the fit (tct_fit_stop) when the monitored value has not improved for `patience` epochs. */
typedef struct tct_early_stopping_options {
  const char *name;          /* NULL: "early_stopping" */
  const char *monitor;       /* NULL: "val_loss" */
  const char *mode;          /* "auto", "min", "max" */
  int64_t patience;          /* 0, which as in Keras means the same as 1 */
  double min_delta;          /* 0: a smaller change is no improvement */
  bool has_baseline;
  double baseline;           /* improvements that do not reach it do not end the waiting */
  int64_t start_from_epoch;  /* 0-based; earlier epochs are not looked at */
  /* When the fit ends with TCT_OK, stopped or not, the weights of the best epoch return. They wait on the device, where they take
   * the room of the model once more. */
  bool restore_best_weights;
  uint64_t reserved[4];
} tct_early_stopping_options;
TCT_API tct_status tct_early_stopping_create(const tct_early_stopping_options *options, tct_callback *out) TCT_CHECKED;

/* Ends the fit with TCT_OK, after the step, when a step's loss is not finite; without it such a loss is TCT_NUMERIC. */
TCT_API tct_status tct_terminate_on_nan_create(const char *name, tct_callback *out) TCT_CHECKED; /* "terminate_on_nan" */

/* Multiplies the learning rate by `factor` when the monitored value has not improved for `patience` epochs. */
typedef struct tct_reduce_lr_options {
  const char *name;    /* NULL: "reduce_lr_on_plateau" */
  const char *monitor; /* NULL: "val_loss" */
  const char *mode;    /* "auto", "min", "max" */
  double factor;       /* 0.1; below 1 */
  int64_t patience;    /* 10 */
  double min_delta;    /* 1e-4; negative: 0 */
  int64_t cooldown;    /* 0: epochs after a reduction that do not count */
  double min_lr;       /* 0 */
  uint64_t reserved[4];
} tct_reduce_lr_options;
TCT_API tct_status tct_reduce_lr_create(const tct_reduce_lr_options *options, tct_callback *out) TCT_CHECKED;

/* Writes the model (tct_model_save, atomic) at the end of epochs. `filepath` may hold {epoch} (from 1, as in Keras), {step} and
 * the values' names, with a format behind a colon: "w-{epoch:03d}-{val_loss:.4f}.safetensors". Its folder is made. */
typedef struct tct_model_checkpoint_options {
  const char *name;         /* NULL: "model_checkpoint" */
  const char *filepath;     /* required */
  const char *monitor;      /* NULL: "val_loss" */
  const char *mode;         /* "auto", "min", "max" */
  bool save_best_only;      /* only when the monitored value improved */
  int64_t save_freq;        /* 0: each epoch; n: every n steps, where val_… values do not exist */
  int64_t keep;             /* 0: all files; n: the last n, and the best one where the monitored value exists */
  const char *metadata_job; /* as in tct_model_save; copied */
  uint64_t reserved[4];
} tct_model_checkpoint_options;
TCT_API tct_status tct_model_checkpoint_create(const tct_model_checkpoint_options *options, tct_callback *out) TCT_CHECKED;

/* A row per epoch: its number from 0, then the values in the order of tct_progress (Keras sorts them by name); on a device whose
 * clock is a model's then modelled_seconds, modelled_useful (share), modelled_joules and modelled_dollars, of all since the
 * device was opened (tct_forecast_so_far); a fit that resumes counts on from its checkpoint's. */
typedef struct tct_csv_logger_options {
  const char *name;      /* NULL: "csv_logger" */
  const char *filename;  /* required; its folder is made; "-" is standard output */
  const char *separator; /* NULL: "," */
  bool append;           /* go on behind what the file holds; else it begins anew */
  uint64_t reserved[4];
} tct_csv_logger_options;
TCT_API tct_status tct_csv_logger_create(const tct_csv_logger_options *options, tct_callback *out) TCT_CHECKED;

/* A JSON object per line and epoch: {"epoch": 0, "step": 375, "learning_rate": …, "seconds": …, "loss": …, "val_loss": …}; with
 * `per_step` also one per step, {"step": 0, "step_loss": …}. `step` counts as on_step does, from 0; of an epoch it is that of
 * its last step. A modelled device's figures stand behind, as in CSVLogger. A number that is not finite is null. */
typedef struct tct_json_logger_options {
  const char *name;     /* NULL: "json_logger" */
  const char *filename; /* required; its folder is made; "-" is standard output */
  bool append;
  bool per_step;
  uint64_t reserved[4];
} tct_json_logger_options;
TCT_API tct_status tct_json_logger_create(const tct_json_logger_options *options, tct_callback *out) TCT_CHECKED;

/* Event files that TensorBoard shows: the folders train and validation below log_dir, with the scalars epoch_loss,
 * epoch_accuracy …, epoch_learning_rate over epochs and, every `update_freq` steps, batch_loss … over steps. */
typedef struct tct_tensorboard_options {
  const char *name;    /* NULL: "tensorboard" */
  const char *log_dir; /* NULL: "logs" */
  int64_t update_freq; /* 0: epochs only */
  uint64_t reserved[4];
} tct_tensorboard_options;
TCT_API tct_status tct_tensorboard_create(const tct_tensorboard_options *options, tct_callback *out) TCT_CHECKED;

TCT_END_DECLS
#endif
