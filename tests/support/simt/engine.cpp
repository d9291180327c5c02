/* The engine: blocks one after another; within a block each thread is a fiber that runs until it waits for its warp or its
 * block, or ends. When no thread can run and some have not ended, the block is divergent, which is the error to find. */
#include "support/simt/simt.h"
#include "support/simt/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#ifndef __x86_64__
#include <ucontext.h>
#endif

#include "kernels/cuda/kernels.h"
#include "support/simt/custom.h"
#include "support/simt/faulty.h"

/* ---- the table of kernels ---- */

extern "C" {
#define KERNEL(name)                                                                                                   \
  void tct_cu_##name(const tct_cu_##name##_args &a);                                                                   \
  extern const unsigned tct_cu_##name##_bounds[];
#include "kernels/cuda/kernels.def"
#include "support/simt/faulty.def"
#undef KERNEL
extern char __start_tct_simt_shared[] __attribute__((weak)), __stop_tct_simt_shared[] __attribute__((weak));
uint3 threadIdx, blockIdx, blockDim, gridDim;
}

enum { MOST_THREADS = 1024, MOST_ARGS = 4096, MOST_SHARED = 227 << 10, STACK = 64 << 10 };

typedef tct_simt_kernel kernel;
static const kernel kernels[] = {
#define KERNEL(name)                                                                                                   \
  {#name, sizeof(tct_cu_##name##_args), tct_cu_##name##_bounds,                                                        \
   [](const void *args) { tct_cu_##name(*static_cast<const tct_cu_##name##_args *>(args)); }, 0, nullptr},
#include "kernels/cuda/kernels.def"
#include "support/simt/faulty.def"
#undef KERNEL
};
#define KERNEL(name) static_assert(sizeof(tct_cu_##name##_args) <= MOST_ARGS, #name ": a launch takes at most 4 KiB of arguments");
#include "kernels/cuda/kernels.def"
#include "support/simt/faulty.def"
#undef KERNEL

/* ---- fibers ---- */

#ifdef __x86_64__
/* Saves what a call keeps, changes stacks, returns there. */
typedef void *context;
extern "C" void tct_simt_switch(context *from, context to);
__asm__(".text\n.globl tct_simt_switch\n.hidden tct_simt_switch\n.type tct_simt_switch,@function\ntct_simt_switch:\n"
        "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
        "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
        "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n"
        ".size tct_simt_switch,.-tct_simt_switch\n.section .note.GNU-stack,\"\",@progbits\n.text\n");
static void change(context *from, context *to) {
  tct_simt_switch(from, *to);
}
static void prepare(context *fiber, char *stack, void (*entry)()) {
  void **top = reinterpret_cast<void **>(stack + STACK) - 1; /* a call leaves the stack at 8 modulo 16 */
  *--top = reinterpret_cast<void *>(entry);
  for (int i = 0; i < 6; i++) *--top = nullptr;
  *fiber = top;
}
#else
typedef ucontext_t context;
static void change(context *from, context *to) {
  swapcontext(from, to);
}
static void prepare(context *fiber, char *stack, void (*entry)()) {
  getcontext(fiber);
  fiber->uc_stack.ss_sp = stack;
  fiber->uc_stack.ss_size = STACK;
  fiber->uc_link = nullptr;
  makecontext(fiber, entry, 0);
}
#endif

enum state { READY, AT_WARP, AT_BLOCK, ENDED };
struct thread {
  context at;
  state now;
  int line;
};
struct warp {
  uint64_t given[2][32]; /* by turns: a lane may be one exchange ahead of another's reading */
  int phase, arrived, line;
};

static thread threads[MOST_THREADS];
static warp warps[MOST_THREADS / 32];
static context scheduler;
static unsigned n_threads, running;
static unsigned at_block; /* threads that wait for the block, */
static int block_line;    /* and where the first of them does */
static const kernel *now;
alignas(16) static char args[MOST_ARGS];
static char *stacks, *shared_end, *shared;
static char problem[512];
static uint64_t order_seed;

static uint3 place(unsigned i, const uint3 &extent) {
  return {i % extent.x, i / extent.x % extent.y, i / extent.x / extent.y};
}

static void wait_as(state how, int line) {
  threads[running].now = how;
  threads[running].line = line;
  change(&threads[running].at, &scheduler);
}

static void fail(const char *what, int line, unsigned other, int other_line) {
  if (problem[0] == '\0')
    snprintf(problem, sizeof problem, "%s, block (%u,%u,%u), thread %u: %s at line %d; thread %u is at line %d%s",
             now->name, blockIdx.x, blockIdx.y, blockIdx.z, running, what, line, other, other_line,
             other_line == 0 ? ", its end" : "");
}

void *tct_simt_dynamic(void) {
  return shared;
}

void tct_simt_barrier(int line) {
  if (at_block > 0 && line != block_line) fail("a divergent barrier", line, running == 0 ? n_threads - 1 : 0, block_line);
  block_line = line;
  if (++at_block < n_threads) {
    wait_as(AT_BLOCK, line);
    return;
  }
  at_block = 0;
  for (unsigned i = 0; i < n_threads; i++)
    if (threads[i].now == AT_BLOCK) threads[i].now = READY;
}

const uint64_t *tct_simt_exchange(unsigned mask, uint64_t bits, int line) {
  const unsigned first = running / 32 * 32;
  warp *const w = &warps[running / 32];
  if (mask != ~0u) fail("a mask that is not full", line, running, line);
  if (w->arrived > 0 && w->line != line) fail("a divergent shuffle", line, first, w->line);
  uint64_t *const all = w->given[w->phase];
  all[running % 32] = bits;
  w->line = line;
  if (++w->arrived < 32) {
    wait_as(AT_WARP, line);
    return all;
  }
  w->arrived = 0;
  w->phase ^= 1;
  for (unsigned i = first; i < first + 32; i++)
    if (threads[i].now == AT_WARP) threads[i].now = READY;
  return all;
}

static void thread_main() {
  now->run(args);
  threads[running].now = ENDED;
  threads[running].line = 0;
  change(&threads[running].at, &scheduler);
}

/* ---- blocks ---- */

static uint64_t draw(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return *state >> 33;
}

static void shuffle(unsigned *numbers, unsigned n, uint64_t seed) {
  for (unsigned i = 0; i < n; i++) numbers[i] = i;
  if (seed == 0) return;
  uint64_t state = seed * 0x9E3779B97F4A7C15u;
  for (unsigned i = n; i > 1; i--) {
    const unsigned j = (unsigned)(draw(&state) % i), kept = numbers[i - 1];
    numbers[i - 1] = numbers[j];
    numbers[j] = kept;
  }
}

/* Nothing can run any more: two threads that wait for each other. */
static void report_divergence() {
  unsigned waiting = 0, other = 0;
  for (unsigned i = 0; i < n_threads; i++) {
    if (threads[i].now == AT_BLOCK || threads[i].now == AT_WARP) waiting = i;
  }
  for (unsigned i = 0; i < n_threads; i++)
    if (threads[i].now != threads[waiting].now || threads[i].line != threads[waiting].line) other = i;
  running = waiting;
  fail(threads[waiting].now == AT_BLOCK ? "a barrier that not all threads reach" : "a shuffle that not all lanes reach",
       threads[waiting].line, other, threads[other].line);
}

static void run_block(const unsigned *order) {
  memset(shared, 0xFF, (size_t)(shared_end - shared));
  memset(__start_tct_simt_shared, 0xFF, (size_t)(__stop_tct_simt_shared - __start_tct_simt_shared));
  memset(warps, 0, sizeof warps);
  at_block = 0;
  for (unsigned i = 0; i < n_threads; i++) {
    threads[i].now = READY;
    prepare(&threads[i].at, stacks + (size_t)i * STACK, thread_main);
  }
  for (unsigned ended = 0, ran = 1; ended < n_threads && problem[0] == '\0';) {
    if (ran == 0) report_divergence();
    ran = 0;
    for (unsigned k = 0; k < n_threads && problem[0] == '\0'; k++) {
      running = order[k];
      if (threads[running].now != READY) continue;
      threadIdx = place(running, blockDim);
      change(&scheduler, &threads[running].at);
      ended += threads[running].now == ENDED;
      ran++;
    }
  }
}

/* ---- the interface ---- */

static const kernel *find(const char *name) {
  if (strncmp(name, "tct_cu_", 7) == 0) name += 7;
  for (const kernel &k : kernels)
    if (strcmp(k.name, name) == 0) return &k;
  for (int i = 0; i < tct_simt_n_custom; i++)
    if (strcmp(tct_simt_custom[i].name, name) == 0) return &tct_simt_custom[i];
  return nullptr;
}

int tct_simt_knows(const char *name) {
  return find(name) != nullptr;
}

int tct_simt_parameters(const char *name, const size_t **bytes) {
  const kernel *const k = find(name);
  *bytes = k != nullptr ? k->parameter_bytes : nullptr;
  return k != nullptr ? k->n_parameters : 0;
}

void tct_simt_order(uint64_t seed) {
  order_seed = seed;
}

/* Stacks, and shared memory that ends at a page nobody may touch. */
static bool allocate() {
  if (stacks != nullptr) return true;
  const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (MOST_SHARED + page - 1) / page * page;
  void *const all = mmap(nullptr, (size_t)MOST_THREADS * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *const memory = static_cast<char *>(mmap(nullptr, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (all == MAP_FAILED || memory == MAP_FAILED || mprotect(memory + room, page, PROT_NONE) != 0) return false;
  stacks = static_cast<char *>(all);
  shared_end = memory + room;
  return true;
}

static const char *refuse(const char *name, const char *why, unsigned got, unsigned most) {
  snprintf(problem, sizeof problem, "%s: %s: %u, at most %u", name, why, got, most);
  return problem;
}

const char *tct_simt_launch(const char *name, const unsigned grid[3], const unsigned block[3], unsigned shared_bytes,
                            const void *args_struct) {
  problem[0] = '\0';
  now = find(name);
  if (now == nullptr) {
    snprintf(problem, sizeof problem, "no kernel '%s'", name);
    return problem;
  }
  n_threads = block[0] * block[1] * block[2];
  if (n_threads > now->bounds[0]) return refuse(now->name, "threads of a block", n_threads, now->bounds[0]);
  if (shared_bytes > MOST_SHARED) return refuse(now->name, "bytes of shared memory", shared_bytes, MOST_SHARED);
  if (n_threads == 0 || n_threads % 32 != 0) return refuse(now->name, "threads beyond full warps", n_threads % 32, 0);
  if (grid[0] == 0 || grid[1] == 0 || grid[2] == 0) return refuse(now->name, "blocks, none along an axis", 0, 65535);
  if (grid[1] > 65535 || grid[2] > 65535) return refuse(now->name, "blocks along y or z", grid[1] > grid[2] ? grid[1] : grid[2], 65535);
  if (!allocate()) return refuse(now->name, "no memory for threads", n_threads, 0);
  gridDim = {grid[0], grid[1], grid[2]};
  blockDim = {block[0], block[1], block[2]};
  if (now->args_bytes > MOST_ARGS) return refuse(now->name, "bytes of arguments", (unsigned)now->args_bytes, MOST_ARGS);
  memcpy(args, args_struct, now->args_bytes);
  shared = shared_end - (shared_bytes + 15) / 16 * 16;
  const unsigned n_blocks = grid[0] * grid[1] * grid[2];
  unsigned *const blocks = static_cast<unsigned *>(malloc(((size_t)n_blocks + MOST_THREADS) * sizeof *blocks));
  if (blocks == nullptr) return refuse(now->name, "no memory for blocks", n_blocks, 0);
  unsigned *const order = blocks + n_blocks;
  shuffle(blocks, n_blocks, order_seed);
  for (unsigned i = 0; i < n_blocks && problem[0] == '\0'; i++) {
    shuffle(order, n_threads, order_seed == 0 ? 0 : order_seed + blocks[i]);
    blockIdx = place(blocks[i], gridDim);
    run_block(order);
  }
  free(blocks);
  return problem[0] == '\0' ? nullptr : problem;
}
