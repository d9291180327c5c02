/* Large uploads to the gpu, over the stand-in driver: from the third to a place on they arrive beside the computation, in order with
 * what reads the place; where memory is short they wait, and their buffers are given back to programs. Nothing here ran on a GPU. */
#include "base/alloc.h"
#include "device/device.h"
#include "standin_gpu.h"
#include "test.h"

enum { BYTES = 9 << 20, ROUNDS = 6 };

static unsigned char byte_of(int round, size_t i) { return (unsigned char)(i * 31 + i / 4099 + 57 * (size_t)round); }

typedef struct setting {
  tct_device *device;
  const tct_backend *gpu;
  void *place, *read[ROUNDS]; /* what is uploaded to; what the computation made of it, round by round */
  char *sent, *back;
} setting;

static tct_status open_setting(setting *s) {
  *s = (setting){.sent = malloc(BYTES), .back = malloc(BYTES)};
  tct_status status = tct_device_open("gpu", NULL, &s->device);
  if (status != TCT_OK) return status;
  s->gpu = s->device->backend;
  status = s->gpu->alloc(s->device->impl, BYTES, &s->place);
  for (int r = 0; r < ROUNDS && status == TCT_OK; r++) status = s->gpu->alloc(s->device->impl, BYTES, &s->read[r]);
  return status;
}

static void close_setting(setting *s) {
  if (s->device != NULL) {
    s->gpu->free(s->device->impl, s->place);
    for (int r = 0; r < ROUNDS; r++) s->gpu->free(s->device->impl, s->read[r]);
  }
  tct_device_close(s->device);
  free(s->sent);
  free(s->back);
}

static tct_status upload(setting *s, int round) {
  for (size_t i = 0; i < BYTES; i++) s->sent[i] = (char)byte_of(round, i);
  const tct_status status = s->gpu->upload(s->device->impl, s->place, s->sent, BYTES);
  memset(s->sent, 0xff, BYTES); /* the caller's again */
  return status;
}

/* A computation that reads the place, after each upload. */
static tct_status rounds(setting *s) {
  tct_status status = TCT_OK;
  for (int r = 0; r < ROUNDS && status == TCT_OK; r++) {
    status = upload(s, r);
    if (status == TCT_OK) status = s->gpu->copy(s->device->impl, s->read[r], s->place, BYTES);
  }
  for (int r = 0; r < ROUNDS && status == TCT_OK; r++) {
    status = s->gpu->download(s->device->impl, s->back, s->read[r], BYTES);
    if (status == TCT_OK) status = s->gpu->sync(s->device->impl);
    for (size_t i = 0; i < BYTES && status == TCT_OK; i++)
      if (s->back[i] != (char)byte_of(r, i)) status = TCT_BAD_DATA;
  }
  return status;
}

static double counter_of(tct_device *device, const char *name) {
  tct_counter all[16];
  const int32_t n = tct_device_counters(device, all, 16);
  for (int32_t i = 0; i < n; i++)
    if (strcmp(all[i].name, name) == 0) return all[i].value;
  return -1;
}

TEST(gpu_uploads, are_in_order_with_what_reads_them) {
  NEEDS_GPU("");
  static const char *const paces[] = {"queues=lazy", "queues=now", "queues=ahead", "queues=behind", "guard=1"};
  for (size_t i = 0; i < sizeof paces / sizeof *paces; i++) {
    setting s;
    gpu_set(paces[i]);
    OK(open_setting(&s));
    OK(rounds(&s));
    CHECK(counter_of(s.device, "staging") == (16 << 20) + BYTES && counter_of(s.device, "pinned") == 16 << 20, "%s: %g and %g bytes", paces[i],
          counter_of(s.device, "staging"), counter_of(s.device, "pinned"));
    close_setting(&s);
    CHECK(gpu_allocations() == 0, "%s", paces[i]);
  }
}

/* With transfers ahead and the computation waited for by nobody: the first two uploads wait for it, the third has arrived. */
TEST(gpu_uploads, arrive_beside_the_computation) {
  NEEDS_GPU("queues=ahead");
  setting s;
  OK(open_setting(&s));
  for (int r = 0; r < 4; r++) {
    tct_ticket computed, sent;
    OK(s.gpu->copy(s.device->impl, s.read[r], s.place, BYTES));
    OK(s.gpu->mark(s.device->impl, TCT_QUEUE_COMPUTE, &computed));
    OK(upload(&s, r));
    OK(s.gpu->mark(s.device->impl, TCT_QUEUE_TRANSFER, &sent));
    CHECK(s.gpu->reached(s.device->impl, sent) == (r >= 2), "upload %d", r);
    CHECK(r < 2 || !s.gpu->reached(s.device->impl, computed), "the computation before upload %d has not run", r);
    OK(s.gpu->sync(s.device->impl));
  }
  close_setting(&s);
}

