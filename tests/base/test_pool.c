/* The thread pool: each task once, worker numbers unique, nested and concurrent calls, sleep and wake-up, CPU counts.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/pool.h"
#include "base/status.h"
#include "faults.h"
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { MOST_TASKS = 1000, MOST_WORKERS = 8 };

typedef struct tally {
  atomic_int done[MOST_TASKS];
  atomic_int inside[MOST_WORKERS]; /* tasks that a worker runs at this moment */
  atomic_int clashes, strangers;
  int32_t n_threads;
  tct_pool *pool;
} tally;

static void tally_task(void *user, int64_t task, int32_t worker) {
  tally *const t = user;
  if (worker < 0 || worker >= t->n_threads) {
    atomic_fetch_add(&t->strangers, 1);
    return;
  }
  if (atomic_fetch_add(&t->inside[worker], 1) != 0) atomic_fetch_add(&t->clashes, 1);
  atomic_fetch_add(&t->done[task], 1);
  atomic_fetch_sub(&t->inside[worker], 1);
}

static void check_tally(tally *t, int64_t n_tasks, int each, const char *label) {
  CHECK(atomic_load(&t->strangers) == 0, "%s: %d tasks on workers outside the pool", label, atomic_load(&t->strangers));
  CHECK(atomic_load(&t->clashes) == 0, "%s: %d times two tasks on one worker", label, atomic_load(&t->clashes));
  for (int64_t i = 0; i < MOST_TASKS; i++) {
    const int wanted = i < n_tasks ? each : 0, got = atomic_load(&t->done[i]);
    CHECK(got == wanted, "%s: task %d ran %d times instead of %d", label, (int)i, got, wanted);
  }
}

TEST(pool, each_task_once) {
  static const int32_t threads[] = {1, 2, 3, 7};
  static const int64_t tasks[] = {0, 1, 2, MOST_TASKS};
  for (size_t i = 0; i < TCT_COUNT_OF(threads); i++) {
    tct_pool *pool = NULL;
    OK(tct_pool_create(threads[i], &pool));
    CHECK(tct_pool_threads(pool) == threads[i], "%d threads", (int)tct_pool_threads(pool));
    for (size_t j = 0; j < TCT_COUNT_OF(tasks); j++) {
      char label[64];
      (void)snprintf(label, sizeof label, "%d threads, %d tasks", (int)threads[i], (int)tasks[j]);
      tally t = {.n_threads = threads[i]};
      tct_pool_run(pool, tasks[j], tally_task, &t);
      check_tally(&t, tasks[j], 1, label);
    }
    tct_pool_free(pool);
  }
  tct_pool_free(NULL);
}

/* Ten thousand generations with few tasks, with pauses in which the workers fall asleep now and then. A worker of an
 * earlier run that took a task of a later one would run it with the wrong sums. */
typedef struct sums {
  int64_t round;
  atomic_int_fast64_t sum;
  atomic_int wrong;
} sums;

static void add_task(void *user, int64_t task, int32_t worker) {
  sums *const s = user;
  (void)worker;
  if (task < 0 || task > s->round % 5) atomic_fetch_add(&s->wrong, 1);
  atomic_fetch_add(&s->sum, s->round * 10 + task);
}

TEST(pool, hands_off_20000_runs) {
  tct_pool *pool = NULL;
  OK(tct_pool_create(3, &pool));
  for (int64_t round = 0; round < 20000; round++) {
    const int64_t n = round % 5 + 1;
    sums s = {.round = round}; /* each run's own: a straggler would write into a dead one */
    tct_pool_run(pool, n, add_task, &s);
    const int64_t wanted = n * round * 10 + n * (n - 1) / 2, got = atomic_load(&s.sum);
    CHECK(atomic_load(&s.wrong) == 0 && got == wanted, "round %d: sum %d, wanted %d", (int)round, (int)got,
          (int)wanted);
    if (round % 500 == 0) (void)usleep(300);
  }
  tct_pool_free(pool);
}

static void plain_write_task(void *user, int64_t task, int32_t worker) {
  (void)worker;
  int64_t *const cells = user;
  cells[task] = cells[task] * 3 + task;
}

/* What a task writes with plain stores is visible to the caller and to the next run's tasks (TSan watches). */
TEST(pool, a_run_publishes_its_writes) {
  tct_pool *pool = NULL;
  OK(tct_pool_create(3, &pool));
  int64_t cells[16] = {0}, wanted[16] = {0};
  for (int round = 0; round < 300; round++) {
    tct_pool_run(pool, 16, plain_write_task, cells);
    for (int64_t i = 0; i < 16; i++) {
      wanted[i] = (int64_t)((uint64_t)wanted[i] * 3u + (uint64_t)i) % 1000003;
      CHECK(cells[i] % 1000003 == wanted[i], "round %d, cell %d", round, (int)i);
      cells[i] = wanted[i];
    }
  }
  tct_pool_free(pool);
}

