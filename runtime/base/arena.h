/* A bump allocator for things that die together (a graph, a program). Blocks double up to 1 MiB. */
#ifndef TCT_BASE_ARENA_H
#define TCT_BASE_ARENA_H

#include <tercet/types.h>

typedef struct tct_arena {
  struct tct_arena_block *last; /* owned */
  size_t used;                  /* in the last block */
} tct_arena;                    /* {0} is an empty arena */

/* 16-byte aligned, zeroed; NULL after recording the error. */
void *tct_arena_alloc(tct_arena *arena, size_t bytes) TCT_CHECKED;
void *tct_arena_copy(tct_arena *arena, const void *data, size_t bytes) TCT_CHECKED;
char *tct_arena_strdup(tct_arena *arena, const char *text) TCT_CHECKED;
char *tct_arena_printf(tct_arena *arena, const char *format, ...) TCT_PRINTF(2, 3) TCT_CHECKED;
void tct_arena_free(tct_arena *arena); /* back to empty */

/* For tests: each piece a block of its own from now on, so that each can be the one that fails. */
void tct_arena_set_pieces(bool apart);

#endif
