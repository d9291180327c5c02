/* The walk in lock-step. */
#include "perf/shadow/shadow.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "perf/shadow/values.h"

typedef struct side {
  tct_job *job;
  tct_model *model;
  tct_program *program;
  int32_t n_steps;
} side;

typedef struct walk {
  const shadow_options *options;
  shadow_report *report;
  side a, judge, b;
  tct_loader *loader;
  int64_t step;      /* from 1 */
  int32_t a_done;    /* steps of a's program that have run */
  taken_step a_last; /* the last of them; its results are read */
  judgement *judgements;
} walk;

static char *copy_text(const char *text) {
  char *const copy = malloc(strlen(text) + 1);
  return copy != NULL ? strcpy(copy, text) : NULL;
}

void shadow_free(shadow_report *report) {
  for (int32_t i = 0; i < report->n_rows; i++) {
    free(report->rows[i].name);
    free(report->rows[i].op);
  }
  for (int32_t i = 0; i < report->n_operands; i++) free(report->operands[i].name);
  free(report->rows);
  free(report->operands);
  *report = (shadow_report){.first = -1};
}

/* ---- the second device's step among the first one's ---- */

/* How many steps before step i have its name and op. */
static int32_t count_before(const tct_program *program, int32_t i, const tct_step_info *info) {
  int32_t n = 0;
  for (int32_t s = 0; s < i; s++) {
    tct_step_info other;
    if (tct_program_step(program, s, &other) && strcmp(other.name, info->name) == 0 && strcmp(other.op, info->op) == 0) n++;
  }
  return n;
}

static bool same_operands(const tct_node_view *a, const tct_node_view *b) {
  bool same = a->n_in == b->n_in && a->n_out == b->n_out;
  for (int32_t i = 0; same && i < a->n_in; i++)
    same = a->in[i].dtype == b->in[i].dtype && tct_shape_equal(&a->in[i].shape, &b->in[i].shape);
  for (int32_t i = 0; same && i < a->n_out; i++)
    same = a->out[i].dtype == b->out[i].dtype && tct_shape_equal(&a->out[i].shape, &b->out[i].shape);
  return same;
}

/* The step of `in` that does what step i of `of` does; -1: none. Most devices have the same steps in the same order. */
static int32_t counterpart(const tct_program *of, int32_t i, const tct_step_info *info, const side *in) {
  tct_step_info other;
  int32_t nth = count_before(of, i, info);
  for (int32_t s = 0; s < in->n_steps; s++) {
    if (!tct_program_step(in->program, s, &other) || strcmp(other.name, info->name) != 0 || strcmp(other.op, info->op) != 0) continue;
    if (nth-- == 0) return same_operands(other.node, info->node) ? s : -1;
  }
  return -1;
}

/* Advances the first device to its step s, and keeps what that made. */
static tct_status advance(walk *w, int32_t s) {
  tct_status status = TCT_OK;
  while (w->a_done <= s && status == TCT_OK) {
    status = tct_program_launch_step(w->a.program, w->a_done);
    if (w->a_done == s && status == TCT_OK) {
      taken_free(&w->a_last);
      status = taken_create(w->a.program, s, &w->a_last);
      if (status == TCT_OK) status = taken_read_results(w->a.program, s, &w->a_last);
    }
    w->a_done++;
  }
  return status;
}

/* The largest difference over the largest value; NaN where the first device's value is gone. */
static double drift_of(const walk *w, const taken_step *t, int32_t r, bool known) {
  const taken *const b = &t->result[r];
  double off = 0, most = 0;
  if (!known || !values_are_float(b->desc.dtype)) return (double)NAN;
  for (int64_t i = 0; i < b->n; i++) {
    const double x = values_get(b->desc.dtype, w->a_last.result[r].data, i), y = values_get(b->desc.dtype, b->data, i);
    off = fmax(off, x == y ? 0 : fabs(x - y));
    most = fmax(most, fabs(x));
  }
  return off == 0 ? 0 : off / most;
}

/* ---- the report ---- */

static shadow_row *row_of(shadow_report *report, int32_t at, const taken_step *t, int32_t r) {
  if (at < report->n_rows) return &report->rows[at];
  shadow_row *const rows = realloc(report->rows, (size_t)(at + 1) * sizeof *rows);
  if (rows == NULL) return NULL;
  report->rows = rows;
  rows[at] = (shadow_row){.name = copy_text(t->info.name), .op = copy_text(t->info.op), .result = r,
                          .desc = t->result[r].desc, .drift = (double)NAN};
  report->n_rows = at + 1;
  return rows[at].name != NULL && rows[at].op != NULL ? &rows[at] : NULL;
}

