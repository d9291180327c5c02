/* tercet lint --tpu JOB: how ready a job is for a TPU. Each finding says what costs how much, what to write instead, and what the
 * model predicts of it. */
#include "modelled.h"

#include <math.h>
#include <string.h>

enum { MOST_FINDINGS = 64 };

typedef struct finding {
  char where[64], what[240], rewrite[240];
  double gain; /* share of the step's time that the rewrite saves; NaN: not predicted */
} finding;

typedef struct findings {
  finding of[MOST_FINDINGS];
  int n;
} findings;

static finding *found(findings *f, const char *where, double gain) {
  finding *const last = &f->of[f->n < MOST_FINDINGS ? f->n++ : MOST_FINDINGS - 1];
  *last = (finding){.gain = gain};
  (void)snprintf(last->where, sizeof last->where, "%s", where);
  return last;
}

/* ---- products ---- */

static bool is_product(const modelled_step *s) {
  return strcmp(s->info.op, "matmul") == 0 || strncmp(s->info.op, "conv2d", 6) == 0;
}

/* Seconds of a product of these extents, its operands dense f32. */
static double product_seconds(const tct_chip *chip, int64_t m, int64_t k, int64_t n) {
  tct_chip_time t;
  const tct_product p = {.m = m, .k = k, .n = n,
                         .x_bytes = tct_chip_bytes(chip, &(tct_desc){TCT_F32, TCT_SHAPE(m, k)}),
                         .w_bytes = tct_chip_bytes(chip, &(tct_desc){TCT_F32, TCT_SHAPE(k, n)}),
                         .y_bytes = tct_chip_bytes(chip, &(tct_desc){TCT_F32, TCT_SHAPE(m, n)})};
  if (tct_chip_product(chip, &p, &t) == TCT_OK) return t.total / chip->clock;
  tct_error_clear();
  return NAN;
}

/* A first convolution of few channels leaves most rows of the array idle. One of an even stride is folded by the compiler
 * (space-to-depth); of another, patches are cut beforehand: the window's places are channels. */
static void few_channels(const modelled *m, const modelled_step *s, findings *f) {
  if (strcmp(s->info.op, "conv2d") != 0) return;
  const tct_conv2d_attrs *const a = s->info.node->attrs;
  const int64_t channels = a->w_shape[2], filters = a->w_shape[3] / a->groups, taps = a->w_shape[0] * a->w_shape[1];
  if (channels > 4 || a->groups != 1 || taps == 1 || s->seconds < 0.02 * m->sum.seconds) return;
  const tct_shape *const y = &s->info.node->out[0].shape;
  const double cut = product_seconds(&m->chip, y->dim[0] * y->dim[1] * y->dim[2], channels * taps, filters);
  if (!(cut < s->seconds)) return;
  finding *const x = found(f, s->info.name, (s->seconds - cut) / m->sum.seconds);
  (void)snprintf(x->what, sizeof x->what, "%lld channel%s of %lld rows of the array: %.1f %% of its work is useful, %.1f %% of the step's time",
                 (long long)channels, channels == 1 ? "" : "s", (long long)m->chip.array_rows, 100 * s->of[0] / s->cycles,
                 100 * s->cycles / m->sum.cycles);
  (void)snprintf(x->rewrite, sizeof x->rewrite, "cut the image into patches beforehand: one product of %lld inputs instead of %lld of %lld",
                 (long long)(channels * taps), (long long)taps, (long long)channels);
}

static int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* Columns of the last tile that do nothing. */
static void odd_width(const modelled *m, const modelled_step *s, findings *f) {
  if (strcmp(s->info.op, "matmul") != 0 && strcmp(s->info.op, "conv2d") != 0) return;
  const tct_shape *const y = &s->info.node->out[0].shape;
  const int64_t width = y->dim[y->rank - 1], tile = m->chip.array_cols, full = up(width, tile);
  const double waste = 1 - (double)width / (double)full;
  if (s->phase != MODELLED_FORWARD || width < tile / 4 || waste < 0.15 || s->seconds < 0.02 * m->sum.seconds) return;
  finding *const x = found(f, s->info.name, NAN);
  (void)snprintf(x->what, sizeof x->what, "%lld outputs fill %lld columns of the array: %.0f %% of them idle", (long long)width,
                 (long long)full, 100 * waste);
  const int64_t less = width / tile * tile;
  if (less > 0)
    (void)snprintf(x->rewrite, sizeof x->rewrite, "%lld outputs (%.0f %% less work) or %lld (the same time)", (long long)less,
                   100 * (1 - (double)less / (double)full), (long long)full);
  else
    (void)snprintf(x->rewrite, sizeof x->rewrite, "%lld outputs: the same time", (long long)full);
}

