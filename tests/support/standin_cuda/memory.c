/* The stand-in's device memory: each allocation ends at a page that cannot be touched and begins with a pattern; when asked for,
 * pages can be touched only while queued work runs. */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "support/standin_cuda/inside.h"

enum { PAGE = 4096, ALIGNMENT = 256, PATTERN = 0xcd, MOST_FILLED = 1 << 20 };

typedef struct block {
  struct block *next;
  char *pages, *memory;
  size_t page_bytes, bytes; /* page_bytes: without the guard */
} block;

static block *blocks;
static int32_t depth; /* of standin_open */
static size_t used;
bool standin_guards;

static void protect(const block *b, int how) {
  if (mprotect(b->pages, b->page_bytes, how) != 0) abort();
}

void standin_open(void) {
  if (depth++ > 0 || !standin_guards) return;
  for (const block *b = blocks; b != NULL; b = b->next) protect(b, PROT_READ | PROT_WRITE);
}

void standin_close(void) {
  if (--depth > 0 || !standin_guards) return;
  for (const block *b = blocks; b != NULL; b = b->next) protect(b, PROT_NONE);
}

bool standin_holds(CUdeviceptr memory, size_t bytes) {
  for (const block *b = blocks; b != NULL; b = b->next) {
    const uintptr_t begin = (uintptr_t)b->memory;
    if (memory >= begin && memory - begin <= b->bytes && bytes <= b->bytes - (memory - begin)) return true;
  }
  return false;
}

CUresult standin_alloc(CUdeviceptr *out, size_t bytes, size_t limit) {
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  if (bytes > limit || used > limit - bytes) return CUDA_ERROR_OUT_OF_MEMORY;
  block *const b = malloc(sizeof *b);
  const size_t padded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT, pages = (padded + PAGE - 1) / PAGE * PAGE;
  char *const at = mmap(NULL, pages + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (b == NULL || at == MAP_FAILED) abort();
  *b = (block){.next = blocks, .pages = at, .memory = at + pages - padded, .page_bytes = pages, .bytes = bytes};
  memset(b->memory, PATTERN, padded < MOST_FILLED ? padded : MOST_FILLED);
  if (mprotect(at + pages, PAGE, PROT_NONE) != 0) abort();
  if (standin_guards && depth == 0) protect(b, PROT_NONE);
  blocks = b;
  used += bytes;
  *out = (CUdeviceptr)(uintptr_t)b->memory;
  return CUDA_SUCCESS;
}

CUresult standin_free(CUdeviceptr memory) {
  for (block **at = &blocks; *at != NULL; at = &(*at)->next) {
    block *const b = *at;
    if ((uintptr_t)b->memory != memory) continue;
    *at = b->next;
    used -= b->bytes;
    if (munmap(b->pages, b->page_bytes + PAGE) != 0) abort();
    free(b);
    return CUDA_SUCCESS;
  }
  return CUDA_ERROR_INVALID_VALUE;
}

size_t standin_used(void) { return used; }

int64_t standin_allocations(void) {
  int64_t n = 0;
  for (const block *b = blocks; b != NULL; b = b->next) n++;
  return n;
}
