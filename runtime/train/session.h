/* A compiled model: device, variables, what was asked for, and the programs made so far (one per batch size and mode). */
#ifndef TCT_TRAIN_SESSION_H
#define TCT_TRAIN_SESSION_H

#include <tercet/train.h>
#include "base/arena.h"
#include "nn/losses.h"
#include "nn/model.h"
#include "nn/optimizers.h"
#include "train/metrics.h"

typedef enum tct_mode { TCT_MODE_TRAIN, TCT_MODE_EVALUATE, TCT_MODE_PREDICT } tct_mode;

#define TCT_MAX_PROGRAMS 16
#define TCT_MOST_EPOCHS 1000000 /* of a fit: the history has a row for each */
#define TCT_MOST_LOSS_SCALE 0x1p24

typedef struct tct_cached_program {
  tct_program *program;
  tct_mode mode;
  int64_t batch;
  bool weighted;
  int64_t used; /* for replacing the least recently used */
} tct_cached_program;

typedef struct tct_history {
  char (*names)[40]; /* owned */
  double *values;    /* [n_epochs, n_values]; owned */
  int32_t n_values, n_epochs, cap_epochs;
} tct_history;

typedef struct tct_session {
  tct_device *device;       /* owned */
  tct_variables *variables; /* owned */
  char device_spec[TCT_DEVICE_SPEC];
  int32_t n_threads;
  uint64_t seed;
  bool fallback_host, nondeterministic;
  tct_dtype precision; /* F32, BF16, F16 */
  double loss_scale;   /* the first; f16 only */
  const tct_loss_type *loss;
  tct_loss_settings loss_settings;
  tct_optimizer_plan optimizer; /* its rate is the one in force; callbacks may change it */
  double compiled_rate;         /* the one that was asked for */
  tct_schedule_options schedule;
  tct_metric_list metrics;
  int32_t n_sums; /* of the "sums" output: total loss, data loss, then the metrics' */
  tct_cached_program programs[TCT_MAX_PROGRAMS];
  int32_t n_programs;
  int64_t clock;
  double learning_rate; /* on the device now; -1: not known */
  tct_history history;
  int64_t *confusion; /* [n_classes, n_classes]; owned; NULL until asked for */
} tct_session;

/* The compiled model's session, or an error that says what is missing. */
tct_status tct_session_of(tct_model *model, tct_session **out) TCT_CHECKED;
/* A variable beside the model's, made with zeros when it is not there: what a callback keeps with the weights (the best
 * ones so far). Its name begins with "callbacks/", and a checkpoint of all variables holds it too. */
tct_status tct_session_keep(tct_session *session, const char *name, const tct_desc *desc) TCT_CHECKED;
bool tct_has_variable(const tct_variables *variables, const char *name);
/* Copies variable `name` of `from` to variable `as` of `to`, which is like it. */
tct_status tct_copy_variable(tct_variables *from, const char *name, tct_variables *to, const char *as) TCT_CHECKED;
/* The learning rate that the next step's updates read, on the device; nothing is sent when it is there. */
tct_status tct_session_write_rate(tct_model *model, double rate) TCT_CHECKED;
/* The program of a mode and batch size, compiled when it is not there. */
tct_status tct_session_program(tct_model *model, tct_mode mode, int64_t batch, bool weighted, tct_program **out)
    TCT_CHECKED;

/* What a dataset must give: its fields matched to the model's inputs, target and weight, converted where that is safe. */
typedef struct tct_feed {
  tct_dataset *data; /* owned reference: the dataset, or a conversion of it */
  int32_t n_ports;
  struct {
    const char *name; /* the model's, or static */
    int32_t field;
    size_t bytes; /* of one sample */
  } port[20];
  int32_t target_field, weight_field; /* ports; -1: none */
  bool weighted;                      /* the step has an input "weight" */
  const double *class_weight;         /* borrowed; NULL: none */
  int32_t n_class_weights;
  void *weights; /* of a batch's samples with their classes' */
} tct_feed;
tct_status tct_feed_create(tct_model *model, tct_dataset *data, tct_mode mode, tct_feed *out) TCT_CHECKED;
void tct_feed_free(tct_feed *feed);
/* Copies a batch into the program; checks labels against the number of classes. */
tct_status tct_feed_batch(const tct_model *model, const tct_feed *feed, tct_program *program, const tct_batch *batch)
    TCT_CHECKED;

/* How many classes a class weight may be of: the loss's, where a sample has one class; else 0. */
int64_t tct_class_count(const tct_model *model);
/* Multiplies each sample's weight with that of its class, `weight`[class] of the first n classes, which stays the caller's
 * while the feed is used; batches are of batch_size samples at most. */
tct_status tct_feed_weigh_classes(const tct_model *model, const double *weight, int32_t n, int64_t batch_size,
                                  tct_feed *feed) TCT_CHECKED;
/* Fills feed->weights; labels are in range. */
void tct_feed_weigh_batch(const tct_model *model, const tct_feed *feed, const tct_batch *batch);

/* tct_evaluate, given up with TCT_CANCELLED between two batches when *cancel (may be NULL) is not 0. */
tct_status tct_evaluate_unless(tct_model *model, tct_dataset *data, int64_t batch_size, const volatile int *cancel,
                               tct_evaluation *out) TCT_CHECKED;
/* The training step without fusion, on the session's variables; the caller frees it. */
tct_status tct_compile_plain(tct_model *model, bool weighted, int64_t batch, tct_program **out) TCT_CHECKED;
/* The error for a training step whose loss is not finite: looks through the batch, which names a sample, else runs the step
 * again and names the op. */
tct_status tct_explain_loss(tct_model *model, const tct_feed *feed, const tct_batch *batch, int64_t step, double loss)
    TCT_CHECKED;

/* float16: an error when the last step was left out with the least loss scale there is, as all that follow would be. */
tct_status tct_check_loss_scale(const tct_session *session) TCT_CHECKED;

/* Running sums of an epoch, in double. */
typedef struct tct_totals {
  double sums[2 + TCT_MAX_METRICS * TCT_MAX_SUMS];
  double samples;
} tct_totals;
/* Reads the program's "sums" and adds them; the batch's losses are without penalties, and with them. */
tct_status tct_totals_add(const tct_session *session, tct_program *program, const tct_model *model, int64_t n,
                          tct_totals *totals, double *out_data_loss, double *out_total_loss) TCT_CHECKED;
/* loss and running metrics, in the order of their names: values[1 + metrics.n_running]. */
void tct_totals_finish(const tct_session *session, const tct_model *model, const tct_totals *totals, double *values);

#endif
