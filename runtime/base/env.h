/* The environment, read through one table (env.def). */
#ifndef TCT_BASE_ENV_H
#define TCT_BASE_ENV_H

#include <stdbool.h>
#include <stddef.h>

typedef enum tct_env_id {
#define ENV(id, name, fallback, what) TCT_ENV_##id,
#include "env.def"
#undef ENV
  TCT_N_ENV
} tct_env_id;

typedef struct tct_env_row {
  const char *name, *fallback, *what;
} tct_env_row;
extern const tct_env_row tct_env_table[TCT_N_ENV];

/* The variable's text, or its fallback when unset; never NULL. */
const char *tct_env(tct_env_id id);
/* The same for what decides which code runs: the fallback in a process that has more rights than its user (set-user-ID). */
const char *tct_env_trusted(tct_env_id id);
/* A variable that the user's own text names (`${TERCET_DATA}` in a job file's path); NULL when unset. */
const char *tct_env_named(const char *name);
/* Whether `word` stands in the comma-separated list. */
bool tct_list_has(const char *list, const char *word);

#endif
