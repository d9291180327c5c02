/* Level 3, jobs: compile a model for a device, fit, evaluate, predict, save. */
#ifndef TERCET_TRAIN_H
#define TERCET_TRAIN_H

#include <tercet/data.h>
#include <tercet/nn.h>

TCT_BEGIN_DECLS

/* Keras' names: "sgd", "adam", "adamw", "rmsprop", "adagrad". A zero takes the default beside it; to turn something off
 * whose default is on, give -1; other negative numbers are refused. Formulas: tct_update_attrs in <tercet/attrs.h>. */
typedef struct tct_optimizer {
  const char *type;     /* NULL: "adam" */
  double learning_rate; /* sgd 0.01, others 0.001 */
  double momentum;      /* sgd, rmsprop: 0 */
  bool nesterov;        /* sgd */
  double beta_1, beta_2, epsilon; /* adam, adamw: 0.9, 0.999, 1e-7; adagrad: epsilon 1e-7; rmsprop: epsilon 1e-7 */
  double rho;           /* rmsprop: 0.9 */
  bool centered;        /* rmsprop */
  double initial_accumulator_value; /* adagrad: 0.1 */
  double weight_decay;  /* decoupled: w ← w − lr·weight_decay·w, every weight, as in Keras; adamw: 0.004 */
  double l1, l2;        /* added to the gradient only: g + l1·sign(w) + l2·w, every weight, as in PyTorch */
  double clipvalue;     /* each gradient element to ±clipvalue */
  double global_clipnorm; /* all gradients scaled so that their joint norm is at most this */
  double clipnorm;      /* each weight's gradient scaled so that its norm is at most this; not with global_clipnorm */
  uint64_t reserved[3];
} tct_optimizer;

/* The learning rate at step t (0-based) of T: warm-up rises linearly, (t+1)/warmup_steps, then
 *   constant  1
 *   step      decay_rate ^ ⌊(t − warm-up)/decay_steps⌋
 *   cosine    alpha + (1 − alpha)·(1 + cos(π·(t − warm-up)/(T − warm-up)))/2   (Loshchilov & Hutter, 2017)
 * times the optimizer's learning_rate. */
typedef struct tct_schedule_options {
  const char *type;     /* NULL: "constant" */
  int64_t warmup_steps;
  int64_t decay_steps;  /* step: required; cosine: T, 0 means the whole fit */
  double decay_rate;    /* step: 0.1 */
  double alpha;         /* cosine: 0 */
} tct_schedule_options;

typedef struct tct_training {
  /* "sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy", "mean_squared_error" ("mse"),
   * "mean_absolute_error" ("mae"), "huber", "hinge", "squared_hinge", "categorical_hinge", "kl_divergence" ("kld").
   * Cross-entropies of an output that ends in softmax or sigmoid are computed from its logits, and refused for the other
   * of the two; an output without one is taken as logits. */
  const char *loss;
  double label_smoothing; /* cross-entropies */
  double huber_delta;     /* 0: 1 */
  tct_optimizer optimizer;
  tct_schedule_options schedule;
  /* Comma-separated: "accuracy", "top_k=5", "mse", "mae", "r2", "confusion_matrix"; of a binary cross-entropy "precision",
   * "recall", "f1", at the probability ½ and over all samples: TP/(TP+FP), TP/(TP+FN), 2·TP/(2·TP+FP+FN), 0 for 0/0.
   * Known at the end of an evaluation only, so that a fit has them as val_… values, behind the other metrics:
   *   of several classes "precision=macro", "=micro", "=weighted", recall and f1 likewise, named "precision_macro": the mean
   *   over the classes that occur, of their counts together, the mean by their numbers of samples (scikit-learn);
   *   "roc_auc": Mann–Whitney's U ÷ (positives × negatives), ties counted ½ (Hanley & McNeil 1982); "pr_auc": average
   *   precision, Σ (Rₙ − Rₙ₋₁)·Pₙ over the distinct scores; of the second of two classes, of more the mean of each against
   *   the rest. Exact: all scores are kept and sorted. NaN, with a warning in the log, where a class (or its rest, for
   *   roc_auc) has no sample. Sample weights do not enter metrics. */
  const char *metrics;
  const char *device; /* NULL: "cpu" */
  int32_t n_threads;  /* 0: default */
  uint64_t seed;
  bool fallback_host;
  bool nondeterministic; /* tct_device_options: runs of one seed may differ in bits where that is faster */
  /* NULL or "float32"; "bfloat16" or "float16" (Keras' "mixed_bfloat16", "mixed_float16"): mixed precision. Products and
   * what lies between them are stored so; arithmetic is f32, and so are weights, optimizer state, sums and the loss,
   * attention's ln Σ e^s, and LSTM and GRU as a whole. */
  const char *precision;
  /* float16: the loss is multiplied by a scale, the gradients divided by it, so that small ones do not vanish. A step whose
   * gradients are not finite writes nothing and halves the scale; 2000 steps in a row without one double it (Keras'
   * LossScaleOptimizer). This is the first scale; 0: 32768. */
  double loss_scale;
  uint64_t reserved[2];
} tct_training;

