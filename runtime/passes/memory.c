/* The memory plan: lifetimes from the schedule → offsets in one arena. Views share their operand's bytes, an in-place
 * kernel its dying operand's; the rest is placed greedily, largest first, into the lowest gap that is free for its life. */
#include <stdlib.h>
#include "base/checked.h"
#include "base/desc.h"
#include "base/status.h"
#include "passes/passes.h"

typedef struct block {
  size_t bytes, offset;
  int32_t first, last; /* steps */
  int32_t value;       /* root value, or -1 - step for a workspace */
} block;

typedef struct planner {
  const tct_graph *graph;
  const tct_schedule *schedule;
  const tct_selection *selections;
  tct_memory_plan *plan;
  int32_t *first, *last; /* [values] steps at which a root is made and last read; first -1: not made by a step */
} planner;

static int32_t root_of(const tct_memory_plan *plan, int32_t value) {
  while (plan->root[value] != value) value = plan->root[value];
  return value;
}

static tct_storage storage_of(const tct_graph *graph, int32_t value) {
  switch (tct_maker(graph, value)->op) {
  case TCT_OP_variable: return TCT_STORAGE_VARIABLE;
  case TCT_OP_input: return TCT_STORAGE_INPUT;
  case TCT_OP_constant: return TCT_STORAGE_CONSTANT;
  default: return TCT_STORAGE_ARENA;
  }
}

static size_t bytes_of(const tct_graph *graph, int32_t value) {
  return tct_desc_bytes(&graph->values[value].desc);
}

static void find_lifetimes(planner *p) {
  const tct_graph *graph = p->graph;
  for (int32_t v = 0; v < graph->n_values; v++) {
    const tct_node *node = tct_maker(graph, v);
    p->plan->root[v] = tct_op_is_view(node->op) ? p->plan->root[node->in[0]] : v;
    p->first[v] = p->last[v] = -1;
  }
  for (int32_t s = 0; s < p->schedule->n_steps; s++) {
    const tct_node *node = &graph->nodes[p->schedule->node[s]];
    for (int32_t o = 0; o < node->n_out; o++) p->first[node->out + o] = p->last[node->out + o] = s;
    for (int32_t i = 0; i < node->n_in; i++) p->last[p->plan->root[node->in[i]]] = s;
  }
  for (int32_t i = 0; i < graph->n_outputs; i++) {
    p->last[p->plan->root[graph->outputs[i].value]] = p->schedule->n_steps;
  }
}

/* Lets outputs of in-place kernels take over the storage of operands that die in the step. */
static void share_in_place(planner *p) {
  const tct_graph *graph = p->graph;
  for (int32_t s = 0; s < p->schedule->n_steps; s++) {
    const int32_t n = p->schedule->node[s];
    const tct_node *node = &graph->nodes[n];
    if (!p->selections[n].kernel->in_place || node->n_out != 1) continue;
    const int32_t out = node->out;
    for (int32_t i = 0; i < node->n_in; i++) {
      const int32_t root = root_of(p->plan, node->in[i]);
      const bool dies = storage_of(graph, root) == TCT_STORAGE_ARENA && p->last[root] == s;
      const bool fits = graph->values[root].desc.dtype == graph->values[out].desc.dtype &&
                        bytes_of(graph, root) == bytes_of(graph, out) &&
                        bytes_of(graph, node->in[i]) == bytes_of(graph, out);
      if (!dies || !fits) continue;
      p->plan->root[out] = root;
      p->last[root] = p->last[out];
      break;
    }
  }
}

static int by_size(const void *a, const void *b) {
  const block *x = a, *y = b;
  if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
  if (x->first != y->first) return x->first < y->first ? -1 : 1;
  return (x->value > y->value) - (x->value < y->value);
}

static int by_offset(const void *a, const void *b) {
  const block *const *x = a, *const *y = b;
  return ((*x)->offset > (*y)->offset) - ((*x)->offset < (*y)->offset);
}

/* `busy` has room for every block. */
static bool place_blocks(block *blocks, size_t n_blocks, const block **busy, size_t *out_bytes) {
  size_t peak = 0;
  for (size_t b = 0; b < n_blocks; b++) {
    size_t n_busy = 0;
    for (size_t other = 0; other < b; other++) {
      if (blocks[other].first <= blocks[b].last && blocks[b].first <= blocks[other].last) busy[n_busy++] = &blocks[other];
    }
    qsort(busy, n_busy, sizeof *busy, by_offset);
    size_t offset = 0, end = 0;
    for (size_t i = 0; i < n_busy; i++) {
      if (!tct_add_size(offset, blocks[b].bytes, &end)) return false;
      if (end <= busy[i]->offset) break;
      const size_t past = busy[i]->offset + busy[i]->bytes;
      if (past > offset) offset = past;
    }
    if (!tct_add_size(offset, blocks[b].bytes, &end)) return false;
    blocks[b].offset = offset;
    if (end > peak) peak = end;
  }
  *out_bytes = peak;
  return true;
}

