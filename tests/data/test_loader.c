/* The loader: what it hands out is the same for any prefetch; errors, restarts and frees at any moment. */
#include <pthread.h>

#include "data/data_helpers.h"

static tct_loader *make_loader(tct_dataset *data, int64_t batch, bool shuffle, bool drop, int32_t prefetch) {
  tct_loader *loader = NULL;
  const tct_loader_options options = {
      .batch_size = batch, .shuffle = shuffle, .seed = 42, .drop_remainder = drop, .prefetch = prefetch};
  OK(tct_loader_create(data, &options, &loader));
  return loader;
}

/* Reads the epoch from batch `skip`; order[] takes the y of each sample. */
static int64_t drain(tct_loader *loader, int64_t epoch, int64_t skip, int32_t *order) {
  OK(tct_loader_start(loader, epoch, skip));
  int64_t n = 0;
  for (;;) {
    tct_batch batch;
    OK(tct_loader_next(loader, &batch));
    if (batch.n == 0) return n;
    const float *const x = batch.field[0];
    const int32_t *const y = batch.field[1];
    for (int64_t i = 0; i < batch.n; i++) {
      CHECK(y[i] == (int32_t)batch.index[i] && x[2 * i] == (float)y[i], "sample %lld", (long long)i);
      order[n++] = y[i];
    }
  }
}

TEST(loader, order_is_the_same_for_any_prefetch) {
  const int64_t before = tct_alloc_live();
  tct_dataset *const data = counting_dataset(1003);
  static const int32_t prefetch[] = {-1, 0, 1, 3, 64};
  int32_t first[1003], second[1003], got[1003];
  tct_loader *const plain = make_loader(data, 10, true, false, -1);
  CHECK(drain(plain, 0, 0, first) == 1003 && drain(plain, 1, 0, second) == 1003);
  tct_loader_free(plain);
  CHECK(memcmp(first, second, sizeof first) != 0, "two epochs in one order");
  bool seen[1003] = {false};
  for (int i = 0; i < 1003; i++) seen[first[i]] = true;
  for (int i = 0; i < 1003; i++) CHECK(seen[i], "sample %d is missing", i);
  for (size_t p = 0; p < sizeof prefetch / sizeof *prefetch; p++) {
    tct_loader *const loader = make_loader(data, 10, true, false, prefetch[p]);
    CHECK(tct_loader_batches(loader) == 101);
    CHECK(drain(loader, 1, 0, got) == 1003 && memcmp(got, second, sizeof got) == 0, "prefetch %d", prefetch[p]);
    CHECK(drain(loader, 0, 0, got) == 1003 && memcmp(got, first, sizeof got) == 0, "prefetch %d", prefetch[p]);
    CHECK(drain(loader, 0, 40, got) == 603 && memcmp(got, first + 400, 603 * sizeof *got) == 0, "resume");
    CHECK(drain(loader, 0, 101, got) == 0);
    tct_loader_free(loader);
  }
  tct_dataset_free(data);
  CHECK(tct_alloc_live() == before);
}

TEST(loader, known_permutation) {
  /* The order is part of what a seed means: it must not change from version to version or machine to machine. */
  tct_dataset *const data = counting_dataset(8);
  tct_loader *const loader = make_loader(data, 8, true, false, -1);
  int32_t got[8];
  drain(loader, 0, 0, got);
  static const int32_t want[8] = {3, 5, 6, 7, 4, 2, 1, 0};
  for (int i = 0; i < 8; i++)
    CHECK(got[i] == want[i], "got %d %d %d %d %d %d %d %d", got[0], got[1], got[2], got[3], got[4], got[5], got[6],
          got[7]);
  tct_loader_free(loader);
  tct_dataset_free(data);
}

TEST(loader, remainder_is_kept_or_dropped) {
  tct_dataset *const data = counting_dataset(25);
  const struct {
    int64_t batch, n, batches;
    bool drop;
  } rows[] = {{10, 25, 3, false}, {10, 20, 2, true}, {25, 25, 1, true}, {5, 25, 5, false}, {1, 25, 25, true}};
  int32_t order[25];
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    tct_loader *const loader = make_loader(data, rows[r].batch, false, rows[r].drop, 0);
    CHECK(tct_loader_batches(loader) == rows[r].batches, "row %zu", r);
    CHECK(drain(loader, 0, 0, order) == rows[r].n, "row %zu", r);
    for (int32_t i = 0; i < rows[r].n; i++) CHECK(order[i] == i, "row %zu: position %d has %d", r, i, order[i]);
    tct_loader_free(loader);
  }
  tct_dataset_free(data);
}

TEST(loader, uniform_first_place) {
  /* Each of 5 samples should come first in a fifth of 5 000 epochs: 1000 ± 6 σ, σ = sqrt(5000 · 0.2 · 0.8) = 28.3. */
  tct_dataset *const data = counting_dataset(5);
  tct_loader *const loader = make_loader(data, 5, true, false, -1);
  int32_t order[5], n_first[5] = {0};
  for (int64_t epoch = 0; epoch < 5000; epoch++) {
    drain(loader, epoch, 0, order);
    n_first[order[0]]++;
  }
  for (int i = 0; i < 5; i++) CHECK(n_first[i] > 830 && n_first[i] < 1170, "sample %d: %d", i, n_first[i]);
  tct_loader_free(loader);
  tct_dataset_free(data);
}

