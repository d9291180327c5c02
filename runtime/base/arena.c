/* A bump allocator: a chain of blocks, the newest last, freed together. */
#include "base/arena.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/status.h"
#include "base/text.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

enum { ALIGN = 16, FIRST_BLOCK = 4096, LARGEST_BLOCK = 1 << 20 };

typedef struct tct_arena_block {
  struct tct_arena_block *before; /* owned */
  size_t capacity;                /* of data */
  alignas(ALIGN) unsigned char data[];
} tct_arena_block;

static atomic_bool pieces_apart;

void tct_arena_set_pieces(bool apart) { atomic_store_explicit(&pieces_apart, apart, memory_order_relaxed); }

static bool add_block(tct_arena *arena, size_t bytes) {
  size_t capacity = arena->last ? 2 * arena->last->capacity : FIRST_BLOCK;
  if (capacity > LARGEST_BLOCK) capacity = LARGEST_BLOCK;
  if (capacity < bytes || atomic_load_explicit(&pieces_apart, memory_order_relaxed)) capacity = bytes;
  size_t total = 0;
  if (!tct_add_size(sizeof(tct_arena_block), capacity, &total)) {
    (void)tct_fail(TCT_OUT_OF_MEMORY, "cannot allocate %zu bytes: more than the address space", bytes);
    return false;
  }
  tct_arena_block *block = tct_alloc(total);
  if (!block) return false;
  block->before = arena->last;
  block->capacity = capacity;
  arena->last = block;
  arena->used = 0;
  return true;
}

void *tct_arena_alloc(tct_arena *arena, size_t bytes) {
  size_t rounded = 0;
  if (!tct_align_size(bytes > 0 ? bytes : 1, ALIGN, &rounded)) {
    (void)tct_fail(TCT_OUT_OF_MEMORY, "cannot allocate %zu bytes: more than the address space", bytes);
    return NULL;
  }
  if (!arena->last || arena->last->capacity - arena->used < rounded)
    if (!add_block(arena, rounded)) return NULL;
  void *memory = arena->last->data + arena->used;
  arena->used += rounded;
  return memset(memory, 0, rounded);
}

void *tct_arena_copy(tct_arena *arena, const void *data, size_t bytes) {
  void *copy = tct_arena_alloc(arena, bytes);
  if (copy && bytes > 0) memcpy(copy, data, bytes);
  return copy;
}

char *tct_arena_strdup(tct_arena *arena, const char *text) {
  return tct_arena_copy(arena, text, strlen(text) + 1);
}

char *tct_arena_printf(tct_arena *arena, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  const int length = tct_vsnprintf(NULL, 0, format, args);
  char *text = NULL;
  if (length < 0)
    (void)tct_fail(TCT_INTERNAL, "cannot format '%s'", format);
  else
    text = tct_arena_alloc(arena, (size_t)length + 1);
  if (text) (void)tct_vsnprintf(text, (size_t)length + 1, format, again);
  va_end(again);
  va_end(args);
  return text;
}

void tct_arena_free(tct_arena *arena) {
  for (tct_arena_block *block = arena->last; block;) {
    tct_arena_block *before = block->before;
    tct_release(block);
    block = before;
  }
  *arena = (tct_arena){0};
}
