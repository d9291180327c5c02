/* The ready-made callbacks, driven by rows of values: what they decide, and that a state saved after any epoch and loaded
 * into a new callback makes no difference. */
#include <tercet/tercet.h>
#include <errno.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/file.h"
#include "base/status.h"
#include "faults.h"
#include "io/events.h"
#include "nn/model.h"
#include "test.h"
#include "train/callbacks.h"

enum { MOST = 12 };

/* One sample, one weight: a step sets the weight to what the row's epoch says. */
static tct_model *tiny(void) {
  tct_model *m = tct_model_create("tiny", TCT_F32);
  tct_layer_dense(tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(1)), &(tct_dense_layer){.units = 1, .use_bias = TCT_OFF});
  OK(tct_model_compile(m, &(tct_training){.loss = "mse", .metrics = "r2", .optimizer = {.type = "sgd", .learning_rate = 0.8}}));
  return m;
}

static const char *const value_names[] = {"loss", "r2", "val_loss", "val_r2"};

static tct_progress at(int64_t epoch, const double *values, bool end) {
  return (tct_progress){.epoch = epoch, .epochs = MOST, .step = 3, .steps = 3, .total_step = 3 * (epoch + 1), .epoch_end = end,
                        .n_values = end ? 4 : 2, .names = value_names, .values = values, .seconds = 1, .learning_rate = 0.5,
                        .step_loss = values[0]};
}

static void hear_begin(tct_callback *c, tct_model *m, bool resumed) {
  static const double zeros[4] = {0};
  tct_progress p = at(0, zeros, true);
  p.epoch_end = false;
  p.resumed = resumed;
  if (c->train_begin != NULL) OK(c->train_begin(c->user, m, &p));
}

static void hear_epoch(tct_callback *c, tct_model *m, int64_t epoch, const double *values) {
  const tct_progress step = at(epoch, values, false), end = at(epoch, values, true);
  if (c->step_end != NULL) OK(c->step_end(c->user, m, &step));
  if (c->epoch_end != NULL) OK(c->epoch_end(c->user, m, &end));
}

static void hear_end(tct_callback *c, tct_model *m) {
  static const double zeros[4] = {0};
  const tct_progress p = at(0, zeros, true);
  if (c->train_end != NULL) OK(c->train_end(c->user, m, &p, TCT_OK));
}

/* The callback goes, and another one goes on with its state. */
static void hand_over(tct_callback *c, tct_model *m, void (*create)(tct_callback *out, const void *row), const void *row) {
  tct_callback next;
  static char state[TCT_CALLBACK_STATE_BYTES];
  OK(c->save_state(c->user, state, sizeof state));
  tct_callback_release(c);
  create(&next, row);
  OK(next.load_state(next.user, state));
  *c = next;
  hear_begin(c, m, true);
}

/* ---- EarlyStopping ---- */

typedef struct stopping_row {
  tct_early_stopping_options options;
  double values[MOST];
  int n, stops, best; /* the epoch that stops it, -1: none; the epoch whose weights return, -1: the last */
} stopping_row;

static const stopping_row stopping[] = {
    {{0}, {3, 2, 1, 1.5, 1}, 5, 3, -1},
    {{.patience = 2}, {3, 2, 2, 1.9, 2, 2, 1}, 7, 5, -1},
    {{.patience = 2, .min_delta = 0.5}, {3, 2.6, 2.2, 2.1}, 4, -1, -1}, /* 2.2 is 0.8 below 3 */
    {{.patience = 2, .min_delta = 0.5}, {3, 2.6, 2.55, 1}, 4, 2, -1},
    {{.patience = 3, .restore_best_weights = true}, {3, 1, 2, 2, 2, 0}, 6, 4, 1},
    {{.patience = 9, .restore_best_weights = true}, {3, 1, 2, 2, 2}, 5, -1, 1}, /* Keras restores without stopping too */
    {{.mode = "max"}, {1, 2, 1}, 3, 2, -1},
    {{.monitor = "val_r2", .patience = 2}, {0.1, 0.2, 0.2, 0.1}, 4, 3, -1}, /* auto: r² rises */
    {{.monitor = "loss", .mode = "min"}, {1, 1}, 2, 1, -1},
    {{.has_baseline = true, .baseline = 1, .patience = 3}, {3, 2.9, 2.8, 2.7, 2.7}, 5, 4, -1}, /* improving, not enough */
    {{.has_baseline = true, .baseline = 1, .patience = 3}, {3, 0.9, 2, 2, 2}, 5, 4, -1},
    {{.start_from_epoch = 3}, {1, 2, 3, 4, 3, 3}, 6, 5, -1},
    {{.patience = 2}, {(double)NAN, (double)INFINITY, 2, 1, (double)NAN, (double)NAN}, 6, 1, -1},
};

