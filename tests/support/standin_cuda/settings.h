/* The settings of the stand-in, as values. */
#ifndef TCT_TESTS_STANDIN_SETTINGS_H
#define TCT_TESTS_STANDIN_SETTINGS_H

#include "support/standin_cuda/inside.h"

typedef struct standin_settings {
  int n_devices, driver, capability;
  size_t memory;
} standin_settings;
extern standin_settings standin_now;

/* A function is called: the failure that it was told to answer. */
CUresult standin_called(const char *function);

#endif
