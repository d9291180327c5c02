/* For backend authors: what a device must offer. A backend is one tct_backend: a dozen functions and a table of kernels.
 * It includes this header and its own kernels, nothing else of Tercet, and meets the process only through tct_host. */
#ifndef TERCET_BACKEND_H
#define TERCET_BACKEND_H

#include <tercet/attrs.h>
#include <tercet/types.h>

TCT_BEGIN_DECLS

/* The version of this interface, checked when a module is loaded. tct_host may grow at its end without a new one; any
 * other change of a struct here, or of the rows of ops.def and elementwise.def, has a new number. */
#define TCT_BACKEND_ABI 9u

/* ---- what the runtime gives ------------------------------------------------------------------------- */

typedef struct tct_pool tct_pool;
typedef void (*tct_pool_fn)(void *user, int64_t task, int32_t worker);

struct tct_backend;
struct tct_kernel;
struct tct_op_code;

typedef struct tct_host {
  uint32_t abi;
  void *(*alloc)(size_t bytes, size_t align); /* NULL after recording TCT_OUT_OF_MEMORY */
  void (*release)(void *memory);
  /* Records the message in the calling thread's error record; returns `status`. */
  tct_status (*fail)(tct_status status, const char *format, ...) TCT_PRINTF(2, 3);
  void (*log)(tct_log_level level, const char *format, ...) TCT_PRINTF(2, 3);
  int64_t (*clock_ns)(void);
  const char *(*env)(const char *name); /* a variable of the environment table; "" when unset */
  /* Threads: tasks are numbered, handed out in order; worker is unique among those running. No allocation in run. */
  tct_status (*pool_create)(int32_t n_threads, tct_pool **out); /* 0: as many as the process may use */
  void (*pool_free)(tct_pool *pool);
  int32_t (*pool_threads)(const tct_pool *pool);
  void (*pool_run)(tct_pool *pool, int64_t n_tasks, tct_pool_fn fn, void *user);
  /* Another backend by the name before ':', for a decorator. Not from the entry function: more may be found after it. */
  tct_status (*find_backend)(const char *spec, const struct tct_backend **out);
  /* The i-th kernel that programs registered for a backend, for a decorator; NULL past the last. */
  const struct tct_kernel *(*custom_kernel)(const char *backend, int32_t i);
  /* The user's cache on disk, for what costs time to make and can be made again: `kind` is a word for file names ("code"), the key, which
   * is compared whole, says all that the data depends on. Data read is the caller's (release), with a zero byte behind; false: there
   * is none, or what is there is damaged. Neither leaves an error; what cannot be written is not kept. */
  bool (*cache_read)(const char *kind, const void *key, size_t key_bytes, void **out_data, size_t *out_bytes);
  void (*cache_write)(const char *kind, const void *key, size_t key_bytes, const void *data, size_t bytes);
  /* Custom ops as device code (<tercet/op.h>): a backend that runs it says so in its entry function with the prepare, launch and release
   * of such nodes, and asks for a node's code; NULL: none. */
  void (*run_code_by)(const char *backend, const struct tct_kernel *by);
  const struct tct_op_code *(*custom_code)(tct_op op, const char *backend, size_t *out_attrs_bytes);
} tct_host;

/* ---- what a backend offers ---------------------------------------------------------------------------- */

/* The opened device: the backend's own struct. */
typedef struct tct_device_impl tct_device_impl;

/* In-order queues. A ticket is a point in one; it is reached when all that was enqueued before it is done. */
typedef enum tct_queue { TCT_QUEUE_COMPUTE = 0, TCT_QUEUE_TRANSFER = 1, TCT_N_QUEUES } tct_queue;
typedef struct tct_ticket {
  tct_queue queue;
  uint64_t count;
} tct_ticket;

typedef struct tct_open_options {
  int32_t ordinal;     /* the n-th device of the kind */
  int32_t n_threads;   /* host devices; 0: default */
  const char *options; /* the text after ':' in "tpu:v3,hbm=1.2TB/s"; "" without */
  bool nondeterministic; /* sums may be added in an order that differs from run to run; false: the same bits each time */
} tct_open_options;

