/* An opened GPU. Device memory is addressed by the driver's pointers, as void *; the host cannot follow them. */
#ifndef TCT_BACKENDS_CUDA_DEVICE_H
#define TCT_BACKENDS_CUDA_DEVICE_H

#include "backends/cuda/driver.h"
#include "backends/cuda/errors.h"

enum {
  TCT_CU_ALIGNMENT = 256,
  TCT_CU_EVENTS = 64,   /* tickets of a queue that elapsed() still knows */
  TCT_CU_SLOTS = 4,     /* buffers for uploads and downloads on their way */
  TCT_CU_SLOT_BYTES = 4 << 20,
  TCT_CU_TWINS = 8, /* places of large uploads that are known */
  TCT_CU_TRAIL = 1024 /* launches whose names are kept */
};

/* A pinned buffer of the host with its twin on the device. */
typedef struct tct_cu_slot {
  void *pinned;    /* NULL: not used yet; device lifetime */
  CUdeviceptr near;
  CUevent moved;   /* after the copy between host and device */
  CUevent drained; /* after the copy from `near` to where the bytes belong */
  void *to_host;   /* of a download that has not been handed over: `bytes` of `pinned` go there; borrowed */
  size_t bytes;
} tct_cu_slot;

/* A place on the device that large uploads go to, with the buffer where they arrive while the computation still reads the place. */
typedef struct tct_cu_twin {
  CUdeviceptr to;
  size_t bytes;
  int32_t n_uploads; /* until it has a buffer; -1: it gets none */
  CUdeviceptr near;  /* `bytes` of it; 0: none */
  CUevent moved;     /* after the copies to `near` */
  CUevent drained;   /* after the copy from there */
} tct_cu_twin;

typedef struct tct_cu_trail_entry {
  char step[56], kernel[40];
} tct_cu_trail_entry;

struct tct_device_impl {
  const tct_host *host;
  const tct_cu_driver *cu;
  int32_t ordinal;
  tct_cu_chip chip;
  CUdevice device;
  CUcontext context; /* the process' primary one, retained */
  CUstream stream[TCT_N_QUEUES];
  CUevent event[TCT_N_QUEUES][TCT_CU_EVENTS];
  uint64_t n_marks[TCT_N_QUEUES];
  CUevent order; /* a point of one queue that the other waits for, used at once */
  tct_cu_slot slot[TCT_CU_SLOTS];
  int32_t next_slot;
  tct_cu_twin twin[TCT_CU_TWINS];
  int32_t next_twin;
  CUmodule *modules;     /* one per image; owned */
  CUfunction *functions; /* one per kernel of kernels.def; owned */
  /* The launches since the device was opened: names in a ring, and a number that the device writes after each. */
  tct_cu_trail_entry *trail; /* [TCT_CU_TRAIL], owned */
  volatile uint32_t *done;   /* pinned; NULL: the device cannot write it */
  uint32_t n_launched;
  bool capturing, replayed; /* replayed: the last that was enqueued is a recording */
  bool records;             /* TERCET_CUDA_GRAPHS */
  bool ranges;              /* a profiler wants names: ranges.h */
  bool tunes;               /* TERCET_CUDA_TUNE: algorithms are timed, once (tune.h) */
  int32_t n_timed, n_kept;  /* problems that were, and whose choice was read */
  bool tf32;                /* products of f32 with operands of 10 bits of mantissa: gpu:tf32 */
  bool any_order;           /* libraries may add in an order that differs from run to run */
  struct tct_cu_products *products;   /* cuBLASLt for this device; NULL: no product asked for it yet; owned */
  struct tct_cu_plans *plans;         /* cuDNN likewise */
  struct tct_cu_custom *custom;       /* loaded code of custom ops; owned */
  struct tct_cu_refusals *refusals;   /* what libraries did not take; NULL: nothing yet; owned */
  bool ended;
  tct_status end_status;
  char end_text[400]; /* why it ended */
  struct {
    double launches, recordings, replays, uploaded, downloaded;
  } counts;
};

#define TCT_CU_ADDRESS(memory) ((CUdeviceptr)(uintptr_t)(memory))

/* ---- transfers (transfer.c) ---- */
tct_status tct_cu_upload(tct_device_impl *device, void *to, const void *from_host, size_t bytes) TCT_CHECKED;
tct_status tct_cu_download(tct_device_impl *device, void *to_host, const void *from, size_t bytes) TCT_CHECKED;
tct_status tct_cu_copy(tct_device_impl *device, void *to, const void *from, size_t bytes) TCT_CHECKED;
/* Waits for both queues and hands over what was downloaded. */
tct_status tct_cu_sync(tct_device_impl *device) TCT_CHECKED;
void tct_cu_free_slots(tct_device_impl *device);
/* Frees what only makes uploads faster; false: there was nothing. */
bool tct_cu_give_back(tct_device_impl *device);
/* Bytes that transfers hold on the device beyond what was allocated for programs, and pinned on the host. */
void tct_cu_staging(const tct_device_impl *device, double *out_near, double *out_pinned);

/* ---- what libraries refuse (refusals.c) ---- */
/* A library does not take a node, which the module's own kernel runs: kept for the facts once for each op, shapes, dtypes and reason,
 * and logged then. `node` NULL: it takes none. Returns TCT_UNSUPPORTED after recording the sentence. */
tct_status tct_cu_refused(tct_device_impl *device, const tct_node_view *node, const char *library, const char *why) TCT_CHECKED;
/* The same where something else runs it, which `instead` says. */
tct_status tct_cu_refused_for(tct_device_impl *device, const tct_node_view *node, const char *library, const char *why, const char *instead)
    TCT_CHECKED;
/* As facts "refused.1", "refused.2" … */
void tct_cu_tell_refusals(const tct_device_impl *device, tct_fact_fn fn, void *user);

/* ---- recordings (record.c) ---- */
tct_status tct_cu_record(tct_device_impl *device, tct_status (*launches)(void *user), void *user, void **out) TCT_CHECKED;
tct_status tct_cu_replay(tct_device_impl *device, void *recording) TCT_CHECKED;
void tct_cu_drop(tct_device_impl *device, void *recording);

#endif