static void create_stopping(tct_callback *out, const void *row) {
  OK(tct_early_stopping_create(&((const stopping_row *)row)->options, out));
}

/* Weight and values of an epoch; every value is the row's. */
static void set_weight(tct_model *m, float w) { OK(tct_model_write(m, "dense/kernel", &w, sizeof w)); }

static void run_stopping(size_t r, int cut) {
  const stopping_row *row = &stopping[r];
  tct_model *m = tiny();
  tct_callback c;
  create_stopping(&c, row);
  CHECK(strcmp(c.name, "early_stopping") == 0);
  m->fitting = true;
  hear_begin(&c, m, false);
  int stopped = -1;
  for (int e = 0; e < row->n && stopped < 0; e++) {
    const double v[4] = {row->values[e], row->values[e], row->values[e], row->values[e]};
    set_weight(m, (float)e);
    hear_epoch(&c, m, e, v);
    if (m->stop) stopped = e;
    if (e == cut) hand_over(&c, m, create_stopping, row);
  }
  CHECK(stopped == row->stops, "row %zu, cut %d: stopped after %d, wanted %d", r, cut, stopped, row->stops);
  const int last = stopped >= 0 ? stopped : row->n - 1;
  hear_end(&c, m);
  m->fitting = m->stop = false;
  float w = -1;
  OK(tct_model_read(m, "dense/kernel", &w, sizeof w));
  CHECK((int)w == (row->best >= 0 ? row->best : last), "row %zu, cut %d: the weights of epoch %g", r, cut, (double)w);
  tct_callback_release(&c);
  tct_model_free(m);
}

TEST(ready_callbacks, early_stopping) {
  for (size_t r = 0; r < sizeof stopping / sizeof *stopping; r++) {
    for (int cut = -1; cut < stopping[r].n; cut++) run_stopping(r, cut);
  }
}

/* ---- ReduceLROnPlateau ---- */

typedef struct plateau_row {
  tct_reduce_lr_options options;
  double values[MOST], rates[MOST];
  int n;
} plateau_row;

static const plateau_row plateaus[] = {
    {{.patience = 2, .factor = 0.5}, {3, 2, 2, 2, 2, 2, 1}, {.8, .8, .8, .4, .4, .2, .2}, 7},
    {{.patience = 1, .factor = 0.5, .min_lr = 0.3}, {1, 1, 1, 1}, {.8, .4, .3, .3}, 4},
    {{.patience = 1, .factor = 0.5, .cooldown = 2}, {1, 1, 1, 1, 1, 1}, {.8, .4, .4, .2, .2, .1}, 6},
    {{.patience = 1, .factor = 0.5}, {1, 0.99995, 0.9999, 0.9}, {.8, .4, .2, .2}, 4}, /* changes below 1e-4 */
    {{.patience = 1, .factor = 0.5, .min_delta = -1}, {1, 0.99995, 0.9999, 0.9}, {.8, .8, .8, .8}, 4},
    {{.patience = 1, .factor = 0.5, .monitor = "val_r2"}, {.1, .2, .2}, {.8, .8, .4}, 3},
};

static void create_plateau(tct_callback *out, const void *row) {
  OK(tct_reduce_lr_create(&((const plateau_row *)row)->options, out));
}

TEST(ready_callbacks, reduce_lr_on_plateau) {
  for (size_t r = 0; r < sizeof plateaus / sizeof *plateaus; r++) {
    const plateau_row *row = &plateaus[r];
    for (int cut = -1; cut < row->n; cut++) {
      tct_model *m = tiny();
      tct_callback c;
      create_plateau(&c, row);
      hear_begin(&c, m, false);
      for (int e = 0; e < row->n; e++) {
        const double v[4] = {row->values[e], row->values[e], row->values[e], row->values[e]};
        hear_epoch(&c, m, e, v);
        CHECK(fabs(tct_learning_rate(m) - row->rates[e]) < 1e-12, "row %zu, cut %d: %g after epoch %d, wanted %g", r, cut,
              tct_learning_rate(m), e, row->rates[e]);
        if (e != cut) continue;
        hand_over(&c, m, create_plateau, row);
      }
      hear_end(&c, m);
      tct_callback_release(&c);
      tct_model_free(m);
    }
  }
}

