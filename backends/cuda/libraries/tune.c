/* See tune.h. An entry's key is the library, the device and its driver, and the problem; its data is the candidate's number. */
#include "backends/cuda/libraries/tune.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { HEAD_BYTES = 320, MOST_PROBLEM = 256, REPEATS = 5 };

typedef struct key {
  char bytes[HEAD_BYTES + MOST_PROBLEM];
  size_t n;
} key;

static key key_of(const tct_device_impl *device, const tct_cu_contest *contest) {
  const tct_cu_chip *const chip = &device->chip;
  key k;
  const int n = snprintf(k.bytes, HEAD_BYTES, "%s; %s; %s, %d.%d, %d units, %zu bytes; driver %d%s%s; ", contest->library, contest->kind,
                         chip->name, (int)chip->major, (int)chip->minor, (int)chip->n_units, chip->memory_bytes, device->cu->number,
                         device->tf32 ? "; TF32" : "", device->any_order ? "; any order" : "");
  k.n = (size_t)n < HEAD_BYTES ? (size_t)n : HEAD_BYTES - 1;
  memcpy(k.bytes + k.n, contest->problem, contest->problem_bytes);
  k.n += contest->problem_bytes;
  return k;
}

int32_t tct_cu_kept_choice(tct_device_impl *device, const tct_cu_contest *contest) {
  const key k = key_of(device, contest);
  void *data = NULL;
  size_t bytes = 0;
  int32_t choice = -1;
  if (device->host->cache_read("tune", k.bytes, k.n, &data, &bytes)) {
    const char *const text = data;
    if (bytes == 2 && text[0] >= '0' && text[0] < '0' + TCT_CU_CANDIDATES && text[1] == '\n') choice = text[0] - '0';
    device->host->release(data);
  }
  return choice;
}

typedef struct race {
  tct_device_impl *device;
  CUevent begin, end; /* owned */
  CUdeviceptr memory; /* owned */
  tct_cu_run_fn run;
  void *user;
} race;

/* Milliseconds of a run, or infinitely many. */
static double time_once(const race *r, int32_t i) {
  const tct_cu_driver *const cu = r->device->cu;
  CUstream compute = r->device->stream[TCT_QUEUE_COMPUTE];
  float ms = 0;
  const bool ran = cu->event_record(r->begin, compute) == CUDA_SUCCESS && r->run(r->user, i, (char *)(uintptr_t)r->memory) &&
                   cu->event_record(r->end, compute) == CUDA_SUCCESS && cu->event_sync(r->end) == CUDA_SUCCESS &&
                   cu->event_elapsed(&ms, r->begin, r->end) == CUDA_SUCCESS;
  return ran ? (double)ms : INFINITY;
}

/* The median, behind a run that warms up. */
static double time_of(const race *r, int32_t i) {
  double ms[REPEATS] = {0};
  (void)time_once(r, i);
  for (int n = 0; n < REPEATS; n++) {
    const double now = time_once(r, i);
    int at = n;
    for (; at > 0 && ms[at - 1] > now; at--) ms[at] = ms[at - 1];
    ms[at] = now;
  }
  return ms[REPEATS / 2];
}

/* The quickest of n; -1: none could be timed. */
static int32_t quickest(race *r, int32_t n, size_t memory_bytes) {
  const tct_cu_driver *const cu = r->device->cu;
  int32_t best = -1;
  double least = INFINITY;
  if (cu->event_create(&r->begin, CU_EVENT_DEFAULT) != CUDA_SUCCESS || cu->event_create(&r->end, CU_EVENT_DEFAULT) != CUDA_SUCCESS ||
      cu->memory_alloc(&r->memory, memory_bytes) != CUDA_SUCCESS)
    return -1;
  for (int32_t i = 0; i < n; i++) {
    const double ms = time_of(r, i);
    if (ms < least) least = ms, best = i;
  }
  return best;
}

int32_t tct_cu_time(tct_device_impl *device, const tct_cu_contest *contest, int32_t n, size_t memory_bytes, tct_cu_run_fn run, void *user) {
  const tct_cu_driver *const cu = device->cu;
  race r = {.device = device, .run = run, .user = user};
  const int32_t best = quickest(&r, n, memory_bytes);
  /* The last may still run where a call failed. */
  if (r.memory != 0 && cu->stream_sync(device->stream[TCT_QUEUE_COMPUTE]) == CUDA_SUCCESS) (void)cu->memory_free(r.memory);
  if (r.begin != NULL) (void)cu->event_destroy(r.begin);
  if (r.end != NULL) (void)cu->event_destroy(r.end);
  /* Another process may have kept one in the meantime: that is the one. */
  if (best >= 0 && tct_cu_kept_choice(device, contest) < 0) {
    const char text[] = {(char)('0' + best), '\n'};
    const key k = key_of(device, contest);
    device->host->cache_write("tune", k.bytes, k.n, text, sizeof text);
    device->n_timed++;
  }
  const int32_t kept = tct_cu_kept_choice(device, contest);
  return kept >= 0 && kept < n ? kept : 0;
}
