/* Compilation: a graph → an immutable program. Everything is decided and allocated here. */
#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "base/checked.h"
#include "base/desc.h"
#include "base/log.h"
#include "base/status.h"
#include "exec/exec.h"

static size_t alignment_of(const tct_device *device) {
  return device->info.alignment > 64 ? device->info.alignment : 64;
}

/* ---- device memory ---- */

/* "'conv1/conv2d' 12.0 MiB, …": the largest values of the arena, each named by the node that makes it. */
static void name_largest(const tct_program *program, char *text, size_t text_bytes) {
  enum { MOST_NAMED = 3 };
  const tct_graph *graph = program->graph;
  int32_t largest[MOST_NAMED];
  int32_t n = 0;
  for (int32_t v = 0; v < graph->n_values; v++) {
    if (program->plan.root[v] != v || program->plan.storage[v] != TCT_STORAGE_ARENA) continue;
    const size_t bytes = tct_desc_bytes(&graph->values[v].desc);
    int32_t at = n < MOST_NAMED ? n++ : MOST_NAMED;
    for (; at > 0 && tct_desc_bytes(&graph->values[largest[at - 1]].desc) < bytes; at--)
      if (at < MOST_NAMED) largest[at] = largest[at - 1];
    if (at < MOST_NAMED) largest[at] = v;
  }
  text[0] = '\0';
  for (int32_t i = 0; i < n; i++) {
    const size_t used = strlen(text);
    snprintf(text + used, text_bytes - used, "%s'%.60s' %.1f MiB", i > 0 ? ", " : "", tct_maker(graph, largest[i])->name,
             (double)tct_desc_bytes(&graph->values[largest[i]].desc) / (1 << 20));
  }
}

static tct_status take_arena(tct_program *program, tct_program *share) {
  const size_t bytes = program->plan.arena_bytes;
  if (share != NULL && share->memory->device == program->device && share->memory->bytes >= bytes) {
    program->memory = share->memory;
    program->memory->references++;
    return TCT_OK;
  }
  tct_shared_arena *memory = tct_alloc_zero(1, sizeof *memory);
  if (memory == NULL) return TCT_OUT_OF_MEMORY;
  memory->device = program->device;
  memory->bytes = bytes;
  memory->references = 1;
  if (program->device->backend->alloc(program->device->impl, bytes + 64, &memory->data) != TCT_OK) {
    char largest[280];
    name_largest(program, largest, sizeof largest);
    tct_release(memory);
    return tct_context("allocating the program's arena of %zu bytes (its largest: %s)", bytes, largest);
  }
  program->memory = memory;
  return TCT_OK;
}

static void drop_arena(tct_shared_arena *memory) {
  if (memory == NULL || --memory->references > 0) return;
  memory->device->backend->free(memory->device->impl, memory->data);
  tct_release(memory);
}

/* Inputs and constants: one allocation; base[value] is set for them. */
static tct_status take_fixed(tct_program *program, void **base) {
  const tct_graph *graph = program->graph;
  tct_device *device = program->device;
  size_t total = 64;
  for (int pass = 0; pass < 2; pass++) {
    size_t at = 0;
    for (int32_t v = 0; v < graph->n_values; v++) {
      const tct_storage storage = program->plan.storage[v];
      if (program->plan.root[v] != v || (storage != TCT_STORAGE_INPUT && storage != TCT_STORAGE_CONSTANT)) continue;
      size_t bytes = 0;
      if (!tct_align_size(tct_desc_bytes(&graph->values[v].desc), alignment_of(device), &bytes)) {
        return tct_fail(TCT_OUT_OF_MEMORY, "'%s': the size overflows", tct_maker(graph, v)->name);
      }
      if (pass == 1) base[v] = (char *)program->fixed + at;
      if (!tct_add_size(at, bytes, &at)) return tct_fail(TCT_OUT_OF_MEMORY, "inputs: the sizes overflow");
    }
    if (pass == 1) break;
    total += at;
    if (device->backend->alloc(device->impl, total, &program->fixed) != TCT_OK) {
      return tct_context("allocating %zu bytes of inputs and constants", total);
    }
  }
  for (int32_t v = 0; v < graph->n_values; v++) {
    if (base[v] == NULL || program->plan.storage[v] != TCT_STORAGE_CONSTANT) continue;
    const tct_constant_attrs *constant = tct_maker(graph, v)->attrs;
    TCT_TRY(device->backend->upload(device->impl, base[v], constant->data, tct_desc_bytes(&graph->values[v].desc)));
  }
  return device->backend->sync(device->impl);
}

