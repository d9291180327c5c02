/* The CPU as a device: one compute queue that works synchronously on the calling thread and the pool, so that every
 * ticket is reached when it is made. A ticket's count is the clock's nanoseconds at its mark. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include "backends/cpu/device.h"
#include "backends/cpu/entry.h"
#include "kernels/common/half.h"

/* The table of the process, set by the entry. */
static const tct_host *host;

enum { ALIGNMENT = 64, HUGE_PAGE = 2 << 20 };

/* ---- shared by the families ---- */

/* Numbers under 2⁻¹²⁶ count as zero while kernels run: the moments of weights that stopped moving decay through them, and
 * each costs a hundred cycles. The caller's mode comes back after; where the processor has no such mode, nothing happens. */
static inline unsigned long flush_denormals(void) {
#if defined(__x86_64__)
  const unsigned int mode = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(mode | 0x8040u); /* flush to zero, denormals are zero */
  return mode;
#elif defined(__aarch64__)
  unsigned long mode;
  __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
  __asm__ volatile("msr fpcr, %0" : : "r"(mode | 1ul << 24));
  return mode;
#else
  return 0;
#endif
}

static inline void restore_denormals(unsigned long mode) {
#if defined(__x86_64__)
  __builtin_ia32_ldmxcsr((unsigned int)mode);
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" : : "r"(mode));
#else
  (void)mode;
#endif
}

typedef struct flushed {
  tct_pool_fn fn;
  void *user;
} flushed;

static void run_flushed(void *user, int64_t task, int32_t worker) {
  const flushed *f = user;
  const unsigned long mode = flush_denormals();
  f->fn(f->user, task, worker);
  restore_denormals(mode);
}

void tct_cpu_run(tct_device_impl *device, int64_t n_tasks, double ns, tct_pool_fn fn, void *user) {
  if (n_tasks <= 1 || device->n_threads <= 1 || ns < 20e3) {
    const unsigned long mode = flush_denormals();
    for (int64_t task = 0; task < n_tasks; task++) fn(user, task, 0);
    restore_denormals(mode);
    return;
  }
  flushed f = {fn, user};
  device->host->pool_run(device->pool, n_tasks, run_flushed, &f);
}

void *tct_cpu_state(tct_device_impl *device, size_t bytes) {
  void *state = device->host->alloc(bytes, ALIGNMENT);
  if (state != NULL) memset(state, 0, bytes);
  return state;
}

void tct_cpu_release_state(tct_device_impl *device, void *state) {
  if (state != NULL) device->host->release(state);
}

bool tct_cpu_refuse(char *why, size_t why_bytes, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(why, why_bytes, format, args);
  va_end(args);
  return false;
}

size_t tct_cpu_bytes(tct_dtype dtype) {
  static const size_t bytes[TCT_N_DTYPES] = {[TCT_F32] = 4, [TCT_I32] = 4,  [TCT_I64] = 8, [TCT_U8] = 1,
                                             [TCT_BOOL] = 1, [TCT_BF16] = 2, [TCT_F16] = 2, [TCT_I8] = 1};
  return bytes[dtype];
}

static bool desc_is_stored(const tct_desc *desc, char *why, size_t why_bytes) {
  if (tct_cpu_bytes(desc->dtype) > 0) return true;
  return tct_cpu_refuse(why, why_bytes, "f64 runs on device ref");
}

bool tct_cpu_stores(const tct_node_view *node, char *why, size_t why_bytes) {
  for (int32_t i = 0; i < node->n_in; i++)
    if (!desc_is_stored(&node->in[i], why, why_bytes)) return false;
  for (int32_t i = 0; i < node->n_out; i++)
    if (!desc_is_stored(&node->out[i], why, why_bytes)) return false;
  return true;
}

bool tct_cpu_is_f32(const tct_node_view *node, char *why, size_t why_bytes) {
  if (!tct_cpu_stores(node, why, why_bytes)) return false;
  bool f32 = node->n_in == 0 || node->in[0].dtype == TCT_F32;
  for (int32_t i = 0; i < node->n_in; i++) f32 = f32 && !tct_cpu_is_narrow(node->in[i].dtype);
  for (int32_t i = 0; i < node->n_out; i++) f32 = f32 && !tct_cpu_is_narrow(node->out[i].dtype);
  return f32 ||
         tct_cpu_refuse(why, why_bytes, "device cpu runs %s in f32 only; cast the operand to f32", node->op_name);
}

