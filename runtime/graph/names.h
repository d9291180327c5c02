/* Unique names: a hash table from name to the number of times it was asked for. */
#ifndef TCT_GRAPH_NAMES_H
#define TCT_GRAPH_NAMES_H

#include <tercet/types.h>
#include "base/arena.h"

typedef struct tct_name_table tct_name_table;

tct_name_table *tct_name_table_create(void) TCT_CHECKED; /* NULL after recording the error */
void tct_name_table_free(tct_name_table *table);
/* `wanted`, or `wanted_1`, `wanted_2` … when taken; allocated from `arena`. NULL after recording the error. */
const char *tct_name_unique(tct_name_table *table, tct_arena *arena, const char *wanted) TCT_CHECKED;
bool tct_name_taken(const tct_name_table *table, const char *name);

#endif