static bool add_block(block *blocks, size_t *n_blocks, size_t bytes, size_t alignment, block like, size_t *total) {
  if (bytes == 0) return true;
  if (!tct_align_size(bytes, alignment, &like.bytes)) return false;
  blocks[(*n_blocks)++] = like;
  return tct_add_size(*total, like.bytes, total);
}

static bool collect_blocks(const planner *p, size_t alignment, block *blocks, size_t *n_blocks) {
  const tct_graph *graph = p->graph;
  size_t *total = &p->plan->no_reuse_bytes;
  for (int32_t v = 0; v < graph->n_values; v++) {
    if (p->plan->root[v] != v || storage_of(graph, v) != TCT_STORAGE_ARENA || p->first[v] < 0) continue;
    const block like = {.first = p->first[v], .last = p->last[v], .value = v};
    if (!add_block(blocks, n_blocks, bytes_of(graph, v), alignment, like, total)) return false;
  }
  for (int32_t s = 0; s < p->schedule->n_steps; s++) {
    const size_t bytes = p->selections[p->schedule->node[s]].prepared.workspace_bytes;
    if (!add_block(blocks, n_blocks, bytes, alignment, (block){.first = s, .last = s, .value = -1 - s}, total)) return false;
  }
  return true;
}

static tct_status place(planner *p, size_t alignment, tct_arena *arena) {
  const size_t most = (size_t)p->graph->n_values + (size_t)p->schedule->n_steps + 1;
  block *blocks = tct_arena_alloc(arena, most * sizeof *blocks);
  const block **busy = tct_arena_alloc(arena, most * sizeof *busy);
  if (blocks == NULL || busy == NULL) return TCT_OUT_OF_MEMORY;
  size_t n_blocks = 0;
  if (!collect_blocks(p, alignment, blocks, &n_blocks)) {
    return tct_fail(TCT_OUT_OF_MEMORY, "memory plan: the sizes overflow; make the batch or the model smaller");
  }
  qsort(blocks, n_blocks, sizeof *blocks, by_size);
  if (!place_blocks(blocks, n_blocks, busy, &p->plan->arena_bytes)) {
    return tct_fail(TCT_OUT_OF_MEMORY, "memory plan: the sizes overflow; make the batch or the model smaller");
  }
  for (size_t b = 0; b < n_blocks; b++) {
    if (blocks[b].value >= 0) {
      p->plan->offset[blocks[b].value] = blocks[b].offset;
    } else {
      p->plan->workspace_offset[-1 - blocks[b].value] = blocks[b].offset;
    }
  }
  return TCT_OK;
}

tct_status tct_plan_memory(const tct_graph *graph, const tct_schedule *schedule, const tct_selection *selections,
                           size_t alignment, tct_arena *arena, tct_memory_plan *out) {
  *out = (tct_memory_plan){0};
  const size_t n = (size_t)graph->n_values + 1;
  planner p = {.graph = graph, .schedule = schedule, .selections = selections, .plan = out};
  out->root = tct_arena_alloc(arena, n * sizeof *out->root);
  out->storage = tct_arena_alloc(arena, n * sizeof *out->storage);
  out->offset = tct_arena_alloc(arena, n * sizeof *out->offset);
  out->workspace_offset = tct_arena_alloc(arena, ((size_t)schedule->n_steps + 1) * sizeof *out->workspace_offset);
  p.first = tct_arena_alloc(arena, n * sizeof *p.first);
  p.last = tct_arena_alloc(arena, n * sizeof *p.last);
  if (out->root == NULL || out->storage == NULL || out->offset == NULL || out->workspace_offset == NULL ||
      p.first == NULL || p.last == NULL) {
    return TCT_OUT_OF_MEMORY;
  }
  find_lifetimes(&p);
  share_in_place(&p);
  TCT_TRY(place(&p, alignment, arena));
  for (int32_t v = 0; v < graph->n_values; v++) {
    out->root[v] = root_of(out, v);
    out->storage[v] = storage_of(graph, out->root[v]);
  }
  return TCT_OK;
}