/* The operand's element that belongs to element `at` of the result; -1: none does. */
static int64_t belongs(const taken *in, const taken *result, int64_t at) {
  const tct_shape *const s = &in->desc.shape, *const y = &result->desc.shape;
  int64_t place = 0, stride = 1;
  if (s->rank > y->rank || at < 0) return -1;
  for (int32_t d = 1; d <= y->rank; d++) { /* from the last axis on */
    const int64_t extent = y->dim[y->rank - d], index = extent > 0 ? at % extent : 0;
    at = extent > 0 ? at / extent : 0;
    if (d > s->rank) continue;
    const int64_t own = s->dim[s->rank - d];
    if (own != extent && own != 1) return -1;
    place += (own == 1 ? 0 : index) * stride;
    stride *= own;
  }
  return place;
}

static tct_status keep_operands(walk *w, int32_t step, const taken_step *t, const taken *result, int64_t at) {
  shadow_report *const report = w->report;
  report->operands = calloc((size_t)t->n_in + 1, sizeof *report->operands);
  if (report->operands == NULL) return TCT_OUT_OF_MEMORY;
  for (int32_t i = 0; i < t->n_in; i++) {
    const taken *const in = &t->in[i];
    const int64_t place = budget_is_sum(budget_kind_of(t->info.node)) ? -1 : belongs(in, result, at);
    shadow_operand *const o = &report->operands[report->n_operands++];
    *o = (shadow_operand){.name = copy_text(tct_program_operand_name(w->b.program, step, i)), .desc = in->desc,
                          .least = (double)INFINITY, .most = -(double)INFINITY, .has_value = place >= 0};
    if (o->name == NULL) return TCT_OUT_OF_MEMORY;
    if (place >= 0) o->value = values_get(in->desc.dtype, in->data, place);
    for (int64_t e = 0; e < in->n; e++) {
      const double x = values_get(in->desc.dtype, in->data, e);
      if (!isfinite(x)) continue;
      o->least = fmin(o->least, x);
      o->most = fmax(o->most, x);
    }
  }
  return TCT_OK;
}

/* Takes the op's results into the rows from `at` on. */
static tct_status record(walk *w, int32_t step, const taken_step *t, bool judged, bool has_drift, int32_t at) {
  shadow_report *const report = w->report;
  for (int32_t r = 0; r < t->n_results; r++) {
    shadow_row *const row = row_of(report, at + r, t, r);
    if (row == NULL) return TCT_OUT_OF_MEMORY;
    const shadow_row now = {.name = row->name, .op = row->op, .result = r, .desc = row->desc, .step = w->step, .judged = judged,
                            .judgement = judged ? w->judgements[r] : (judgement){.at = -1},
                            .drift = drift_of(w, t, r, has_drift)};
    const double drift = isnan(row->drift) || now.drift > row->drift ? now.drift : row->drift;
    if (row->step == 0 || now.judgement.share > row->judgement.share) *row = now;
    row->drift = drift; /* the largest of all steps */
    if (report->first >= 0 || !judged || now.judgement.share <= 1) continue;
    report->first = at + r;
    report->first_row = now;
    const tct_status status = keep_operands(w, step, t, &t->result[r], now.judgement.at);
    if (status != TCT_OK) return status;
  }
  return TCT_OK;
}

/* ---- steps ---- */

/* An op that the first device's step has not, it computes in a program of its own; one that it refuses stays unjudged. */
static tct_status judge_alone(walk *w, const taken_step *t, bool *out_judged) {
  tct_program *program = NULL;
  *out_judged = false;
  if (t->info.node->n_out == 0) return TCT_OK;
  tct_status status = judge_compile(tct_model_device(w->judge.model), t->info.node, &program);
  *out_judged = status == TCT_OK;
  if (status == TCT_UNSUPPORTED) {
    tct_error_clear();
    status = TCT_OK;
  }
  if (*out_judged) status = judge_step(program, JUDGE_ALONE, t, w->report->operand_roundoff, w->judgements);
  tct_program_free(program);
  return status;
}

static tct_status judge_one(walk *w, int32_t twin, const taken_step *t, bool *out_judged) {
  judgement *const room = realloc(w->judgements, (size_t)(t->n_results + 1) * sizeof *room);
  *out_judged = room != NULL;
  if (room == NULL) return TCT_OUT_OF_MEMORY;
  w->judgements = room;
  if (twin < 0) return judge_alone(w, t, out_judged);
  return judge_step(w->judge.program, twin, t, w->report->operand_roundoff, room);
}

static tct_status shadow_op(walk *w, int32_t i, taken_step *t, int32_t at) {
  tct_status status = taken_create(w->b.program, i, t);
  if (status == TCT_OK) status = taken_read_operands(w->b.program, i, t);
  if (status == TCT_OK) status = tct_program_launch_step(w->b.program, i);
  if (status == TCT_OK) status = taken_read_results(w->b.program, i, t);
  if (status != TCT_OK) return status;
  /* The judge is the first device, whose steps are a's. */
  const int32_t twin = counterpart(w->b.program, i, &t->info, &w->a);
  const bool in_order = twin >= w->a_done;
  if (in_order) status = advance(w, twin);
  bool judged = false;
  if (status == TCT_OK) status = judge_one(w, twin, t, &judged);
  return status == TCT_OK ? record(w, i, t, judged, in_order, at) : status;
}

