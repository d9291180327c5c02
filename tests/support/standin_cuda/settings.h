/* The settings of the stand-in, as values. */
#ifndef TCT_TESTS_STANDIN_SETTINGS_H
#define TCT_TESTS_STANDIN_SETTINGS_H

#include "support/standin_cuda/inside.h"

typedef struct standin_settings {
  int n_devices, driver, capability, units;
  size_t memory, cublaslt, cudnn, nvrtc;
} standin_settings;
extern standin_settings standin_now;

#endif
