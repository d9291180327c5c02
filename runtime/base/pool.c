/* The thread pool. All coordination is one 64-bit word, the gate: generation, open or closed, and how many workers are
 * inside the present run. A worker enters by compare-and-swap on the whole word, so only while that very run is open;
 * the caller closes the gate when the tasks are handed out and waits for those inside, never for one that is asleep.
 * The job's plain fields are therefore written only while nobody is inside, and read only from inside. */
#include "base/pool.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/env.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define GATE_INSIDE           ((uint64_t)0xFFFF) /* workers inside */
#define GATE_OPEN             ((uint64_t)1 << 16)
#define GATE_CALLER_SLEEPS    ((uint64_t)1 << 17)
#define GATE_STOP             ((uint64_t)1 << 18)
#define GATE_GENERATION_SHIFT 32

enum { CACHE_LINE = 64, SPIN_NS = 50000, N_YIELDS = 200 };

typedef struct pool_worker {
  struct tct_pool *pool; /* borrowed */
  pthread_t thread;
  int32_t id;
} pool_worker;

struct tct_pool {
  pid_t process; /* that has the threads: a fork's child does not */
  int32_t n_threads; /* with the caller */
  int32_t n_spins;   /* pauses before sleeping */
  alignas(CACHE_LINE) atomic_uint_fast64_t gate;
  alignas(CACHE_LINE) atomic_int_fast64_t next_task;
  alignas(CACHE_LINE) tct_pool_fn fn; /* the job: see the file comment */
  void *user;
  int64_t n_tasks;
  alignas(CACHE_LINE) atomic_bool busy;      /* a caller owns the pool */
  alignas(CACHE_LINE) atomic_int n_sleepers; /* workers that may need a signal */
  pthread_mutex_t lock;                      /* for the two conditions only */
  pthread_cond_t opened, left;
  pool_worker worker[]; /* n_threads - 1 */
};

