/* One search for NVIDIA's libraries: each is opened by name at run time, from wherever it lies, and what was looked for where
 * is kept, for refusals and for `tercet doctor`. */
#ifndef TCT_BACKENDS_CUDA_LIBRARIES_H
#define TCT_BACKENDS_CUDA_LIBRARIES_H

#include <tercet/backend.h>

typedef struct tct_cu_library {
  void *handle;     /* process lifetime; NULL: not found */
  char path[512];   /* of the file; "" when it was not found */
  char looked[768]; /* "the dynamic linker's folders, /opt/cuda/lib64": in order, cut where it does not fit */
} tct_cu_library;

/* Opens the library of that file name ("libcublasLt.so.13"): from the folders of TERCET_CUDA_LIBRARY_PATH, then where the dynamic
 * linker looks, then in toolkits (CUDA_HOME, /usr/local/cuda) and pip wheels (site-packages/nvidia of VIRTUAL_ENV, CONDA_PREFIX, the
 * user's and the system's Python). false: not found, `looked` says where. Never closed. */
bool tct_cu_library_open(const tct_host *host, const char *file, tct_cu_library *out);
/* The driver, which comes with the system (or with the system around it: WSL) and never with a toolkit. */
bool tct_cu_library_open_driver(const tct_host *host, const char *file, tct_cu_library *out);
/* A row of a library's .def table: the function's name and where its pointer lies in the table's struct. */
typedef struct tct_cu_function {
  const char *symbol;
  size_t offset;
} tct_cu_function;
/* Sets the pointers in `table`. NULL, or the first name that the library does not have. */
const char *tct_cu_library_take(const tct_cu_library *library, const tct_cu_function *functions, size_t n, void *table);

#endif
