/* The fits of resume.h. The folder and the log are those of one test at a time. */
#include "train/resume.h"
#include "base/status.h"
#include "faults.h"
#include "test.h"

static char folder[SCRATCH_BYTES];
static char lines[8192];

const char *resume_folder(void) { return folder; }

const char *resume_log(void) { return lines; }

static void keep_line(void *user, tct_log_level level, const char *line) {
  (void)user, (void)level;
  (void)snprintf(lines + strlen(lines), sizeof lines - strlen(lines), "%s\n", line);
}

void begin(void) {
  spare_disk();
  scratch_make(folder);
  lines[0] = '\0';
  tct_set_log(keep_line, NULL, TCT_LOG_WARNING);
}

tct_dataset *make_data_but(float bend, int changed) {
  static float x[N][3];
  static int32_t y[N];
  for (int i = 0; i < N; i++) {
    for (int j = 0; j < 3; j++) x[i][j] = sinf((float)(3 * i + j) * 12.9898f) * bend + (i == changed ? 1 : 0);
    y[i] = x[i][0] + x[i][1] * x[i][2] > 0;
  }
  tct_dataset *data = NULL;
  OK(tct_dataset_arrays(N, 2, (const tct_field[]){{"x", TCT_F32, TCT_SHAPE(3)}, {"y", TCT_I32, {0}}},
                        (const void *[]){x, y}, true, &data));
  return data;
}

tct_dataset *make_data(float bend) { return make_data_but(bend, -1); }

tct_model *make_model(const recipe *r) {
  tct_model *m = tct_model_create("whole", TCT_F32);
  tct_layer x = tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(3));
  x = tct_layer_dense(x, &(tct_dense_layer){.units = r->units != 0 ? r->units : 8, .activation = "relu",
                                            .kernel_regularizer = {.l2 = r->penalty != 0 ? r->penalty : 1e-4}});
  x = tct_layer_batch_normalization(x, &(tct_batch_normalization_layer){.momentum = 0.9});
  x = tct_layer_dropout(x, &(tct_dropout_layer){.rate = r->dropout != 0 ? r->dropout : 0.3});
  tct_layer_dense(x, &(tct_dense_layer){.units = 2, .activation = "softmax"});
  OK(tct_model_compile(m, &(tct_training){.loss = "sparse_categorical_crossentropy",
                                          .metrics = r->loss_metrics != NULL ? r->loss_metrics : "accuracy",
                                          .optimizer = {.type = "adam", .learning_rate = r->rate != 0 ? r->rate : 0.02},
                                          .schedule = {.type = r->constant ? "constant" : "cosine", .warmup_steps = 3},
                                          .device = r->device, .precision = r->precision, .seed = 5}));
  return m;
}

tct_fit_options options_of(const recipe *r) {
  return (tct_fit_options){.epochs = r->epochs != 0 ? r->epochs : EPOCHS, .batch_size = BATCH, .validation_split = 0.2,
                           .steps = r->steps, .prefetch = r->prefetch, .checkpoint = {.folder = folder}};
}

static uint64_t hash_of(tct_model *m) {
  uint64_t hash = 1469598103934665603u;
  static unsigned char bytes[4096];
  for (int32_t i = 0; i <= tct_model_n_parameters(m); i++) {
    const tct_parameter *p = tct_model_parameter(m, i);
    size_t n = 0;
    if (p != NULL) {
      n = (size_t)tct_shape_size(&p->desc.shape) * tct_dtype_bytes(p->desc.dtype);
      CHECK(n <= sizeof bytes);
      OK(tct_model_read(m, p->name, bytes, n));
    } else {
      for (int32_t e = 0; e < tct_history_n_epochs(m); e++) {
        for (int32_t v = 0; v < tct_history_n_values(m); v++, n += sizeof(double)) {
          const double value = tct_history_value(m, e, v);
          memcpy(bytes + n, &value, sizeof value);
        }
      }
    }
    for (size_t b = 0; b < n; b++) hash = (hash ^ bytes[b]) * 1099511628211u;
  }
  return hash;
}

uint64_t uninterrupted(const recipe *r) {
  tct_dataset *data = make_data(1);
  tct_model *m = make_model(r);
  tct_fit_options o = options_of(r);
  o.checkpoint.folder = NULL;
  OK(tct_fit(m, data, &o));
  const uint64_t hash = hash_of(m);
  tct_model_free(m);
  tct_dataset_free(data);
  return hash;
}

uint64_t run_fit(const recipe *r, const tct_fit_options *options, tct_status wanted) {
  tct_dataset *data = make_data(1);
  tct_model *m = make_model(r);
  const tct_status status = tct_fit(m, data, options);
  CHECK(status == wanted, "got %s, wanted %s: %s", tct_status_name(status), tct_status_name(wanted), tct_error_message());
  const uint64_t hash = hash_of(m);
  tct_model_free(m);
  tct_dataset_free(data);
  return hash;
}

tct_status interrupt(void *user, int64_t step, double loss) {
  interruption *const i = user;
  (void)loss;
  if (step != i->after) return TCT_OK;
  i->flag = 1;
  if (i->by_flag) return TCT_OK;
  return i->answer == TCT_IO ? tct_fail(TCT_IO, "as if killed") : i->answer;
}
