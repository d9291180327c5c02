/* The functions of the stand-in driver: arguments are checked as a driver would, the work goes to the queues. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/cuda/kernels.h"
#include "support/standin_cuda/settings.h"

/* cuda.h's name for it is the second version's. */
#undef cuEventElapsedTime
CUresult cuEventElapsedTime(float *ms, CUevent begin, CUevent end);

struct CUctx_st {
  CUresult ended;
  int32_t users;
};
struct CUgraphExec_st {
  CUgraph graph;
};

enum { MOST_SHARED = 227 << 10 };

work_pace standin_pace;
CUstream standin_streams;
static struct CUctx_st context;
static _Thread_local bool is_current;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static bool initialised;
static int32_t n_streams;

static struct CUfunc_st functions[] = {
#define KERNEL(name) {#name, sizeof(tct_cu_##name##_args), STANDIN_PLAIN_SHARED, 1, {sizeof(tct_cu_##name##_args)}},
#include "kernels/cuda/kernels.def"
#undef KERNEL
};

void standin_end(CUresult why) {
  if (context.ended == CUDA_SUCCESS) context.ended = why;
}
bool standin_ended(void) { return context.ended != CUDA_SUCCESS; }

/* ---- what every function does first and last ---- */

/* What it needs: a context of the thread, and that no queue is being recorded. */
enum { ANYWHERE = 0, CONTEXT = 1, NO_CAPTURE = 2 };

static bool refuse_capture(void) {
  bool any = false;
  for (CUstream s = standin_streams; s != NULL; s = s->next) {
    if (s->capture == NULL) continue;
    s->invalidated = any = true;
  }
  return any;
}