/* ---- shares of the step ---- */

static void vector_bound(const modelled *m, findings *f) {
  const double share = m->sum.of[3] / m->sum.cycles;
  const modelled_step *most = NULL;
  for (int32_t i = 0; i < m->n; i++) {
    if (most == NULL || m->step[i].of[3] > most->of[3]) most = &m->step[i];
  }
  if (share < 0.2 || most == NULL) return;
  finding *const x = found(f, most->info.name, NAN);
  (void)snprintf(x->what, sizeof x->what, "the vector unit works %.0f %% of the time, most on this %s (%.0f %% of the step)", 100 * share,
                 most->info.op, 100 * most->of[3] / m->sum.cycles);
  (void)snprintf(x->rewrite, sizeof x->rewrite, "fewer or cheaper ones: a norm or an activation less, dropout only where it is needed");
}

static void update_bound(const modelled *m, findings *f) {
  double update = 0;
  for (int32_t i = 0; i < m->n; i++) update += m->step[i].phase == MODELLED_UPDATE ? m->step[i].seconds : 0;
  if (update < 0.2 * m->sum.seconds) return;
  finding *const x = found(f, "optimizer", update / m->sum.seconds / 2);
  (void)snprintf(x->what, sizeof x->what, "updating the weights takes %.0f %% of the step: it moves every weight and its state through HBM, whatever the batch",
                 100 * update / m->sum.seconds);
  (void)snprintf(x->rewrite, sizeof x->rewrite, "twice the batch and half as many steps; an optimizer with less state");
}

/* What HBM holds beyond the numbers. */
static void padded_memory(const modelled *m, findings *f) {
  double dense = 0, padded = 0, worst = 0;
  const modelled_step *most = NULL;
  for (int32_t i = 0; i < m->n; i++) {
    const tct_node_view *const node = m->step[i].info.node;
    for (int32_t o = 0; o < node->n_out; o++) {
      const double own = (double)tct_shape_size(&node->out[o].shape) * (double)tct_dtype_bytes(node->out[o].dtype);
      const double there = tct_chip_bytes(&m->chip, &node->out[o]);
      dense += own;
      padded += there;
      if (there - own <= worst) continue;
      worst = there - own;
      most = &m->step[i];
    }
  }
  if (most == NULL || padded < 1.3 * dense || padded < 1e6) return;
  char shape[160];
  finding *const x = found(f, most->info.name, NAN);
  (void)snprintf(x->what, sizeof x->what, "results take %.3g MB in HBM's tiles of %lldx%lld, %.3g MB of it numbers; most is lost on %.80s",
                 padded * 1e-6, (long long)m->chip.sublanes, (long long)m->chip.lanes, dense * 1e-6,
                 tct_shape_print(&most->info.node->out[0].shape, shape, sizeof shape));
  (void)snprintf(x->rewrite, sizeof x->rewrite, "channels in multiples of %lld, or a batch that is one", (long long)m->chip.lanes);
}

/* The batch over PCIe against the step that should hide it. */
static void input_bound(const modelled *m, findings *f) {
  double bytes = 0;
  for (int32_t i = 0; i < tct_model_n_inputs(m->model); i++) {
    tct_desc one;
    if (tct_model_input_desc(m->model, i, &one) != TCT_OK) {
      tct_error_clear();
      return;
    }
    bytes += (double)m->batch * (double)tct_shape_size(&one.shape) * (double)tct_dtype_bytes(one.dtype);
  }
  const double seconds = bytes / m->chip.pcie;
  if (seconds <= m->sum.seconds) return;
  finding *const x = found(f, "input", 1 - m->sum.seconds / seconds);
  (void)snprintf(x->what, sizeof x->what, "a batch of %.3g MB takes %.3g ms over PCIe, the step %.3g ms: the chip waits for its input",
                 bytes * 1e-6, seconds * 1e3, m->sum.seconds * 1e3);
  (void)snprintf(x->rewrite, sizeof x->rewrite, "send bytes and convert on the chip; the gain is that of input in no time");
}

