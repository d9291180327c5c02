/* SCALE-Sim's read buffers, walked address by address.
 *
 * calc mode: a window collects distinct words, each of them a DRAM read, and is emptied when it is full.
 *
 * user mode: the operand's prefetch order (the streamed one along diagonals, the stationary one row by row) is cut in sets
 * of ⌈S/100⌉ words. The active half of the SRAM is a run of sets on a ring; a miss slides it by the prefetch half until the
 * word is inside. The k-th slide is complete in cycle −1 + k·(⌈P/bandwidth⌉ + 1), and the array waits for it. SCALE-Sim
 * slides step by step, and a small SRAM turns the ring for nearly every word; here a miss takes its slides at once. */
#include "systolic/scale.h"

#include "base/alloc.h"
#include "base/status.h"
#include "systolic/whole.h"

/* ---- calc mode ---- */

typedef struct window {
  int32_t *seen; /* [words]: the window in which a word was read last; owned */
  int32_t number; /* from 1. A walk has less than 2^36 words, a window at least 500: they fit */
  int64_t filled, capacity, reads;
} window;

static void see(window *w, int64_t address) {
  if (address < 0 || w->seen[address] == w->number) return;
  w->seen[address] = w->number;
  w->reads++;
  if (++w->filled == w->capacity) {
    w->filled = 0;
    w->number++;
  }
}

tct_status tct_scale_walk_ifmap(const tct_scale_map *map, int64_t capacity, int64_t *out_reads) {
  tct_scale_operand operand;
  tct_status status = tct_scale_operand_begin(map, false, &operand);
  window w = {.number = 1, .capacity = capacity};
  if (status == TCT_OK) {
    w.seen = tct_alloc_zero((size_t)operand.words, sizeof *w.seen);
    status = w.seen != NULL ? TCT_OK : TCT_OUT_OF_MEMORY;
  }
  for (int64_t fold = 0; status == TCT_OK && fold < map->row_folds * map->col_folds; fold++) {
    for (int64_t line = 0; line < map->lines; line++) {
      const tct_scale_line l = tct_scale_demand(&operand, fold % map->row_folds, fold / map->row_folds, line);
      for (int64_t i = 0; i < l.n; i++) see(&w, tct_scale_address(&operand, l.a + i * l.da, l.b + i * l.db));
    }
  }
  *out_reads = w.reads;
  tct_release(w.seen);
  tct_scale_operand_end(&operand);
  return status;
}

/* ---- user mode ---- */

typedef struct read_buffer {
  tct_scale_operand operand;
  int64_t *first_of;     /* [words + 1]: where a word's sets begin in `sets`; owned */
  int32_t *sets;         /* in the order of the prefetch; owned */
  int64_t n_sets;
  int64_t active, slide; /* sets: the active half, and how far a miss moves it */
  int64_t start;         /* the active half's first set */
  int64_t *held_since;   /* [words]: 1 + the slide behind which a word was found in the half; owned */
  int64_t slides;        /* so far */
  int64_t last_prefetch; /* cycle in which the last slide was complete */
  int64_t slide_lines;   /* of memory, each a cycle */
  int64_t bandwidth, reads;
  int32_t version;
} read_buffer;

/* Passes over every word in the order of the prefetch: counts them by address (first_of is then one ahead), or places each
 * one's set. Returns how many there were. */