/* Opens the device and fixes loss, optimizer and metrics; weights get their first values. May be called again (weights are
 * kept when the device is the same, else drawn anew; the optimizer's state begins anew). Refused settings leave an earlier
 * compilation in place. */
TCT_API tct_status tct_model_compile(tct_model *model, const tct_training *training) TCT_CHECKED;

/* The optimizer's learning rate, which the schedule's factor multiplies; a new one holds from the next step on. */
TCT_API double tct_learning_rate(const tct_model *model); /* NaN: not compiled */
TCT_API tct_status tct_learning_rate_set(tct_model *model, double learning_rate) TCT_CHECKED;

/* The device of a compiled model, owned by it; NULL before. */
TCT_API tct_device *tct_model_device(const tct_model *model);

/* ---- fit ---- */

/* What a progress callback sees. Values are means over the epoch so far. */
typedef struct tct_progress {
  int64_t epoch, epochs;      /* 0-based, and how many */
  int64_t step, steps;        /* in this epoch: steps done, and how many */
  int64_t total_step;         /* since the fit began */
  bool epoch_end;             /* once per epoch, with the val_… metrics */
  bool resumed;               /* the fit goes on from a checkpoint */
  int32_t n_values;
  const char *const *names;   /* "loss", "accuracy", "val_loss" … */
  const double *values;
  double samples_per_second;  /* of this epoch */
  double seconds;             /* since the epoch began */
  double input_wait_seconds;  /* of them: waiting for data */
  double learning_rate;       /* the optimizer's now, times the schedule's factor of the last step (or the first) */
  double step_loss;           /* the last step's data loss, from before its update, without penalties */
  double upload_seconds;      /* of `seconds`: checking the batch's labels and handing it to the device */
} tct_progress;
/* Return TCT_CANCELLED to end the run cleanly after this step and its hooks. */
typedef tct_status (*tct_progress_fn)(void *user, const tct_progress *progress);
/* After each step: its number since the fit began, and the data loss from before its update (without penalties). */
typedef tct_status (*tct_step_fn)(void *user, int64_t step, double loss);

/* A callback, as in Keras: hooks around a fit, each may be NULL. They run on the thread that called tct_fit, the callbacks
 * of a fit in their order, and see the model between two steps: they may evaluate, predict, read, write and save it. To
 * compile it, to free it and to fit it again is refused until tct_fit has returned. A hook that returns TCT_CANCELLED ends
 * the fit with that status after the other hooks of this step or epoch; any other error ends it at once with that error.
 * Ready-made ones: <tercet/callbacks.h>. */