static CUresult begin(const char *function, int needs) {
  (void)pthread_mutex_lock(&mutex);
  const CUresult told = standin_called(function);
  if (told != CUDA_SUCCESS) return told;
  if (needs != ANYWHERE && !initialised) return CUDA_ERROR_NOT_INITIALIZED;
  if ((needs & CONTEXT) != 0 && (!is_current || context.users == 0)) return CUDA_ERROR_INVALID_CONTEXT;
  if ((needs & CONTEXT) != 0 && standin_ended()) return context.ended;
  if ((needs & NO_CAPTURE) != 0 && refuse_capture()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  return CUDA_SUCCESS;
}

static CUresult end(CUresult result) {
  (void)pthread_mutex_unlock(&mutex);
  return result;
}

#define BEGIN(needs)                                                                                                   \
  do {                                                                                                                 \
    const CUresult begun_ = begin(__func__, needs);                                                                    \
    if (begun_ != CUDA_SUCCESS) return end(begun_);                                                                    \
  } while (0)

/* ---- the driver and its devices ---- */

CUresult cuInit(unsigned flags) {
  BEGIN(ANYWHERE);
  if (flags != 0) return end(CUDA_ERROR_INVALID_VALUE);
  if (standin_now.n_devices == 0) return end(CUDA_ERROR_NO_DEVICE);
  initialised = true;
  return end(CUDA_SUCCESS);
}

CUresult cuDriverGetVersion(int *out) {
  BEGIN(ANYWHERE);
  *out = standin_now.driver;
  return end(CUDA_SUCCESS);
}

CUresult cuGetErrorName(CUresult error, const char **out) {
  *out = error == CUDA_ERROR_ILLEGAL_ADDRESS ? "CUDA_ERROR_ILLEGAL_ADDRESS" : error == CUDA_ERROR_OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_STANDIN";
  return error == CUDA_SUCCESS || error > CUDA_ERROR_UNKNOWN ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char **out) {
  *out = "the stand-in's text";
  return error > CUDA_ERROR_UNKNOWN ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

/* NVRTC asks a driver that it finds for what tools hook into. */
CUresult cuGetExportTable(const void **out, const CUuuid *id) {
  (void)id;
  *out = NULL;
  return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult cuDeviceGetCount(int *out) {
  BEGIN(ANYWHERE);
  *out = standin_now.n_devices;
  return end(initialised ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED);
}

CUresult cuDeviceGet(CUdevice *out, int ordinal) {
  BEGIN(ANYWHERE);
  *out = ordinal;
  return end(ordinal >= 0 && ordinal < standin_now.n_devices ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE);
}

CUresult cuDeviceGetName(char *name, int length, CUdevice device) {
  BEGIN(ANYWHERE);
  snprintf(name, (size_t)length, "stand-in GPU %d", device);
  return end(CUDA_SUCCESS);
}

CUresult cuDeviceGetPCIBusId(char *text, int length, CUdevice device) {
  BEGIN(ANYWHERE);
  snprintf(text, (size_t)length, "0000:%02x:00.0", device + 1);
  return end(CUDA_SUCCESS);
}

CUresult cuDeviceTotalMem(size_t *bytes, CUdevice device) {
  (void)device;
  BEGIN(ANYWHERE);
  *bytes = standin_now.memory;
  return end(CUDA_SUCCESS);
}

CUresult cuDeviceGetAttribute(int *out, CUdevice_attribute which, CUdevice device) {
  (void)device;
  BEGIN(ANYWHERE);
  switch (which) {
  case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *out = standin_now.capability / 10; break;
  case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *out = standin_now.capability % 10; break;
  case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *out = standin_now.units; break;
  default: return end(CUDA_ERROR_INVALID_VALUE);
  }
  return end(CUDA_SUCCESS);
}

/* ---- the context: one, of all devices ---- */

CUresult cuDevicePrimaryCtxRetain(CUcontext *out, CUdevice device) {
  (void)device;
  BEGIN(NO_CAPTURE);
  context.users++;
  *out = &context;
  return end(CUDA_SUCCESS);
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
  (void)device;
  BEGIN(NO_CAPTURE);
  if (context.users == 0) return end(CUDA_ERROR_INVALID_CONTEXT);
  if (--context.users == 0) context.ended = CUDA_SUCCESS;
  return end(CUDA_SUCCESS);
}

CUresult cuCtxSetCurrent(CUcontext which) {
  BEGIN(ANYWHERE);
  if (which != NULL && context.users == 0) return end(CUDA_ERROR_CONTEXT_IS_DESTROYED);
  is_current = which != NULL;
  return end(CUDA_SUCCESS);
}

/* ---- memory ---- */

CUresult cuMemGetInfo(size_t *left, size_t *total) {
  BEGIN(CONTEXT);
  *total = standin_now.memory;
  *left = standin_now.memory - standin_used();
  return end(CUDA_SUCCESS);
}

CUresult cuMemAlloc(CUdeviceptr *out, size_t bytes) {
  BEGIN(CONTEXT | NO_CAPTURE);
  return end(standin_alloc(out, bytes, standin_now.memory));
}

/* What is destroyed after a fault, or by a call that was told to fail, is gone all the same: with the context, a driver would say. */
CUresult cuMemFree(CUdeviceptr memory) {
  const CUresult begun = begin(__func__, CONTEXT | NO_CAPTURE);
  if (begun == CUDA_SUCCESS) standin_run_everything();
  const CUresult freed = standin_free(memory);
  return end(begun != CUDA_SUCCESS ? begun : freed);
}

CUresult cuMemHostAlloc(void **out, size_t bytes, unsigned flags) {
  (void)flags;
  BEGIN(CONTEXT | NO_CAPTURE);
  *out = malloc(bytes);
  return end(*out != NULL ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY);
}

CUresult cuMemFreeHost(void *memory) {
  const CUresult begun = begin(__func__, CONTEXT | NO_CAPTURE);
  if (begun == CUDA_SUCCESS) standin_run_everything();
  free(memory);
  return end(begun);
}

static CUresult copy(CUstream stream, void *to, const void *from, size_t bytes) {
  standin_enqueue(stream, &(work){.kind = WORK_COPY, .to = to, .from = from, .bytes = bytes});
  return CUDA_SUCCESS;
}

CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
  BEGIN(CONTEXT);
  return end(standin_holds(to, bytes) ? copy(stream, (void *)(uintptr_t)to, from, bytes) : CUDA_ERROR_INVALID_VALUE);
}

CUresult cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
  BEGIN(CONTEXT);
  return end(standin_holds(from, bytes) ? copy(stream, to, (void *)(uintptr_t)from, bytes) : CUDA_ERROR_INVALID_VALUE);
}

CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  BEGIN(CONTEXT);
  const bool inside = standin_holds(to, bytes) && standin_holds(from, bytes);
  return end(inside ? copy(stream, (void *)(uintptr_t)to, (void *)(uintptr_t)from, bytes) : CUDA_ERROR_INVALID_VALUE);
}

/* ---- queues and points in them ---- */

CUresult cuStreamCreate(CUstream *out, unsigned flags) {
  (void)flags;
  BEGIN(CONTEXT | NO_CAPTURE);
  CUstream const stream = calloc(1, sizeof *stream);
  if (stream == NULL) return end(CUDA_ERROR_OUT_OF_MEMORY);
  stream->number = n_streams++;
  stream->next = standin_streams;
  standin_streams = *out = stream;
  return end(CUDA_SUCCESS);
}

