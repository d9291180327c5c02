/* A whole step as one CUDA graph: the launches of the compute queue are captured instead of run, and replayed with one call. */
#include "backends/cuda/device.h"

typedef struct recording {
  CUgraphExec exec;
} recording;

static tct_status instantiate(tct_device_impl *device, CUgraph graph, void **out) {
  const tct_cu_driver *const cu = device->cu;
  recording *const made = device->host->alloc(sizeof *made, 64);
  if (made == NULL) return TCT_OUT_OF_MEMORY;
  const CUresult result = cu->graph_make(&made->exec, graph, 0);
  if (result != CUDA_SUCCESS) {
    device->host->release(made);
    return tct_cu_failed(device, result, "making a graph of the recorded launches");
  }
  *out = made;
  device->counts.recordings++;
  return TCT_OK;
}

tct_status tct_cu_record(tct_device_impl *device, tct_status (*launches)(void *user), void *user, void **out) {
  const tct_cu_driver *const cu = device->cu;
  CUstream compute = device->stream[TCT_QUEUE_COMPUTE];
  *out = NULL;
  if (!device->records) return device->host->fail(TCT_UNSUPPORTED, "device 'gpu:%d': TERCET_CUDA_GRAPHS=0", (int)device->ordinal);
  tct_status status = tct_cu_enter(device);
  if (status != TCT_OK) return status;
  TCT_CU_TRY(device, cu->capture_begin(compute, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "beginning to record");
  device->capturing = true;
  status = launches(user);
  device->capturing = false;
  CUgraph graph = NULL;
  const CUresult result = cu->capture_end(compute, &graph);
  if (status == TCT_OK && result != CUDA_SUCCESS) status = tct_cu_failed(device, result, "ending to record");
  if (status == TCT_OK) status = instantiate(device, graph, out);
  if (graph != NULL) (void)cu->graph_destroy(graph);
  return status;
}

tct_status tct_cu_replay(tct_device_impl *device, void *made) {
  const tct_status status = tct_cu_enter(device);
  if (status != TCT_OK) return status;
  device->replayed = true;
  device->counts.replays++;
  TCT_CU_TRY(device, device->cu->graph_launch(((recording *)made)->exec, device->stream[TCT_QUEUE_COMPUTE]), "replaying a recorded step");
  return TCT_OK;
}

void tct_cu_drop(tct_device_impl *device, void *made) {
  if (made == NULL) return;
  /* After a fault it is gone with the context, and the driver says so. */
  (void)device->cu->context_set(device->context);
  (void)device->cu->graph_exec_destroy(((recording *)made)->exec);
  device->host->release(made);
}
