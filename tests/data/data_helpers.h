/* What the data and io tests share: files in the build folder, small datasets, names under $TERCET_DATA. */
#ifndef TCT_TESTS_DATA_HELPERS_H
#define TCT_TESTS_DATA_HELPERS_H

#include <tercet/data.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/env.h"
#include "base/file.h"
#include "test.h"

/* A path in the build folder that is this process's own. */
static inline const char *temp_path(char path[512], const char *name) {
  snprintf(path, 512, "%s/test-%d-%s", TCT_BINARY_DIR, (int)getpid(), name);
  return path;
}

/* Writes a file of the test; returns its path. */
static inline const char *temp_file(char path[512], const char *name, const void *data, size_t bytes) {
  const tct_file_part part = {data, bytes};
  OK(tct_file_write_atomic(temp_path(path, name), &part, 1));
  return path;
}

/* $TERCET_DATA/name; NULL when the variable is not set. */
static inline const char *real_path(char path[512], const char *name) {
  const char *const root = tct_env(TCT_ENV_DATA);
  if (!*root) return NULL;
  snprintf(path, 512, "%s/%s", root, name);
  return path;
}

#define SKIP_WITHOUT_DATA()                                                                                            \
  do {                                                                                                                 \
    if (!*tct_env(TCT_ENV_DATA)) SKIP("not run: TERCET_DATA is not set");                                              \
  } while (0)

/* n samples: x f32 [2] = {i, -i}, y i32 [] = i. */
static inline tct_dataset *counting_dataset(int64_t n) {
  const tct_field fields[2] = {{"x", TCT_F32, TCT_SHAPE(2)}, {"y", TCT_I32, tct_shape_of(0, NULL)}};
  float *const x = calloc((size_t)n * 2 + 1, sizeof *x);
  int32_t *const y = calloc((size_t)n + 1, sizeof *y);
  for (int64_t i = 0; i < n; i++) {
    x[2 * i] = (float)i;
    x[2 * i + 1] = (float)-i;
    y[i] = (int32_t)i;
  }
  tct_dataset *data = NULL;
  const void *const arrays[2] = {x, y};
  OK(tct_dataset_arrays(n, 2, fields, arrays, false, &data));
  free(x);
  free(y);
  return data;
}

#endif
