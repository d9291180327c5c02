/* SCALE-Sim's write buffer. It is stepped word by word there; here all words of a line up to the next event (the SRAM is
 * full, or a drain begins) are taken at once, with the same result. */
#include "systolic/scale.h"

#include "base/alloc.h"
#include "base/status.h"

void tct_scale_writer_begin(const tct_scale_config *config, int64_t bandwidth, tct_scale_writer *out) {
  const int64_t size = config->ofmap_kb * 1024;
  const int64_t active = (size + 1) / 2;
  *out = (tct_scale_writer){.bandwidth = bandwidth, .active = active, .drain = size - active, .free_words = size};
}

void tct_scale_writer_end(tct_scale_writer *writer) { tct_release(writer->partial); }

/* The current line ends, though it is not full. */
static tct_status cut_line(tct_scale_writer *w) {
  if (w->line_words == 0) return TCT_OK;
  if (w->n_partial == w->cap_partial) {
    const int64_t cap = w->cap_partial > 0 ? 2 * w->cap_partial : 64;
    void *grown = tct_realloc(w->partial, (size_t)w->cap_partial * sizeof *w->partial, (size_t)cap * sizeof *w->partial);
    if (grown == NULL) return TCT_OUT_OF_MEMORY;
    w->partial = grown;
    w->cap_partial = cap;
  }
  w->partial[w->n_partial].line = w->lines++;
  w->partial[w->n_partial++].words = w->line_words;
  w->line_words = 0;
  return TCT_OK;
}

/* The drain half's lines leave from `cycle` on. Of a block only the last line's padding is left out: a cut line in its
 * middle counts whole, in DRAM words and as free space. */
static void drain(tct_scale_writer *w, int64_t cycle) {
  const int64_t most = (w->drain + w->bandwidth - 1) / w->bandwidth;
  const int64_t n = most < w->lines - w->drained ? most : w->lines - w->drained;
  const int64_t last = w->drained + n - 1;
  int64_t words = n * w->bandwidth;
  while (w->first_partial < w->n_partial && w->partial[w->first_partial].line <= last) {
    if (w->partial[w->first_partial].line == last) words -= w->bandwidth - w->partial[w->first_partial].words;
    w->first_partial++;
  }
  w->drained += n;
  w->written += words;
  w->free_words += words;
  w->drain_end = cycle + n - 1;
}

tct_status tct_scale_writer_put(tct_scale_writer *w, int64_t n, int64_t *cycle) {
  while (n > 0) {
    const bool draining = *cycle < w->drain_end;
    /* Words until the event: the one that leaves no free space, or the one that brings it under the active half. */
    const int64_t until = draining ? w->free_words : w->free_words - w->active + 1;
    const int64_t take = until < 1 ? 1 : until < n ? until : n;
    w->free_words -= take;
    w->lines += (w->line_words + take) / w->bandwidth;
    w->line_words = (w->line_words + take) % w->bandwidth;
    n -= take;
    if (draining) {
      if (w->free_words <= 0) *cycle = w->drain_end;
    } else if (w->free_words < w->active) {
      TCT_TRY(cut_line(w));
      drain(w, *cycle);
    }
  }
  return TCT_OK;
}

tct_status tct_scale_writer_flush(tct_scale_writer *w) {
  TCT_TRY(cut_line(w));
  while (w->drained < w->lines) drain(w, w->drain_end + 1);
  return TCT_OK;
}

tct_status tct_scale_walk_writes(const tct_scale_map *map, int64_t *out_writes) {
  tct_scale_writer writer;
  tct_scale_writer_begin(map->config, map->config->cols, &writer);
  tct_status status = TCT_OK;
  int64_t cycle = 0;
  for (int64_t fold = 0; status == TCT_OK && fold < map->row_folds * map->col_folds; fold++) {
    for (int64_t line = 0; status == TCT_OK && line < map->lines; line++, cycle++) {
      int64_t now = cycle;
      status = tct_scale_writer_put(&writer, tct_scale_results(map, fold % map->row_folds, fold / map->row_folds, line),
                                    &now);
    }
  }
  if (status == TCT_OK) status = tct_scale_writer_flush(&writer);
  *out_writes = writer.written;
  tct_scale_writer_end(&writer);
  return status;
}
