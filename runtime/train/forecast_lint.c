/* How ready a job is for a TPU: each finding says what costs how much, what to write instead, and what the model predicts of it. */
#include "train/forecast.h"

#include <math.h>
#include <string.h>
#include "base/status.h"
#include "train/job.h"

enum { MOST_FINDINGS = 64 };
enum { USEFUL = 0, PADDING = 1, VECTOR = 3, MEMORY = 4, OTHER_CHIPS = TCT_FORECAST_CLASSES - 1 }; /* classes */

typedef struct finding {
  const char *what, *instead; /* in the forecast's arena; NULL: out of memory */
} finding;

/* Past the most, the last is replaced. */
static tct_status add(tct_forecast *f, const char *where, double saves, int32_t programs, const finding *text) {
  tct_forecast_finding *const to = &f->findings[f->n_findings < MOST_FINDINGS ? f->n_findings++ : MOST_FINDINGS - 1];
  *to = (tct_forecast_finding){.where = tct_arena_strdup(&f->arena, where), .what = text->what, .instead = text->instead, .saves = saves, .saves_programs = programs};
  return to->where != NULL && to->what != NULL && to->instead != NULL ? TCT_OK : TCT_OUT_OF_MEMORY;
}

/* ---- products ---- */

/* The node of the i-th op. */
static const tct_node_view *node_of(const tct_forecast *f, int32_t i) {
  tct_step_info step;
  (void)tct_program_step(f->program, i, &step);
  return step.node;
}

/* Seconds of a product of these extents, its operands dense f32; NaN: it does not fit. */
static double product_seconds(const tct_chip *chip, int64_t m, int64_t k, int64_t n) {
  tct_chip_time t;
  const tct_product p = {.m = m, .k = k, .n = n,
                         .x_bytes = tct_chip_bytes(chip, &(tct_desc){TCT_F32, TCT_SHAPE(m, k)}),
                         .w_bytes = tct_chip_bytes(chip, &(tct_desc){TCT_F32, TCT_SHAPE(k, n)}),
                         .y_bytes = tct_chip_bytes(chip, &(tct_desc){TCT_F32, TCT_SHAPE(m, n)})};
  if (tct_chip_product(chip, &p, &t) == TCT_OK) return t.total / chip->clock;
  tct_error_clear();
  return (double)NAN;
}

static double share_of(const tct_forecast *f, const tct_forecast_row *op) { return op->cost.seconds / f->info.total.seconds; }

/* A first convolution of few channels leaves most rows of the array idle. One of an even stride is folded by the compiler
 * (space-to-depth); of another, patches are cut beforehand: the window's places are channels. */
static tct_status few_channels(tct_forecast *f, int32_t i) {
  const tct_forecast_row *const op = &f->ops[i];
  const tct_node_view *const node = node_of(f, i);
  if (strcmp(op->op, "conv2d") != 0 || op->on_host) return TCT_OK;
  const tct_conv2d_attrs *const a = node->attrs;
  const int64_t channels = a->w_shape[2], filters = a->w_shape[3] / a->groups, taps = a->w_shape[0] * a->w_shape[1];
  if (channels > 4 || a->groups != 1 || taps == 1 || share_of(f, op) < 0.02) return TCT_OK;
  const tct_shape *const y = &node->out[0].shape;
  const double cut = product_seconds(&f->info.chip, y->dim[0] * y->dim[1] * y->dim[2], channels * taps, filters);
  if (!(cut < op->cost.seconds)) return TCT_OK;
  finding x;
  x.what = tct_arena_printf(&f->arena, "%lld channel%s of %lld rows of the array: %.1f %% of its work is useful, %.1f %% of the step's time", (long long)channels,
        channels == 1 ? "" : "s", (long long)f->info.chip.array_rows, 100 * op->cost.by_class[USEFUL] / op->cost.cycles, 100 * share_of(f, op));
  x.instead = tct_arena_printf(&f->arena, "cut the image into patches beforehand: one product of %lld inputs instead of %lld of %lld", (long long)(channels * taps),
        (long long)taps, (long long)channels);
  return add(f, op->name, (op->cost.seconds - cut) / f->info.total.seconds, 0, &x);
}

