/* Collecting a run's settings and comparing them with those of a checkpoint. Numbers are printed so that they come back as
 * the same bits. The step's graph stands for the layers' options; data stands in by its size and some of its samples. */
#include "train/settings.h"

#include <inttypes.h>
#include <string.h>
#include "base/alloc.h"
#include "base/checked.h"
#include "base/desc.h"
#include "base/status.h"
#include "data/dataset.h"
#include "graph/graph.h"
#include "io/checksum.h"
#include "train/graphs.h"

#define GRAPH "graph"
enum { MOST_SAMPLES = 16 }; /* that stand for a dataset */

/* `value` NULL: there was no memory for it. */
static void put(tct_settings *s, const char *key, const char *value) {
  TCT_ASSERT(s->n < (int32_t)TCT_COUNT_OF(s->row));
  s->failed = s->failed || value == NULL;
  if (s->failed) return;
  s->row[s->n].key = key;
  s->row[s->n++].value = value;
}

static void put_number(tct_settings *s, const char *key, double value) {
  put(s, key, tct_arena_printf(&s->arena, "%.17g", value));
}

/* ---- data -------------------------------------------------------------------------------------------- */

/* The checksum of samples that lie evenly from the first to the last. */
static tct_status sum_samples(const tct_dataset *data, tct_checksum *out) {
  int64_t index[MOST_SAMPLES];
  void *field[TCT_DATASET_MAX_FIELDS];
  const int64_t n = data->n_samples < MOST_SAMPLES ? data->n_samples : MOST_SAMPLES;
  size_t bytes = 0;
  for (int32_t f = 0; f < data->n_fields; f++) {
    size_t part = 0;
    if (!tct_mul_size(data->sample_bytes[f], (size_t)n, &part) || !tct_align_size(part, 16, &part) ||
        !tct_add_size(bytes, part, &bytes)) {
      return tct_fail(TCT_OUT_OF_MEMORY, "field '%s' of the data: its samples are larger than memory", data->fields[f].name);
    }
  }
  char *block = tct_alloc(bytes);
  if (block == NULL) return TCT_OUT_OF_MEMORY;
  char *at = block;
  for (int32_t f = 0; f < data->n_fields; f++) {
    size_t part = 0;
    field[f] = at;
    (void)tct_align_size(data->sample_bytes[f] * (size_t)n, 16, &part);
    at += part;
  }
  const int64_t last = data->n_samples - 1, gaps = n > 1 ? n - 1 : 1;
  for (int64_t i = 0; i < n; i++) index[i] = last / gaps * i + last % gaps * i / gaps; /* last × i / gaps, in range */
  const tct_status status = n > 0 ? tct_dataset_read(data, index, n, field) : TCT_OK;
  for (int32_t f = 0; f < data->n_fields && status == TCT_OK; f++) {
    tct_checksum_add(out, field[f], data->sample_bytes[f] * (size_t)n);
  }
  tct_release(block);
  return status;
}

/* "60000 samples of x f32[28,28,1], y i32[], some of them with checksum 1234abcd" */
static tct_status put_data(tct_settings *s, const char *key, const tct_dataset *data) {
  char shape[160];
  tct_text text = {0};
  tct_checksum sum = {0};
  TCT_TRY(sum_samples(data, &sum));
  tct_text_printf(&text, "%" PRId64 " samples of ", data->n_samples);
  for (int32_t f = 0; f < data->n_fields; f++) {
    tct_text_printf(&text, "%s%s %s%s", f > 0 ? ", " : "", data->fields[f].name, tct_dtype_name(data->fields[f].dtype),
                    tct_shape_print(&data->fields[f].shape, shape, sizeof shape));
  }
  tct_text_printf(&text, ", some of them with checksum %08" PRIx32, sum.crc32);
  put(s, key, text.failed ? NULL : tct_arena_strdup(&s->arena, text.data));
  tct_text_free(&text);
  return TCT_OK;
}

/* ---- the rest ---------------------------------------------------------------------------------------- */

static void append_text(void *user, const char *text, size_t length) { tct_text_append_bytes(user, text, length); }