struct tct_chip;
typedef struct tct_device_info {
  char name[96];          /* "Intel Xeon …, 2 threads, avx512" */
  bool time_is_modelled;  /* elapsed() is a model's clock, not the wall's */
  bool host_memory;       /* device pointers can be read and written by the host */
  int32_t n_threads;
  size_t memory_bytes;    /* 0: not known */
  size_t alignment;       /* of every buffer, a power of two */
  const struct tct_chip *chip; /* what a modelled clock describes (<tercet/chip.h>), while the device is open; NULL: nothing */
} tct_device_info;

/* One node as the kernels see it. */
typedef struct tct_node_view {
  tct_op op;
  const char *op_name; /* "conv2d" */
  const char *name;    /* "conv1/conv2d" */
  const void *attrs;   /* the op's struct, or NULL */
  int32_t n_in, n_out;
  const tct_desc *in, *out;
} tct_node_view;

typedef struct tct_prepared {
  size_t workspace_bytes; /* scratch that launch gets; shared between steps, undefined at entry */
  void *state;            /* owned by the step; given back to `release` */
  const struct tct_kernel *kernel; /* set when prepare is called: the entry that it is called for */
} tct_prepared;

typedef struct tct_launch {
  const tct_node_view *node;
  void *const *in; /* device pointers */
  void *const *out;
  void *workspace;
  void *state;
} tct_launch;

typedef struct tct_kernel {
  const char *op;   /* "matmul"; several entries of one op are tried in the table's order */
  const char *name; /* "matmul.gemm": what TERCET_DISABLE and reports call it */
  /* An output may share the buffer of an input of the same dtype and size: launch reads before it writes, element by
   * element. */
  bool in_place;
  /* Pure. false: `why` holds the reason, a sentence about this node; left empty, the entry goes unmentioned beside the
   * others'. NULL: every node of the op. */
  bool (*supports)(const tct_node_view *node, char *why, size_t why_bytes);
  /* Chooses the algorithm, sizes the workspace. NULL: nothing to prepare. TCT_UNSUPPORTED: it does not take the node after all, as when
   * a library refuses; nothing is left to release, and the next entry of the op that takes the node is asked. */
  tct_status (*prepare)(tct_device_impl *device, const tct_node_view *node, tct_prepared *out);
  /* Enqueues on the compute queue; allocates nothing, decides nothing that prepare could. */
  tct_status (*launch)(tct_device_impl *device, const tct_launch *launch);
  void (*release)(tct_device_impl *device, void *state); /* NULL: state needs none */
  /* For updates, which have neither results nor workspace then: `n` steps of this entry that follow each other, none of which writes
   * what another reads or writes, in one call, so that a device can make one launch of them. The schedule puts a program's updates of
   * such entries behind all else. A profile launches each by itself. NULL: always by `launch`. */
  tct_status (*launch_many)(tct_device_impl *device, const tct_launch *const *launches, int32_t n);
} tct_kernel;

typedef struct tct_counter {
  const char *name, *unit;
  double value;
} tct_counter;

/* What a device found and chose, for `tercet doctor`: "blas.library", "/usr/lib/…". The text is valid during the call. */
typedef void (*tct_fact_fn)(void *user, const char *name, const char *text);

/* One line of a listing, without its end; valid during the call. */
typedef void (*tct_line_fn)(void *user, const char *text);