static void nested_task(void *user, int64_t task, int32_t worker) {
  tally *const t = user;
  (void)task;
  (void)worker;
  tally inner = {.n_threads = 1};
  tct_pool_run(t->pool, 50, tally_task, &inner);
  for (int i = 0; i < 50; i++) atomic_fetch_add(&t->done[i], atomic_load(&inner.done[i]));
  atomic_fetch_add(&t->strangers, atomic_load(&inner.strangers)); /* the nested call is worker 0's work */
}

TEST(pool, nested_calls_run_on_their_caller) {
  tally t = {.n_threads = 3};
  OK(tct_pool_create(3, &t.pool));
  tct_pool_run(t.pool, 20, nested_task, &t);
  check_tally(&t, 50, 20, "nested");
  tct_pool_free(t.pool);
}

static void *second_caller(void *user) {
  tally *const t = user;
  for (int round = 0; round < 200; round++) {
    tally own = {.n_threads = t->n_threads};
    tct_pool_run(t->pool, 100, tally_task, &own);
    for (int i = 0; i < 100; i++) atomic_fetch_add(&t->done[i], atomic_load(&own.done[i]));
    atomic_fetch_add(&t->clashes, atomic_load(&own.clashes));
  }
  return NULL;
}

TEST(pool, two_callers_at_once) {
  tally t = {.n_threads = 3};
  OK(tct_pool_create(3, &t.pool));
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, second_caller, &t) == 0);
  (void)second_caller(&t);
  CHECK(pthread_join(thread, NULL) == 0);
  check_tally(&t, 100, 400, "two callers");
  tct_pool_free(t.pool);
}

static void slow_task(void *user, int64_t task, int32_t worker) {
  (void)worker;
  if (task > 0) (void)usleep(20000);
  atomic_fetch_add((atomic_int *)user, 1);
}

/* Long enough for the caller, and before it the workers, to stop spinning and sleep. */
TEST(pool, sleepers_wake) {
  tct_pool *pool = NULL;
  OK(tct_pool_create(2, &pool));
  for (int round = 0; round < 5; round++) {
    (void)usleep(2000);
    atomic_int done = 0;
    tct_pool_run(pool, 3, slow_task, &done);
    CHECK(atomic_load(&done) == 3, "round %d: %d tasks", round, atomic_load(&done));
  }
  tct_pool_free(pool);
}

static void order_task(void *user, int64_t task, int32_t worker) {
  (void)worker;
  int64_t *const order = user;
  order[order[0] + 1] = task;
  order[0]++;
}

TEST(pool, one_thread_takes_tasks_in_order) {
  tct_pool *pool = NULL;
  OK(tct_pool_create(1, &pool));
  int64_t order[11] = {0};
  tct_pool_run(pool, 10, order_task, order);
  for (int64_t i = 0; i < 10; i++) CHECK(order[i + 1] == i, "place %d has task %d", (int)i, (int)order[i + 1]);
  tct_pool_free(pool);
}

TEST(pool, allocates_only_when_created) {
  const int64_t live = tct_alloc_live();
  tct_pool *pool = NULL;
  (void)fault_alloc(1);
  FAILS(tct_pool_create(2, &pool), TCT_OUT_OF_MEMORY, "pool of 2 threads");
  CHECK(fault_alloc(0) && pool == NULL);
  OK(tct_pool_create(2, &pool));
  const int64_t count = tct_alloc_count();
  tally t = {.n_threads = 2};
  tct_pool_run(pool, MOST_TASKS, tally_task, &t);
  CHECK(tct_alloc_count() == count, "a run allocated");
  tct_pool_free(pool);
  CHECK(tct_alloc_live() == live, "%d blocks leaked", (int)(tct_alloc_live() - live));
}

TEST(pool, thread_count_from_the_environment) {
  tct_pool *pool = NULL;
  static const char *const bad[] = {"abc", "0", "-1", "1.5", "2000", " 2", "2x"};
  for (size_t i = 0; i < TCT_COUNT_OF(bad); i++) {
    CHECK(setenv("TERCET_THREADS", bad[i], 1) == 0);
    FAILS(tct_pool_create(0, &pool), TCT_INVALID, "TERCET_THREADS is '");
    CHECK(pool == NULL);
  }
  CHECK(setenv("TERCET_THREADS", "3", 1) == 0);
  OK(tct_pool_create(0, &pool));
  CHECK(tct_pool_threads(pool) == 3, "%d threads", (int)tct_pool_threads(pool));
  tct_pool_free(pool);
  CHECK(unsetenv("TERCET_THREADS") == 0);
  OK(tct_pool_create(0, &pool));
  CHECK(tct_pool_threads(pool) == tct_usable_cpus());
  tct_pool_free(pool);
  FAILS(tct_pool_create(-1, &pool), TCT_INVALID, "-1 threads");
  FAILS(tct_pool_create(TCT_MAX_THREADS + 1, &pool), TCT_INVALID, "1025 threads");
}