CUresult cuStreamDestroy(CUstream stream) {
  const CUresult begun = begin(__func__, CONTEXT | NO_CAPTURE);
  if (begun == CUDA_SUCCESS) standin_run_everything();
  CUstream *at = &standin_streams;
  while (*at != stream) at = &(*at)->next;
  *at = stream->next;
  if (standin_streams == NULL) n_streams = 0;
  standin_forget(stream);
  free(stream);
  return end(begun);
}

CUresult cuStreamSynchronize(CUstream stream) {
  BEGIN(CONTEXT | NO_CAPTURE);
  standin_run_all(stream);
  return end(context.ended);
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) {
  (void)flags;
  BEGIN(CONTEXT);
  if (stream->capture != NULL) return stream->invalidated = true, end(CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
  if (event->recorded > 0) standin_enqueue(stream, &(work){.kind = WORK_WAIT, .event = event, .count = event->recorded, .recorded_in = event->stream});
  return end(CUDA_SUCCESS);
}

CUresult cuStreamWriteValue32(CUstream stream, CUdeviceptr address, cuuint32_t value, unsigned flags) {
  (void)flags;
  BEGIN(CONTEXT);
  standin_enqueue(stream, &(work){.kind = WORK_WRITE, .to = (void *)(uintptr_t)address, .value = value});
  return end(CUDA_SUCCESS);
}

CUresult cuEventCreate(CUevent *out, unsigned flags) {
  (void)flags;
  BEGIN(CONTEXT);
  *out = calloc(1, sizeof **out);
  return end(*out != NULL ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY);
}

CUresult cuEventDestroy(CUevent event) {
  const CUresult begun = begin(__func__, CONTEXT);
  if (begun == CUDA_SUCCESS) standin_run_everything();
  free(event);
  return end(begun);
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
  BEGIN(CONTEXT);
  if (stream->capture != NULL) return stream->invalidated = true, end(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  event->stream = stream;
  standin_enqueue(stream, &(work){.kind = WORK_RECORD, .event = event, .count = ++event->recorded});
  return end(CUDA_SUCCESS);
}

CUresult cuEventQuery(CUevent event) {
  BEGIN(CONTEXT);
  if (event->done == event->recorded) return end(CUDA_SUCCESS);
  standin_run_one(event->stream); /* whoever asks again and again comes to the end */
  return end(context.ended != CUDA_SUCCESS ? context.ended : CUDA_ERROR_NOT_READY);
}

CUresult cuEventSynchronize(CUevent event) {
  BEGIN(CONTEXT | NO_CAPTURE);
  standin_run_until(event);
  return end(context.ended);
}

CUresult cuEventElapsedTime(float *ms, CUevent from, CUevent to) {
  BEGIN(CONTEXT);
  *ms = (float)(to->ms - from->ms);
  return end(from->done < from->recorded || to->done < to->recorded ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS);
}

/* ---- recordings ---- */

CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode mode) {
  (void)mode;
  BEGIN(CONTEXT | NO_CAPTURE);
  stream->capture = calloc(1, sizeof *stream->capture);
  if (stream->capture == NULL) return end(CUDA_ERROR_OUT_OF_MEMORY);
  stream->capture->users = 1;
  stream->invalidated = false;
  return end(CUDA_SUCCESS);
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph *out) {
  const CUresult begun = begin(__func__, CONTEXT);
  CUgraph const graph = stream->capture;
  stream->invalidated = stream->invalidated || begun != CUDA_SUCCESS;
  stream->capture = NULL;
  *out = stream->invalidated ? NULL : graph;
  if (stream->invalidated) standin_drop_graph(graph);
  if (begun != CUDA_SUCCESS) return end(begun);
  return end(graph == NULL ? CUDA_ERROR_ILLEGAL_STATE : stream->invalidated ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_SUCCESS);
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *out, CUgraph graph, unsigned long long flags) {
  (void)flags;
  BEGIN(CONTEXT | NO_CAPTURE);
  *out = malloc(sizeof **out);
  if (*out == NULL) return end(CUDA_ERROR_OUT_OF_MEMORY);
  **out = (struct CUgraphExec_st){graph};
  graph->users++;
  return end(CUDA_SUCCESS);
}

CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream) {
  BEGIN(CONTEXT);
  exec->graph->users++;
  standin_enqueue(stream, &(work){.kind = WORK_GRAPH, .graph = exec->graph});
  return end(CUDA_SUCCESS);
}

