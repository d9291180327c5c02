/* NumPy .npy, versions 1–3, C order: a strict reader of its dictionary header and a writer. */
#ifndef TCT_IO_NPY_H
#define TCT_IO_NPY_H

#include <tercet/types.h>

/* *out_data is owned by the caller (tct_release). */
tct_status tct_npy_read(const char *path, tct_desc *out_desc, void **out_data) TCT_CHECKED;
tct_status tct_npy_write(const char *path, const tct_desc *desc, const void *data) TCT_CHECKED;

#endif
