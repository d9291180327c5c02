/* Ops from outside: definitions and kernels that a program registers (<tercet/op.h>). They are numbered behind the library's
 * own, live as long as the process, and are only ever added: a reader sees the count after the entry, so lookups take no
 * lock, and registrations exclude each other. */
#include <stdatomic.h>
#include <string.h>
#include "base/alloc.h"
#include "base/status.h"
#include "graph/graph.h"
#include "ops/defs.h"

enum { MOST_OPS = 256, MOST_KERNELS = 16, MOST_NAME = 60, MOST_OUT = 8, MOST_DECOMPOSED = 16 };

typedef struct custom_op {
  tct_op_def def; /* its name and defaults are our own */
  const tct_op_def *given;
  int32_t n_kernels;
  tct_op_kernel kernels[MOST_KERNELS];
} custom_op;

static custom_op *ops[MOST_OPS]; /* process */
static atomic_int n_ops;
static atomic_flag registering = ATOMIC_FLAG_INIT;

static const custom_op *entry_of(tct_op op) {
  const int at = (int)op - TCT_OP_FIRST_CUSTOM;
  return at >= 0 && at < atomic_load_explicit(&n_ops, memory_order_acquire) ? ops[at] : NULL;
}

const tct_op_def *tct_custom_definition(tct_op op) {
  const custom_op *entry = entry_of(op);
  return entry != NULL ? &entry->def : NULL;
}

tct_op tct_custom_find(const char *name) {
  const int n = atomic_load_explicit(&n_ops, memory_order_acquire);
  for (int i = 0; i < n; i++) {
    if (strcmp(ops[i]->def.name, name) == 0) return (tct_op)(TCT_OP_FIRST_CUSTOM + i);
  }
  return TCT_OP_NONE;
}

const tct_kernel *tct_op_kernel_of(tct_op op, const char *backend) {
  const custom_op *entry = entry_of(op);
  for (int32_t k = 0; entry != NULL && k < entry->n_kernels; k++) {
    if (strcmp(entry->kernels[k].device, backend) == 0) return &entry->kernels[k].kernel;
  }
  return NULL;
}

const tct_kernel *tct_op_kernel_at(const char *backend, int32_t i) {
  const int n = atomic_load_explicit(&n_ops, memory_order_acquire);
  for (int op = 0; op < n; op++) {
    const tct_kernel *kernel = tct_op_kernel_of((tct_op)(TCT_OP_FIRST_CUSTOM + op), backend);
    if (kernel != NULL && i-- == 0) return kernel;
  }
  return NULL;
}

/* ---- registering ---- */

static bool good_name(const char *name) {
  if (name == NULL || name[0] < 'a' || name[0] > 'z' || strlen(name) > MOST_NAME) return false;
  return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name);
}

static tct_status check_definition(const tct_op_def *def, const tct_op_kernel *kernels, int32_t n_kernels) {
  if (def == NULL) return tct_fail(TCT_INVALID, "op_register: the definition is NULL");
  if (def->abi != TCT_OP_ABI) {
    return tct_fail(TCT_UNSUPPORTED,
                    "op_register: the definition is of interface version %u, this library's is %u; set .abi = TCT_OP_ABI "
                    "and compile it with this version's headers",
                    (unsigned)def->abi, TCT_OP_ABI);
  }
  if (!good_name(def->name)) {
    return tct_fail(TCT_INVALID, "op_register: the name '%s' needs 1 to %d of a-z, 0-9 and _, a letter first",
                    def->name != NULL ? def->name : "", MOST_NAME);
  }
  if (def->infer == NULL) return tct_fail(TCT_INVALID, "op '%s': its shape rule is NULL", def->name);
  const bool counts = def->min_in >= 1 && (def->max_in == -1 || def->max_in >= def->min_in) && def->n_out >= 1;
  if (!counts || def->n_out > MOST_OUT || (def->decompose != NULL && (def->max_in < 0 || def->max_in > MOST_DECOMPOSED))) {
    return tct_fail(TCT_INVALID,
                    "op '%s': min_in %d, max_in %d, n_out %d; needs 1 <= min_in <= max_in (-1: any number; with decompose at "
                    "most %d) and 1 to %d outputs",
                    def->name, (int)def->min_in, (int)def->max_in, (int)def->n_out, MOST_DECOMPOSED, MOST_OUT);
  }
  if (n_kernels < 0 || n_kernels > MOST_KERNELS) {
    return tct_fail(TCT_INVALID, "op '%s': %d kernels, at most %d", def->name, (int)n_kernels, MOST_KERNELS);
  }
  for (int32_t k = 0; k < n_kernels; k++) {
    if (kernels[k].device == NULL || kernels[k].device[0] == '\0' || kernels[k].kernel.launch == NULL) {
      return tct_fail(TCT_INVALID, "op '%s': kernel %d has no %s", def->name, (int)k,
                      kernels[k].kernel.launch == NULL ? "launch function" : "device name, such as \"cpu\"");
    }
    for (int32_t j = 0; j < k; j++) {
      if (strcmp(kernels[j].device, kernels[k].device) == 0)
        return tct_fail(TCT_INVALID, "op '%s': two kernels for device '%s'", def->name, kernels[k].device);
    }
  }
  return TCT_OK;
}