CUresult cuGraphExecDestroy(CUgraphExec exec) {
  const CUresult begun = begin(__func__, CONTEXT);
  standin_drop_graph(exec->graph);
  free(exec);
  return end(begun);
}

CUresult cuGraphDestroy(CUgraph graph) {
  const CUresult begun = begin(__func__, CONTEXT);
  standin_drop_graph(graph);
  return end(begun);
}

/* ---- kernels ---- */

CUresult cuModuleLoadData(CUmodule *out, const void *image) {
  BEGIN(CONTEXT | NO_CAPTURE);
  if (image == NULL || *(const uint32_t *)image != 0xba55ed50u) return end(CUDA_ERROR_INVALID_IMAGE); /* a fatbin's first word */
  *out = calloc(1, sizeof **out);
  return end(*out != NULL ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY);
}

/* Of code that a program brought: with a buffer for the errors and nothing else. */
CUresult cuModuleLoadDataEx(CUmodule *out, const void *image, unsigned n, CUjit_option *options, void **values) {
  BEGIN(CONTEXT | NO_CAPTURE);
  if (image == NULL || n != 2 || options[0] != CU_JIT_ERROR_LOG_BUFFER || options[1] != CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
    return end(CUDA_ERROR_INVALID_VALUE);
  CUmodule const module = calloc(1, sizeof *module);
  if (module == NULL) return end(CUDA_ERROR_OUT_OF_MEMORY);
  const CUresult result = standin_read_code(image, module, values[0], (size_t)(uintptr_t)values[1]);
  values[1] = (void *)(uintptr_t)strlen(values[0]);
  if (result == CUDA_SUCCESS) *out = module;
  else free(module);
  return end(result);
}

CUresult cuModuleUnload(CUmodule module) {
  const CUresult begun = begin(__func__, CONTEXT);
  free(module);
  return end(begun);
}

CUresult cuModuleGetFunction(CUfunction *out, CUmodule module, const char *name) {
  BEGIN(CONTEXT);
  for (int i = 0; i < module->n_entries; i++) {
    if (strcmp(name, module->entries[i].name) != 0) continue;
    *out = &module->entries[i];
    return end(CUDA_SUCCESS);
  }
  for (size_t i = 0; module->n_entries == 0 && i < sizeof functions / sizeof functions[0]; i++) {
    if (strncmp(name, "tct_cu_", 7) != 0 || strcmp(name + 7, functions[i].name) != 0) continue;
    *out = &functions[i];
    return end(CUDA_SUCCESS);
  }
  return end(CUDA_ERROR_NOT_FOUND);
}

CUresult cuFuncGetParamInfo(CUfunction function, size_t index, size_t *offset, size_t *bytes) {
  BEGIN(CONTEXT);
  if (index >= (size_t)function->n_parameters) return end(CUDA_ERROR_INVALID_VALUE);
  *offset = 0;
  for (size_t p = 0; p < index; p++) *offset += function->parameter_bytes[p]; /* a driver's has gaps; nobody here looks */
  *bytes = function->parameter_bytes[index];
  return end(CUDA_SUCCESS);
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute which, int value) {
  BEGIN(CONTEXT);
  if (which != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value > MOST_SHARED) return end(CUDA_ERROR_INVALID_VALUE);
  function->most_shared = (unsigned)value;
  return end(CUDA_SUCCESS);
}

CUresult cuLaunchKernel(CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                        unsigned shared, CUstream stream, void **parameters, void **extra) {
  BEGIN(CONTEXT);
  const bool fits = gx > 0 && gy > 0 && gz > 0 && gx < 0x80000000u && gy < 65536 && gz < 65536 && bx > 0 && by > 0 && bz > 0 &&
                    bx * by * bz <= 1024 && shared <= function->most_shared && extra == NULL;
  if (!fits) return end(CUDA_ERROR_INVALID_VALUE);
  work w = {.kind = WORK_LAUNCH, .function = function, .grid = {gx, gy, gz}, .block = {bx, by, bz}, .shared = shared};
  w.args = malloc(function->args_bytes);
  if (w.args == NULL) return end(CUDA_ERROR_OUT_OF_MEMORY);
  size_t at = 0;
  for (int p = 0; p < function->n_parameters; p++) {
    memcpy((char *)w.args + at, parameters[p], function->parameter_bytes[p]);
    at += STANDIN_PADDED(function->parameter_bytes[p]);
  }
  standin_enqueue(stream, &w);
  return end(CUDA_SUCCESS);
}