static int64_t frozen_ns(void) {
  return 1;
}
static uint64_t no_entropy(void) {
  return 0;
}

/* A replayed clock may stand still: starting and running must not wait for it. */
TEST(pool, a_frozen_clock_does_no_harm) {
  static const tct_clock_calls frozen = {frozen_ns, frozen_ns, no_entropy};
  tct_set_clock_calls(&frozen);
  tct_pool *pool = NULL;
  OK(tct_pool_create(2, &pool));
  tally t = {.n_threads = 2};
  tct_pool_run(pool, 10, tally_task, &t);
  tct_pool_free(pool);
  tct_set_clock_calls(NULL);
  check_tally(&t, 10, 1, "frozen clock");
}

/* ---- control groups: the system's files are played by a table of texts --------------------------- */

typedef struct fake_file {
  const char *path, *text;
} fake_file;
typedef struct quota_case {
  const char *label;
  fake_file files[4];
  int32_t cpus; /* of the quota alone; 0: no limit */
} quota_case;
static const quota_case *present_case;
static size_t present_used;

static int fake_open(const char *path, int flags, unsigned mode) {
  (void)flags;
  (void)mode;
  present_used = 0;
  for (int i = 0; i < 4; i++)
    if (present_case->files[i].path && strcmp(path, present_case->files[i].path) == 0) return i;
  return -1;
}

static ssize_t fake_read(int fd, void *data, size_t bytes) {
  const char *const text = present_case->files[fd].text;
  size_t n = strlen(text) - present_used;
  if (n > bytes) n = bytes;
  memcpy(data, text + present_used, n);
  present_used += n;
  return (ssize_t)n;
}

static int fake_close(int fd) {
  (void)fd;
  return 0;
}

TEST(pool, control_group_quotas) {
#ifndef __linux__
  SKIP("control groups are Linux's");
#endif
  static const quota_case cases[] = {
      {"no groups", {{NULL, NULL}}, 0},
      {"v2, none", {{"/proc/self/cgroup", "0::/\n"}, {"/sys/fs/cgroup/cpu.max", "max 100000\n"}}, 0},
      {"v2, one", {{"/proc/self/cgroup", "0::/\n"}, {"/sys/fs/cgroup/cpu.max", "100000 100000\n"}}, 1},
      {"v2, half is rounded up", {{"/proc/self/cgroup", "0::/\n"}, {"/sys/fs/cgroup/cpu.max", "50000 100000\n"}}, 1},
      {"v2, the parent's is less",
       {{"/proc/self/cgroup", "0::/a/b\n"},
        {"/sys/fs/cgroup/a/b/cpu.max", "90000000 100000\n"},
        {"/sys/fs/cgroup/a/cpu.max", "100000 100000\n"}},
       1},
      {"v1",
       {{"/proc/self/cgroup", "9:cpuset:/\n4:cpu,cpuacct:/box\n0::/\n"},
        {"/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "80000\n"},
        {"/sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n"}},
       1},
      {"v1, group outside the container",
       {{"/proc/self/cgroup", "4:cpu:/outside\n"},
        {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n"},
        {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}},
       1},
      {"v1, none",
       {{"/proc/self/cgroup", "1:cpu:/\n"},
        {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"},
        {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}},
       0},
      {"garbage", {{"/proc/self/cgroup", "::\n0:\n0::/"}, {"/sys/fs/cgroup/cpu.max", "x y z"}}, 0},
  };
  static const tct_file_calls fake = {.open = fake_open, .read = fake_read, .close = fake_close};
  static const quota_case nothing;
  tct_set_file_calls(&fake);
  present_case = &nothing;
  const int32_t mask = tct_usable_cpus();
  tct_error_clear();
  for (size_t i = 0; i < TCT_COUNT_OF(cases); i++) {
    present_case = &cases[i];
    const int32_t got = tct_usable_cpus(), wanted = cases[i].cpus > 0 && cases[i].cpus < mask ? cases[i].cpus : mask;
    CHECK(got == wanted, "%s: %d CPUs, wanted %d", cases[i].label, (int)got, (int)wanted);
  }
  CHECK(tct_error_status() == TCT_OK, "looking for quotas left an error: %s", tct_error_message());
  tct_set_file_calls(NULL);
}
