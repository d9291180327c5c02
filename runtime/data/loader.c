/* The loader: a permutation per epoch, batches cut from it, and one worker thread that reads ahead into a ring of
 * buffers made at create. The worker only ever sees the epoch through a generation number: start() bumps it, and a
 * batch that was being read for an older one is dropped when it is done. */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "data/dataset.h"
#include "kernels/common/philox.h"

#define STREAM_SHUFFLE   0x73687566u /* "shuf" */
#define DEFAULT_PREFETCH 2
#define MOST_PREFETCH    1024
#define ERROR_BYTES      2048

typedef struct slot {
  int64_t *index;                      /* [batch_size] */
  void *field[TCT_DATASET_MAX_FIELDS]; /* [batch_size, shape…] */
  int64_t n, first;
} slot;

struct tct_loader {
  tct_dataset *data; /* one reference */
  int64_t batch_size, n_samples, n_batches;
  bool shuffle;
  uint64_t seed;
  void *block; /* owned: every buffer of every slot */
  slot *slots; /* owned: [n_slots] */
  int32_t n_slots;
  int64_t *order; /* owned: the epoch's permutation; NULL without shuffle. Only the reading side touches it */

  /* The consumer's side. */
  bool started, over; /* over: nothing more comes in this epoch */
  int64_t next_batch; /* that next() will hand out */
  int32_t held;       /* slot that the consumer has; -1: none */
  int64_t wait_ns;

  /* Shared, under the lock. */
  bool threaded, quit;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t work, done;
  uint64_t generation;
  int64_t epoch, skip;
  int32_t *free_slots, *ready_slots; /* owned: stack; ring of n_slots */
  int32_t n_free, n_ready, ready_at;
  tct_status error; /* the worker stopped in this generation */
  uint32_t error_code;
  char error_text[ERROR_BYTES];
};

/* ---- permutation and batches ------------------------------------------------------------------------ */

/* floor(random × bound ÷ 2^64): uniform but for a bias of at most bound ÷ 2^64. */
static uint64_t below(uint64_t random, uint64_t bound) {
  const uint64_t low = (random & 0xffffffffu) * (bound & 0xffffffffu);
  const uint64_t mid1 = (random >> 32) * (bound & 0xffffffffu) + (low >> 32);
  const uint64_t mid2 = (random & 0xffffffffu) * (bound >> 32) + (mid1 & 0xffffffffu);
  return (random >> 32) * (bound >> 32) + (mid1 >> 32) + (mid2 >> 32);
}

/* Fisher–Yates from the identity, drawn from (seed, epoch) alone. */
static void permute(int64_t *order, int64_t n, uint64_t seed, int64_t epoch) {
  for (int64_t i = 0; i < n; i++) order[i] = i;
  tct_philox words = {{0, 0, 0, 0}};
  for (int64_t i = n - 1, draw = 0; i > 0; i--, draw++) {
    const int half = (int)(draw & 1) * 2;
    if (half == 0) words = tct_philox_block(seed, STREAM_SHUFFLE, (uint32_t)epoch, (uint64_t)draw >> 1);
    const uint64_t random = (uint64_t)words.v[half] << 32 | words.v[half + 1];
    const int64_t j = (int64_t)below(random, (uint64_t)i + 1);
    const int64_t swap = order[i];
    order[i] = order[j];
    order[j] = swap;
  }
}

static tct_status fill(const tct_loader *self, int64_t batch, slot *to) {
  to->first = batch * self->batch_size;
  to->n = self->n_samples - to->first < self->batch_size ? self->n_samples - to->first : self->batch_size;
  for (int64_t i = 0; i < to->n; i++) to->index[i] = self->order ? self->order[to->first + i] : to->first + i;
  return tct_dataset_read(self->data, to->index, to->n, to->field);
}

/* ---- worker ----------------------------------------------------------------------------------------- */

static void *work(void *user) {
  tct_loader *const self = user;
  uint64_t mine = 0;
  int64_t batch = self->n_batches;
  pthread_mutex_lock(&self->lock);
  while (!self->quit) {
    if (mine != self->generation) {
      mine = self->generation;
      batch = self->skip;
      const int64_t epoch = self->epoch;
      if (!self->order) continue;
      pthread_mutex_unlock(&self->lock);
      permute(self->order, tct_dataset_samples(self->data), self->seed, epoch);
      pthread_mutex_lock(&self->lock);
      continue;
    }
    /* One slot is always left for the consumer to hold, so at most n_slots − 1 batches are ahead. */
    if (batch >= self->n_batches || self->error != TCT_OK || self->n_free == 0 || self->n_ready >= self->n_slots - 1) {
      pthread_cond_wait(&self->work, &self->lock);
      continue;
    }
    const int32_t s = self->free_slots[--self->n_free];
    pthread_mutex_unlock(&self->lock);
    const tct_status status = fill(self, batch, &self->slots[s]);
    pthread_mutex_lock(&self->lock);
    if (mine != self->generation || status != TCT_OK) {
      self->free_slots[self->n_free++] = s;
    } else {
      self->ready_slots[(self->ready_at + self->n_ready++) % self->n_slots] = s;
      batch++;
    }
    if (mine == self->generation && status != TCT_OK) {
      self->error = status;
      self->error_code = (uint32_t)tct_error_code();
      snprintf(self->error_text, sizeof self->error_text, "%s", tct_error_message());
    }
    pthread_cond_signal(&self->done);
  }
  pthread_mutex_unlock(&self->lock);
  return NULL;
}