/* The text has none of their data. */
static void put_constants(tct_settings *s, const tct_graph *graph) {
  tct_checksum sum = {0};
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    const tct_node *const node = &graph->nodes[n];
    if (node->op != TCT_OP_constant) continue;
    const tct_desc *const desc = &graph->values[node->out].desc;
    tct_checksum_add(&sum, ((const tct_constant_attrs *)node->attrs)->data, tct_desc_bytes(desc));
  }
  put(s, "constants", tct_arena_printf(&s->arena, "%" PRIu64 " bytes with checksum %08" PRIx32, sum.bytes, sum.crc32));
}

static tct_status put_graph(tct_settings *s, const tct_model *model, const tct_session *session, const tct_fit_facts *facts) {
  tct_graph *graph = NULL;
  tct_text text = {0};
  TCT_TRY(tct_build_step(model, session, TCT_MODE_TRAIN, facts->batch_size, facts->feed->weighted, &graph));
  tct_graph_print(graph, append_text, &text);
  put(s, GRAPH, text.failed ? NULL : tct_arena_strdup(&s->arena, text.data));
  tct_text_free(&text);
  put_constants(s, graph);
  tct_graph_free(graph);
  return TCT_OK;
}

static void put_optimizer(tct_settings *s, const tct_session *session) {
  const tct_optimizer_plan *plan = &session->optimizer;
  const tct_update_attrs *a = &plan->attrs;
  const struct {
    const char *key;
    double value;
  } rows[] = {{"optimizer.learning_rate", session->compiled_rate}, {"optimizer.global_clipnorm", plan->global_clipnorm},
              {"optimizer.clipnorm", plan->clipnorm},           {"optimizer.clipvalue", a->clip_value},
              {"optimizer.beta_1", a->beta1},                   {"optimizer.beta_2 or rho", a->beta2},
              {"optimizer.epsilon", a->epsilon},                {"optimizer.momentum", a->momentum},
              {"optimizer.nesterov", a->nesterov},              {"optimizer.centered", a->centered},
              {"optimizer.weight_decay", a->weight_decay},      {"optimizer.l1", a->l1},
              {"optimizer.l2", a->l2}};
  put(s, "optimizer", plan->type);
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) put_number(s, rows[i].key, rows[i].value);
}

/* A cosine over the whole fit is another one when the fit is longer; the others may go on for as long as one likes. */
static void put_schedule(tct_settings *s, const tct_schedule_options *schedule, int64_t total_steps) {
  const bool cosine = strcmp(schedule->type, "cosine") == 0;
  const int64_t steps = cosine && schedule->decay_steps == 0 ? total_steps : schedule->decay_steps;
  put(s, "schedule", schedule->type);
  put_number(s, "schedule.warmup_steps", (double)schedule->warmup_steps);
  put_number(s, "schedule.decay_steps", (double)steps);
  put_number(s, "schedule.decay_rate", schedule->decay_rate);
  put_number(s, "schedule.alpha", schedule->alpha);
}

static void put_metrics(tct_settings *s, const tct_metric_list *metrics) {
  const char *names = "";
  for (int32_t m = 0; m < metrics->n && names != NULL; m++) {
    names = tct_arena_printf(&s->arena, "%s%s%s", names, m > 0 ? "," : "", metrics->metric[m].name);
  }
  put(s, "metrics", names);
}

/* "0: 2.5, 3: 0.5": the classes whose weight is not 1. */
static void put_class_weights(tct_settings *s, const tct_feed *feed) {
  tct_text text = {0};
  if (feed->class_weight == NULL) return;
  for (int32_t c = 0; c < feed->n_class_weights; c++) {
    if (feed->class_weight[c] == 1) continue;
    tct_text_printf(&text, "%s%" PRId32 ": %.17g", text.length > 0 ? ", " : "", c, feed->class_weight[c]);
  }
  put(s, "class_weight", text.failed ? NULL : tct_arena_strdup(&s->arena, text.length > 0 ? text.data : "all 1"));
  tct_text_free(&text);
}