/* Columns of the last tile that do nothing. */
static tct_status odd_width(tct_forecast *f, int32_t i) {
  const tct_forecast_row *const op = &f->ops[i];
  if ((strcmp(op->op, "matmul") != 0 && strcmp(op->op, "conv2d") != 0) || op->on_host) return TCT_OK;
  const tct_shape *const y = &node_of(f, i)->out[0].shape;
  const int64_t width = y->dim[y->rank - 1], tile = f->info.chip.array_cols, full = (width + tile - 1) / tile * tile, less = width / tile * tile;
  const double waste = 1 - (double)width / (double)full;
  if (op->phase != TCT_FORECAST_FORWARD || width < tile / 4 || waste < 0.15 || share_of(f, op) < 0.02) return TCT_OK;
  finding x;
  x.what = tct_arena_printf(&f->arena, "%lld outputs fill %lld columns of the array: %.0f %% of them idle", (long long)width, (long long)full, 100 * waste);
  if (less > 0)
    x.instead = tct_arena_printf(&f->arena, "%lld outputs (%.0f %% less work) or %lld (the same time)", (long long)less, 100 * (1 - (double)less / (double)full),
          (long long)full);
  else
    x.instead = tct_arena_printf(&f->arena, "%lld outputs: %.0f %% more in the same time", (long long)full, 100 * ((double)full / (double)width - 1));
  /* The arrays' time of the columns that would go. */
  const double arrays = op->cost.by_class[USEFUL] + op->cost.by_class[PADDING];
  return add(f, op->name, less > 0 ? (1 - (double)less / (double)full) * arrays / f->info.total.cycles : 0, 0, &x);
}

/* ---- shares of the step ---- */

static tct_status vector_bound(tct_forecast *f) {
  const tct_forecast_row *most = NULL;
  for (int32_t i = 0; i < f->info.n_ops; i++) {
    if (most == NULL || f->ops[i].cost.by_class[VECTOR] > most->cost.by_class[VECTOR]) most = &f->ops[i];
  }
  const double share = f->info.total.by_class[VECTOR] / f->info.total.cycles;
  if (share < 0.2 || most == NULL) return TCT_OK;
  finding x;
  x.what = tct_arena_printf(&f->arena, "the vector unit works %.0f %% of the time, most on this %s (%.0f %% of the step)", 100 * share, most->op,
        100 * most->cost.by_class[VECTOR] / f->info.total.cycles);
  x.instead = tct_arena_printf(&f->arena, "fewer or cheaper ones: a norm or an activation less, dropout only where it is needed; the gain is that of this op left out");
  return add(f, most->name, share_of(f, most), 0, &x);
}

static tct_status update_bound(tct_forecast *f) {
  double update = 0;
  for (int32_t i = 0; i < f->n_phases; i++) update += f->phases[i].phase == TCT_FORECAST_UPDATE ? f->phases[i].cost.seconds : 0;
  const double share = update / f->info.total.seconds;
  if (share < 0.2) return TCT_OK;
  finding x;
  x.what = tct_arena_printf(&f->arena, "updating the weights takes %.0f %% of the step: it moves every weight and its state through HBM, whatever the batch", 100 * share);
  x.instead = tct_arena_printf(&f->arena, "twice the batch and half as many steps; an optimizer with less state");
  return add(f, "optimizer", share / 2, 0, &x);
}

/* What HBM holds beyond the numbers. */
static tct_status padded_memory(tct_forecast *f) {
  const tct_chip *const chip = &f->info.chip;
  double dense = 0, padded = 0, worst = 0;
  const tct_node_view *most = NULL;
  for (int32_t i = 0; i < f->info.n_ops; i++) {
    const tct_node_view *const node = node_of(f, i);
    for (int32_t o = 0; o < node->n_out; o++) {
      const double own = (double)tct_shape_size(&node->out[o].shape) * (double)tct_dtype_bytes(node->out[o].dtype);
      const double there = tct_chip_bytes(chip, &node->out[o]);
      dense += own;
      padded += there;
      if (there - own <= worst) continue;
      worst = there - own;
      most = node;
    }
  }
  if (most == NULL || padded < 1.3 * dense || padded < 1e6) return TCT_OK;
  char shape[160];
  finding x;
  x.what = tct_arena_printf(&f->arena, "results take %.3g MB in HBM's tiles of %lldx%lld, %.3g MB of it numbers; most is lost on %.80s", padded * 1e-6,
        (long long)chip->sublanes, (long long)chip->lanes, dense * 1e-6, tct_shape_print(&most->out[0].shape, shape, sizeof shape));
  x.instead = tct_arena_printf(&f->arena, "channels in multiples of %lld, or a batch that is one", (long long)chip->lanes);
  /* Written once and read once without the padding, as far as the step waits for HBM at all. */
  const double moved = 2 * (padded - dense) / chip->hbm, waits = f->info.total.by_class[MEMORY] / chip->clock;
  return add(f, most->name, fmin(moved, waits) / f->info.total.seconds, 0, &x);
}