/* ---- logs ---- */

static char *folder_of(const char *name) {
  static char path[512];
  snprintf(path, sizeof path, "%s/callbacks_%s_%d", TCT_BINARY_DIR, name, (int)getpid());
  return path;
}

static size_t slurp(const char *path, char *text, size_t bytes) {
  FILE *file = fopen(path, "rb");
  CHECK(file != NULL, "%s is not there", path);
  const size_t n = fread(text, 1, bytes - 1, file);
  text[n] = '\0';
  fclose(file);
  return n;
}

static void create_csv(tct_callback *out, const void *path) {
  OK(tct_csv_logger_create(&(tct_csv_logger_options){.filename = path}, out));
}
static void create_json(tct_callback *out, const void *path) {
  OK(tct_json_logger_create(&(tct_json_logger_options){.filename = path, .per_step = true}, out));
}

/* Four epochs; after the epoch `cut` the state is saved, one more epoch is logged and lost, and a new callback goes on. */
static void write_log(void (*create)(tct_callback *out, const void *path), const char *path, int cut) {
  tct_model *m = tiny();
  tct_callback c;
  create(&c, path);
  hear_begin(&c, m, false);
  for (int e = 0; e < 4; e++) {
    const double v[4] = {1.0 / (e + 1), e == 2 ? (double)NAN : 0.5, 0.1 * e, -e};
    hear_epoch(&c, m, e, v);
    if (e != cut) continue;
    static char state[TCT_CALLBACK_STATE_BYTES];
    OK(c.save_state(c.user, state, sizeof state));
    hear_epoch(&c, m, 99, v);
    hear_end(&c, m);
    tct_callback_release(&c);
    create(&c, path);
    OK(c.load_state(c.user, state));
    hear_begin(&c, m, true);
  }
  hear_end(&c, m);
  tct_callback_release(&c);
  tct_model_free(m);
}

static const char csv_wanted[] = "epoch,loss,r2,val_loss,val_r2\n"
                                 "0,1,0.5,0,0\n"
                                 "1,0.5,0.5,0.1,-1\n"
                                 "2,0.3333333333,nan,0.2,-2\n"
                                 "3,0.25,0.5,0.3,-3\n";

TEST(ready_callbacks, logs_resume_without_lost_or_double_rows) {
  static char text[4096], whole[4096];
  const char *path = folder_of("log");
  write_log(create_json, path, -1);
  slurp(path, whole, sizeof whole);
  CHECK(strncmp(whole, "{\"step\": 2, \"step_loss\": 1}\n{\"epoch\": 0, \"step\": 2, \"learning_rate\": 0.5, \"seconds\": 1, "
                "\"loss\": 1, \"r2\": 0.5, \"val_loss\": 0, \"val_r2\": 0}\n", 120) == 0, "%s", whole);
  CHECK(strstr(whole, "\"r2\": null") != NULL, "%s", whole);
  for (int cut = -1; cut < 4; cut++) {
    write_log(create_csv, path, cut);
    slurp(path, text, sizeof text);
    CHECK(strcmp(text, csv_wanted) == 0, "cut %d:\n%s", cut, text);
    write_log(create_json, path, cut);
    slurp(path, text, sizeof text);
    CHECK(strcmp(text, whole) == 0, "cut %d:\n%s", cut, text);
  }
  tct_callback c;
  tct_model *m = tiny();
  OK(tct_csv_logger_create(&(tct_csv_logger_options){.filename = path, .append = true, .separator = ";"}, &c));
  hear_begin(&c, m, false);
  const double v[4] = {1, 2, 3, 4};
  hear_epoch(&c, m, 7, v);
  hear_end(&c, m);
  tct_callback_release(&c);
  slurp(path, text, sizeof text);
  CHECK(strncmp(text, whole, strlen(whole)) == 0 && strcmp(text + strlen(whole), "7;1;2;3;4\n") == 0, "%s", text);
  tct_model_free(m);
  remove(path);
}

