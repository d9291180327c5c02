/* The arguments of faulty.def's kernels: x and y of one block's threads. */
#ifndef TCT_TESTS_SIMT_FAULTY_H
#define TCT_TESTS_SIMT_FAULTY_H

typedef struct tct_cu_faulty_args {
  const float *x;
  float *y;
  int with_fault, reserved;
} tct_cu_faulty_args;

#define KERNEL(name) typedef tct_cu_faulty_args tct_cu_##name##_args;
#include "support/simt/faulty.def"
#undef KERNEL

#endif
