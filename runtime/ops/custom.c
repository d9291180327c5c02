/* Ops from outside: definitions and kernels that a program registers (<tercet/op.h>). They are numbered behind the library's
 * own, live as long as the process, and are only ever added: a reader sees the count after the entry, and of a kernel that was given
 * as code that it is ready after its functions, so lookups take no lock, and registrations exclude each other. */
#include <stdatomic.h>
#include <string.h>
#include "base/alloc.h"
#include "base/status.h"
#include "graph/graph.h"
#include "ops/defs.h"

enum { MOST_OPS = 256, MOST_KERNELS = 16, MOST_NAME = 60, MOST_OUT = 8, MOST_DECOMPOSED = 16, MOST_RUNNERS = 8 };

typedef struct custom_kernel {
  tct_op_kernel of;
  tct_op_code code;     /* what of.code points to, if it does */
  atomic_bool is_ready; /* it has its functions */
} custom_kernel;

typedef struct custom_op {
  tct_op_def def; /* its name and defaults are our own */
  const tct_op_def *given;
  int32_t n_kernels;
  custom_kernel kernels[MOST_KERNELS];
} custom_op;

static custom_op *ops[MOST_OPS]; /* process */
static atomic_int n_ops;
static atomic_flag registering = ATOMIC_FLAG_INIT;
/* The backends that run code, under the lock. */
static struct {
  const char *backend;
  const tct_kernel *by;
} runners[MOST_RUNNERS];
static int n_runners;

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

static const custom_kernel *kernel_for(const custom_op *entry, const char *backend) {
  for (int32_t k = 0; entry != NULL && k < entry->n_kernels; k++) {
    if (strcmp(entry->kernels[k].of.device, backend) == 0) return &entry->kernels[k];
  }
  return NULL;
}

const tct_kernel *tct_op_kernel_of(tct_op op, const char *backend) {
  const custom_kernel *const found = kernel_for(entry_of(op), backend);
  return found != NULL && atomic_load_explicit(&found->is_ready, memory_order_acquire) ? &found->of.kernel : NULL;
}