/* Signals stay with the caller's threads. Without a thread the loader reads on the caller's. */
static void start_thread(tct_loader *self) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int failed = pthread_create(&self->thread, NULL, work, self);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  self->threaded = failed == 0;
  if (failed)
    tct_log_line(TCT_LOG_WARNING, "loader: no thread could be started (%s); reading without one", strerror(failed));
}

/* ---- create and free -------------------------------------------------------------------------------- */

static tct_status check_options(const tct_dataset *data, const tct_loader_options *o) {
  if (!o) return tct_fail(TCT_E_DATASET, "loader: options is NULL; options->batch_size is required");
  if (data->n_samples == 0) return tct_fail(TCT_E_NO_SAMPLES, "the dataset has no samples; needs at least 1");
  if (o->batch_size < 1 || o->batch_size > data->n_samples)
    return tct_fail(TCT_E_BATCH,
                    "batch size %" PRId64 ", the dataset has %" PRId64
                    " samples; choose a batch size from 1 to %" PRId64,
                    o->batch_size, data->n_samples, data->n_samples);
  if (o->prefetch < -1 || o->prefetch > MOST_PREFETCH)
    return tct_fail(TCT_E_DATASET, "loader: prefetch is %" PRId32 ", needs -1 (no thread) to %d batches", o->prefetch,
                    MOST_PREFETCH);
  return TCT_OK;
}

/* Lays out one slot behind `block` (NULL: only measures); returns the offset after it, or 0 on overflow. */
static size_t lay_out_slot(const tct_loader *self, char *block, size_t offset, slot *to) {
  for (int32_t f = -1; f < self->data->n_fields; f++) {
    const size_t row = f < 0 ? sizeof(int64_t) : self->data->sample_bytes[f];
    if (block && f < 0) to->index = (int64_t *)(void *)(block + offset);
    if (block && f >= 0) to->field[f] = block + offset;
    size_t bytes = 0;
    if (!tct_mul_size(row, (size_t)self->batch_size, &bytes) || !tct_align_size(bytes, 64, &bytes) ||
        !tct_add_size(offset, bytes, &offset))
      return 0;
  }
  return offset;
}

static tct_status make_buffers(tct_loader *self) {
  const size_t n = (size_t)self->n_slots, slot_bytes = lay_out_slot(self, NULL, 0, NULL);
  size_t total = 0;
  if (slot_bytes == 0 || !tct_mul_size(slot_bytes, n, &total))
    return tct_fail(TCT_OUT_OF_MEMORY,
                    "loader: %" PRId32 " batches of %" PRId64 " samples are more than memory can address",
                    self->n_slots, self->batch_size);
  self->slots = tct_alloc_zero(n, sizeof *self->slots);
  self->free_slots = tct_alloc_zero(n, sizeof *self->free_slots);
  self->ready_slots = tct_alloc_zero(n, sizeof *self->ready_slots);
  self->block = tct_alloc_aligned(total, 64);
  if (!self->slots || !self->free_slots || !self->ready_slots || !self->block) return TCT_OUT_OF_MEMORY;
  if (self->shuffle) {
    self->order = tct_alloc_zero((size_t)self->data->n_samples, sizeof *self->order);
    if (!self->order) return TCT_OUT_OF_MEMORY;
  }
  for (size_t s = 0; s < n; s++) {
    (void)lay_out_slot(self, self->block, s * slot_bytes, &self->slots[s]);
    self->free_slots[self->n_free++] = (int32_t)s;
  }
  return TCT_OK;
}

tct_status tct_loader_create(tct_dataset *data, const tct_loader_options *options, tct_loader **out) {
  *out = NULL;
  TCT_TRY(check_options(data, options));
  tct_loader *const self = tct_alloc_zero(1, sizeof *self);
  if (!self) return TCT_OUT_OF_MEMORY;
  tct_dataset_retain(data);
  self->data = data;
  self->batch_size = options->batch_size;
  self->n_batches = data->n_samples / options->batch_size;
  self->n_samples = options->drop_remainder ? self->n_batches * options->batch_size : data->n_samples;
  if (self->n_samples % options->batch_size != 0) self->n_batches++;
  self->shuffle = options->shuffle;
  self->seed = options->seed;
  self->held = -1;
  const int32_t prefetch = options->prefetch == 0 ? DEFAULT_PREFETCH : options->prefetch;
  self->n_slots = prefetch < 0 ? 1 : prefetch + 1;
  (void)pthread_mutex_init(&self->lock, NULL);
  (void)pthread_cond_init(&self->work, NULL);
  (void)pthread_cond_init(&self->done, NULL);
  const tct_status status = make_buffers(self);
  if (status != TCT_OK) {
    tct_loader_free(self);
    return status;
  }
  if (prefetch > 0) start_thread(self);
  *out = self;
  return TCT_OK;
}