/* The checksum's published check value, and the first record of every event file, as TensorFlow writes it. */
TEST(ready_callbacks, event_records) {
  CHECK(tct_crc32c("123456789", 9) == 0xe3069283u);
  static char bytes[256];
  const char *path = folder_of("events");
  tct_file_out *file = NULL;
  OK(tct_file_create(path, &file));
  OK(tct_events_begin(file, 0));
  OK(tct_events_scalar(file, 1.5, 300, "loss", 0.25));
  OK(tct_file_close(file));
  const size_t n = slurp(path, bytes, sizeof bytes);
  static const unsigned char wanted[] = {24, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22, /* length and its checksum */
                                         9, 0, 0, 0, 0, 0, 0, 0, 0, 26, 13, 'b', 'r', 'a', 'i', 'n', '.', 'E', 'v', 'e', 'n', 't', ':', '2'};
  CHECK(memcmp(bytes, wanted, 8) == 0 && memcmp(bytes + 12, wanted + 12, 24) == 0);
  CHECK(memcmp(bytes + 8, wanted + 8, 4) == 0, "%02x %02x %02x %02x", (unsigned char)bytes[8], (unsigned char)bytes[9],
        (unsigned char)bytes[10], (unsigned char)bytes[11]);
  static const unsigned char scalar[] = {9, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 16, 0xac, 2, 42, 13, 10, 11,
                                         10, 4, 'l', 'o', 's', 's', 21, 0, 0, 0x80, 0x3e};
  CHECK(n == 40 + 12 + sizeof scalar + 4 && memcmp(bytes + 52, scalar, sizeof scalar) == 0, "%zu bytes", n);
  remove(path);
}

/* A tag has its limit, and a disk that is full is seen by whichever part of a record it meets. */
TEST(ready_callbacks, event_refusals) {
  char tag[202];
  memset(tag, 'a', sizeof tag);
  tag[201] = '\0';
  const char *path = folder_of("events");
  for (size_t pad = 0; pad < 72; pad++) {
    tct_file_out *file = NULL;
    OK(tct_file_create(path, &file));
    if (pad == 0) FAILS(tct_events_scalar(file, 1.5, 300, tag, 0.25), TCT_INVALID, "is longer than 200 bytes");
    tag[200] = '\0';
    OK(tct_events_scalar(file, 1.5, 300, tag, 0.25));
    OK(tct_file_append(file, tag, pad));
    (void)fault_file(1, ENOSPC);
    tct_status status = TCT_OK;
    for (int i = 0; i < 100000 && status == TCT_OK; i++) status = tct_events_scalar(file, 1.5, i, "loss", 0.25);
    CHECK(status == TCT_IO && strstr(tct_error_message(), "No space left") != NULL, "%zu: %s", pad, tct_error_message());
    (void)fault_file(0, 0);
    CHECK(tct_file_close(file) == TCT_IO, "what failed stays failed");
  }
  remove(path);
}

/* ---- ModelCheckpoint ---- */

static bool is_there(const char *folder, const char *name) {
  char path[640];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return access(path, F_OK) == 0;
}

typedef struct checkpoint_row {
  tct_model_checkpoint_options options; /* filepath below the folder */
  const char *stays; /* comma-separated, of what may be there */
} checkpoint_row;

static char checkpoint_folder[520];

static void create_checkpoint(tct_callback *out, const void *row) {
  tct_model_checkpoint_options o = ((const checkpoint_row *)row)->options;
  char path[640];
  snprintf(path, sizeof path, "%s/%s", checkpoint_folder, o.filepath);
  o.filepath = path;
  OK(tct_model_checkpoint_create(&o, out));
}