static int64_t prefetch_order(read_buffer *b, int64_t set_words, bool place) {
  const tct_scale_operand *o = &b->operand;
  const tct_scale_map *map = o->map;
  const int64_t lanes = o->stationary || o->by_cols ? map->config->cols : map->config->rows;
  const int64_t extent = o->stationary || o->by_cols ? map->spatial_cols : map->spatial_rows;
  const int64_t height = o->stationary ? map->spatial_rows : map->steps; /* of one fold; folds are stacked */
  const int64_t rows = tct_divide_up(extent, lanes) * height;
  int64_t position = 0, set = 0, set_end = set_words;
  /* Row by row: `diagonal` is the row. Along diagonals: row + column. */
  for (int64_t diagonal = 0; diagonal < rows + (o->stationary ? 0 : lanes - 1); diagonal++) {
    const int64_t first = o->stationary ? 0 : tct_larger(0, diagonal - rows + 1);
    const int64_t last = o->stationary ? lanes - 1 : tct_smaller(lanes - 1, diagonal);
    const int64_t row = o->stationary ? diagonal : diagonal - first;
    int64_t base = row / height * lanes, step = row % height; /* of the fold; a row further up on a diagonal */
    for (int64_t lane = first; lane <= last; lane++) {
      const int64_t spatial = base + lane;
      const int64_t address = spatial >= extent ? -1 : o->stationary ? tct_scale_address(o, step, spatial)
                                                                     : tct_scale_address(o, spatial, step);
      if (address >= 0) {
        if (place) b->sets[b->first_of[address]++] = (int32_t)set;
        else b->first_of[address + 1]++;
        if (++position == set_end) set++, set_end += set_words;
      }
      if (!o->stationary && step-- == 0) step = height - 1, base -= lanes;
    }
  }
  return position;
}

/* Which sets every word is in, by counting and placing. */
static tct_status index_sets(read_buffer *b, int64_t set_words) {
  const int64_t words = b->operand.words;
  b->first_of = tct_alloc_zero((size_t)words + 1, sizeof *b->first_of);
  b->held_since = tct_alloc_zero((size_t)words, sizeof *b->held_since);
  if (b->first_of == NULL || b->held_since == NULL) return TCT_OUT_OF_MEMORY;
  const int64_t n = prefetch_order(b, set_words, false);
  b->n_sets = n / set_words + 1;
  b->sets = tct_alloc_zero((size_t)n, sizeof *b->sets);
  if (b->sets == NULL) return TCT_OUT_OF_MEMORY;
  for (int64_t i = 0; i < words; i++) b->first_of[i + 1] += b->first_of[i];
  prefetch_order(b, set_words, true);
  for (int64_t i = words; i > 0; i--) b->first_of[i] = b->first_of[i - 1]; /* placing moved each to its end */
  b->first_of[0] = 0;
  return TCT_OK;
}

static tct_status begin_reads(const tct_scale_map *map, bool filter, read_buffer *b) {
  const int64_t size = (filter ? map->config->filter_kb : map->config->ifmap_kb) * 1024;
  const int64_t half = tct_divide_up(size, 2), prefetch = size - half, set_words = tct_divide_up(size, 100);
  *b = (read_buffer){.last_prefetch = -1, .bandwidth = map->config->bandwidth, .version = map->config->version};
  TCT_TRY(tct_scale_operand_begin(map, filter, &b->operand));
  TCT_TRY(index_sets(b, set_words));
  b->active = tct_smaller(tct_divide_up(half, set_words), b->n_sets);
  b->slide = tct_smaller(tct_divide_up(prefetch, set_words), b->n_sets - b->active);
  b->slide_lines = tct_divide_up(prefetch, b->bandwidth);
  /* The first fill is of the active half, or of the whole operand if that is less: SCALE-Sim lays its prefetch order, with
   * the array's unused lanes, in lines of the bandwidth's width. */
  const bool by_cols = b->operand.stationary || b->operand.by_cols;
  const int64_t lanes = by_cols ? map->config->cols : map->config->rows;
  const int64_t folds = by_cols ? map->col_folds : map->row_folds;
  const int64_t height = b->operand.stationary ? map->spatial_rows : map->steps;
  b->reads = tct_smaller(tct_divide_up(half, b->bandwidth), tct_divide_up(folds * height * lanes, b->bandwidth)) * b->bandwidth;
  return TCT_OK;
}

static void end_reads(read_buffer *b) {
  tct_release(b->first_of);
  tct_release(b->sets);
  tct_release(b->held_since);
  tct_scale_operand_end(&b->operand);
}

/* How many slides bring a word's nearest set into the active half. A slide is never longer than the half, so that the half
 * passes over every set of the ring. */