static tct_status collect(tct_settings *s, const tct_model *model, const tct_session *session, const tct_fit_facts *facts) {
  put(s, "dtype", tct_dtype_name(model->dtype));
  put(s, "precision", tct_dtype_name(session->precision));
  put_number(s, "loss_scale", session->loss_scale);
  put(s, "seed", tct_arena_printf(&s->arena, "%" PRIu64, session->seed));
  put(s, "loss", session->loss->name);
  put_number(s, "loss.label_smoothing", session->loss_settings.label_smoothing);
  put_number(s, "loss.delta", session->loss_settings.huber_delta);
  put_optimizer(s, session);
  put_schedule(s, &session->schedule, facts->total_steps);
  put_metrics(s, &session->metrics);
  put_number(s, "batch_size", (double)facts->batch_size);
  put_number(s, "steps of an epoch", (double)facts->steps_per_epoch);
  put(s, "shuffle", facts->shuffle ? "true" : "false");
  put(s, "drop_remainder", facts->drop_remainder ? "true" : "false");
  put_class_weights(s, facts->feed);
  TCT_TRY(put_data(s, "data", facts->feed->data));
  if (facts->validation != NULL) TCT_TRY(put_data(s, "validation data", facts->validation));
  TCT_TRY(put_graph(s, model, session, facts));
  return s->failed ? TCT_OUT_OF_MEMORY : TCT_OK;
}

tct_status tct_settings_collect(const tct_model *model, const tct_session *session, const tct_fit_facts *facts,
                                tct_settings *out) {
  *out = (tct_settings){0};
  const tct_status status = collect(out, model, session, facts);
  if (status != TCT_OK) tct_settings_free(out);
  return status;
}

void tct_settings_free(tct_settings *settings) {
  tct_arena_free(&settings->arena);
  *settings = (tct_settings){0};
}

void tct_settings_json(const tct_settings *settings, tct_text *out) {
  for (int32_t i = 0; i < settings->n; i++) {
    tct_text_append(out, i > 0 ? "," : "{");
    tct_text_json_string(out, settings->row[i].key);
    tct_text_append(out, ":");
    tct_text_json_string(out, settings->row[i].value);
  }
  tct_text_append(out, "}");
}

/* ---- comparing --------------------------------------------------------------------------------------- */

/* The first line in which two graphs differ says which layer it is. */
static void explain_graph(const char *saved, const char *here, tct_text *out) {
  while (*saved != '\0' && *here != '\0') {
    const size_t n = strcspn(saved, "\n");
    if (n != strcspn(here, "\n") || memcmp(saved, here, n) != 0) break;
    saved += n + (saved[n] == '\n');
    here += n + (here[n] == '\n');
  }
  tct_text_printf(out, "\nthe layers' settings differ, first in '%.*s' in the checkpoint, '%.*s' here",
                  (int)strcspn(saved, "\n"), saved, (int)strcspn(here, "\n"), here);
}

int tct_settings_compare(const tct_settings *settings, const json_t *saved, tct_text *out) {
  int n = 0;
  for (int32_t i = 0; i < settings->n; i++) {
    const char *const key = settings->row[i].key, *const here = settings->row[i].value;
    const char *const there = json_string_value(json_object_get(saved, key));
    if (there != NULL && strcmp(there, here) == 0) continue;
    n++;
    if (there != NULL && strcmp(key, GRAPH) == 0) {
      explain_graph(there, here, out);
    } else {
      tct_text_printf(out, "\n'%s' is %.200s in the checkpoint, %.200s here", key, there != NULL ? there : "not", here);
    }
  }
  const char *key = NULL;
  json_t *value = NULL;
  json_object_foreach((json_t *)(uintptr_t)saved, key, value) {
    bool known = false;
    for (int32_t i = 0; i < settings->n; i++) known = known || strcmp(settings->row[i].key, key) == 0;
    if (known) continue;
    n++;
    const char *const there = json_string_value(value);
    tct_text_printf(out, "\n'%s' is %.200s in the checkpoint, not here", key, there != NULL ? there : "no text");
  }
  return n;
}