static void default_cost(const tct_node_view *node, tct_cost *out) {
  tct_cost_per_output(node, 1, out);
}

/* A copy with texts of its own, in one block. */
static custom_op *copy_of(const tct_op_def *def, const tct_op_kernel *kernels, int32_t n_kernels) {
  size_t text_bytes = strlen(def->name) + 1;
  for (int32_t k = 0; k < n_kernels; k++) text_bytes += 2 * (strlen(kernels[k].device) + 1) + strlen(def->name) + 1;
  custom_op *copy = tct_alloc_zero(1, sizeof *copy + text_bytes);
  if (copy == NULL) return NULL;
  char *text = (char *)(copy + 1);
  copy->def = *def;
  copy->given = def;
  copy->n_kernels = n_kernels;
  copy->def.name = strcpy(text, def->name);
  text += strlen(text) + 1;
  if (copy->def.cost == NULL) copy->def.cost = default_cost;
  for (int32_t k = 0; k < n_kernels; k++) {
    tct_op_kernel *to = &copy->kernels[k];
    to->kernel = kernels[k].kernel;
    to->kernel.op = copy->def.name;
    to->device = strcpy(text, kernels[k].device);
    text += strlen(text) + 1;
    to->kernel.name = strcat(strcat(strcpy(text, def->name), "."), kernels[k].device);
    text += strlen(text) + 1;
  }
  return copy;
}

/* Under the lock. A definition that is there already gives its number again. */
static tct_status add(const tct_op_def *def, const tct_op_kernel *kernels, int32_t n_kernels, tct_op *out) {
  const tct_op there = tct_op_find(def->name);
  const custom_op *entry = entry_of(there);
  if (there != TCT_OP_NONE && entry == NULL) {
    return tct_fail(TCT_INVALID, "op '%s': the library has an op of that name; choose another", def->name);
  }
  if (entry != NULL && entry->given != def) {
    return tct_fail(TCT_INVALID, "op '%s' version %u: the name is taken by another definition, version %u; choose another",
                    def->name, (unsigned)def->version, (unsigned)entry->def.version);
  }
  *out = there;
  if (entry != NULL) return TCT_OK;
  const int n = atomic_load_explicit(&n_ops, memory_order_relaxed);
  if (n == MOST_OPS) return tct_fail(TCT_INVALID, "op '%s': %d custom ops are the most", def->name, MOST_OPS);
  ops[n] = copy_of(def, kernels, n_kernels);
  if (ops[n] == NULL) return TCT_OUT_OF_MEMORY;
  atomic_store_explicit(&n_ops, n + 1, memory_order_release);
  *out = (tct_op)(TCT_OP_FIRST_CUSTOM + n);
  return TCT_OK;
}

tct_status tct_op_register(const tct_op_def *def, const tct_op_kernel *kernels, int32_t n_kernels, tct_op *out) {
  *out = TCT_OP_NONE;
  TCT_TRY(check_definition(def, kernels, n_kernels));
  while (atomic_flag_test_and_set_explicit(&registering, memory_order_acquire)) { /* rare and short */
  }
  const tct_status status = add(def, kernels, n_kernels, out);
  atomic_flag_clear_explicit(&registering, memory_order_release);
  return status;
}
