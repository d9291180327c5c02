/* The schedule. Nodes keep their order of creation (forward, then backward in reverse); an update is pulled up to where
 * its gradient is ready and the last other reader of its variables has run, so that gradients die young; where the device
 * launches many updates at once they stay together at the end instead, and their gradients live till then. */
#include "base/status.h"
#include "passes/passes.h"

typedef struct scheduler {
  const tct_graph *graph;
  int32_t *root;     /* [values] through views */
  int32_t *position; /* [nodes] in the order without updates; views: where their operand is made */
  int32_t *last_read; /* [values] position of the last non-update reader of a root */
  int32_t *update_readers; /* [values] updates not yet scheduled that read a root without writing it */
  bool *done;        /* [nodes] */
  tct_schedule *out;
} scheduler;

static int32_t max_i32(int32_t a, int32_t b) { return a > b ? a : b; }

static bool writes(const scheduler *s, const tct_node *node, int32_t root) {
  for (int32_t i = 0; i < tct_node_writes(node); i++) {
    if (s->root[node->in[i]] == root) return true;
  }
  return false;
}

static void survey(scheduler *s) {
  const tct_graph *graph = s->graph;
  int32_t at = 0;
  for (int32_t v = 0; v < graph->n_values; v++) {
    s->root[v] = v;
    s->last_read[v] = -1;
  }
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    const tct_node *node = &graph->nodes[n];
    if (tct_op_is_view(node->op)) s->root[node->out] = s->root[node->in[0]];
    if (tct_op_is_source(node->op)) {
      s->position[n] = -1;
    } else if (tct_op_is_view(node->op)) {
      s->position[n] = s->position[graph->values[node->in[0]].node];
    } else if (tct_op_is_update(node->op)) {
      s->position[n] = INT32_MAX;
    } else {
      s->position[n] = at++;
    }
    for (int32_t i = 0; i < node->n_in; i++) {
      const int32_t root = s->root[node->in[i]];
      if (tct_op_is_view(node->op)) continue;
      if (!tct_op_is_update(node->op)) {
        s->last_read[root] = max_i32(s->last_read[root], s->position[n]);
      } else if (!writes(s, node, root)) {
        s->update_readers[root]++;
      }
    }
  }
}

/* The position after which an update may run, other updates aside. */
static int32_t ready_after(const scheduler *s, const tct_node *node) {
  int32_t after = -1;
  for (int32_t i = 0; i < node->n_in; i++) {
    const int32_t value = node->in[i];
    after = max_i32(after, s->position[s->graph->values[value].node]);
    if (i < tct_node_writes(node)) after = max_i32(after, s->last_read[s->root[value]]);
  }
  return after;
}

static void schedule_node(scheduler *s, int32_t n) {
  s->done[n] = true;
  s->out->node[s->out->n_steps++] = n;
}

static bool awaited(const scheduler *s, const tct_node *node) {
  for (int32_t i = 0; i < tct_node_writes(node); i++) {
    if (s->update_readers[s->root[node->in[i]]] > 0) return true;
  }
  return false;
}

/* Schedules the updates that may run after `position`; returns whether any is left. */
static bool schedule_updates(scheduler *s, const int32_t *updates, const int32_t *after, int32_t n_updates, int32_t position) {
  bool left = false;
  for (bool progress = true; progress;) {
    progress = false;
    left = false;
    for (int32_t u = 0; u < n_updates; u++) {
      const int32_t n = updates[u];
      const tct_node *node = &s->graph->nodes[n];
      if (s->done[n]) continue;
      left = true;
      if (after[u] > position || awaited(s, node)) continue;
      schedule_node(s, n);
      progress = true;
      for (int32_t i = 0; i < node->n_in; i++) {
        const int32_t root = s->root[node->in[i]];
        if (!writes(s, node, root)) s->update_readers[root]--;
      }
    }
  }
  return left;
}

/* Its kernel takes a list of updates. */
static bool gathers(const tct_selection *selections, int32_t n) {
  const tct_kernel *const kernel = selections != NULL ? selections[n].kernel : NULL;
  return kernel != NULL && kernel->launch_many != NULL;
}

tct_status tct_plan_schedule(const tct_graph *graph, const tct_selection *selections, tct_arena *arena, tct_schedule *out) {
  *out = (tct_schedule){0};
  const size_t n_values = (size_t)graph->n_values + 1, n_nodes = (size_t)graph->n_nodes + 1;
  scheduler s = {.graph = graph, .out = out};
  int32_t *updates = tct_arena_alloc(arena, n_nodes * sizeof(int32_t));
  int32_t *after = tct_arena_alloc(arena, n_nodes * sizeof(int32_t));
  out->node = tct_arena_alloc(arena, n_nodes * sizeof(int32_t));
  s.root = tct_arena_alloc(arena, n_values * sizeof(int32_t));
  s.position = tct_arena_alloc(arena, n_nodes * sizeof(int32_t));
  s.last_read = tct_arena_alloc(arena, n_values * sizeof(int32_t));
  s.update_readers = tct_arena_alloc(arena, n_values * sizeof(int32_t));
  s.done = tct_arena_alloc(arena, n_nodes);
  if (updates == NULL || after == NULL || out->node == NULL || s.root == NULL || s.position == NULL ||
      s.last_read == NULL || s.update_readers == NULL || s.done == NULL) {
    return TCT_OUT_OF_MEMORY;
  }
  survey(&s);
  int32_t n_updates = 0;
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    if (!tct_op_is_update(graph->nodes[n].op)) continue;
    after[n_updates] = gathers(selections, n) ? INT32_MAX : ready_after(&s, &graph->nodes[n]);
    updates[n_updates++] = n;
  }
  bool left = schedule_updates(&s, updates, after, n_updates, -1);
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    const tct_op op = graph->nodes[n].op;
    if (tct_op_is_source(op) || tct_op_is_view(op) || tct_op_is_update(op)) continue;
    schedule_node(&s, n);
    if (left) left = schedule_updates(&s, updates, after, n_updates, s.position[n]);
  }
  if (left) left = schedule_updates(&s, updates, after, n_updates, INT32_MAX);
  if (left) {
    for (int32_t u = 0; u < n_updates; u++) {
      if (s.done[updates[u]]) continue;
      return tct_fail(TCT_E_UPDATE,
                      "update '%s' and another one read each other's variables; there is no order in which "
                      "both see the values from before",
                      graph->nodes[updates[u]].name);
    }
  }
  return TCT_OK;
}
