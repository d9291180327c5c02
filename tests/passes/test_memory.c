/* The memory plan, by brute force: the run is played on a map of the arena that knows for every byte whose it is. */
#include "exec/exec.h"
#include "graphs.h"
#include "test.h"

enum { NOBODY = -1, WORKSPACE = -2 };

typedef struct map {
  const tct_program *program;
  int32_t *owner; /* [arena bytes] the value whose byte this is */
} map;

/* Of a view, the value that it shows. */
static int32_t content(const tct_graph *graph, int32_t value) {
  while (tct_op_is_view(tct_maker(graph, value)->op)) value = tct_maker(graph, value)->in[0];
  return value;
}

static size_t bytes_of(const tct_graph *graph, int32_t value) {
  const tct_desc *desc = &graph->values[value].desc;
  return (size_t)tct_shape_size(&desc->shape) * tct_dtype_bytes(desc->dtype);
}

static bool in_arena(const map *m, int32_t value) {
  return m->program->plan.storage[value] == TCT_STORAGE_ARENA;
}
static size_t offset_of(const map *m, int32_t value) {
  return m->program->plan.offset[m->program->plan.root[value]];
}

static void own(map *m, size_t offset, size_t bytes, int32_t owner) {
  CHECK(offset + bytes <= m->program->plan.arena_bytes, "past the arena's end");
  for (size_t i = 0; i < bytes; i++) m->owner[offset + i] = owner;
}

static void check_owned(const map *m, int32_t value, const char *reader) {
  const tct_graph *graph = m->program->graph;
  if (!in_arena(m, value)) return;
  for (size_t i = 0; i < bytes_of(graph, value); i++) {
    const int32_t owner = m->owner[offset_of(m, value) + i];
    CHECK(owner == content(graph, value), "%s reads '%s', of which byte %zu was overwritten by %s", reader,
          tct_maker(graph, value)->name, i, owner >= 0 ? tct_maker(graph, owner)->name : "nobody or a workspace");
  }
}

static bool overlap(size_t a, size_t a_bytes, size_t b, size_t b_bytes) {
  return a < b + b_bytes && b < a + a_bytes;
}

/* An output may lie on an input only exactly, and only where the kernel reads before it writes. */
static void check_sharing(const map *m, const tct_node *node, const tct_kernel *kernel) {
  const tct_graph *graph = m->program->graph;
  for (int32_t o = 0; o < node->n_out; o++) {
    const int32_t out = node->out + o;
    for (int32_t i = 0; i < node->n_in; i++) {
      const int32_t in = node->in[i];
      if (!in_arena(m, in) || !overlap(offset_of(m, out), bytes_of(graph, out), offset_of(m, in), bytes_of(graph, in)))
        continue;
      const bool exact = offset_of(m, out) == offset_of(m, in) && bytes_of(graph, out) == bytes_of(graph, in) &&
                         graph->values[out].desc.dtype == graph->values[in].desc.dtype;
      CHECK(exact && kernel->in_place && node->n_out == 1, "'%s' would write over its operand %d", node->name, (int)i);
    }
  }
}

static void play_step(map *m, int32_t s) {
  const tct_program *program = m->program;
  const int32_t n = program->schedule.node[s];
  const tct_node *node = &program->graph->nodes[n];
  const tct_selection *selection = &program->selections[n];
  own(m, program->plan.workspace_offset[s], selection->prepared.workspace_bytes, WORKSPACE);
  for (int32_t i = 0; i < node->n_in; i++) check_owned(m, node->in[i], node->name);
  check_sharing(m, node, selection->kernel);
  for (int32_t o = 0; o < node->n_out; o++) {
    const int32_t out = node->out + o;
    const size_t bytes = bytes_of(program->graph, out);
    CHECK(
        bytes == 0 || selection->prepared.workspace_bytes == 0 ||
            !overlap(offset_of(m, out), bytes, program->plan.workspace_offset[s], selection->prepared.workspace_bytes),
        "'%s' would write into its workspace", node->name);
    for (int32_t other = 0; other < o; other++) {
      CHECK(!overlap(offset_of(m, out), bytes, offset_of(m, node->out + other),
                     bytes_of(program->graph, node->out + other)));
    }
    own(m, offset_of(m, out), bytes, out);
  }
}

static void check_plan(const tct_program *program) {
  map m = {program, malloc((program->plan.arena_bytes + 1) * sizeof(int32_t))};
  for (size_t i = 0; i < program->plan.arena_bytes; i++) m.owner[i] = NOBODY;
  for (int32_t s = 0; s < program->schedule.n_steps; s++) play_step(&m, s);
  for (int32_t i = 0; i < program->graph->n_outputs; i++) check_owned(&m, program->graph->outputs[i].value, "the user");
  for (int32_t v = 0; v < program->graph->n_values; v++) {
    CHECK(!in_arena(&m, v) || offset_of(&m, v) % 64 == 0, "value %d is not aligned", (int)v);
  }
  CHECK(program->plan.arena_bytes <= program->plan.no_reuse_bytes);
  free(m.owner);
}