/* Where every value lives. */
static tct_status bind_values(tct_program *program, void **base) {
  const tct_graph *graph = program->graph;
  TCT_TRY(take_fixed(program, base));
  for (int32_t v = 0; v < graph->n_values; v++) {
    const int32_t root = program->plan.root[v];
    switch (program->plan.storage[v]) {
    case TCT_STORAGE_ARENA: base[v] = (char *)program->memory->data + program->plan.offset[root]; break;
    case TCT_STORAGE_VARIABLE:
      base[v] = tct_variables_find(program->variables, tct_maker(graph, root)->name)->data;
      break;
    default: base[v] = base[root]; break;
    }
  }
  return TCT_OK;
}

/* Step a writes a buffer that step b reads or writes. Only variables are written here, each of which has one address. */
static bool writes_for(const tct_program *program, int32_t a, int32_t b) {
  const tct_launch *const from = program->launches[a], *const to = program->launches[b];
  const int32_t n_writes = tct_node_writes(&program->graph->nodes[program->schedule.node[a]]);
  for (int32_t i = 0; i < n_writes; i++)
    for (int32_t j = 0; j < to->node->n_in; j++)
      if (from->in[i] == to->in[j]) return true;
  return false;
}

/* Whether step s may be launched together with those from `first` on. */
static bool joins(const tct_program *program, int32_t first, int32_t s) {
  const tct_step *const step = &program->steps[s];
  if (step->kernel->launch_many == NULL || step->kernel != program->steps[first].kernel || step->device != program->steps[first].device)
    return false;
  for (int32_t before = first; before < s; before++)
    if (writes_for(program, before, s) || writes_for(program, s, before)) return false;
  return true;
}

static void join_steps(tct_program *program) {
  for (int32_t s = 0, first = 0; s < program->n_steps; s++) {
    if (s > first && joins(program, first, s)) {
      program->steps[first].together++;
      program->steps[s].together = 0;
    } else {
      first = s;
      program->steps[s].together = 1;
    }
  }
}

static tct_status bind_steps(tct_program *program, void *const *base) {
  const tct_graph *graph = program->graph;
  program->steps = tct_arena_alloc(&program->arena, ((size_t)program->schedule.n_steps + 1) * sizeof *program->steps);
  program->launches = tct_arena_alloc(&program->arena, ((size_t)program->schedule.n_steps + 1) * sizeof *program->launches);
  if (program->steps == NULL || program->launches == NULL) return TCT_OUT_OF_MEMORY;
  for (int32_t s = 0; s < program->schedule.n_steps; s++) {
    const int32_t n = program->schedule.node[s];
    const tct_node *node = &graph->nodes[n];
    tct_step *step = &program->steps[s];
    const tct_node_view *view = tct_node_view_of(graph, node, &program->arena);
    void **in = tct_arena_alloc(&program->arena, (size_t)(node->n_in + node->n_out + 1) * sizeof *in);
    if (view == NULL || in == NULL) return TCT_OUT_OF_MEMORY;
    void **out = in + node->n_in;
    for (int32_t i = 0; i < node->n_in; i++) in[i] = base[node->in[i]];
    for (int32_t o = 0; o < node->n_out; o++) out[o] = base[node->out + o];
    const tct_selection *selection = &program->selections[n];
    step->kernel = selection->kernel;
    step->device = selection->device;
    step->launch = (tct_launch){.node = view, .in = in, .out = out, .state = selection->prepared.state,
                                .workspace = (char *)program->memory->data + program->plan.workspace_offset[s]};
    tct_op_definition(node->op)->cost(view, &step->cost);
    program->launches[s] = &step->launch;
  }
  program->n_steps = program->schedule.n_steps;
  join_steps(program);
  return TCT_OK;
}