void tct_loader_free(tct_loader *loader) {
  if (!loader) return;
  if (loader->threaded) {
    pthread_mutex_lock(&loader->lock);
    loader->quit = true;
    pthread_cond_signal(&loader->work);
    pthread_mutex_unlock(&loader->lock);
    pthread_join(loader->thread, NULL);
  }
  pthread_cond_destroy(&loader->done);
  pthread_cond_destroy(&loader->work);
  pthread_mutex_destroy(&loader->lock);
  tct_release(loader->order);
  tct_release(loader->block);
  tct_release(loader->ready_slots);
  tct_release(loader->free_slots);
  tct_release(loader->slots);
  tct_dataset_free(loader->data);
  tct_release(loader);
}

/* ---- the consumer ----------------------------------------------------------------------------------- */

int64_t tct_loader_batches(const tct_loader *loader) {
  return loader->n_batches;
}

int64_t tct_loader_wait_ns(const tct_loader *loader) {
  return loader->wait_ns;
}

tct_status tct_loader_start(tct_loader *loader, int64_t epoch, int64_t skip) {
  if (epoch < 0 || epoch > UINT32_MAX || skip < 0 || skip > loader->n_batches)
    return tct_fail(TCT_E_DATASET,
                    "loader: epoch %" PRId64 ", first batch %" PRId64 "; needs an epoch from 0 to 2^32 - 1 and a "
                    "batch from 0 to %" PRId64,
                    epoch, skip, loader->n_batches);
  loader->started = true;
  loader->over = false;
  loader->next_batch = skip;
  loader->wait_ns = 0;
  if (!loader->threaded) {
    if (loader->order) permute(loader->order, loader->data->n_samples, loader->seed, epoch);
    return TCT_OK;
  }
  pthread_mutex_lock(&loader->lock);
  loader->generation++;
  loader->epoch = epoch;
  loader->skip = skip;
  loader->error = TCT_OK;
  for (; loader->n_ready > 0; loader->n_ready--) {
    loader->free_slots[loader->n_free++] = loader->ready_slots[loader->ready_at];
    loader->ready_at = (loader->ready_at + 1) % loader->n_slots;
  }
  pthread_cond_signal(&loader->work);
  pthread_mutex_unlock(&loader->lock);
  return TCT_OK;
}

/* Waits for the worker's next batch; loader->held is its slot. */
static tct_status take_ready(tct_loader *self) {
  tct_status status = TCT_OK;
  pthread_mutex_lock(&self->lock);
  if (self->n_ready == 0 && self->error == TCT_OK) {
    const int64_t begin = tct_clock_ns();
    while (self->n_ready == 0 && self->error == TCT_OK) pthread_cond_wait(&self->done, &self->lock);
    self->wait_ns += tct_clock_ns() - begin;
  }
  if (self->n_ready > 0) {
    self->held = self->ready_slots[self->ready_at];
    self->ready_at = (self->ready_at + 1) % self->n_slots;
    self->n_ready--;
    pthread_cond_signal(&self->work);
  } else {
    status = tct_fail(self->error_code, "%s", self->error_text);
  }
  pthread_mutex_unlock(&self->lock);
  return status;
}

/* Without a thread: the one slot is filled here, and all of it is waiting. */
static tct_status read_here(tct_loader *self) {
  const int64_t begin = tct_clock_ns();
  const tct_status status = fill(self, self->next_batch, &self->slots[0]);
  self->wait_ns += tct_clock_ns() - begin;
  if (status == TCT_OK) self->held = 0;
  return status;
}

/* Gives the consumer's last batch back to the worker. */
static void give_back(tct_loader *self) {
  if (self->held >= 0 && self->threaded) {
    pthread_mutex_lock(&self->lock);
    self->free_slots[self->n_free++] = self->held;
    pthread_cond_signal(&self->work);
    pthread_mutex_unlock(&self->lock);
  }
  self->held = -1;
}

tct_status tct_loader_next(tct_loader *loader, tct_batch *out) {
  *out = (tct_batch){0};
  if (!loader->started) return tct_fail(TCT_E_DATASET, "loader: no epoch was begun; call tct_loader_start first");
  give_back(loader);
  if (loader->over || loader->next_batch == loader->n_batches) return TCT_OK;
  const tct_status status = loader->threaded ? take_ready(loader) : read_here(loader);
  if (status != TCT_OK) {
    loader->over = true;
    return tct_context("batch %" PRId64 " of the epoch", loader->next_batch);
  }
  loader->next_batch++;
  const slot *const s = &loader->slots[loader->held];
  *out = (tct_batch){.n = s->n, .first = s->first, .index = s->index, .field = s->field};
  return TCT_OK;
}