static void check_on_all(const tct_graph *graph) {
  tct_device_kind kind;
  for (int32_t i = 0; tct_device_list(i, &kind); i++) {
    if (kind.n_devices == 0) continue;
    tct_device *device = device_make(spec_of(&kind));
    for (int skip = 0; skip < 2; skip++) {
      tct_program *program = NULL;
      setenv("TERCET_SKIP", skip ? "simplify,fuse_bias_gradient,fuse_epilogue,fuse_chain" : "", 1);
      OK(tct_compile(graph, device, NULL, &program));
      unsetenv("TERCET_SKIP");
      check_plan(program);
      tct_program_free(program);
    }
    tct_device_close(device);
  }
}

TEST(memory, live_blocks_do_not_overlap) {
  for (int64_t batch = 1; batch <= 5; batch += 4) {
    tct_graph *graph = training_step(TCT_F32, batch);
    check_on_all(graph);
    tct_graph_free(graph);
  }
}

/* Random graphs of unary, binary and shape-changing ops with several readers each. */
TEST(memory, random_graphs) {
  uint64_t state = 42;
  for (int round = 0; round < 60; round++) {
    tct_graph *graph = graph_make();
    tct_tensor pool[40] = {tct_input(graph, "a", TCT_F32, TCT_SHAPE(6, 10)),
                           tct_input(graph, "b", TCT_F32, TCT_SHAPE(6, 10))};
    int n = 2;
    while (n < 40) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const tct_tensor x = pool[(state >> 40) % (uint64_t)n], y = pool[(state >> 20 & 0xffff) % (uint64_t)n];
      switch (state >> 60) {
      case 0:
      case 1:
        pool[n] = tct_tanh(x);
        break;
      case 2:
      case 3:
      case 4:
        pool[n] = tct_add(x, y);
        break;
      case 5:
        pool[n] = tct_reshape(tct_reshape(x, TCT_SHAPE(60)), TCT_SHAPE(6, 10));
        break;
      case 6:
        pool[n] = tct_matmul(tct_matmul_transposed(x, y, false, true), y);
        break;
      case 7:
        pool[n] = tct_softmax(x, 1);
        break;
      case 8:
        pool[n] = tct_mul(x, tct_reduce_sum(y, (const int32_t[]){1}, 1, true));
        break;
      case 9:
        pool[n] = tct_transpose(tct_reshape(x, TCT_SHAPE(10, 6)), NULL);
        break;
      default:
        pool[n] = tct_mul(x, y);
        break;
      }
      n++;
    }
    tct_output(graph, "last", pool[39]);
    tct_output(graph, "middle", tct_reshape(pool[20], TCT_SHAPE(60)));
    tct_output(graph, "early", pool[5]);
    check_on_all(graph);
    tct_graph_free(graph);
  }
}

TEST(memory, a_long_chain_of_ops_needs_two_buffers) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = graph_make();
  tct_tensor x = INPUT(graph, "x", 32, 32);
  for (int i = 0; i < 20; i++) x = tct_matmul(x, x);
  tct_output(graph, "y", x);
  tct_program *program = NULL;
  OK(tct_compile(graph, ref, NULL, &program));
  check_plan(program);
  const size_t one = 32 * 32 * sizeof(double);
  CHECK(program->plan.arena_bytes < 3 * one, "%zu bytes", program->plan.arena_bytes);
  CHECK(program->plan.no_reuse_bytes >= 20 * one);
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(ref);
}

TEST(memory, elementwise_ops_work_in_place) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = graph_make();
  tct_tensor x = tct_softmax(INPUT(graph, "x", 64, 64), 1);
  for (int i = 0; i < 8; i++) x = i % 2 == 0 ? tct_tanh(x) : tct_add(x, x);
  tct_output(graph, "y", x);
  tct_program *program = NULL;
  setenv("TERCET_SKIP", "fuse_chain", 1);
  OK(tct_compile(graph, ref, NULL, &program));
  unsetenv("TERCET_SKIP");
  check_plan(program);
  CHECK(program->plan.arena_bytes < 64 * 64 * sizeof(double) + 4096, "%zu bytes", program->plan.arena_bytes);
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(ref);
}

/* An output that is also an operand of a later in-place op must survive. */
TEST(memory, outputs_are_not_taken_over) {
  tct_device *ref = device_make("ref");
  tct_graph *graph = graph_make();
  const tct_tensor y = tct_exp(INPUT(graph, "x", 100));
  tct_output(graph, "y", y);
  tct_output(graph, "view", tct_reshape(y, TCT_SHAPE(10, 10)));
  tct_output(graph, "z", tct_tanh(y));
  tct_program *program = NULL;
  setenv("TERCET_SKIP", "fuse_chain", 1);
  OK(tct_compile(graph, ref, NULL, &program));
  unsetenv("TERCET_SKIP");
  check_plan(program);
  double x[100], exp_x[100], view[100], z[100];
  for (int i = 0; i < 100; i++) x[i] = 0.01 * i - 0.5;
  OK(tct_program_set(program, "x", x, sizeof x));
  OK(tct_program_run(program));
  OK(tct_program_get(program, "y", exp_x, sizeof exp_x));
  OK(tct_program_get(program, "view", view, sizeof view));
  OK(tct_program_get(program, "z", z, sizeof z));
  for (int i = 0; i < 100; i++)
    CHECK(exp_x[i] == exp(x[i]) && view[i] == exp_x[i] && z[i] == tanh(exp_x[i]), "at %d", i);
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(ref);
}