/* The batch over PCIe against the step that should hide it. */
static tct_status input_bound(tct_forecast *f) {
  double bytes = 0;
  for (int32_t i = 0; i < tct_model_n_inputs(f->model); i++) {
    tct_desc one;
    TCT_TRY(tct_model_input_desc(f->model, i, &one));
    bytes += (double)f->info.batch * (double)tct_shape_size(&one.shape) * (double)tct_dtype_bytes(one.dtype);
  }
  const double seconds = bytes / f->info.chip.pcie, step = f->info.total.seconds;
  if (seconds <= step) return TCT_OK;
  finding x;
  x.what = tct_arena_printf(&f->arena, "a batch of %.3g MB takes %.3g ms over PCIe, the step %.3g ms: the chip waits for its input", bytes * 1e-6, seconds * 1e3, step * 1e3);
  x.instead = tct_arena_printf(&f->arena, "send bytes and convert on the chip; the gain is that of input in no time");
  return add(f, "input", 1 - step / seconds, 0, &x);
}

/* Sums of gradients that outlast the backward pass. */
static tct_status link_bound(tct_forecast *f) {
  const double share = f->info.total.by_class[OTHER_CHIPS] / f->info.total.cycles;
  if (share < 0.1) return TCT_OK;
  finding x;
  x.what = tct_arena_printf(&f->arena, "the gradients' sums over %lld chips outlast the backward pass: %.0f %% of the step waits for them", (long long)f->info.chip.chips,
        100 * share);
  x.instead = tct_arena_printf(&f->arena, "a larger batch on fewer chips; the gain is that of links without delay");
  return add(f, "links", share, 0, &x);
}

/* What the device refuses, with its reason: all ops of a kind together. */
static tct_status host_ops(tct_forecast *f, int32_t first) {
  const char *const op = f->ops[first].op;
  int32_t n = 0;
  double seconds = 0;
  for (int32_t i = 0; i < f->info.n_ops; i++) {
    if (!f->ops[i].on_host || strcmp(f->ops[i].op, op) != 0) continue;
    if (i < first) return TCT_OK; /* told already */
    n++;
    seconds += f->ops[i].cost.seconds;
  }
  const tct_node_view *const node = node_of(f, first);
  char why[400] = "";
  (void)tct_device_supports(tct_model_device(f->model), node, why, sizeof why);
  bool wide = false;
  for (int32_t i = 0; i < node->n_in + node->n_out; i++) {
    const tct_dtype dtype = (i < node->n_in ? &node->in[i] : &node->out[i - node->n_in])->dtype;
    wide |= dtype == TCT_F64 || dtype == TCT_I64;
  }
  finding x;
  x.what = tct_arena_printf(&f->arena, "%d of this op run%s on the host: out over PCIe, a stop, and back, %.1f %% of the step's time; %s", (int)n,
                            n == 1 ? "s" : "", 100 * seconds / f->info.total.seconds, why);
  x.instead = tct_arena_strdup(&f->arena, wide ? "numbers of 32 bits: f32, i32" : "the same computed with ops that the chip has");
  return add(f, f->ops[first].name, seconds / f->info.total.seconds, 0, &x);
}

/* ---- shapes ---- */

/* The largest batch from half of the given one that leaves no rest in any part; 0: none. */
static tct_status fitting_batch(const tct_forecast *f, int64_t *out) {
  int64_t n[TCT_JOB_N_PARTS] = {0};
  for (int part = 0; part < TCT_JOB_N_PARTS; part++) {
    tct_dataset *data = NULL;
    if (!f->job->has_data[part]) continue;
    TCT_TRY(tct_job_dataset(f->job, (tct_job_part)part, &data));
    n[part] = tct_dataset_samples(data);
  }
  for (*out = f->info.batch; *out >= f->info.batch / 2 && *out > 0; (*out)--) {
    bool fits = true;
    for (int part = 0; part < TCT_JOB_N_PARTS; part++) fits &= n[part] % *out == 0;
    if (fits) return TCT_OK;
  }
  *out = 0;
  return TCT_OK;
}

