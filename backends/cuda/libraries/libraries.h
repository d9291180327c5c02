/* One search for NVIDIA's libraries: each is opened by name at run time, from wherever it lies, and what was looked for where
 * is kept, for refusals and for `tercet doctor`. */
#ifndef TCT_BACKENDS_CUDA_LIBRARIES_H
#define TCT_BACKENDS_CUDA_LIBRARIES_H

#include <pthread.h>
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

/* A library that is opened when a graph needs it. */
typedef struct tct_cu_library_kind {
  const char *file, *name; /* "libcudnn.so.9", "cuDNN" */
  const char *package;     /* what to install: "cuDNN 9 (…)" */
  int major, minor;        /* of the headers */
  const tct_cu_function *functions; /* the first tells the version: 10000·major + 100·minor + patch */
  size_t n_functions;
  size_t (*version_of)(const void *table); /* tells it instead; NULL: the first function */
} tct_cu_library_kind;
/* What the process has of it: opened by the first that asks, and asked again as long as it does not start. */
typedef struct tct_cu_library_once {
  pthread_mutex_t mutex;
  bool started;
} tct_cu_library_once;
/* Opens it, takes its functions into `table` and checks that its major version is the headers'. `out_name` gets "cuDNN 9.19.0". false:
 * `why` says what is missing, where it was looked for and what to do. From any thread. */
bool tct_cu_library_use(const tct_host *host, const tct_cu_library_kind *kind, tct_cu_library_once *once, tct_cu_library *out, void *table,
                        char out_name[32], char *why, size_t why_bytes);
/* The fact `fact`: where the library is and that it takes `ops`, or why it does not. `name` NULL: `why`. */
void tct_cu_tell_library(const char *fact, const tct_cu_library *library, const char *name, const char *ops, const char *why,
                         tct_fact_fn fn, void *user);

#endif