static tct_status bind_ports(tct_program *program, void *const *base) {
  const tct_graph *graph = program->graph;
  program->inputs = tct_arena_alloc(&program->arena, ((size_t)graph->n_nodes + 1) * sizeof *program->inputs);
  program->outputs = tct_arena_alloc(&program->arena, ((size_t)graph->n_outputs + 1) * sizeof *program->outputs);
  if (program->inputs == NULL || program->outputs == NULL) return TCT_OUT_OF_MEMORY;
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    const tct_node *node = &graph->nodes[n];
    if (node->op != TCT_OP_input) continue;
    const tct_desc *desc = &graph->values[node->out].desc;
    program->inputs[program->n_inputs++] = (tct_port){node->name, base[node->out], tct_desc_bytes(desc), *desc};
  }
  for (int32_t i = 0; i < graph->n_outputs; i++) {
    const int32_t value = graph->outputs[i].value;
    const tct_desc *desc = &graph->values[value].desc;
    program->outputs[program->n_outputs++] = (tct_port){graph->outputs[i].name, base[value], tct_desc_bytes(desc), *desc};
  }
  return TCT_OK;
}

/* ---- the stages ---- */

static tct_status compile(tct_program *program, const tct_graph *graph, const tct_compile_options *options) {
  const tct_pass_context context = {program->device, options->fallback_host, options->precision, options->no_fusion};
  if (options->fallback_host && !program->device->info.host_memory) {
    return tct_fail(TCT_E_NO_KERNEL, "device '%s': fallback=host needs memory that the host can address",
                    program->device->spec);
  }
  TCT_TRY(tct_run_passes(graph, &context, &program->graph));
  TCT_TRY(tct_select_kernels(program->graph, &context, &program->arena, &program->selections));
  TCT_TRY(tct_plan_schedule(program->graph, program->selections, &program->arena, &program->schedule));
  TCT_TRY(tct_plan_memory(program->graph, &program->schedule, program->selections, alignment_of(program->device),
                          &program->arena, &program->plan));
  program->variables = options->variables;
  if (program->variables == NULL) {
    TCT_TRY(tct_variables_create(program->device, options->seed, &program->variables));
    program->owns_variables = true;
  }
  if (program->variables->device != program->device) {
    return tct_fail(TCT_E_VARIABLE, "compile: the variables live on device '%s', the program is for '%s'",
                    program->variables->device->spec, program->device->spec);
  }
  TCT_TRY(tct_variables_add(program->variables, program->graph));
  TCT_TRY(take_arena(program, options->share_arena));
  void **base = tct_arena_alloc(&program->arena, ((size_t)program->graph->n_values + 1) * sizeof *base);
  if (base == NULL) return TCT_OUT_OF_MEMORY;
  TCT_TRY(bind_values(program, base));
  TCT_TRY(bind_steps(program, base));
  return bind_ports(program, base);
}

tct_status tct_compile(const tct_graph *graph, tct_device *device, const tct_compile_options *options,
                       tct_program **out) {
  static const tct_compile_options defaults = {0};
  *out = NULL;
  tct_program *program = tct_alloc_zero(1, sizeof *program);
  if (program == NULL) return TCT_OUT_OF_MEMORY;
  program->device = device;
  const tct_status status = compile(program, graph, options != NULL ? options : &defaults);
  if (status != TCT_OK) {
    tct_program_free(program);
    return status;
  }
  *out = program;
  return TCT_OK;
}

void tct_program_free(tct_program *program) {
  if (program == NULL) return;
  if (program->recording != NULL) program->device->backend->drop(program->device->impl, program->recording);
  if (program->graph != NULL) tct_selections_free(program->selections, program->graph->n_nodes);
  if (program->fixed != NULL) program->device->backend->free(program->device->impl, program->fixed);
  drop_arena(program->memory);
  if (program->owns_variables) tct_variables_free(program->variables);
  tct_graph_free(program->graph);
  tct_arena_free(&program->arena);
  tct_release(program);
}