/* A ninth place takes the buffer of the first, whose uploads wait again. */
TEST(gpu_uploads, some_places_have_buffers) {
  NEEDS_GPU("queues=behind memory=2000000000");
  enum { PLACES = 9, SMALLER = 5 << 20 };
  setting s;
  void *places[PLACES];
  OK(open_setting(&s));
  for (int p = 0; p < PLACES; p++) OK(s.gpu->alloc(s.device->impl, SMALLER, &places[p]));
  for (int p = 0; p < PLACES; p++) {
    for (int r = 0; r < 3; r++) {
      memset(s.sent, p + 1, SMALLER);
      OK(s.gpu->upload(s.device->impl, places[p], s.sent, SMALLER));
    }
  }
  CHECK(counter_of(s.device, "staging") == (16 << 20) + 8.0 * SMALLER, "%g", counter_of(s.device, "staging"));
  for (int p = 0; p < PLACES; p++) {
    OK(s.gpu->download(s.device->impl, s.back, places[p], SMALLER));
    OK(s.gpu->sync(s.device->impl));
    for (int i = 0; i < SMALLER; i++) CHECK(s.back[i] == p + 1, "place %d", p);
    s.gpu->free(s.device->impl, places[p]);
  }
  close_setting(&s);
  CHECK(gpu_allocations() == 0);
}

TEST(gpu_uploads, do_without_and_give_back) {
  NEEDS_GPU("memory=83000000");
  setting s;
  void *more = NULL;
  OK(open_setting(&s)); /* 66 of 83 MB, and 17 for the transfers' own buffers: no twin */
  OK(rounds(&s));
  CHECK(counter_of(s.device, "staging") == 16 << 20, "%g", counter_of(s.device, "staging"));
  close_setting(&s);
  gpu_set("memory=100000000");
  OK(open_setting(&s));
  OK(rounds(&s));
  CHECK(counter_of(s.device, "staging") == (16 << 20) + BYTES, "%g", counter_of(s.device, "staging"));
  OK(s.gpu->alloc(s.device->impl, BYTES, &more));
  CHECK(counter_of(s.device, "staging") == 16 << 20, "a program's memory comes first");
  OK(rounds(&s));
  void *none;
  FAILS(s.gpu->alloc(s.device->impl, BYTES, &none), TCT_OUT_OF_MEMORY, "9.0 MiB are asked for");
  s.gpu->free(s.device->impl, more);
  close_setting(&s);
  CHECK(gpu_allocations() == 0);
}

TEST(gpu_uploads, every_call_fails_once) {
  NEEDS_GPU("");
  static const char *const functions[] = {"cuMemAlloc_v2", "cuMemFree_v2", "cuMemHostAlloc", "cuEventCreate", "cuEventRecord", "cuEventSynchronize",
                                          "cuStreamWaitEvent", "cuMemcpyHtoDAsync_v2", "cuMemcpyDtoDAsync_v2", "cuMemcpyDtoHAsync_v2"};
  int n_failures = 0;
  const int64_t live = tct_alloc_live();
  for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
    setting s;
    gpu_set("");
    OK(open_setting(&s)); /* what opening does is not meant */
    const int64_t first = gpu_calls(functions[f]);
    OK(rounds(&s));
    const int64_t n = gpu_calls(functions[f]) - first, pace = n / 7 + 1;
    close_setting(&s);
    for (int64_t k = 1; k <= n; k += pace) {
      char rule[96];
      gpu_set("");
      OK(open_setting(&s));
      snprintf(rule, sizeof rule, "fail=%s:%d:1", functions[f], (int)k);
      gpu_set(rule);
      tct_error_clear();
      const tct_status status = rounds(&s);
      n_failures += status != TCT_OK;
      CHECK(status == TCT_OK || strstr(tct_error_message(), "device 'gpu:0': ") != NULL, "%s: %s", rule, tct_error_message());
      close_setting(&s);
      CHECK(gpu_allocations() == 0 && tct_alloc_live() == live, "%s: something is left", rule);
    }
  }
  CHECK(n_failures > 30, "only %d calls failed", n_failures);
}
