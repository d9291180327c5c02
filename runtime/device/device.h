/* An opened device: its backend, and the backend's kernels by op. */
#ifndef TCT_DEVICE_DEVICE_H
#define TCT_DEVICE_DEVICE_H

#include <tercet/device.h>

struct tct_device {
  const tct_backend *backend; /* process lifetime */
  tct_device_impl *impl;      /* owned */
  tct_device_info info;
  char spec[TCT_DEVICE_SPEC];
  const tct_kernel *kernels; /* the backend's, or the device's own; device lifetime */
  size_t n_kernels;
  int32_t first[TCT_N_OPS]; /* index of the op's first kernel, -1: none */
  int32_t *next;            /* [n_kernels] next kernel of the same op; owned */
  tct_device *reference;    /* the host's reference device, opened when first needed; owned */
};

/* The first kernel of the op that takes the node and is not in TERCET_DISABLE; NULL with the reasons in `why`. */
const tct_kernel *tct_find_kernel(const tct_device *device, const tct_node_view *node, char *why, size_t why_bytes);
/* The one behind `after`, which the first or this gave; NULL: no further one, or a registered op. */
const tct_kernel *tct_find_next_kernel(const tct_device *device, const tct_node_view *node, const tct_kernel *after);
/* The reference device behind `device` (itself, when it is the reference). */
tct_status tct_device_reference(tct_device *device, tct_device **out) TCT_CHECKED;
/* The backend that answers to the text before ':'. TCT_NOT_FOUND with the known ones, TCT_UNAVAILABLE with the reason for
 * a module that did not load. */
tct_status tct_find_backend(const char *spec, const tct_backend **out) TCT_CHECKED;
/* What backends get. */
const tct_host *tct_host_table(void);

#endif