/* A last batch of another size is another program: compiled once more. */
static tct_status partial_batches(tct_forecast *f) {
  const tct_forecast_program *programs = NULL;
  int32_t n = 0, more = 0;
  int64_t fitting = 0;
  finding x;
  tct_status status = tct_forecast_programs(f, &programs, &n);
  if (status == TCT_OK) status = fitting_batch(f, &fitting);
  if (status != TCT_OK && status != TCT_OUT_OF_MEMORY) { /* the data is not here: nothing to say of it */
    tct_error_clear();
    return TCT_OK;
  }
  TCT_TRY(status);
  x.what = tct_arena_printf(&f->arena, "each shape is compiled:");
  for (int32_t i = 0; i < n; i++) {
    if (strncmp(programs[i].what, "last", 4) != 0) continue;
    if (x.what == NULL) return TCT_OUT_OF_MEMORY;
    x.what = tct_arena_printf(&f->arena, "%s%s the %s has %lld samples", x.what, more++ > 0 ? "," : "", programs[i].what, (long long)programs[i].batch);
  }
  if (more == 0) return TCT_OK;
  if (fitting > 0)
    x.instead = tct_arena_printf(&f->arena, "a batch of %lld divides all of it", (long long)fitting);
  else
    x.instead = tct_arena_printf(&f->arena, "train.drop_remainder: true leaves out an epoch's last samples; pad or drop those of the evaluation");
  return add(f, "data", (double)NAN, more, &x);
}

/* No batch has more samples than there are; without the data, what is usual. */
static int64_t most_batch(const tct_forecast *f) {
  const int64_t most = 16 * f->info.batch < 16384 ? 16 * f->info.batch : 16384;
  tct_dataset *data = NULL;
  if (tct_job_dataset(f->job, TCT_JOB_TRAIN, &data) != TCT_OK) {
    tct_error_clear();
    return most;
  }
  return tct_dataset_samples(data) < most ? tct_dataset_samples(data) : most;
}

/* Larger batches, by the model, as long as each takes clearly less time for a sample. One that does not fit ends the search. */
static tct_status small_batch(tct_forecast *f) {
  const int64_t most = most_batch(f);
  const double now = f->info.total.seconds / (double)f->info.batch;
  double best = now;
  int64_t at = f->info.batch;
  for (int64_t batch = 2 * f->info.batch; batch <= most; batch *= 2) {
    tct_forecast_cost cost;
    if (tct_forecast_at_batch(f, batch, &cost) != TCT_OK) {
      tct_error_clear();
      break;
    }
    if (cost.seconds / (double)batch > 0.95 * best) break;
    best = cost.seconds / (double)batch;
    at = batch;
  }
  if (best > 0.9 * now) return TCT_OK;
  const double busy = f->info.total.by_class[USEFUL] + f->info.total.by_class[PADDING];
  finding x;
  x.what = tct_arena_printf(&f->arena, "a batch of %lld leaves the arrays %.0f %% busy: weight gradients sum over it, and starting an op costs the same for one sample",
        (long long)f->info.batch, 100 * busy / f->info.total.cycles);
  x.instead = tct_arena_printf(&f->arena, "a batch of %lld: %.3g us a sample instead of %.3g", (long long)at, best * 1e6, now * 1e6);
  return add(f, "batch", 1 - best / now, 0, &x);
}

/* The largest gain first; those without one last. */
static void sort(tct_forecast *f) {
  for (int32_t i = 1; i < f->n_findings; i++) {
    const tct_forecast_finding x = f->findings[i];
    int32_t at = i;
    for (; at > 0 && (x.saves > f->findings[at - 1].saves || (!isnan(x.saves) && isnan(f->findings[at - 1].saves))); at--)
      f->findings[at] = f->findings[at - 1];
    f->findings[at] = x;
  }
}

static tct_status find(tct_forecast *f) {
  for (int32_t i = 0; i < f->info.n_ops; i++) {
    TCT_TRY(few_channels(f, i));
    TCT_TRY(odd_width(f, i));
    if (f->ops[i].on_host) TCT_TRY(host_ops(f, i));
  }
  TCT_TRY(vector_bound(f));
  TCT_TRY(update_bound(f));
  TCT_TRY(padded_memory(f));
  TCT_TRY(input_bound(f));
  TCT_TRY(link_bound(f));
  TCT_TRY(partial_batches(f));
  return f->info.training ? small_batch(f) : TCT_OK;
}

tct_status tct_forecast_lint(tct_forecast *f, const tct_forecast_finding **out, int32_t *out_n) {
  *out = NULL;
  *out_n = 0;
  if (f->findings == NULL) {
    f->findings = tct_arena_alloc(&f->arena, MOST_FINDINGS * sizeof *f->findings);
    if (f->findings == NULL) return TCT_OUT_OF_MEMORY;
    const tct_status status = find(f);
    sort(f);
    if (status != TCT_OK) {
      f->findings = NULL;
      f->n_findings = 0;
      return status;
    }
  }
  *out = f->findings;
  *out_n = f->n_findings;
  return TCT_OK;
}
