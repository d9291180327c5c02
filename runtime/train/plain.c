/* The training step as its nodes stand in the graph, with a batch in its inputs: for those who look at its steps. */
#include <stdint.h>
#include "base/alloc.h"
#include "base/arena.h"
#include "base/status.h"
#include "graph/graph.h"
#include "train/session.h"

static tct_status read_batch(const tct_feed *feed, const int64_t *index, int64_t n, tct_arena *memory, tct_batch *out) {
  void **const field = tct_arena_alloc(memory, (size_t)feed->n_ports * sizeof *field);
  if (field == NULL) return TCT_OUT_OF_MEMORY;
  for (int32_t p = 0; p < feed->n_ports; p++) {
    if (feed->port[p].bytes > 0 && (size_t)n > SIZE_MAX / feed->port[p].bytes)
      return tct_fail(TCT_OUT_OF_MEMORY, "'%s': the size of %lld samples overflows", feed->port[p].name, (long long)n);
    field[feed->port[p].field] = tct_arena_alloc(memory, feed->port[p].bytes * (size_t)n + 1);
    if (field[feed->port[p].field] == NULL) return TCT_OUT_OF_MEMORY;
  }
  *out = (tct_batch){.n = n, .index = index, .field = field};
  return tct_dataset_read(feed->data, index, n, field);
}

static tct_status compile_fed(tct_model *model, const tct_feed *feed, const tct_batch *batch, tct_program **out) {
  TCT_TRY(tct_compile_plain(model, feed->weighted, batch->n, out));
  TCT_TRY(tct_session_write_rate(model, model->session->optimizer.learning_rate));
  return tct_feed_batch(model, feed, *out, batch);
}

tct_status tct_model_plain_program(tct_model *model, tct_dataset *data, const int64_t *index, int64_t n, tct_program **out) {
  tct_session *session = NULL;
  tct_feed feed;
  tct_arena memory = {0};
  tct_batch batch;
  *out = NULL;
  TCT_TRY(tct_session_of(model, &session));
  if (n < 1) return tct_fail(TCT_E_TRAINING_OPTION, "batch size %lld, needs at least 1", (long long)n);
  TCT_TRY(tct_feed_create(model, data, TCT_MODE_TRAIN, &feed));
  tct_status status = read_batch(&feed, index, n, &memory, &batch);
  if (status == TCT_OK) status = compile_fed(model, &feed, &batch, out);
  if (status != TCT_OK) {
    tct_program_free(*out);
    *out = NULL;
  }
  tct_arena_free(&memory);
  tct_feed_free(&feed);
  return status;
}