typedef struct tct_callback {
  const char *name; /* unique within a fit: names the state in a checkpoint */
  void *user;
  /* Before the first step. The names are all that the fit will have; the values are 0. */
  tct_status (*train_begin)(void *user, tct_model *model, const tct_progress *progress);
  /* After each step, with the means over the epoch so far. */
  tct_status (*step_end)(void *user, tct_model *model, const tct_progress *progress);
  /* After each epoch and its validation, with the val_… values. */
  tct_status (*epoch_end)(void *user, tct_model *model, const tct_progress *progress);
  /* Once for every train_begin, however the fit ends; `outcome` is what tct_fit is about to return. An error here is
   * returned only if there was none before. */
  tct_status (*train_end)(void *user, tct_model *model, const tct_progress *progress, tct_status outcome);
  /* What must survive in a checkpoint, as JSON text, NUL-terminated, in at most `text_bytes` (TCT_CALLBACK_STATE_BYTES);
   * between two steps. */
  tct_status (*save_state)(void *user, char *text, size_t text_bytes);
  /* The text of save_state; before train_begin, whose progress then says `resumed`. A train_begin without it begins anew. */
  tct_status (*load_state)(void *user, const char *text);
  /* Frees `user`; called by tct_callback_release, never by tct_fit. */
  void (*release)(void *user);
  void *reserved[4];
} tct_callback;
#define TCT_CALLBACK_STATE_BYTES 65536
TCT_API void tct_callback_release(tct_callback *callback); /* leaves {0}; NULL and {0} are fine */

/* Checkpoints of a fit: pairs of files checkpoint-N.safetensors and checkpoint-N.json with all that the rest of the fit
 * depends on, each written atomically, synced and checksummed. One is saved when it is due, when the fit is cancelled and
 * when it ends. One fit at a time uses a folder. A save that fails on the way is an error line in the log and is tried
 * again when the next one is due; the last one's failure is the fit's. */
typedef struct tct_checkpoint_options {
  const char *folder;   /* NULL: no checkpoints; made when it is not there */
  int64_t every_steps;  /* 0: not by steps; both 0: after each epoch */
  double every_seconds; /* of wall time, after the step in which they have passed; 0: not by time */
  int32_t keep;         /* how many stay, the newest ones; 0: 2, which is the least */
  uint64_t reserved[2];
} tct_checkpoint_options;

typedef struct tct_fit_options {
  int64_t epochs;           /* 0: 1 */
  int64_t batch_size;       /* 0: 32 */
  tct_dataset *validation;  /* or: */
  double validation_split;  /* the last fraction of the data, before shuffling (Keras) */
  bool no_shuffle;
  bool drop_remainder;
  int64_t steps;            /* stop after this many; 0: no limit */
  int32_t prefetch;         /* as in tct_loader_options */
  tct_progress_fn progress; /* about ten times a second, and at each epoch's end */
  tct_step_fn on_step;
  void *user;
  const tct_callback *callbacks; /* [n_callbacks]; before progress at each step and epoch, after on_step */
  int32_t n_callbacks;
  tct_checkpoint_options checkpoint;
  /* Goes on from the folder's newest whole checkpoint, or begins when it has none. On the CPU the fit then ends with the
   * same bits as one that was never interrupted. Model, loss, optimizer, seed, data and batches must be those of the fit
   * that saved it, or it is refused with all differences; epochs and steps may be more. A fit that does not resume refuses
   * a folder with checkpoints. */
  bool resume;
  /* Borrowed; looked at before every step and batch of validation. Not 0: the fit saves a checkpoint, if it has a folder,
   * and returns TCT_CANCELLED. A signal handler may set it (a sig_atomic_t), another thread by an atomic store. */
  const volatile int *cancel;
  /* Keras' class_weight: class_weight[c] multiplies the weight of each training sample of class c; classes from
   * n_class_weights on have 1. Read during the fit only. Finite, at least 0; for a loss of one class a sample: categorical
   * cross-entropies (a one-hot row is of the class of its greatest number), categorical_hinge, and binary_crossentropy of
   * one number (class 1 above ½). Validation and evaluation are without. */
  const double *class_weight;
  int32_t n_class_weights;
  uint64_t reserved[2];
} tct_fit_options;

