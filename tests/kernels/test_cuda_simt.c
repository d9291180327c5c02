/* The emulator finds what it is there to find: each kernel of simt/faulty.def is right, and with its fault the emulator says so,
 * gives other numbers, or faults. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/cuda_fixture.h"
#include "support/simt/faulty.h"

enum { THREADS = 256 };
static float x[THREADS], y[THREADS];

static const char *run(const char *name, unsigned threads, bool with_fault) {
  for (int i = 0; i < THREADS; i++) x[i] = (float)i, y[i] = NAN;
  return simt(name, 1, threads, threads * (unsigned)sizeof(float), &(tct_cu_faulty_args){x, y, with_fault, 0});
}

static int n_wrong(unsigned threads) {
  int wrong = 0;
  for (unsigned i = 0; i < threads; i++) wrong += !(y[i] == (float)(threads - 1 - i));
  return wrong;
}

TEST(cuda_simt, kernels_without_their_faults) {
  NEEDS_SIMT();
  static const char *const names[] = {
#define KERNEL(name) #name,
#include "support/simt/faulty.def"
#undef KERNEL
  };
  for (uint64_t seed = 0; seed < 3; seed++)
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
      const unsigned threads = strcmp(names[i], "partial_shuffle") == 0 ? 32 : THREADS;
      tct_simt_order(seed);
      const char *const problem = run(names[i], threads, false);
      CHECK(problem == NULL && n_wrong(threads) == 0, "%s: %s", names[i], problem != NULL ? problem : "wrong numbers");
    }
}

TEST(cuda_simt, divergence_is_found) {
  NEEDS_SIMT();
  static const struct {
    const char *name, *part;
    unsigned threads;
  } rows[] = {
      {"divergent_barrier", "a divergent barrier at line", 64},
      {"early_exit", "a barrier that not all threads reach at line", 64},
      {"partial_shuffle", "a shuffle that not all lanes reach at line", 32},
  };
  for (uint64_t seed = 0; seed < 3; seed++)
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
      tct_simt_order(seed);
      const char *const problem = run(rows[i].name, rows[i].threads, true);
      CHECK(problem != NULL && strstr(problem, rows[i].part) != NULL, "%s: %s", rows[i].name, problem);
    }
}

TEST(cuda_simt, missing_barrier_shows) {
  NEEDS_SIMT();
  for (uint64_t seed = 0; seed < 3; seed++) {
    tct_simt_order(seed);
    CHECK(run("missing_barrier", THREADS, true) == NULL);
    CHECK(n_wrong(THREADS) > 0, "order %d hides the missing barrier", (int)seed);
  }
}

TEST(cuda_simt, access_behind_shared_memory_faults) {
  NEEDS_SIMT();
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler would only print more */
    (void)run("behind_shared", THREADS, true);
    _exit(0);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "status %d", status);
}

TEST(cuda_simt, refusals) {
  NEEDS_SIMT();
  static const struct {
    const char *name, *part;
    unsigned blocks, threads, shared;
  } rows[] = {
      {"nothing", "no kernel 'nothing'", 1, 32, 0},
      {"early_exit", "threads of a block: 288, at most 256", 1, 288, 0},
      {"early_exit", "threads beyond full warps: 1", 1, 33, 0},
      {"early_exit", "bytes of shared memory: 300000", 1, 32, 300000},
      {"early_exit", "none along an axis", 0, 32, 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const char *const problem = simt(rows[i].name, rows[i].blocks, rows[i].threads, rows[i].shared, &(tct_cu_faulty_args){x, y, 0, 0});
    CHECK(problem != NULL && strstr(problem, rows[i].part) != NULL, "%s: %s", rows[i].part, problem);
  }
}
