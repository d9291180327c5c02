/* Indexing: rows of a table by number, its transpose, and numbers as unit vectors. */
#include <math.h>

#include "kernels/ref/layout.h"
#include "kernels/ref/ref.h"

/* table [outer, depth, inner] with depth at attrs.axis, indices [n] of any shape, rows [outer, n, inner] */
typedef struct geometry {
  int64_t outer, depth, inner, n;
} geometry;

static geometry geometry_of(const tct_gather_attrs *attrs, const tct_shape *table, const tct_shape *indices) {
  return (geometry){tct_ref_extent(table, 0, attrs->axis), table->dim[attrs->axis],
                    tct_ref_extent(table, attrs->axis + 1, table->rank), tct_ref_size(indices)};
}

/* The row of the table that an index names; NULL when it is out of range (a negative index is). */
static double *row_of(const geometry *at, double *table, int64_t outer, double index) {
  if (!(index >= 0.0 && index < (double)at->depth)) return NULL;
  return table + (outer * at->depth + (int64_t)index) * at->inner;
}

/* y[o,j,:] = table[o,indices[j],:];  out of range NaN, 0 for an integer table */
void tct_ref_gather(const tct_ref_args *args) {
  const geometry at = geometry_of(args->attrs, &args->in[0].shape, &args->in[1].shape);
  const tct_dtype dtype = args->in[0].dtype;
  const bool is_float = dtype == TCT_F32 || dtype == TCT_F64 || dtype == TCT_BF16 || dtype == TCT_F16;
  const double missing = is_float ? NAN : 0.0;
  double *y = args->out[0].data;
  for (int64_t o = 0; o < at.outer; o++)
    for (int64_t j = 0; j < at.n; j++) {
      const double *row = row_of(&at, args->in[0].data, o, args->in[1].data[j]);
      for (int64_t i = 0; i < at.inner; i++) y[(o * at.n + j) * at.inner + i] = row != NULL ? row[i] : missing;
    }
}

/* dtable[o,indices[j],:] += dy[o,j,:] in the order of j;  (indices, dy) → dtable of attrs.table_shape; an index out of
 * range adds nothing */
void tct_ref_gather_grad(const tct_ref_args *args) {
  const geometry at = geometry_of(args->attrs, &args->out[0].shape, &args->in[0].shape);
  const int64_t size = tct_ref_size(&args->out[0].shape);
  for (int64_t e = 0; e < size; e++) args->out[0].data[e] = 0.0;
  for (int64_t o = 0; o < at.outer; o++)
    for (int64_t j = 0; j < at.n; j++) {
      double *row = row_of(&at, args->out[0].data, o, args->in[0].data[j]);
      if (row == NULL) continue;
      for (int64_t i = 0; i < at.inner; i++) row[i] += args->in[1].data[(o * at.n + j) * at.inner + i];
    }
}

/* y[j,d] = d = indices[j] ? on : off;  indices [..] → y [..,depth]; out of range: a row of off */
void tct_ref_one_hot(const tct_ref_args *args) {
  const tct_one_hot_attrs *attrs = args->attrs;
  const int64_t n = tct_ref_size(&args->in[0].shape);
  for (int64_t j = 0; j < n; j++)
    for (int64_t d = 0; d < attrs->depth; d++)
      args->out[0].data[j * attrs->depth + d] = args->in[0].data[j] == (double)d ? attrs->on : attrs->off;
}
