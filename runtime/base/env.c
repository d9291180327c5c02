/* The environment table and its one reader. */
#include "base/env.h"

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <tercet/system.h>

const tct_env_row tct_env_table[TCT_N_ENV] = {
#define ENV(id, name_text, fallback_text, what_text)                                                                   \
  [TCT_ENV_##id] = {.name = name_text, .fallback = fallback_text, .what = what_text},
#include "base/env.def"
#undef ENV
};

const char *tct_env(tct_env_id id) {
  const char *value = getenv(tct_env_table[id].name);
  return value ? value : tct_env_table[id].fallback;
}

const char *tct_env_trusted(tct_env_id id) {
  return getauxval(AT_SECURE) != 0 ? tct_env_table[id].fallback : tct_env(id);
}

const char *tct_env_named(const char *name) {
  return getenv(name);
}

bool tct_environment(int32_t i, tct_environment_row *out) {
  *out = (tct_environment_row){0};
  if (i < 0 || i >= TCT_N_ENV) return false;
  const tct_env_row *const row = &tct_env_table[i];
  *out = (tct_environment_row){row->name, getenv(row->name), row->fallback, row->what};
  return true;
}

bool tct_list_has(const char *list, const char *word) {
  const size_t length = strlen(word);
  while (*list != '\0') {
    const char *begin = list + strspn(list, " ,");
    const char *end = begin + strcspn(begin, ",");
    list = end;
    while (end > begin && end[-1] == ' ') end--;
    if (length > 0 && (size_t)(end - begin) == length && memcmp(begin, word, length) == 0) return true;
  }
  return false;
}
