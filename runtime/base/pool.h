/* One pool of worker threads. The caller works as worker 0; the others spin for a short while, then sleep. Work is
 * split by tasks that the caller numbers (output tiles), never by thread, so results do not depend on the thread count. */
#ifndef TCT_BASE_POOL_H
#define TCT_BASE_POOL_H

#include <tercet/types.h>

typedef struct tct_pool tct_pool;

/* n_threads 0: TERCET_THREADS, else min(affinity mask, cgroup quota), at least 1; at most TCT_MAX_THREADS. A thread that
 * cannot be started leaves a smaller pool and a log line. */
enum { TCT_MAX_THREADS = 1024 };
tct_status tct_pool_create(int32_t n_threads, tct_pool **out) TCT_CHECKED;
void tct_pool_free(tct_pool *pool); /* NULL is fine; no run may be under way */
int32_t tct_pool_threads(const tct_pool *pool);

/* fn(user, task, worker) for each task in [0, n_tasks); returns when all are done. Tasks are handed out in order;
 * worker is in [0, threads) and unique among those running at once. No allocation. Not re-entrant: a nested call from a
 * task, and a call from a second thread while one runs, do the work on the calling thread (as worker 0: per-worker
 * scratch must not be shared with an enclosing call). A run of at most one task is a plain call of fn and keeps nobody
 * else out. A worker that wakes too late finds the run closed: a run never waits for a thread that took no task. */
typedef void (*tct_pool_fn)(void *user, int64_t task, int32_t worker);
void tct_pool_run(tct_pool *pool, int64_t n_tasks, tct_pool_fn fn, void *user);

/* min(affinity mask, cgroup v1/v2 quota rounded up), at least 1. */
int32_t tct_usable_cpus(void);

#endif
