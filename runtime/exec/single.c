/* Steps one by one: launching one, reading and writing what it reads and makes. */
#include "base/desc.h"
#include "base/status.h"
#include "exec/exec.h"

typedef struct operand {
  const tct_desc *desc;
  void *data; /* device memory */
  int32_t value;
} operand;

/* The operand of a step; false: there is none. Steps are the schedule's nodes. */
static bool find(const tct_program *program, int32_t i, int32_t which, operand *out) {
  if (i < 0 || i >= program->n_steps) return false;
  const tct_launch *const launch = &program->steps[i].launch;
  const tct_node *const node = &program->graph->nodes[program->schedule.node[i]];
  const int32_t n_in = launch->node->n_in, made = which - n_in;
  if (which < 0 || made >= launch->node->n_out) return false;
  *out = made < 0 ? (operand){&launch->node->in[which], launch->in[which], node->in[which]}
                  : (operand){&launch->node->out[made], launch->out[made], node->out + made};
  return true;
}

static tct_status find_sized(const tct_program *program, int32_t i, int32_t which, size_t bytes, operand *out) {
  if (!find(program, i, which, out)) return tct_fail(TCT_NOT_FOUND, "the program has no operand %d of step %d", (int)which, (int)i);
  const size_t has = tct_desc_bytes(out->desc);
  if (has == bytes) return TCT_OK;
  return tct_fail(TCT_E_PORT, "operand %d of step %d is %zu bytes; got %zu", (int)which, (int)i, has, bytes);
}

tct_status tct_program_launch_step(tct_program *program, int32_t i) {
  if (i < 0 || i >= program->n_steps) return tct_fail(TCT_NOT_FOUND, "the program has no step %d, but %d", (int)i, (int)program->n_steps);
  return tct_step_launch(&program->steps[i]);
}

const char *tct_program_operand_name(const tct_program *program, int32_t i, int32_t which) {
  operand o;
  return find(program, i, which, &o) ? tct_maker(program->graph, o.value)->name : "";
}

tct_status tct_program_operand_read(tct_program *program, int32_t i, int32_t which, void *data, size_t bytes) {
  operand o;
  tct_device *const device = program->device;
  TCT_TRY(find_sized(program, i, which, bytes, &o));
  TCT_TRY(device->backend->sync(device->impl)); /* a step may have run on the host, which no queue of the device waits for */
  TCT_TRY(device->backend->download(device->impl, data, o.data, bytes));
  return device->backend->sync(device->impl);
}

tct_status tct_program_operand_write(tct_program *program, int32_t i, int32_t which, const void *data, size_t bytes) {
  operand o;
  tct_device *const device = program->device;
  TCT_TRY(find_sized(program, i, which, bytes, &o));
  TCT_TRY(device->backend->upload(device->impl, o.data, data, bytes));
  return device->backend->sync(device->impl);
}