static inline void pause_cpu(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static uint64_t generation_of(uint64_t gate) {
  return gate >> GATE_GENERATION_SHIFT;
}

/* Pauses in SPIN_NS: a pause takes 1 to 50 ns depending on the CPU. The least of a few rounds, since one may be
 * interrupted; bounded, since a test's clock may stand still. */
static int32_t measure_spins(void) {
  enum { ROUNDS = 5, PAUSES = 200 };
  int64_t least = INT64_MAX;
  for (int round = 0; round < ROUNDS; round++) {
    const int64_t begin = tct_clock_ns();
    for (int i = 0; i < PAUSES; i++) pause_cpu();
    const int64_t ns = tct_clock_ns() - begin;
    if (ns < least) least = ns;
  }
  const int64_t spins = least > 0 ? (int64_t)SPIN_NS * PAUSES / least : 2000;
  return spins < 500 ? 500 : spins > 50000 ? 50000 : (int32_t)spins;
}

/* ---- workers ------------------------------------------------------------------------------------- */

/* Waits for a generation other than `seen`, or the end; returns the gate. */
static uint64_t wait_for_run(tct_pool *pool, uint64_t seen) {
  for (int32_t i = 0; i < pool->n_spins; i++) {
    const uint64_t gate = atomic_load_explicit(&pool->gate, memory_order_relaxed);
    if (generation_of(gate) != seen) return gate;
    pause_cpu();
  }
  /* Announce first, look again, then sleep; the caller opens first, then looks for sleepers. Both sequentially
   * consistent: one of the two sees the other. */
  pthread_mutex_lock(&pool->lock);
  atomic_fetch_add(&pool->n_sleepers, 1);
  uint64_t gate = 0;
  while (generation_of(gate = atomic_load(&pool->gate)) == seen) pthread_cond_wait(&pool->opened, &pool->lock);
  atomic_fetch_sub(&pool->n_sleepers, 1);
  pthread_mutex_unlock(&pool->lock);
  return gate;
}

static bool enter(tct_pool *pool, uint64_t gate) {
  const uint64_t generation = generation_of(gate);
  while ((gate & GATE_OPEN) && generation_of(gate) == generation)
    if (atomic_compare_exchange_weak_explicit(&pool->gate, &gate, gate + 1, memory_order_acquire, memory_order_relaxed))
      return true;
  return false;
}

static void leave(tct_pool *pool) {
  const uint64_t before = atomic_fetch_sub_explicit(&pool->gate, 1, memory_order_acq_rel);
  if ((before & GATE_INSIDE) != 1 || !(before & GATE_CALLER_SLEEPS)) return;
  pthread_mutex_lock(&pool->lock);
  pthread_cond_signal(&pool->left);
  pthread_mutex_unlock(&pool->lock);
}

static void take_tasks(tct_pool *pool, int32_t id) {
  const tct_pool_fn fn = pool->fn;
  void *const user = pool->user;
  const int64_t n_tasks = pool->n_tasks;
  for (;;) {
    const int64_t task = atomic_fetch_add_explicit(&pool->next_task, 1, memory_order_relaxed);
    if (task >= n_tasks) return;
    fn(user, task, id);
  }
}

static void *work(void *argument) {
  pool_worker *const self = argument;
  tct_pool *const pool = self->pool;
  for (uint64_t seen = 0;;) {
    const uint64_t gate = wait_for_run(pool, seen);
    if (gate & GATE_STOP) return NULL;
    seen = generation_of(gate);
    if (!enter(pool, gate)) continue;
    take_tasks(pool, self->id);
    leave(pool);
  }
}

/* ---- the caller ---------------------------------------------------------------------------------- */

static void run_here(int64_t n_tasks, tct_pool_fn fn, void *user) {
  for (int64_t task = 0; task < n_tasks; task++) fn(user, task, 0);
}

/* Signals as many sleepers as the run can use beyond the workers that are awake. */
static void wake(tct_pool *pool, int64_t n_useful) {
  const int32_t n_sleepers = atomic_load(&pool->n_sleepers);
  if (n_sleepers == 0) return;
  const int64_t n_awake = pool->n_threads - 1 - n_sleepers;
  const int64_t n_signals = n_useful - n_awake < n_sleepers ? n_useful - n_awake : n_sleepers;
  if (n_signals <= 0) return;
  pthread_mutex_lock(&pool->lock); /* a worker between its last look and its sleep holds the lock */
  pthread_mutex_unlock(&pool->lock);
  if (n_signals == n_sleepers)
    pthread_cond_broadcast(&pool->opened);
  else
    for (int64_t i = 0; i < n_signals; i++) pthread_cond_signal(&pool->opened);
}

static bool is_empty(tct_pool *pool) {
  return (atomic_load_explicit(&pool->gate, memory_order_acquire) & GATE_INSIDE) == 0;
}

/* Spins, then yields (on a crowded machine a worker may need this very CPU), then sleeps. */
static void wait_until_empty(tct_pool *pool) {
  for (int32_t i = 0; i < pool->n_spins; i++) {
    if (is_empty(pool)) return;
    pause_cpu();
  }
  for (int i = 0; i < N_YIELDS; i++) {
    if (is_empty(pool)) return;
    sched_yield();
  }
  pthread_mutex_lock(&pool->lock);
  atomic_fetch_or_explicit(&pool->gate, GATE_CALLER_SLEEPS, memory_order_acq_rel);
  while (!is_empty(pool)) pthread_cond_wait(&pool->left, &pool->lock);
  pthread_mutex_unlock(&pool->lock);
}

void tct_pool_run(tct_pool *pool, int64_t n_tasks, tct_pool_fn fn, void *user) {
  if (n_tasks <= 1 || pool->n_threads == 1 || atomic_exchange_explicit(&pool->busy, true, memory_order_acquire)) {
    run_here(n_tasks, fn, user);
    return;
  }
  pool->fn = fn;
  pool->user = user;
  pool->n_tasks = n_tasks;
  atomic_store_explicit(&pool->next_task, 0, memory_order_relaxed);
  const uint64_t generation = generation_of(atomic_load_explicit(&pool->gate, memory_order_relaxed)) + 1;
  atomic_store(&pool->gate, generation << GATE_GENERATION_SHIFT | GATE_OPEN);
  wake(pool, n_tasks - 1);
  take_tasks(pool, 0);
  const uint64_t before = atomic_fetch_and_explicit(&pool->gate, ~GATE_OPEN, memory_order_acq_rel);
  if (before & GATE_INSIDE) wait_until_empty(pool);
  atomic_store_explicit(&pool->busy, false, memory_order_release);
}

/* ---- life ---------------------------------------------------------------------------------------- */

static tct_status choose_threads(int32_t asked, int32_t *out) {
  const char *const text = tct_env(TCT_ENV_THREADS);
  int64_t n_threads = asked;
  if (asked < 0 || asked > TCT_MAX_THREADS)
    return tct_fail(TCT_E_DEVICE_OPTION, "thread pool: %d threads asked for, needs 1 to %d, or 0 for the default",
                    (int)asked, (int)TCT_MAX_THREADS);
  if (asked == 0 && text[0] == '\0') {
    n_threads = tct_usable_cpus();
  } else if (asked == 0) {
    if (!tct_parse_i64(text, strlen(text), &n_threads) || n_threads < 1 || n_threads > TCT_MAX_THREADS)
      return tct_fail(TCT_E_DEVICE_OPTION, "%s is '%s', needs a whole number from 1 to %d",
                      tct_env_table[TCT_ENV_THREADS].name, text, (int)TCT_MAX_THREADS);
  }
  *out = (int32_t)n_threads;
  return TCT_OK;
}

/* Starts the workers with all signals blocked: a host program's handlers run on its own threads. */
static void start_workers(tct_pool *pool, int32_t n_wanted) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int32_t started = 1;
  for (; started < n_wanted; started++) {
    pool_worker *const worker = &pool->worker[started - 1];
    worker->pool = pool;
    worker->id = started;
    if (pthread_create(&worker->thread, NULL, work, worker) != 0) break;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pool->n_threads = started;
  if (started < n_wanted)
    tct_log_line(TCT_LOG_WARNING, "thread pool: only %d of %d threads could be started", (int)started, (int)n_wanted);
}

tct_status tct_pool_create(int32_t n_threads, tct_pool **out) {
  *out = NULL;
  TCT_TRY(choose_threads(n_threads, &n_threads));
  const size_t bytes = sizeof(tct_pool) + (size_t)(n_threads - 1) * sizeof(pool_worker);
  tct_pool *const pool = tct_alloc_aligned(bytes, CACHE_LINE);
  if (!pool) return tct_context("creating a pool of %d threads", (int)n_threads);
  memset(pool, 0, bytes);
  pool->process = getpid();
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->opened, NULL);
  pthread_cond_init(&pool->left, NULL);
  /* With more threads than CPUs, spinning keeps the one that has the work from running. */
  pool->n_spins = n_threads > 1 ? measure_spins() : 0;
  if (n_threads > tct_usable_cpus()) pool->n_spins /= 25;
  start_workers(pool, n_threads);
  *out = pool;
  return TCT_OK;
}

void tct_pool_free(tct_pool *pool) {
  if (!pool) return;
  if (pool->process != getpid()) { /* there is nobody to wait for, and the condition variables would wait for them */
    tct_release(pool);
    return;
  }
  const uint64_t generation = generation_of(atomic_load(&pool->gate)) + 1;
  atomic_store(&pool->gate, generation << GATE_GENERATION_SHIFT | GATE_STOP);
  wake(pool, pool->n_threads - 1);
  for (int32_t i = 0; i < pool->n_threads - 1; i++) pthread_join(pool->worker[i].thread, NULL);
  pthread_cond_destroy(&pool->left);
  pthread_cond_destroy(&pool->opened);
  pthread_mutex_destroy(&pool->lock);
  tct_release(pool);
}

int32_t tct_pool_threads(const tct_pool *pool) {
  return pool->n_threads;
}
