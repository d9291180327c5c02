/* What the four kernels of conv2d and its gradients share. */
#ifndef TCT_BACKENDS_CPU_CONV_H
#define TCT_BACKENDS_CPU_CONV_H

#include "backends/cpu/device.h"

/* x [n,h,w,c], w [r,s,c/groups,k], y [n,p,q,k]; `at` is one image's geometry with c channels per group. */
typedef struct tct_cpu_conv {
  tct_cpu_image at;
  int64_t n, groups, channels, filters; /* c and k over all groups */
  int64_t filter_size;                  /* r·s·c/groups·k */
  tct_cpu_row activation;               /* of the forward; NULL: none */
  bool relu;                            /* the activation is relu */
  double p[2];
} tct_cpu_conv;

tct_cpu_conv tct_cpu_conv_of(const tct_device_impl *device, const tct_node_view *node);
/* f32, extents that OpenBLAS counts, an activation that the device knows. */
bool tct_cpu_conv_supports(const tct_node_view *node, char *why, size_t why_bytes);
/* y = activation(y) over n elements; nothing without one. */
void tct_cpu_conv_activate(const tct_cpu_conv *conv, float *y, int64_t n);

/* Sums over images are cut into groups of images, each with its own partial filter: at most 32, as many as the second cache
 * holds, but 4 where they take no more than 16 MiB. */
tct_cpu_parts tct_cpu_conv_parts(const tct_cpu_conv *conv, int64_t partial_floats);

#endif