/* Trains. The dataset's fields feed the inputs of the same names; field "y" is the target, "weight" (optional, float []) a
 * factor per sample: the loss is Σ wᵢ·lossᵢ / batch, as in Keras, where wᵢ includes the class's weight. Errors: TCT_CANCELLED after a callback asked for it (weights are those
 * of the last whole step); TCT_NUMERIC when a step's loss is not finite: the message names the sample and field of the data
 * that holds NaN or Inf, or else the first op that made one, and what it read. Such a step updates nothing. TCT_NUMERIC as
 * well after an epoch of float16 whose last step's gradients were not finite with the least loss scale, 2^-24. */
TCT_API tct_status tct_fit(tct_model *model, tct_dataset *data, const tct_fit_options *options) TCT_CHECKED;
/* Ends the model's fit with TCT_OK after the step that runs, whose epoch then counts as ended (Keras' stop_training). From a
 * callback, or any other thread. Does nothing when no fit is under way. */
TCT_API void tct_fit_stop(tct_model *model);

/* The history of the last fit: one row per epoch. names: "loss", metrics, then val_…. */
TCT_API int32_t tct_history_n_epochs(const tct_model *model);
TCT_API int32_t tct_history_n_values(const tct_model *model);
TCT_API const char *tct_history_name(const tct_model *model, int32_t i);
TCT_API double tct_history_value(const tct_model *model, int32_t epoch, int32_t i);

/* ---- evaluate, predict ---- */

#define TCT_MAX_METRICS 16
typedef struct tct_evaluation {
  int64_t n_samples;
  int32_t n_values;
  const char *names[TCT_MAX_METRICS]; /* "loss", then the metrics; owned by the model */
  double values[TCT_MAX_METRICS];
  int32_t n_classes;            /* of the confusion matrix; 0: not asked for */
  const int64_t *confusion;     /* [n_classes, n_classes] row: true class; owned by the model until the next call */
} tct_evaluation;
TCT_API tct_status tct_evaluate(tct_model *model, tct_dataset *data, int64_t batch_size, tct_evaluation *out)
    TCT_CHECKED;

/* The output for every sample: `out` is [n_samples, output shape…] of `bytes` bytes, in the model's dtype. */
TCT_API tct_status tct_predict(tct_model *model, tct_dataset *data, int64_t batch_size, void *out, size_t bytes)
    TCT_CHECKED;

/* ---- files ---- */

/* safetensors with the parameters' names and Keras' layouts, written atomically. `metadata_job` (may be NULL) is kept as
 * the file's "tercet.job": the job file that made it, so that the model file stands alone. */
TCT_API tct_status tct_model_save(tct_model *model, const char *path, const char *metadata_job) TCT_CHECKED;
/* Every parameter must be there with its shape and a float dtype (f32 ↔ f64 is converted); extra tensors are an error that
 * names them. All differences are reported together. The model must be compiled. */
TCT_API tct_status tct_model_load(tct_model *model, const char *path) TCT_CHECKED;
/* One parameter: dense data in the model's dtype. */
TCT_API tct_status tct_model_read(tct_model *model, const char *parameter, void *data, size_t bytes) TCT_CHECKED;
TCT_API tct_status tct_model_write(tct_model *model, const char *parameter, const void *data, size_t bytes) TCT_CHECKED;
/* The training step's program at `batch_size`, built when needed; owned by the model. For profiling and reports. */
TCT_API tct_status tct_model_program(tct_model *model, int64_t batch_size, bool training, tct_program **out) TCT_CHECKED;
/* The training step of the samples index[0..n) of `data`, which are in its inputs, with every node a step of its own under its
 * name (no_fusion), on the model's variables and with the optimizer's learning rate: for looking at its steps one by one
 * (tct_program_launch_step). The caller frees it, before the model. */
TCT_API tct_status tct_model_plain_program(tct_model *model, tct_dataset *data, const int64_t *index, int64_t n,
                                           tct_program **out) TCT_CHECKED;

TCT_END_DECLS
#endif