/* Sums of gradients that outlast the backward pass. */
static void link_bound(const modelled *m, findings *f) {
  const double wait = m->sum.of[MODELLED_CLASSES - 1];
  if (wait < 0.1 * m->sum.cycles) return;
  finding *const x = found(f, "links", wait / m->sum.cycles);
  (void)snprintf(x->what, sizeof x->what, "the gradients' sums over %lld chips outlast the backward pass: %.0f %% of the step waits for them",
                 (long long)m->chip.chips, 100 * wait / m->sum.cycles);
  (void)snprintf(x->rewrite, sizeof x->rewrite, "a larger batch on fewer chips; the gain is that of links without delay");
}

static void host_steps(const modelled *m, findings *f) {
  for (int32_t i = 0; i < m->n; i++) {
    if (strcmp(m->step[i].info.device, m->device) == 0) continue;
    finding *const x = found(f, m->step[i].info.name, m->step[i].seconds / m->sum.seconds);
    (void)snprintf(x->what, sizeof x->what, "%s runs on the host: out over PCIe, a stop, and back, %.1f %% of the step's time",
                   m->step[i].info.op, 100 * m->step[i].cycles / m->sum.cycles);
    (void)snprintf(x->rewrite, sizeof x->rewrite, "ops that the chip has");
  }
}

/* A last batch of another size is another program: compiled once more. */
static void partial_batch(const modelled *m, findings *f) {
  tct_dataset *data = NULL;
  if (tct_job_dataset(m->job, TCT_JOB_TRAIN, &data) != TCT_OK) {
    tct_error_clear(); /* nothing about the data then */
    return;
  }
  const int64_t n = tct_dataset_samples(data), rest = n % m->batch;
  if (rest == 0 || n < m->batch) return;
  finding *const x = found(f, "data", NAN);
  (void)snprintf(x->what, sizeof x->what, "%lld samples leave a last batch of %lld: another shape, another compilation", (long long)n,
                 (long long)rest);
  int64_t fitting = m->batch;
  while (n % fitting != 0) fitting--;
  if (fitting >= m->batch / 2)
    (void)snprintf(x->rewrite, sizeof x->rewrite, "a batch of %lld divides the samples", (long long)fitting);
  else
    (void)snprintf(x->rewrite, sizeof x->rewrite, "leave the last %lld samples of an epoch out", (long long)rest);
}

/* Larger batches, by the model: the first that takes less than nine tenths of the time for a sample. */
static void small_batch(const modelled *m, findings *f) {
  const double now = m->sum.seconds / (double)m->batch;
  double best = now;
  int64_t at = m->batch;
  for (int64_t batch = 2 * m->batch; batch <= 16 * m->batch && batch <= 16384; batch *= 2) {
    modelled_step sum;
    if (modelled_at_batch(m, batch, true, &sum) != TCT_OK) {
      tct_error_clear(); /* it does not fit into HBM, say */
      break;
    }
    if (sum.seconds / (double)batch > 0.95 * best) break;
    best = sum.seconds / (double)batch;
    at = batch;
  }
  if (best > 0.9 * now) return;
  finding *const x = found(f, "batch", 1 - best / now);
  (void)snprintf(x->what, sizeof x->what, "a batch of %lld leaves the arrays %.0f %% busy: weight gradients sum over it, and starting an op costs the same for one sample",
                 (long long)m->batch, 100 * (m->sum.of[0] + m->sum.of[1]) / m->sum.cycles);
  (void)snprintf(x->rewrite, sizeof x->rewrite, "a batch of %lld: %.3g us a sample instead of %.3g", (long long)at, best * 1e6, now * 1e6);
}

