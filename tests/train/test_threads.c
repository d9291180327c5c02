/* Several models at once: in threads of one process they give the bits that they give alone, and each thread has an error
 * record of its own. After a fork the child trains on, as docs/threads.md says. */
#include <tercet/tercet.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#include "test.h"

enum { N = 64, THREADS = 3 };

typedef struct run {
  int number; /* seed, and width */
  uint64_t hash;
  char failure[256];
} run;

static tct_status train(tct_model *m, int number, uint64_t *out_hash) {
  float x[N][4];
  int32_t y[N];
  for (int i = 0; i < N; i++) {
    for (int k = 0; k < 4; k++) x[i][k] = sinf((float)(i * 4 + k));
    y[i] = x[i][0] + x[i][1] > x[i][2] + x[i][3];
  }
  tct_dataset *data = NULL;
  const tct_field fields[] = {{"x", TCT_F32, TCT_SHAPE(4)}, {"y", TCT_I32, {0}}};
  tct_status status = tct_dataset_arrays(N, 2, fields, (const void *[]){x, y}, false, &data);
  if (status == TCT_OK) {
    status = tct_model_compile(m, &(tct_training){.loss = "sparse_categorical_crossentropy", .seed = (uint64_t)number,
                                                  .n_threads = 2});
  }
  if (status == TCT_OK) status = tct_fit(m, data, &(tct_fit_options){.epochs = 6, .batch_size = 12});
  tct_dataset_free(data);
  float w[4 * 64] = {0};
  const size_t bytes = sizeof(float) * 4 * (size_t)(16 + number);
  if (status == TCT_OK) status = tct_model_read(m, "first/kernel", w, bytes);
  *out_hash = 1469598103934665603u;
  for (size_t b = 0; b < bytes; b++) *out_hash = (*out_hash ^ ((unsigned char *)w)[b]) * 1099511628211u;
  return status;
}

static tct_model *network(int number) {
  tct_model *m = tct_model_create("m", TCT_F32);
  tct_layer x = tct_layer_input(m, "x", TCT_F32, TCT_SHAPE(4));
  x = tct_layer_dense(x, &(tct_dense_layer){.name = "first", .units = 16 + number, .activation = "tanh"});
  x = tct_layer_dropout(x, &(tct_dropout_layer){.rate = 0.2});
  tct_layer_dense(x, &(tct_dense_layer){.units = 2});
  return m;
}

static void *work(void *user) {
  run *r = user;
  tct_model *m = network(r->number);
  if (train(m, r->number, &r->hash) != TCT_OK) snprintf(r->failure, sizeof r->failure, "%s", tct_error_message());
  tct_model_free(m);
  char wrong[32]; /* this thread's own error, and no other's */
  snprintf(wrong, sizeof wrong, "no_such_loss_%d", r->number);
  m = network(r->number);
  if (tct_model_compile(m, &(tct_training){.loss = wrong}) == TCT_OK || strstr(tct_error_message(), wrong) == NULL)
    snprintf(r->failure, sizeof r->failure, "the error record says: %.200s", tct_error_message());
  tct_model_free(m);
  return NULL;
}

TEST(threads, models_in_threads_give_the_bits_of_models_alone) {
  run alone[THREADS], together[THREADS];
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) {
    alone[i] = together[i] = (run){.number = i};
    work(&alone[i]);
    CHECK(alone[i].failure[0] == '\0', "%s", alone[i].failure);
  }
  for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, work, &together[i]) == 0);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < THREADS; i++) {
    CHECK(together[i].failure[0] == '\0', "thread %d: %s", i, together[i].failure);
    CHECK(together[i].hash == alone[i].hash, "model %d: other bits beside others than alone", i);
    CHECK(i == 0 || alone[i].hash != alone[i - 1].hash);
  }
}

/* Parent and child, after the fork, train the same model on: the child's work is its own copy, on the thread that forked. */
TEST(threads, a_forked_child_trains_on) {
  uint64_t before = 0, after = 0, fresh = 0;
  tct_model *m = network(1);
  OK(train(m, 1, &before));
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    alarm(10);
    const bool same = train(m, 1, &after) == TCT_OK && after != before;
    tct_model_free(m);
    tct_model *own = network(2);
    const bool trained = train(own, 2, &fresh) == TCT_OK;
    tct_model_free(own);
    _exit(same && trained ? 0 : 1);
  }
  OK(train(m, 1, &after));
  CHECK(after != before);
  int result = -1;
  CHECK(waitpid(child, &result, 0) == child && WIFEXITED(result) && WEXITSTATUS(result) == 0, "the child ended with %d", result);
  tct_model_free(m);
}
