/* Running a program: the step loop, which allocates nothing and decides nothing, and the ports. */
#include <stdio.h>
#include <string.h>
#include "base/desc.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "exec/exec.h"

static const tct_port *find_port(const tct_port *ports, int32_t n, const char *name) {
  for (int32_t i = 0; i < n; i++) {
    if (strcmp(ports[i].name, name) == 0) return &ports[i];
  }
  return NULL;
}

static tct_status port_or_fail(const tct_port *ports, int32_t n, const char *kind, const char *name, size_t bytes,
                               const tct_port **out) {
  *out = find_port(ports, n, name);
  if (*out == NULL) {
    const char *names[32];
    const int32_t most = n < 32 ? n : 32;
    for (int32_t i = 0; i < most; i++) names[i] = ports[i].name;
    const char *near = tct_nearest(name, names, (size_t)most);
    return tct_fail(TCT_NOT_FOUND, "the program has no %s '%s'%s%s%s", kind, name, TCT_DID_YOU_MEAN(near));
  }
  if ((*out)->bytes != bytes) {
    char shape[160];
    return tct_fail(TCT_E_PORT, "%s '%s' is %s%s, %zu bytes; got %zu", kind, name, tct_dtype_name((*out)->desc.dtype),
                    tct_shape_print(&(*out)->desc.shape, shape, sizeof shape), (*out)->bytes, bytes);
  }
  return TCT_OK;
}

tct_status tct_program_set(tct_program *program, const char *input, const void *data, size_t bytes) {
  const tct_port *port = NULL;
  tct_device *device = program->device;
  TCT_TRY(port_or_fail(program->inputs, program->n_inputs, "input", input, bytes, &port));
  return device->backend->upload(device->impl, port->data, data, bytes);
}

/* A device with a clock of its own charges what runs beside it. */
static int32_t step_aside(const tct_device *device, const tct_step *step, bool count, tct_counter *out, int32_t most) {
  const tct_backend *backend = device->backend;
  if (backend->step_aside == NULL) return 0;
  return backend->step_aside(device->impl, step->launch.node, step->cost.flops, step->cost.bytes, count, out, most);
}

tct_status tct_step_launch(const tct_step *step) {
  if (step->kernel->launch(step->device->impl, &step->launch) == TCT_OK) return TCT_OK;
  return tct_context("in step '%s' (%s)", step->launch.node->name, step->kernel->name);
}

/* The steps that are launched as one from s on. */
static tct_status launch_together(const tct_program *program, int32_t s) {
  const tct_step *const step = &program->steps[s];
  if (step->together == 1) return tct_step_launch(step);
  if (step->kernel->launch_many(step->device->impl, &program->launches[s], step->together) == TCT_OK) return TCT_OK;
  return tct_context("in step '%s' and the %d behind it (%s)", step->launch.node->name, (int)step->together - 1, step->kernel->name);
}

static tct_status launch_timed(tct_step *step) {
  tct_ticket begin, end;
  tct_device *device = step->device;
  TCT_TRY(device->backend->mark(device->impl, TCT_QUEUE_COMPUTE, &begin));
  TCT_TRY(tct_step_launch(step));
  TCT_TRY(device->backend->mark(device->impl, TCT_QUEUE_COMPUTE, &end));
  TCT_TRY(device->backend->sync(device->impl));
  step->seconds += device->backend->elapsed(device->impl, begin, end);
  return TCT_OK;
}

static void add_text(void *user, const char *text, size_t length) {
  uint64_t *const hash = user;
  *hash = *hash * 0x100000001b3u ^ tct_hash(text, length);
}

/* The graph's text has its ops, attributes, shapes and types. */
static void announce(tct_program *program) {
  const tct_backend *backend = program->device->backend;
  program->has_run = true;
  if (backend->first_run == NULL) return;
  uint64_t fingerprint = 0;
  tct_graph_print(program->graph, add_text, &fingerprint);
  backend->first_run(program->device->impl, fingerprint);
}

/* ---- recordings ---- */

static tct_status launch_all(void *user) {
  const tct_program *const program = user;
  for (int32_t s = 0; s < program->n_steps; s += program->steps[s].together) TCT_TRY(launch_together(program, s));
  return TCT_OK;
}

/* The program's launches as the device's recording, from its second run on; false: they are to be launched one by one. Steps on
 * the host and a device that charges for them are not the device's to replay. */
static bool has_recording(tct_program *program) {
  const tct_backend *const backend = program->device->backend;
  if (program->recording != NULL) return true;
  if (!program->warm || program->unrecordable || backend->record == NULL) return false;
  for (int32_t s = 0; s < program->n_steps; s++) program->unrecordable |= program->steps[s].device != program->device;
  if (program->unrecordable || program->n_steps == 0) return false;
  if (backend->record(program->device->impl, launch_all, program, &program->recording) == TCT_OK) return true;
  program->recording = NULL;
  program->unrecordable = true;
  tct_log_line(TCT_LOG_INFO, "device '%s': the step is launched op by op: %s", program->device->spec, tct_error_message());
  tct_error_clear();
  return false;
}

