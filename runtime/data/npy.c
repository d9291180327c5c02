/* Datasets from NumPy files: the first extent counts the samples, the rest is a sample's shape. */
#include "io/npy.h"

#include <inttypes.h>

#include "base/alloc.h"
#include "base/status.h"
#include "data/dataset.h"

static tct_status read_field(const char *path, const char *name, tct_field *field, int64_t *out_n, void **out_data) {
  tct_desc desc;
  TCT_TRY(tct_npy_read(path, &desc, out_data));
  if (desc.shape.rank == 0)
    return tct_fail(TCT_E_NPY, "%s: holds a single number (shape ()), needs [samples, …]; reshape it with x[None]",
                    path);
  *out_n = desc.shape.dim[0];
  *field = (tct_field){name, desc.dtype, tct_shape_of(desc.shape.rank - 1, desc.shape.dim + 1)};
  return TCT_OK;
}

static tct_status read_both(const char *x_path, const char *y_path, tct_field fields[2], int64_t *out_n,
                            void *data[2]) {
  TCT_TRY(read_field(x_path, "x", &fields[0], out_n, &data[0]));
  if (!y_path) return TCT_OK;
  int64_t n_y = 0;
  TCT_TRY(read_field(y_path, "y", &fields[1], &n_y, &data[1]));
  if (n_y != *out_n)
    return tct_fail(TCT_E_NPY, "%s: has %" PRId64 " samples, %s has %" PRId64 "; x and y need the same first extent",
                    y_path, n_y, x_path, *out_n);
  return TCT_OK;
}

tct_status tct_dataset_npy(const char *x_path, const char *y_path, tct_dataset **out) {
  *out = NULL;
  if (!x_path) return tct_fail(TCT_INVALID, "npy: x_path is NULL; needs the path of a .npy file");
  tct_field fields[2];
  void *data[2] = {NULL, NULL};
  int64_t n = 0;
  const tct_status status = read_both(x_path, y_path, fields, &n, data);
  if (status != TCT_OK) {
    tct_release(data[0]);
    tct_release(data[1]);
    return status;
  }
  return tct_dataset_adopt(n, y_path ? 2 : 1, fields, data, out);
}