TEST(loader, bad_options_are_refused) {
  tct_dataset *const data = counting_dataset(5), *const none = counting_dataset(0);
  tct_loader *loader = NULL;
  const tct_loader_options six = {.batch_size = 6}, zero = {.batch_size = 0}, far = {.batch_size = 1, .prefetch = -2};
  FAILS(tct_loader_create(data, &six, &loader), TCT_INVALID, "batch size 6, the dataset has 5 samples");
  FAILS(tct_loader_create(data, &zero, &loader), TCT_INVALID, "choose a batch size from 1 to 5");
  FAILS(tct_loader_create(data, &far, &loader), TCT_INVALID, "prefetch is -2");
  FAILS(tct_loader_create(none, &six, &loader), TCT_INVALID, "no samples");
  loader = make_loader(data, 2, false, false, 0);
  tct_batch batch;
  FAILS(tct_loader_next(loader, &batch), TCT_INVALID, "call tct_loader_start first");
  FAILS(tct_loader_start(loader, 0, 4), TCT_INVALID, "a batch from 0 to 3");
  FAILS(tct_loader_start(loader, -1, 0), TCT_INVALID, "epoch -1");
  tct_loader_free(loader);
  tct_loader_free(NULL);
  tct_dataset_free(data);
  tct_dataset_free(none);
}

/* A source that fails at one sample and can be slow. */
typedef struct source {
  int64_t fail_at;
  useconds_t sleep_us;
} source;

static tct_status read_source(void *user, const int64_t *index, int64_t n, void *const *out) {
  const source *const s = user;
  if (s->sleep_us) usleep(s->sleep_us);
  for (int64_t i = 0; i < n; i++) {
    if (index[i] == s->fail_at) return TCT_IO;
    ((float *)out[0])[2 * i] = (float)index[i];
    ((float *)out[0])[2 * i + 1] = (float)-index[i];
    ((int32_t *)out[1])[i] = (int32_t)index[i];
  }
  return TCT_OK;
}

static tct_dataset *source_dataset(source *s, int64_t n) {
  const tct_field fields[2] = {{"x", TCT_F32, TCT_SHAPE(2)}, {"y", TCT_I32, tct_shape_of(0, NULL)}};
  tct_dataset *data = NULL;
  OK(tct_dataset_callback(n, 2, fields, read_source, s, &data));
  return data;
}

TEST(loader, a_read_error_comes_out_once_in_its_place) {
  for (int32_t prefetch = -1; prefetch <= 2; prefetch++) {
    source s = {.fail_at = 57, .sleep_us = 0};
    tct_dataset *const data = source_dataset(&s, 100);
    tct_loader *const loader = make_loader(data, 10, false, false, prefetch);
    OK(tct_loader_start(loader, 0, 0));
    tct_batch batch;
    for (int64_t b = 0; b < 5; b++) {
      OK(tct_loader_next(loader, &batch));
      CHECK(batch.n == 10 && batch.first == 10 * b, "prefetch %d, batch %lld", prefetch, (long long)b);
    }
    FAILS(tct_loader_next(loader, &batch), TCT_IO, "10 samples from number 50");
    CHECK(strstr(tct_error_message(), "batch 5 of the epoch") && batch.n == 0, "%s", tct_error_message());
    OK(tct_loader_next(loader, &batch));
    CHECK(batch.n == 0);
    s.fail_at = -1; /* the worker has stopped; the next start sees this write through the lock */
    int32_t order[100];
    CHECK(drain(loader, 1, 0, order) == 100, "prefetch %d: does not recover", prefetch);
    tct_loader_free(loader);
    tct_dataset_free(data);
  }
}

TEST(loader, restart_and_free_while_the_worker_reads) {
  const int64_t before = tct_alloc_live();
  source s = {.fail_at = -1, .sleep_us = 300};
  tct_dataset *const data = source_dataset(&s, 64);
  int32_t order[64];
  for (int64_t round = 0; round < 20; round++) {
    tct_loader *const loader = make_loader(data, 8, true, false, 1 + (int32_t)(round % 3));
    for (int64_t i = 0; i <= round % 4; i++) {
      tct_batch held;
      OK(tct_loader_start(loader, i, round % 8));
      OK(tct_loader_next(loader, &held));
      CHECK(held.n == 8 && held.first == 8 * (round % 8));
      const int32_t *const y = held.field[1];
      OK(tct_loader_start(loader, i + 1, 0));
      CHECK(y[0] == (int32_t)held.index[0], "start() took the batch that the caller holds");
    }
    if (round % 2) CHECK(drain(loader, 9, 0, order) == 64);
    tct_loader_free(loader);
  }
  tct_dataset_free(data);
  CHECK(tct_alloc_live() == before);
}

TEST(loader, waiting_is_measured_and_nothing_is_allocated) {
  source s = {.fail_at = -1, .sleep_us = 2000};
  tct_dataset *const data = source_dataset(&s, 20);
  for (int32_t prefetch = -1; prefetch <= 1; prefetch += 2) {
    tct_loader *const loader = make_loader(data, 5, true, false, prefetch);
    const int64_t count = tct_alloc_count();
    int32_t order[20];
    drain(loader, 0, 0, order);
    CHECK(tct_alloc_count() == count, "prefetch %d", prefetch);
    const int64_t wait = tct_loader_wait_ns(loader);
    CHECK(wait >= 2000000 && wait < (int64_t)5e9, "prefetch %d: waited %lld ns", prefetch, (long long)wait);
    OK(tct_loader_start(loader, 1, 0));
    CHECK(tct_loader_wait_ns(loader) == 0);
    tct_loader_free(loader);
  }
  tct_dataset_free(data);
}