const tct_op_code *tct_op_code_of(tct_op op, const char *backend, size_t *out_attrs_bytes) {
  const custom_op *entry = entry_of(op);
  const custom_kernel *const found = kernel_for(entry, backend);
  if (out_attrs_bytes != NULL) *out_attrs_bytes = entry != NULL ? entry->def.attrs_bytes : 0;
  return found != NULL ? found->of.code : NULL;
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

static tct_status check_kernel(const tct_op_def *def, const tct_op_kernel *kernel, int32_t number) {
  const tct_op_code *const code = kernel->code;
  if (kernel->device == NULL || kernel->device[0] == '\0')
    return tct_fail(TCT_INVALID, "op '%s': kernel %d has no device name, such as \"cpu\"", def->name, (int)number);
  if (code == NULL && kernel->kernel.launch == NULL)
    return tct_fail(TCT_INVALID, "op '%s': kernel %d has no launch function and no code", def->name, (int)number);
  if (code == NULL) return TCT_OK;
  if (kernel->kernel.prepare != NULL || kernel->kernel.launch != NULL || kernel->kernel.release != NULL)
    return tct_fail(TCT_INVALID, "op '%s': its kernel for '%s' has functions and code; give it either", def->name, kernel->device);
  if ((code->language != TCT_OP_CUDA && code->language != TCT_OP_PTX) || code->source == NULL || code->source[0] == '\0' ||
      code->entry == NULL || code->entry[0] == '\0')
    return tct_fail(TCT_INVALID, "op '%s': its code for '%s' needs a language (TCT_OP_CUDA, TCT_OP_PTX), the source's text and the name of "
                    "the kernel in it", def->name, kernel->device);
  return TCT_OK;
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
    TCT_TRY(check_kernel(def, &kernels[k], k));
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

/* Under the lock, or of an entry that nobody sees yet: a kernel that was given as code gets its functions, if its backend is here. */
static void give_functions(custom_kernel *to) {
  tct_kernel *const kernel = &to->of.kernel;
  for (int r = 0; r < n_runners && to->of.code != NULL && kernel->launch == NULL; r++) {
    if (strcmp(runners[r].backend, to->of.device) != 0) continue;
    kernel->prepare = runners[r].by->prepare;
    kernel->launch = runners[r].by->launch;
    kernel->release = runners[r].by->release;
  }
  atomic_store_explicit(&to->is_ready, kernel->launch != NULL, memory_order_release);
}

/* Copies a text to *at, which moves behind it; NULL stays NULL. */
static const char *put_text(char **at, const char *text) {
  if (text == NULL) return NULL;
  const size_t bytes = strlen(text) + 1;
  char *const copy = memcpy(*at, text, bytes);
  *at += bytes;
  return copy;
}

static size_t text_bytes_of(const tct_op_def *def, const tct_op_kernel *kernels, int32_t n_kernels) {
  size_t bytes = strlen(def->name) + 1;
  for (int32_t k = 0; k < n_kernels; k++) {
    const tct_op_code *const code = kernels[k].code;
    bytes += 2 * (strlen(kernels[k].device) + 1) + strlen(def->name) + 1;
    if (code != NULL) bytes += strlen(code->source) + strlen(code->entry) + (code->options != NULL ? strlen(code->options) : 0) + 3;
  }
  return bytes;
}

/* A copy with texts of its own, in one block. */
static custom_op *copy_of(const tct_op_def *def, const tct_op_kernel *kernels, int32_t n_kernels) {
  custom_op *copy = tct_alloc_zero(1, sizeof *copy + text_bytes_of(def, kernels, n_kernels));
  if (copy == NULL) return NULL;
  char *text = (char *)(copy + 1);
  copy->def = *def;
  copy->given = def;
  copy->n_kernels = n_kernels;
  copy->def.name = put_text(&text, def->name);
  if (copy->def.cost == NULL) copy->def.cost = default_cost;
  for (int32_t k = 0; k < n_kernels; k++) {
    custom_kernel *const to = &copy->kernels[k];
    const tct_op_code *const code = kernels[k].code;
    to->of.kernel = kernels[k].kernel;
    to->of.kernel.op = copy->def.name;
    to->of.device = put_text(&text, kernels[k].device);
    to->of.kernel.name = strcat(strcat(strcpy(text, def->name), "."), kernels[k].device);
    text += strlen(text) + 1;
    if (code != NULL) {
      to->code = (tct_op_code){.language = code->language, .source = put_text(&text, code->source), .entry = put_text(&text, code->entry),
                               .options = put_text(&text, code->options), .extent = code->extent};
      to->of.code = &to->code;
    }
    give_functions(to);
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

static void lock(void) {
  while (atomic_flag_test_and_set_explicit(&registering, memory_order_acquire)) { /* rare and short */
  }
}

static void unlock(void) {
  atomic_flag_clear_explicit(&registering, memory_order_release);
}

tct_status tct_op_register(const tct_op_def *def, const tct_op_kernel *kernels, int32_t n_kernels, tct_op *out) {
  *out = TCT_OP_NONE;
  TCT_TRY(check_definition(def, kernels, n_kernels));
  lock();
  const tct_status status = add(def, kernels, n_kernels, out);
  unlock();
  return status;
}

void tct_op_code_run_by(const char *backend, const tct_kernel *by) {
  lock();
  if (n_runners < MOST_RUNNERS) {
    runners[n_runners].backend = backend;
    runners[n_runners++].by = by;
  }
  const int n = atomic_load_explicit(&n_ops, memory_order_relaxed);
  for (int op = 0; op < n; op++) {
    for (int32_t k = 0; k < ops[op]->n_kernels; k++) {
      if (!atomic_load_explicit(&ops[op]->kernels[k].is_ready, memory_order_relaxed)) give_functions(&ops[op]->kernels[k]);
    }
  }
  unlock();
}