TEST(ready_callbacks, model_checkpoint) {
  static const checkpoint_row rows[] = {
      {{.filepath = "{epoch:02d}"}, "01,02,03,04,05,"},
      {{.filepath = "{epoch:02d}", .save_best_only = true}, "01,02,04,"},
      {{.filepath = "{epoch:02d}", .keep = 2}, "04,05,"},
      {{.filepath = "{epoch:02d}", .keep = 1}, "04,05,"}, /* the best is number 4 */
      {{.filepath = "{epoch:02d}", .keep = 1, .monitor = "r2"}, "03,05,"},
      {{.filepath = "{epoch:02d}", .keep = 1, .save_best_only = true}, "04,"},
      {{.filepath = "one", .keep = 1}, "one,"},
      {{.filepath = "{epoch}_{val_loss:.2f}", .save_best_only = true}, "1_3.00,2_2.00,4_1.50,"},
      {{.filepath = "s{step:04d}_{loss:.1e}", .save_freq = 6}, "s0006_2.0e+00,s0012_1.5e+00,"},
      {{.filepath = "g{epoch}{loss:06.3g}{r2:3}", .keep = 1, .monitor = "loss"}, "g40001.5  3,g5000004  2,"},
  };
  static const char *const all[] = {"01", "02", "03", "04", "05", "one", "1_3.00", "2_2.00", "3_2.50", "4_1.50", "5_4.00",
                                    "s0003_3.0e+00", "s0006_2.0e+00", "s0009_2.5e+00", "s0012_1.5e+00", "s0015_4.0e+00", "g40001.5  3", "g5000004  2"};
  static const double values[] = {3, 2, 2.5, 1.5, 4};
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    for (int cut = -1; cut < 5; cut++) {
      snprintf(checkpoint_folder, sizeof checkpoint_folder, "%s/deep", folder_of("checkpoint"));
      tct_model *m = tiny();
      tct_callback c;
      create_checkpoint(&c, &rows[r]);
      hear_begin(&c, m, false);
      for (int e = 0; e < 5; e++) {
        const double v[4] = {values[e], values[(e + 2) % 5], values[e], 0};
        set_weight(m, (float)e);
        hear_epoch(&c, m, e, v);
        if (e == cut) hand_over(&c, m, create_checkpoint, &rows[r]);
      }
      hear_end(&c, m);
      tct_callback_release(&c);
      char stays[256] = "";
      for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!is_there(checkpoint_folder, all[i])) continue;
        snprintf(stays + strlen(stays), sizeof stays - strlen(stays), "%s,", all[i]);
        char path[640];
        snprintf(path, sizeof path, "%s/%s", checkpoint_folder, all[i]);
        OK(tct_model_load(m, path));
        remove(path);
      }
      CHECK(strcmp(stays, rows[r].stays) == 0, "row %zu, cut %d: %s stay, wanted %s", r, cut, stays, rows[r].stays);
      tct_model_free(m);
      CHECK(rmdir(checkpoint_folder) == 0, "row %zu: more files than were known", r);
    }
  }
  CHECK(rmdir(folder_of("checkpoint")) == 0);
}

/* A state is the content of a folder that others may have written: it removes no file but those of the filepath, and fewer
 * of them than before when fewer are to stay. */
TEST(ready_callbacks, model_checkpoint_removes_only_its_own_files) {
  static const struct {
    const char *name;
    bool goes;
  } files[] = {{"m1-0.50.net", true}, {"m2--1e+05.net", true}, {"m3-nan.net", true}, {"m3.net", false}, {"n1-0.50.net", false},
               {"m1-0.50.nets", false}, {"m1-0x.net", false}, {"sub/m1-0.50.net", false}, {"m../m1-0.50.net", false}};
  char folder[560], path[640], state[8192] = "";
  snprintf(folder, sizeof folder, "%s", folder_of("own"));
  for (int best = 0; best < 2; best++) {
    int n = snprintf(state, sizeof state, "{\"has_best\": true, \"best\": 9, \"best_path\": \"%s/%s\", \"saved\": [", folder,
                     best ? "n1-0.50.net" : "m1-0.50.net");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
      snprintf(path, sizeof path, "%s/%s", folder, files[i].name);
      OK(tct_make_folder_of(path));
      FILE *file = fopen(path, "wb");
      CHECK(file != NULL && fclose(file) == 0, "%s", path);
      n += snprintf(state + n, sizeof state - (size_t)n, "%s\"%s\"", i > 0 ? ", " : "", path);
    }
    snprintf(state + n, sizeof state - (size_t)n, "]}");
    snprintf(path, sizeof path, "%s/m{epoch}-{val_loss:.2f}.net", folder);
    tct_model *m = tiny();
    tct_callback c;
    OK(tct_model_checkpoint_create(&(tct_model_checkpoint_options){.filepath = path, .keep = 1}, &c));
    OK(c.load_state(c.user, state));
    hear_begin(&c, m, true);
    const double v[4] = {1, 1, 1, 1};
    hear_epoch(&c, m, 6, v);
    tct_callback_release(&c);
    tct_model_free(m);
    CHECK(is_there(folder, "m7-1.00.net"));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
      CHECK(is_there(folder, files[i].name) == !files[i].goes, "%s, best %d", files[i].name, best);
      snprintf(path, sizeof path, "%s/%s", folder, files[i].name);
      remove(path);
    }
    static const char *const left[] = {"m7-1.00.net", "sub", "m..", "."};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
      snprintf(path, sizeof path, "%s/%s", folder, left[i]);
      CHECK(remove(path) == 0 || strcmp(left[i], ".") == 0, "%s", path);
    }
    CHECK(rmdir(folder) == 0);
  }
}

