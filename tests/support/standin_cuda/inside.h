/* What the files of the stand-in driver share. */
#ifndef TCT_TESTS_STANDIN_INSIDE_H
#define TCT_TESTS_STANDIN_INSIDE_H

#include <cuda.h>
#include <stdbool.h>
#include <stddef.h>

#include "support/standin_cuda/standin.h"

/* ---- memory.c ---- */
/* With standin_guards, device memory can be touched between the two only; they nest. */
extern bool standin_guards;
void standin_open(void);
void standin_close(void);
bool standin_holds(CUdeviceptr memory, size_t bytes); /* inside one allocation */
CUresult standin_alloc(CUdeviceptr *out, size_t bytes, size_t limit);
CUresult standin_free(CUdeviceptr memory);
size_t standin_used(void);

/* ---- queue.c ---- */
typedef enum work_kind { WORK_COPY, WORK_WRITE, WORK_LAUNCH, WORK_RECORD, WORK_WAIT, WORK_GRAPH, WORK_CALL } work_kind;

enum { STANDIN_MOST_PARAMETERS = 24, STANDIN_MOST_ENTRIES = 8, STANDIN_PLAIN_SHARED = 48 << 10 };

/* A kernel of kernels.def, or of code that a program brought. */
struct CUfunc_st {
  const char *name; /* without tct_cu_ */
  size_t args_bytes; /* the parameters in turn, on 16 bytes */
  unsigned most_shared;
  int n_parameters;
  size_t parameter_bytes[STANDIN_MOST_PARAMETERS];
};
#define STANDIN_PADDED(bytes) (((bytes) + 15) / 16 * 16)

struct CUmod_st {
  int n_entries; /* 0: an image of the backend's own */
  struct CUfunc_st entries[STANDIN_MOST_ENTRIES];
  char names[STANDIN_MOST_ENTRIES][64];
};

/* ---- code.c ---- */
/* The entries of PTX or a cubin; what a driver would say of it goes to `log`. */
CUresult standin_read_code(const void *image, CUmodule module, char *log, size_t log_bytes);

typedef struct work {
  struct work *next;
  work_kind kind;
  /* WORK_COPY, WORK_WRITE */
  void *to;
  const void *from;
  size_t bytes;
  uint32_t value;
  /* WORK_LAUNCH */
  CUfunction function;
  unsigned grid[3], block[3], shared;
  void *args; /* owned, unless it belongs to a graph */
  /* WORK_RECORD, WORK_WAIT: the count of the event that is meant, and where it was recorded */
  CUevent event;
  uint64_t count;
  CUstream recorded_in;
  CUgraph graph; /* WORK_GRAPH */
  void (*call)(const void *args); /* WORK_CALL, with `args` */
} work;

struct CUgraph_st {
  work *first, *last;
  int32_t users; /* the graph itself and its instances */
};

struct CUstream_st {
  CUstream next;
  int32_t number; /* in the order in which they were made: 0, 1, … */
  work *first, *last;
  CUgraph capture; /* NULL: not recording */
  bool invalidated;
};

struct CUevent_st {
  uint64_t recorded, done; /* how often it was recorded, and how many of these are reached */
  CUstream stream;         /* of the last record */
  double ms;               /* the clock at the last that is reached */
};

void standin_enqueue(CUstream stream, const work *what); /* copied; owns args from here on */
void standin_run_all(CUstream stream);                   /* and what that waits for */
void standin_run_until(CUevent event);                   /* its last record */
void standin_run_one(CUstream stream);
void standin_run_everything(void);
void standin_forget(CUstream stream); /* what is enqueued */
void standin_drop_graph(CUgraph graph);
/* For stand-ins of libraries: `call` runs in the stream's order with a copy of its arguments. */
void standin_enqueue_call(CUstream stream, void (*call)(const void *args), const void *args, size_t bytes);
/* What runs has taken so long, by the clock of events. */
void standin_spend(double ms);

/* ---- settings.c ---- */
/* A function is called: the failure that it was told to answer. */
CUresult standin_called(const char *function);

/* ---- driver.c ---- */
typedef enum work_pace { PACE_LAZY, PACE_NOW, PACE_AHEAD, PACE_BEHIND } work_pace;
extern work_pace standin_pace;
extern CUstream standin_streams;
/* A kernel runs: whether it faults, by the settings. */
CUresult standin_fault_of(const char *kernel);
/* The context is gone, for that reason. */
void standin_end(CUresult why);
bool standin_ended(void);

#endif
