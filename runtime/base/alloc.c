/* The allocator seam. Counts what it hands out, and turns every failure into a recorded error. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/status.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PLAIN_ALIGN = 16 };
static const size_t huge_page = (size_t)2 << 20;

static void *system_acquire(void *user, size_t bytes, size_t align) {
  (void)user;
  if (align <= alignof(max_align_t)) return malloc(bytes);
  /* Tensor arenas: huge pages where the system gives them on request, since page faults cost more than the kernels. */
  const bool huge = align > PLAIN_ALIGN && bytes >= huge_page;
  void *memory = NULL;
  if (posix_memalign(&memory, huge && align < huge_page ? huge_page : align, bytes) != 0) return NULL;
#ifdef MADV_HUGEPAGE
  if (huge) (void)madvise(memory, bytes & ~(huge_page - 1), MADV_HUGEPAGE);
#endif
  return memory;
}

static void system_release(void *user, void *memory) {
  (void)user;
  free(memory);
}

static const tct_allocator system_allocator = {.acquire = system_acquire, .release = system_release};
static tct_allocator present = {.acquire = system_acquire, .release = system_release};
static atomic_int_fast64_t n_live, n_acquired;

void tct_set_allocator(const tct_allocator *allocator) {
  present = allocator ? *allocator : system_allocator;
}

void *tct_alloc_aligned(size_t bytes, size_t align) {
  atomic_fetch_add_explicit(&n_acquired, 1, memory_order_relaxed);
  void *memory = present.acquire(present.user, bytes > 0 ? bytes : 1, align);
  if (!memory) {
    (void)tct_fail(TCT_OUT_OF_MEMORY, "cannot allocate %zu bytes (%.1f MiB) of host memory", bytes,
                   (double)bytes / (1024.0 * 1024.0));
    return NULL;
  }
  atomic_fetch_add_explicit(&n_live, 1, memory_order_relaxed);
  return memory;
}

void *tct_alloc(size_t bytes) {
  return tct_alloc_aligned(bytes, PLAIN_ALIGN);
}

void *tct_alloc_zero(size_t count, size_t bytes) {
  size_t total = 0;
  if (!tct_mul_size(count, bytes, &total)) {
    (void)tct_fail(TCT_OUT_OF_MEMORY, "cannot allocate %zu times %zu bytes: more than the address space", count, bytes);
    return NULL;
  }
  void *memory = tct_alloc(total);
  if (memory) memset(memory, 0, total);
  return memory;
}

void *tct_realloc(void *memory, size_t old_bytes, size_t bytes) {
  void *moved = tct_alloc(bytes);
  if (!moved || !memory) return moved;
  memcpy(moved, memory, old_bytes < bytes ? old_bytes : bytes);
  tct_release(memory);
  return moved;
}

void tct_release(void *memory) {
  if (!memory) return;
  atomic_fetch_sub_explicit(&n_live, 1, memory_order_relaxed);
  present.release(present.user, memory);
}

char *tct_strdup(const char *text) {
  const size_t bytes = strlen(text) + 1;
  char *copy = tct_alloc(bytes);
  if (copy) memcpy(copy, text, bytes);
  return copy;
}

int64_t tct_alloc_live(void) {
  return atomic_load_explicit(&n_live, memory_order_relaxed);
}
int64_t tct_alloc_count(void) {
  return atomic_load_explicit(&n_acquired, memory_order_relaxed);
}