static int64_t slides_to(const read_buffer *b, int64_t address) {
  int64_t first = b->first_of[address], end = b->first_of[address + 1];
  const int64_t wrapped = b->sets[first] + b->n_sets; /* behind the ring's end comes the word's first set */
  while (first < end) { /* sets are in order: the first one that is not before the half */
    const int64_t middle = first + (end - first) / 2;
    if (b->sets[middle] < b->start) first = middle + 1;
    else end = middle;
  }
  const int64_t set = first < b->first_of[address + 1] ? b->sets[first] : wrapped;
  const int64_t beyond = set - b->start - b->active;
  /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): where the half is the whole ring and nothing slides, none is beyond */
  return beyond < 0 ? 0 : beyond / b->slide + 1;
}

/* n slides, one behind the other, for a word that is wanted in `cycle`, after the line has waited for others. Returns what it
 * has waited then. */
static int64_t wait_for(read_buffer *b, int64_t n, int64_t cycle, int64_t waited) {
  const int64_t each = b->slide_lines + 1;
  int64_t late = b->last_prefetch + each - (cycle + 1 + waited); /* the first slide's */
  b->last_prefetch += n * each;
  b->reads += n * b->slide_lines * b->bandwidth;
  if (b->version == 2) return waited + tct_larger(0, late + (n - 1) * each);
  /* Version 3 adds a late slide's cycles twice, and an early one's once. So after a slide late by l the next is late by
   * each − l, and two of them add 2·each; after an early one the next is late by each. None is later than that: the array
   * has waited for those before. */
  if (late < 0) {
    waited += late;
    late = each;
    n--;
  }
  return waited + n / 2 * 2 * each + n % 2 * 2 * late;
}

/* The cycles for which one line's words hold the array up. */
static int64_t read_line(read_buffer *b, int64_t row_fold, int64_t col_fold, int64_t line, int64_t cycle) {
  const tct_scale_line l = tct_scale_demand(&b->operand, row_fold, col_fold, line);
  int64_t waited = 0;
  for (int64_t i = 0; i < l.n; i++) {
    const int64_t address = tct_scale_address(&b->operand, l.a + i * l.da, l.b + i * l.db);
    if (address < 0 || b->held_since[address] == b->slides + 1) continue;
    const int64_t n = slides_to(b, address);
    if (n > 0) {
      b->start = (b->start + n * b->slide) % b->n_sets;
      b->slides += n;
      waited = wait_for(b, n, cycle, waited);
    }
    b->held_since[address] = b->slides + 1;
  }
  return waited;
}

static tct_status walk_user(const tct_scale_map *map, read_buffer *ifmap, read_buffer *filter, tct_scale_writer *writer,
                            tct_scale_report *out) {
  int64_t line = 0;
  for (int64_t fold = 0; fold < map->row_folds * map->col_folds; fold++) {
    const int64_t r = fold % map->row_folds, c = fold / map->row_folds;
    for (int64_t i = 0; i < map->lines; i++, line++) {
      const int64_t cycle = line + out->stall_cycles;
      const int64_t ifmap_wait = read_line(ifmap, r, c, i, cycle);
      const int64_t filter_wait = read_line(filter, r, c, i, cycle);
      int64_t written = cycle;
      TCT_TRY(tct_scale_writer_put(writer, tct_scale_results(map, r, c, i), &written));
      out->stall_cycles += tct_larger(written - cycle, tct_larger(ifmap_wait, filter_wait));
      out->total_cycles = tct_larger(out->total_cycles, written);
    }
  }
  TCT_TRY(tct_scale_writer_flush(writer));
  out->dram_ifmap_reads = ifmap->reads;
  out->dram_filter_reads = filter->reads;
  out->dram_ofmap_writes = writer->written;
  return TCT_OK;
}

tct_status tct_scale_walk_user(const tct_scale_map *map, tct_scale_report *out) {
  read_buffer ifmap = {0}, filter = {0};
  tct_scale_writer writer;
  tct_scale_writer_begin(map->config, map->config->bandwidth, &writer);
  tct_status status = begin_reads(map, false, &ifmap);
  if (status == TCT_OK) status = begin_reads(map, true, &filter);
  if (status == TCT_OK) status = walk_user(map, &ifmap, &filter, &writer, out);
  end_reads(&ifmap);
  end_reads(&filter);
  tct_scale_writer_end(&writer);
  return status;
}
