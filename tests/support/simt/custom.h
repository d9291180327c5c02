/* The engine's kernels as a table, to which custom.cu adds. */
#ifndef TCT_TESTS_SIMT_CUSTOM_H
#define TCT_TESTS_SIMT_CUSTOM_H

#include <stddef.h>

struct tct_simt_kernel {
  const char *name;
  size_t args_bytes;
  const unsigned *bounds; /* the most threads of a block */
  void (*run)(const void *args);
  int n_parameters; /* of a kernel with parameters of its own, instead of one struct */
  const size_t *parameter_bytes;
};

extern const tct_simt_kernel tct_simt_custom[];
extern const int tct_simt_n_custom;

#endif