/* ---- the report ---- */

static void print_text(const modelled *m, const findings *f, double array_share, double macs_useful) {
  printf("%s on %s, training step, batch %lld: %.4g ms (modelled, not measured)\n", m->info.name, m->device, (long long)m->batch,
         m->sum.seconds * 1e3);
  printf("  arrays work %.1f %% of the time, %.1f %% of that on products that are needed; vector unit %.1f %%, waiting for HBM %.1f %%\n",
         100 * array_share, 100 * macs_useful, 100 * m->sum.of[3] / m->sum.cycles, 100 * m->sum.of[4] / m->sum.cycles);
  if (f->n == 0) printf("nothing found\n");
  for (int i = 0; i < f->n; i++) {
    const finding *const x = &f->of[i];
    printf("\n%d. %s: %s\n   instead: %s\n", i + 1, x->where, x->what, x->rewrite);
    if (isfinite(x->gain)) printf("   predicted: %.0f %% of the step's time saved\n", 100 * x->gain);
  }
}

static void print_json(const modelled *m, const findings *f, double array_share, double macs_useful) {
  json_t *const object = json_object(), *const rows = json_array();
  json_object_set_new(object, "modelled", json_true());
  json_object_set_new(object, "device", json_string(m->device));
  json_object_set_new(object, "batch", json_integer(m->batch));
  json_object_set_new(object, "seconds", tool_number(m->sum.seconds));
  json_object_set_new(object, "arrays_share", tool_number(array_share));
  json_object_set_new(object, "useful_share", tool_number(macs_useful));
  for (int i = 0; i < f->n; i++) {
    json_t *const row = json_object();
    json_object_set_new(row, "where", json_string(f->of[i].where));
    json_object_set_new(row, "what", json_string(f->of[i].what));
    json_object_set_new(row, "instead", json_string(f->of[i].rewrite));
    json_object_set_new(row, "saves", tool_number(f->of[i].gain));
    json_array_append_new(rows, row);
  }
  json_object_set_new(object, "findings", rows);
  tool_print_json(object);
}

static int run_lint(const tool_options *options) {
  if (!options->tpu) return tool_usage("lint: for what? --tpu is the only kind");
  modelled m;
  const int code = modelled_open(options, true, &m);
  if (code != TOOL_OK) {
    modelled_free(&m);
    return code;
  }
  static findings f;
  f.n = 0;
  const double busy = m.sum.of[0] + m.sum.of[1], array_share = busy / m.sum.cycles, useful = busy > 0 ? m.sum.of[0] / busy : 0;
  for (int32_t i = 0; i < m.n; i++) {
    if (!is_product(&m.step[i])) continue;
    few_channels(&m, &m.step[i], &f);
    odd_width(&m, &m.step[i], &f);
  }
  vector_bound(&m, &f);
  update_bound(&m, &f);
  padded_memory(&m, &f);
  input_bound(&m, &f);
  link_bound(&m, &f);
  host_steps(&m, &f);
  partial_batch(&m, &f);
  small_batch(&m, &f); /* last: it may take the step's program away */
  if (options->json) print_json(&m, &f, array_share, useful);
  else print_text(&m, &f, array_share, useful);
  modelled_free(&m);
  return tool_finish();
}

const tool_command tool_lint = {
    .name = "lint",
    .letter = 'l',
    .argument = "JOB",
    .summary = "what keeps a job from running well on a TPU",
    .about = "Compiles the job's training step for a simulated TPU (--device tpu:CHIP; tpu:v3 where the job names none),\n"
             "runs nothing, and lists what costs time there: channels and widths that leave the array idle, a batch too\n"
             "small, the vector unit or the optimizer in the way, padding in memory, input over PCIe, ops that only the\n"
             "host has. Each finding names the rewrite and, where the model can tell, the time that it saves. Times are\n"
             "modelled, never measured.\n\n"
             "Examples:\n"
             "  tercet lint --tpu examples/glyphs.yaml\n"
             "  tercet lint --tpu examples/glyphs.yaml --device tpu:v5e --batch 512 --json\n",
    .run = run_lint};