typedef struct tct_backend {
  uint32_t abi; /* TCT_BACKEND_ABI */
  const char *name;
  const char *const *aliases; /* NULL-terminated, or NULL */
  const tct_kernel *kernels;
  size_t n_kernels;

  /* How many devices; 0 with the reason in `why`. Never an error. */
  int32_t (*probe)(char *why, size_t why_bytes);
  tct_status (*open)(const tct_open_options *options, tct_device_impl **out);
  void (*close)(tct_device_impl *device);
  void (*info)(tct_device_impl *device, tct_device_info *out);
  tct_status (*alloc)(tct_device_impl *device, size_t bytes, void **out);
  void (*free)(tct_device_impl *device, void *memory);
  /* On the transfer queue, but in order with the launches: what was launched before reads the bytes from before, what is
   * launched after reads the new ones. The host's memory is the caller's again when upload returns; what download writes is
   * there after the next sync, and is what the launches before it left. */
  tct_status (*upload)(tct_device_impl *device, void *to, const void *from_host, size_t bytes);
  tct_status (*download)(tct_device_impl *device, void *to_host, const void *from, size_t bytes);
  tct_status (*mark)(tct_device_impl *device, tct_queue queue, tct_ticket *out);
  bool (*reached)(tct_device_impl *device, tct_ticket ticket);
  /* Seconds between two tickets of one queue, in the device's own clock. Both are reached, and `begin` is among the last 64 of its
   * queue; else 0. */
  double (*elapsed)(tct_device_impl *device, tct_ticket begin, tct_ticket end);
  /* Waits for everything; sticky asynchronous errors come out here. */
  tct_status (*sync)(tct_device_impl *device);

  /* Optional: NULL means the runtime's default. */
  tct_status (*copy)(tct_device_impl *device, void *to, const void *from, size_t bytes); /* default: through the host */
  tct_status (*wait)(tct_device_impl *device, tct_queue queue, tct_ticket ticket);       /* default: sync */
  /* A program's launches as one: record calls `launches`, which launches every step of the program in order, and keeps what it
   * enqueues instead of running it; replay enqueues all of that on the compute queue, with the same operands and states. Every
   * step has run once before. A launch must give the same work each time, and reads no memory of the host. When record fails, or
   * `launches` does, nothing is kept, the reason is logged, and the program launches each step as before. The three go together.
   * Default: launches each step. */
  tct_status (*record)(tct_device_impl *device, tct_status (*launches)(void *user), void *user, void **out_recording);
  tct_status (*replay)(tct_device_impl *device, void *recording);
  void (*drop)(tct_device_impl *device, void *recording);
  int32_t (*counters)(tct_device_impl *device, tct_counter *out, int32_t most); /* default: none */
  /* The kernels of this opened device, valid until it is closed. Default: `kernels`, the same for every device. */
  void (*own_kernels)(tct_device_impl *device, const tct_kernel **out, size_t *out_n);
  void (*facts)(tct_device_impl *device, tct_fact_fn fn, void *user); /* default: none */
  /* Of a step that one of own_kernels prepared: what one launch adds to `counters`, and the instructions that it is for the
   * device, a line each. Default: none. */
  int32_t (*step_counters)(tct_device_impl *device, const void *state, tct_counter *out, int32_t most);
  void (*step_listing)(tct_device_impl *device, const void *state, tct_line_fn line, void *user);
  /* A step of a program of this device runs on the host, of `flops` and `bytes` there: what that takes with sending its operands
   * and results, added to the device's clock (count), and as counters like those of step_counters, the first its
   * seconds. Default: nothing. */
  int32_t (*step_aside)(tct_device_impl *device, const tct_node_view *node, double flops, double bytes, bool count, tct_counter *out,
                        int32_t most);
  /* A program of this device is about to run for the first time. Programs of the same text (tct_graph_print) have the same fingerprint:
   * a compiler that keeps what it made has nothing to do for the second. Default: nothing. */
  void (*first_run)(tct_device_impl *device, uint64_t fingerprint);
  /* The instruction that moves `bytes` from the host to the device or back, a line: of a program's inputs and outputs, of the operands
   * and results of a step that runs on the host. Default: none. */
  void (*transfer_listing)(tct_device_impl *device, const char *what, double bytes, bool to_device, tct_line_fn line, void *user);
} tct_backend;

/* The one symbol of a module. Returns a table with static lifetime, or NULL after host->fail. */
typedef const tct_backend *(*tct_backend_entry_fn)(const tct_host *host);

TCT_END_DECLS
#endif
