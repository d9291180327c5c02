/* Unique names: open addressing, names owned by the caller's arena. */
#include "graph/names.h"

#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "base/text.h"

typedef struct name_slot {
  const char *name;
  int64_t uses;
} name_slot;

struct tct_name_table {
  name_slot *slots; /* owned */
  size_t n_slots, n_used;
};

tct_name_table *tct_name_table_create(void) {
  tct_name_table *table = tct_alloc_zero(1, sizeof *table);
  if (table == NULL) return NULL;
  table->n_slots = 64;
  table->slots = tct_alloc_zero(table->n_slots, sizeof *table->slots);
  if (table->slots == NULL) {
    tct_release(table);
    return NULL;
  }
  return table;
}

void tct_name_table_free(tct_name_table *table) {
  if (table == NULL) return;
  tct_release(table->slots);
  tct_release(table);
}

static name_slot *find(name_slot *slots, size_t n_slots, const char *name) {
  size_t at = (size_t)tct_hash(name, strlen(name)) & (n_slots - 1);
  while (slots[at].name != NULL && strcmp(slots[at].name, name) != 0) at = (at + 1) & (n_slots - 1);
  return &slots[at];
}

static bool grow(tct_name_table *table) {
  const size_t wider = table->n_slots * 2;
  name_slot *slots = tct_alloc_zero(wider, sizeof *slots);
  if (slots == NULL) return false;
  for (size_t i = 0; i < table->n_slots; i++) {
    if (table->slots[i].name != NULL) *find(slots, wider, table->slots[i].name) = table->slots[i];
  }
  tct_release(table->slots);
  table->slots = slots;
  table->n_slots = wider;
  return true;
}

static const char *insert(tct_name_table *table, tct_arena *arena, const char *name) {
  if (table->n_used * 2 >= table->n_slots && !grow(table)) return NULL;
  const char *copy = tct_arena_strdup(arena, name);
  if (copy == NULL) return NULL;
  *find(table->slots, table->n_slots, name) = (name_slot){copy, 1};
  table->n_used++;
  return copy;
}

const char *tct_name_unique(tct_name_table *table, tct_arena *arena, const char *wanted) {
  name_slot *slot = find(table->slots, table->n_slots, wanted);
  if (slot->name == NULL) return insert(table, arena, wanted);
  char numbered[640];
  do {
    snprintf(numbered, sizeof numbered, "%s_%lld", wanted, (long long)slot->uses++);
  } while (tct_name_taken(table, numbered));
  return insert(table, arena, numbered);
}

bool tct_name_taken(const tct_name_table *table, const char *name) {
  return find(table->slots, table->n_slots, name)->name != NULL;
}
