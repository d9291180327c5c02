/* The watched device: the one inside, its kernels under wrappers, and a copy of every buffer. */
#ifndef TCT_BACKENDS_CHECK_DEVICE_H
#define TCT_BACKENDS_CHECK_DEVICE_H

#include <tercet/backend.h>

/* What memory holds before anyone writes it: NaN in every float type. */
#define CHECK_FILL 0xff
/* What stands before and behind every buffer and workspace. */
#define CHECK_CANARY 0xc5
#define CHECK_CANARY_BYTES ((size_t)64)
#define CHECK_CHUNK ((size_t)1 << 16)

/* One allocation of the device inside: [canary | the buffer | canary]. */
typedef struct check_buffer {
  char *base; /* device memory; the buffer begins at base + device->pad */
  size_t bytes;
  unsigned char *shadow; /* host: the whole allocation as it was before the launch; owned */
  struct check_buffer *next;
} check_buffer;

struct tct_device_impl {
  const tct_host *host;
  const tct_backend *inner; /* process lifetime */
  tct_device_impl *impl;    /* the device inside; owned */
  tct_device_info info;
  size_t pad;               /* bytes of a canary: at least 64 and a multiple of the alignment */
  tct_kernel *kernels;      /* [n_kernels] what the runtime sees; owned */
  const tct_kernel *inner_kernels; /* [n_kernels] what they wrap, programs' kernels last; behind `kernels`, in one block */
  size_t n_kernels;
  check_buffer *buffers;
  unsigned char *chunk; /* [CHECK_CHUNK] owned */
};

/* ---- memory.c ---- */

tct_status tct_check_alloc(tct_device_impl *device, size_t bytes, void **out);
void tct_check_free(tct_device_impl *device, void *memory);
/* The buffer that holds all of the bytes; NULL: none does. */
check_buffer *tct_check_find(const tct_device_impl *device, const void *memory, size_t bytes);
/* Device memory to host and back, done when it returns. */
tct_status tct_check_read(tct_device_impl *device, void *to_host, const void *from, size_t bytes);
tct_status tct_check_fill(tct_device_impl *device, void *to, int value, size_t bytes);
/* Every buffer into its shadow. */
tct_status tct_check_snapshot(tct_device_impl *device);
/* The first byte of the buffer that differs from its shadow, from byte *at on, canaries counted; false: none does. */
tct_status tct_check_changed(tct_device_impl *device, const check_buffer *buffer, size_t *at, bool *out_changed);

/* ---- kernels.c ---- */

/* Wraps the kernels of the device inside. */
tct_status tct_check_wrap_kernels(tct_device_impl *device);
/* Of the step inside. */
int32_t tct_check_step_counters(tct_device_impl *device, const void *state, tct_counter *out, int32_t most);
void tct_check_step_listing(tct_device_impl *device, const void *state, tct_line_fn line, void *user);

#endif