/* ---- refusals ---- */

static void check_empty(const tct_callback *c) {
  CHECK(c->name == NULL && c->user == NULL && c->train_begin == NULL && c->step_end == NULL && c->epoch_end == NULL &&
            c->train_end == NULL && c->release == NULL,
        "hooks stay after a failure");
}

/* ---- faults ---- */

static char fault_folder[520];

static tct_status create_kind(int kind, tct_callback *out) {
  char path[640];
  snprintf(path, sizeof path, "%s/x", fault_folder);
  switch (kind) {
  case 0: return tct_early_stopping_create(&(tct_early_stopping_options){.patience = 5, .restore_best_weights = true}, out);
  case 1: return tct_reduce_lr_create(&(tct_reduce_lr_options){.factor = 0.5, .patience = 1}, out);
  case 2: return tct_csv_logger_create(&(tct_csv_logger_options){.filename = path}, out);
  case 3: return tct_json_logger_create(&(tct_json_logger_options){.filename = path, .per_step = true}, out);
  case 4: return tct_tensorboard_create(&(tct_tensorboard_options){.log_dir = fault_folder, .update_freq = 1}, out);
  default:
    snprintf(path, sizeof path, "%s/{epoch:03d}-{loss:8.2f}", fault_folder);
    return tct_model_checkpoint_create(&(tct_model_checkpoint_options){.filepath = path, .keep = 1, .metadata_job = "job"}, out);
  }
}

/* Two epochs, and in another callback with its state two more. */
static tct_status live(int kind, tct_model *m) {
  static char state[TCT_CALLBACK_STATE_BYTES];
  static const double values[4][4] = {{3, 0, 3, 0}, {2, 0, 2, 0}, {4, 0, 4, 0}, {4, 0, 4, 0}}, zeros[4];
  tct_status status = TCT_OK;
  for (int life = 0; life < 2 && status == TCT_OK; life++) {
    tct_callback c = {0};
    TCT_TRY(create_kind(kind, &c));
    tct_progress p = at(0, zeros, true);
    p.epoch_end = false;
    p.resumed = life > 0;
    if (life > 0 && c.load_state != NULL) status = c.load_state(c.user, state);
    if (status == TCT_OK && c.train_begin != NULL) status = c.train_begin(c.user, m, &p);
    for (int e = 2 * life; e < 2 * life + 2 && status == TCT_OK; e++) {
      const tct_progress step = at(e, values[e], false), end = at(e, values[e], true);
      if (c.step_end != NULL) status = c.step_end(c.user, m, &step);
      if (status == TCT_OK && c.epoch_end != NULL) status = c.epoch_end(c.user, m, &end);
    }
    if (status == TCT_OK && c.save_state != NULL) status = c.save_state(c.user, state, sizeof state);
    if (status == TCT_OK && c.train_end != NULL) status = c.train_end(c.user, m, &p, TCT_OK);
    tct_callback_release(&c);
  }
  return status;
}

/* Allocations, then file calls. */
TEST(ready_callbacks, whatever_fails_in_a_callback_is_its_error) {
  tct_model *m = tiny();
  scratch_make(fault_folder);
  m->fitting = true;
  for (int kind = 0; kind < 6; kind++) {
    for (int files = 0; files <= 1; files++) {
      spare_disk();
      OK(live(kind, m));
      const int64_t made = tct_alloc_live();
      bool struck = true;
      int64_t nth = 1;
      for (; struck; nth++) {
        if (files) (void)fault_file(nth, EIO);
        else (void)fault_alloc(nth);
        const tct_status status = live(kind, m);
        struck = files ? fault_file(0, 0) : fault_alloc(0);
        CHECK(status == TCT_OK || (struck && status == (files ? TCT_IO : TCT_OUT_OF_MEMORY)), "kind %d, %s %d: %s: %s", kind,
              files ? "call" : "allocation", (int)nth, tct_status_name(status), tct_error_message());
        CHECK(tct_alloc_live() == made && nth < 2000, "kind %d, %s %d leaks", kind, files ? "call" : "allocation", (int)nth);
      }
      CHECK(nth > (files ? (kind < 2 ? 1 : 8) : 2), "kind %d: only %d", kind, (int)nth);
    }
  }
  m->fitting = m->stop = false;
  tct_set_file_calls(NULL);
  tct_model_free(m);
  scratch_remove(fault_folder);
}