tct_status tct_program_run(tct_program *program) {
  tct_device *const device = program->device;
  if (!program->has_run) announce(program);
  tct_step *const steps = program->steps;
  const int32_t n_steps = program->n_steps;
  if (!program->profiling && has_recording(program)) return device->backend->replay(device->impl, program->recording);
  for (int32_t s = 0; s < n_steps; s += program->profiling ? 1 : steps[s].together) {
    tct_counter time = {.value = 0};
    const bool charged = steps[s].device != device && step_aside(device, &steps[s], true, &time, 1) == 1;
    if (charged) steps[s].seconds += program->profiling ? time.value : 0;
    TCT_TRY(!program->profiling ? launch_together(program, s) : charged ? tct_step_launch(&steps[s]) : launch_timed(&steps[s]));
  }
  program->warm = true;
  program->profiled_runs += program->profiling;
  return TCT_OK;
}

tct_status tct_program_get(tct_program *program, const char *output, void *data, size_t bytes) {
  const tct_port *port = NULL;
  tct_device *device = program->device;
  TCT_TRY(port_or_fail(program->outputs, program->n_outputs, "output", output, bytes, &port));
  TCT_TRY(device->backend->download(device->impl, data, port->data, bytes));
  return device->backend->sync(device->impl);
}

tct_variables *tct_program_variables(tct_program *program) { return program->variables; }

void tct_program_describe(const tct_program *program, tct_program_info *out) {
  *out = (tct_program_info){.n_steps = program->n_steps, .arena_bytes = program->plan.arena_bytes,
                             .no_reuse_bytes = program->plan.no_reuse_bytes};
  for (int32_t s = 0; s < program->n_steps; s++) {
    out->n_fallback += program->steps[s].device != program->device;
    out->flops += program->steps[s].cost.flops;
    out->bytes += program->steps[s].cost.bytes;
  }
  const tct_graph *graph = program->graph;
  for (int32_t n = 0; n < graph->n_nodes; n++) {
    if (graph->nodes[n].op != TCT_OP_variable) continue;
    const tct_desc *desc = &graph->values[graph->nodes[n].out].desc;
    out->variables_bytes += tct_desc_bytes(desc);
  }
}

bool tct_program_step(const tct_program *program, int32_t i, tct_step_info *out) {
  *out = (tct_step_info){0};
  if (i < 0 || i >= program->n_steps) return false;
  const tct_step *step = &program->steps[i];
  *out = (tct_step_info){.name = step->launch.node->name,
                         .op = step->launch.node->op_name,
                         .kernel = step->kernel->name,
                         .device = step->device->spec,
                         .flops = step->cost.flops,
                         .bytes = step->cost.bytes,
                         .node = step->launch.node,
                         .seconds = program->profiled_runs > 0 ? step->seconds / (double)program->profiled_runs : 0};
  return true;
}

int32_t tct_program_step_counters(const tct_program *program, int32_t i, tct_counter *out, int32_t most) {
  if (i < 0 || i >= program->n_steps) return 0;
  const tct_step *step = &program->steps[i];
  const tct_backend *backend = step->device->backend;
  if (step->device != program->device) return step_aside(program->device, step, false, out, most);
  return backend->step_counters != NULL ? backend->step_counters(step->device->impl, step->launch.state, out, most) : 0;
}

static double bytes_of(const tct_desc *desc, int32_t n) {
  double bytes = 0;
  for (int32_t i = 0; i < n; i++) bytes += (double)tct_desc_bytes(&desc[i]);
  return bytes;
}

/* A step on the host: out and in again. */
static void list_aside(const tct_device *device, const tct_node_view *node, tct_line_fn line, void *user) {
  if (device->backend->transfer_listing == NULL) return;
  device->backend->transfer_listing(device->impl, "operands", bytes_of(node->in, node->n_in), false, line, user);
  device->backend->transfer_listing(device->impl, "results", bytes_of(node->out, node->n_out), true, line, user);
}

void tct_program_transfer_listing(const tct_program *program, tct_line_fn line, void *user) {
  const tct_device *device = program->device;
  if (device->backend->transfer_listing == NULL) return;
  for (int32_t i = 0; i < program->n_inputs; i++)
    device->backend->transfer_listing(device->impl, program->inputs[i].name, (double)program->inputs[i].bytes, true, line, user);
  for (int32_t i = 0; i < program->n_outputs; i++)
    device->backend->transfer_listing(device->impl, program->outputs[i].name, (double)program->outputs[i].bytes, false, line, user);
}

void tct_program_step_listing(const tct_program *program, int32_t i, tct_line_fn line, void *user) {
  if (i < 0 || i >= program->n_steps) return;
  const tct_step *step = &program->steps[i];
  const tct_backend *backend = step->device->backend;
  if (step->device != program->device) list_aside(program->device, step->launch.node, line, user);
  else if (backend->step_listing != NULL) backend->step_listing(step->device->impl, step->launch.state, line, user);
}

void tct_program_profile(tct_program *program, bool on) {
  program->profiling = on;
  if (!on) return;
  program->profiled_runs = 0;
  for (int32_t s = 0; s < program->n_steps; s++) program->steps[s].seconds = 0;
}