size_t tct_cpu_encode(tct_dtype dtype, double value, void *out) {
  switch (dtype) {
  case TCT_I32:
    *(int32_t *)out = (int32_t)value;
    break;
  case TCT_I64:
    *(int64_t *)out = (int64_t)value;
    break;
  case TCT_U8:
    *(uint8_t *)out = (uint8_t)value;
    break;
  case TCT_I8:
    *(int8_t *)out = (int8_t)value;
    break;
  case TCT_BOOL:
    *(uint8_t *)out = value != 0.0;
    break;
  case TCT_BF16:
    *(uint16_t *)out = tct_bf16_from_f64(value);
    break;
  case TCT_F16:
    *(uint16_t *)out = tct_f16_from_f64(value);
    break;
  default:
    *(float *)out = (float)value;
    break;
  }
  return tct_cpu_bytes(dtype);
}

int64_t tct_cpu_extent(const tct_shape *shape, int32_t from, int32_t to) {
  int64_t n = 1;
  for (int32_t i = from; i < to; i++) n *= shape->dim[i];
  return n;
}

int64_t tct_cpu_size(const tct_shape *shape) {
  return tct_cpu_extent(shape, 0, shape->rank);
}

tct_cpu_parts tct_cpu_parts_of(int64_t rows, int64_t columns) {
  const int64_t wanted = tct_cpu_least(tct_cpu_divide_up(rows * columns, TCT_CPU_TASK), 64);
  const int64_t size = tct_cpu_most(tct_cpu_divide_up(rows, tct_cpu_most(wanted, 1)), 1);
  return (tct_cpu_parts){tct_cpu_most(tct_cpu_divide_up(rows, size), 1), size};
}

/* ---- the backend's functions ---- */

static int32_t probe(char *why, size_t why_bytes) {
  tct_cpu_blas blas;
  return tct_cpu_blas_open(host, &blas, why, why_bytes) ? 1 : 0;
}

/* The levels that this processor runs, best first. */
static int32_t levels(const tct_cpu_kernels *out[3]) {
  int32_t n = 0;
#ifdef TCT_ISA_X86
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2") &&
                    __builtin_cpu_supports("bmi");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  if (avx512) out[n++] = &tct_cpu_kernels_avx512;
  if (avx2) out[n++] = &tct_cpu_kernels_avx2;
#endif
  out[n++] = &tct_cpu_kernels_generic;
  return n;
}

static tct_status choose_level(const tct_cpu_kernels **out) {
  const tct_cpu_kernels *level[3];
  const int32_t n = levels(level);
  const char *wanted = host->env("TERCET_ISA");
  *out = level[0];
  if (wanted[0] == '\0') return TCT_OK;
  char known[64] = "";
  for (int32_t i = 0; i < n; i++) {
    *out = level[i];
    if (strcmp(wanted, level[i]->isa) == 0) return TCT_OK;
    snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i > 0 ? ", " : "", level[i]->isa);
  }
  return host->fail(TCT_INVALID, "TERCET_ISA=%s: this processor and build have %s", wanted, known);
}

/* "Intel(R) Xeon(R) Processor" by cpuid; "CPU" where there is none. */
static void cpu_model(char *text, size_t bytes) {
  snprintf(text, bytes, "CPU");
#ifdef TCT_ISA_X86
  uint32_t words[13] = {0};
  uint32_t most, b, c, d;
  __asm__("cpuid" : "=a"(most), "=b"(b), "=c"(c), "=d"(d) : "a"(0x80000000u), "c"(0));
  if (most < 0x80000004u) return;
  for (uint32_t i = 0; i < 3; i++) {
    uint32_t *to = words + 4 * i;
    __asm__("cpuid" : "=a"(to[0]), "=b"(to[1]), "=c"(to[2]), "=d"(to[3]) : "a"(0x80000002u + i), "c"(0));
  }
  const char *name = (const char *)words;
  while (*name == ' ') name++;
  snprintf(text, bytes, "%s", name);
#endif
}

static tct_status open_device(const tct_open_options *options, tct_device_impl **out) {
  *out = NULL;
  if (options->ordinal != 0) return host->fail(TCT_NOT_FOUND, "cpu:%d: there is one CPU device, cpu", options->ordinal);
  if (options->options[0] != '\0') {
    return host->fail(TCT_INVALID, "cpu:%s: device cpu takes no options; threads are set by TERCET_THREADS",
                      options->options);
  }
  const tct_cpu_kernels *level;
  const tct_status chosen = choose_level(&level);
  if (chosen != TCT_OK) return chosen;
  tct_device_impl *device = host->alloc(sizeof *device, ALIGNMENT);
  if (device == NULL) return TCT_OUT_OF_MEMORY;
  *device = (tct_device_impl){.host = host, .k = level};
  char why[400];
  const bool multiplies = tct_cpu_blas_open(host, &device->blas, why, sizeof why);
  const tct_status status = multiplies ? host->pool_create(options->n_threads, &device->pool)
                                       : host->fail(TCT_UNAVAILABLE, "device 'cpu': %s", why);
  if (status != TCT_OK) {
    host->release(device);
    return status;
  }
  device->n_threads = host->pool_threads(device->pool);
  /* Our pool calls OpenBLAS from each worker; its own threads would fight with it. */
  device->blas.set_num_threads(1);
  char model[52];
  cpu_model(model, sizeof model);
  snprintf(device->name, sizeof device->name, "%.50s, %d thread%s, %s, OpenBLAS %.12s", model, device->n_threads,
           device->n_threads == 1 ? "" : "s", level->isa, device->blas.corename());
  *out = device;
  return TCT_OK;
}