TEST(ready_callbacks, refusals) {
  tct_callback c;
  FAILS(tct_early_stopping_create(&(tct_early_stopping_options){.patience = -1}, &c), TCT_INVALID, "patience -1");
  CHECK(c.user == NULL && c.name == NULL);
  FAILS(tct_early_stopping_create(&(tct_early_stopping_options){.mode = "up"}, &c), TCT_INVALID, "needs auto, min or max");
  FAILS(tct_reduce_lr_create(&(tct_reduce_lr_options){.factor = 1}, &c), TCT_INVALID, "0 < factor < 1");
  FAILS(tct_csv_logger_create(NULL, &c), TCT_INVALID, "CSVLogger: filename is missing");
  check_empty(&c);
  FAILS(tct_csv_logger_create(&(tct_csv_logger_options){.filename = "x", .separator = ""}, &c), TCT_INVALID, "separator ''");
  FAILS(tct_json_logger_create(NULL, &c), TCT_INVALID, "JSONLogger: filename is missing");
  check_empty(&c);
  FAILS(tct_model_checkpoint_create(NULL, &c), TCT_INVALID, "filepath is missing");
  FAILS(tct_model_checkpoint_create(&(tct_model_checkpoint_options){.filepath = "x", .keep = 101}, &c), TCT_INVALID, "keep 101");
  FAILS(tct_tensorboard_create(&(tct_tensorboard_options){.update_freq = -1}, &c), TCT_INVALID, "update_freq is -1");
  FAILS(tct_terminate_on_nan_create("", &c), TCT_INVALID, "needs 1 to 63 bytes");
  check_empty(&c);
  static const struct {
    const char *filepath, *part;
  } rows[] = {{"a{epoch", "'{epoch}' is no place"}, {"{epoch:.2f}", "is no place"}, {"{val_los:.2f}", "did you mean 'val_loss'?"},
              {"{}", "is no place"}, {"{val_loss:d}", "is no place"}, {"{loss:5q}", "is no place"}};
  tct_model *m = tiny();
  static const double zeros[4] = {0};
  const tct_progress p = at(0, zeros, true);
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    OK(tct_model_checkpoint_create(&(tct_model_checkpoint_options){.filepath = rows[r].filepath}, &c));
    FAILS(c.train_begin(c.user, m, &p), TCT_INVALID, r == 0 ? "is no place" : rows[r].part);
    tct_callback_release(&c);
  }
  static const char *const no_places[] = {"{:d}", "{epoch:.2d}", "{epoch:f}", "{epoch:21d}", "{loss:.18f}", "{loss:200f}", "{loss:.200f}", "{loss:.2ff}",
                                          "{loss:.}x{", "{a-name-longer-than-any-value-has-forty-bytes}", "{epoch:d", "{loss:,}"};
  for (size_t r = 0; r < sizeof no_places / sizeof *no_places; r++) {
    OK(tct_model_checkpoint_create(&(tct_model_checkpoint_options){.filepath = no_places[r]}, &c));
    FAILS(c.train_begin(c.user, m, &p), TCT_INVALID, "is no place for a value; write {epoch:03d}, {val_loss:.4f}");
    tct_callback_release(&c);
  }
  OK(tct_model_checkpoint_create(&(tct_model_checkpoint_options){.filepath = "{zzzzzzzzzzzz}"}, &c));
  FAILS(c.train_begin(c.user, m, &p), TCT_INVALID, "the fit has no value 'zzzzzzzzzzzz'");
  tct_callback_release(&c);
  FAILS(tct_model_checkpoint_create(&(tct_model_checkpoint_options){.filepath = ""}, &c), TCT_INVALID, "filepath is missing");
  FAILS(tct_model_checkpoint_create(&(tct_model_checkpoint_options){.filepath = "x", .keep = -1}, &c), TCT_INVALID, "keep -1");
  FAILS(tct_model_checkpoint_create(&(tct_model_checkpoint_options){.filepath = "x", .save_freq = -1}, &c), TCT_INVALID, "save_freq -1");
  FAILS(tct_model_checkpoint_create(&(tct_model_checkpoint_options){.filepath = "x", .name = ""}, &c), TCT_INVALID, "needs 1 to 63 bytes");
  FAILS(tct_model_checkpoint_create(&(tct_model_checkpoint_options){.filepath = "x", .mode = "up"}, &c), TCT_INVALID, "needs auto, min or max");
  FAILS(tct_early_stopping_create(&(tct_early_stopping_options){.name = ""}, &c), TCT_INVALID, "needs 1 to 63 bytes");
  FAILS(tct_early_stopping_create(&(tct_early_stopping_options){.start_from_epoch = -1}, &c), TCT_INVALID, "start_from_epoch -1");
  FAILS(tct_reduce_lr_create(&(tct_reduce_lr_options){.factor = 0.5, .patience = 1, .name = ""}, &c), TCT_INVALID, "needs 1 to 63 bytes");
  FAILS(tct_reduce_lr_create(&(tct_reduce_lr_options){.factor = 0.5, .patience = 1, .mode = "up"}, &c), TCT_INVALID, "needs auto, min or max");
  FAILS(tct_reduce_lr_create(&(tct_reduce_lr_options){.factor = -0.5, .patience = 1}, &c), TCT_INVALID, "0 < factor < 1");
  FAILS(tct_reduce_lr_create(&(tct_reduce_lr_options){.factor = 0.5, .patience = 1, .cooldown = -1}, &c), TCT_INVALID, "cooldown");
  FAILS(tct_reduce_lr_create(&(tct_reduce_lr_options){.factor = 0.5, .patience = 1, .min_lr = -1}, &c), TCT_INVALID, "min_lr");
  FAILS(tct_csv_logger_create(&(tct_csv_logger_options){.filename = ""}, &c), TCT_INVALID, "filename is missing");
  FAILS(tct_csv_logger_create(&(tct_csv_logger_options){.filename = "x", .name = ""}, &c), TCT_INVALID, "needs 1 to 63 bytes");
  FAILS(tct_csv_logger_create(&(tct_csv_logger_options){.filename = "x", .separator = "12345678"}, &c), TCT_INVALID, "separator '12345678'");
  FAILS(tct_json_logger_create(&(tct_json_logger_options){.filename = "x", .name = ""}, &c), TCT_INVALID, "needs 1 to 63 bytes");
  FAILS(tct_tensorboard_create(&(tct_tensorboard_options){.name = ""}, &c), TCT_INVALID, "needs 1 to 63 bytes");
  OK(tct_tensorboard_create(NULL, &c));
  FAILS(c.load_state(c.user, "{\"train\": 1}"), TCT_BAD_DATA, "state in the checkpoint");
  FAILS(c.load_state(c.user, "{\"train\": 1, \"validation\": 2}"), TCT_BAD_DATA, "has no text 'stamp'");
  FAILS(c.load_state(c.user, "{\"train\": 1, \"validation\": 2, \"stamp\": \"../../x\"}"), TCT_BAD_DATA, "the state's stamp is '../../x'");
  tct_callback_release(&c);
  OK(tct_early_stopping_create(&(tct_early_stopping_options){.monitor = "val_lss"}, &c));
  FAILS(c.train_begin(c.user, m, &p), TCT_INVALID, "loss, r2, val_loss, val_r2; did you mean 'val_loss'?");
  FAILS(c.load_state(c.user, "{\"wait\": \"x\"}"), TCT_BAD_DATA, "state in the checkpoint");
  FAILS(c.load_state(c.user, "{"), TCT_BAD_DATA, "state in the checkpoint");
  const tct_progress unheld = at(0, zeros, false);
  FAILS(c.train_begin(c.user, m, &unheld), TCT_INVALID, "give validation data");
  tct_callback_release(&c);
  OK(tct_model_checkpoint_create(&(tct_model_checkpoint_options){.filepath = "x", .save_freq = 2, .save_best_only = true}, &c));
  FAILS(c.train_begin(c.user, m, &p), TCT_INVALID, "monitor 'val_loss'");
  FAILS(c.load_state(c.user, "{\"has_best\": true, \"best\": 1, \"saved\": [1]}"), TCT_BAD_DATA, "best_path");
  FAILS(c.load_state(c.user, "{\"has_best\": true, \"best\": 1, \"best_path\": \"\", \"saved\": [1]}"), TCT_BAD_DATA, "no text");
  tct_callback_release(&c);
  OK(tct_csv_logger_create(&(tct_csv_logger_options){.filename = "/proc/none/x"}, &c));
  FAILS(c.train_begin(c.user, m, &p), TCT_NOT_FOUND, "/proc/none");
  tct_callback_release(&c);
  FAILS(tct_learning_rate_set(m, -1), TCT_INVALID, "learning rate -1");
  CHECK(isnan(tct_learning_rate(NULL)));
  tct_model_free(m);
}