/* What the first device trains with is where the second one begins. */
static tct_status copy_variables(tct_variables *from, tct_variables *to) {
  tct_status status = TCT_OK;
  for (int32_t i = 0; i < tct_variables_count(from) && status == TCT_OK; i++) {
    const char *const name = tct_variables_name(from, i);
    tct_desc desc;
    status = tct_variables_desc(from, name, &desc);
    if (status != TCT_OK) break;
    const size_t bytes = (size_t)tct_shape_size(&desc.shape) * tct_dtype_bytes(desc.dtype);
    void *const data = malloc(bytes + 1);
    if (data == NULL) return TCT_OUT_OF_MEMORY;
    status = tct_variables_read(from, name, data, bytes);
    if (status == TCT_OK) status = tct_variables_write(to, name, data, bytes);
    free(data);
  }
  return status;
}

static tct_status compile_side(side *s, tct_dataset *data, const tct_batch *batch) {
  tct_program_info info;
  tct_program_free(s->program);
  const tct_status status = tct_model_plain_program(s->model, data, batch->index, batch->n, &s->program);
  if (status != TCT_OK) return status;
  tct_program_describe(s->program, &info);
  s->n_steps = info.n_steps;
  return TCT_OK;
}

static tct_status shadow_step(walk *w, tct_dataset *data, const tct_batch *batch) {
  side *const sides[] = {&w->a, &w->judge, &w->b};
  tct_status status = TCT_OK;
  int32_t at = 0;
  for (int i = 0; i < 3 && status == TCT_OK; i++) status = compile_side(sides[i], data, batch);
  if (status == TCT_OK) status = copy_variables(tct_program_variables(w->a.program), tct_program_variables(w->b.program));
  w->a_done = 0;
  for (int32_t i = 0; i < w->b.n_steps && status == TCT_OK; i++) {
    taken_step t;
    status = shadow_op(w, i, &t, at);
    at += t.n_results;
    taken_free(&t);
  }
  while (w->a_done < w->a.n_steps && status == TCT_OK) status = tct_program_launch_step(w->a.program, w->a_done++);
  taken_free(&w->a_last);
  return status;
}

static tct_status open_sides(walk *w, tct_dataset **out_data) {
  side *const sides[] = {&w->a, &w->judge, &w->b};
  tct_status status = tct_job_dataset(w->a.job, TCT_JOB_TRAIN, out_data);
  for (int i = 0; i < 3 && status == TCT_OK; i++) {
    if (i > 0) tct_job_use(sides[i]->job, TCT_JOB_TRAIN, *out_data); /* opened once */
    status = tct_job_model(sides[i]->job, &sides[i]->model);
  }
  return status;
}

static double operand_roundoff(const side *s) {
  tct_device_info info;
  tct_device_describe(tct_model_device(s->model), &info);
  return budget_operand_roundoff(info.chip);
}

static tct_status shadow_steps(walk *w) {
  shadow_report *const report = w->report;
  tct_dataset *data = NULL;
  tct_job_info info;
  tct_status status = open_sides(w, &data);
  if (status != TCT_OK) return status;
  tct_job_describe(w->a.job, &info);
  report->operand_roundoff = operand_roundoff(&w->a) + operand_roundoff(&w->b);
  const int64_t n = tct_dataset_samples(data);
  report->batch = info.batch_size < n ? info.batch_size : n;
  const tct_loader_options loader = {.batch_size = report->batch, .shuffle = true, .seed = info.seed, .drop_remainder = true};
  status = tct_loader_create(data, &loader, &w->loader);
  for (int64_t epoch = 0; status == TCT_OK && report->steps < w->options->steps; epoch++) {
    tct_batch batch = {.n = 1};
    status = tct_loader_start(w->loader, epoch, 0);
    while (status == TCT_OK && report->steps < w->options->steps) {
      status = tct_loader_next(w->loader, &batch);
      if (status != TCT_OK || batch.n == 0) break;
      w->step = ++report->steps;
      status = shadow_step(w, data, &batch);
    }
  }
  return status;
}

tct_status shadow_run(const shadow_options *options, shadow_report *out) {
  *out = (shadow_report){.first = -1};
  walk w = {.options = options, .report = out, .a = {.job = options->a}, .judge = {.job = options->judge}, .b = {.job = options->b}};
  shadow_options whole = *options;
  if (whole.steps == 0) whole.steps = 1;
  w.options = &whole;
  const tct_status status = shadow_steps(&w);
  side *const sides[] = {&w.a, &w.judge, &w.b};
  for (int i = 0; i < 3; i++) tct_program_free(sides[i]->program); /* before their models */
  taken_free(&w.a_last);
  tct_loader_free(w.loader);
  free(w.judgements);
  for (int32_t i = 0; i < out->n_rows; i++) {
    out->n_left += out->rows[i].judgement.share > 1;
    out->n_unjudged += !out->rows[i].judged;
  }
  return status;
}