static void close_device(tct_device_impl *device) {
  if (device == NULL) return;
  host->pool_free(device->pool);
  host->release(device);
}

static void info(tct_device_impl *device, tct_device_info *out) {
  *out = (tct_device_info){.host_memory = true, .n_threads = device->n_threads, .alignment = ALIGNMENT};
  snprintf(out->name, sizeof out->name, "%s", device->name);
}

static void facts(tct_device_impl *device, tct_fact_fn fn, void *user) {
  char text[160] = "";
  const tct_cpu_kernels *level[3];
  const int32_t n = levels(level);
  const char *wanted = host->env("TERCET_ISA");
  fn(user, "isa", device->k->isa);
  for (int32_t i = 0; i < n; i++) {
    const size_t used = strlen(text);
    snprintf(text + used, sizeof text - used, "%s%s", i > 0 ? ", " : "", level[i]->isa);
  }
  fn(user, "isa.runs", text);
  fn(user, "isa.why", wanted[0] != '\0' ? "TERCET_ISA asks for it" : "the best of those that this processor and build have");
  snprintf(text, sizeof text, "%d", (int)device->n_threads);
  fn(user, "threads", text);
  fn(user, "blas.library", tct_cpu_blas_file(&device->blas));
  fn(user, "blas.config", device->blas.config());
  fn(user, "blas.core", device->blas.corename());
  snprintf(text, sizeof text, "%d", device->blas.get_num_threads());
  fn(user, "blas.threads", text);
}

/* Large buffers start at a huge page and ask for such pages: a training step touches its arena every few milliseconds.
 */
static tct_status alloc_buffer(tct_device_impl *device, size_t bytes, void **out) {
  const bool large = bytes >= 2 * (size_t)HUGE_PAGE;
  *out = device->host->alloc(bytes > 0 ? bytes : 1, large ? HUGE_PAGE : ALIGNMENT);
  if (*out == NULL) return TCT_OUT_OF_MEMORY;
#ifdef MADV_HUGEPAGE
  /* Only advice: where it is refused the pages stay small. */
  if (large) (void)madvise(*out, bytes & ~(size_t)(HUGE_PAGE - 1), MADV_HUGEPAGE);
#endif
  return TCT_OK;
}

static void free_buffer(tct_device_impl *device, void *memory) {
  if (memory != NULL) device->host->release(memory);
}

static tct_status move_bytes(tct_device_impl *device, void *to, const void *from, size_t bytes) {
  (void)device;
  if (bytes > 0) memcpy(to, from, bytes);
  return TCT_OK;
}

static tct_status mark(tct_device_impl *device, tct_queue queue, tct_ticket *out) {
  *out = (tct_ticket){queue, (uint64_t)device->host->clock_ns()};
  return TCT_OK;
}

static bool reached(tct_device_impl *device, tct_ticket ticket) {
  (void)device;
  (void)ticket;
  return true;
}

static double elapsed(tct_device_impl *device, tct_ticket begin, tct_ticket end) {
  (void)device;
  return (double)(int64_t)(end.count - begin.count) * 1e-9;
}

static tct_status sync_device(tct_device_impl *device) {
  (void)device;
  return TCT_OK;
}

static tct_status wait_ticket(tct_device_impl *device, tct_queue queue, tct_ticket ticket) {
  (void)device;
  (void)queue;
  (void)ticket;
  return TCT_OK;
}

const tct_backend *tct_backend_entry_cpu(const tct_host *of_process) {
  static tct_backend backend = {
      .abi = TCT_BACKEND_ABI,
      .name = "cpu",
      .kernels = tct_cpu_kernel_table,
      .probe = probe,
      .open = open_device,
      .close = close_device,
      .info = info,
      .alloc = alloc_buffer,
      .free = free_buffer,
      .upload = move_bytes,
      .download = move_bytes,
      .mark = mark,
      .reached = reached,
      .elapsed = elapsed,
      .sync = sync_device,
      .copy = move_bytes,
      .wait = wait_ticket,
      .facts = facts,
  };
  if (of_process->abi != TCT_BACKEND_ABI) {
    of_process->fail(TCT_INTERNAL, "backend cpu: the host speaks version %u of the interface, this one %u",
                     of_process->abi, TCT_BACKEND_ABI);
    return NULL;
  }
  host = of_process;
  backend.n_kernels = tct_cpu_kernel_count;
  return &backend;
}
