/* Initializers by Keras' names. */
#include <string.h>
#include "base/status.h"
#include "base/text.h"
#include "nn/model.h"

static const struct {
  const char *name;
  tct_init_kind kind;
} rows[] = {
    {"zeros", TCT_INIT_ZEROS},
    {"ones", TCT_INIT_ONES},
    {"uniform", TCT_INIT_UNIFORM},
    {"random_uniform", TCT_INIT_UNIFORM},
    {"normal", TCT_INIT_NORMAL},
    {"random_normal", TCT_INIT_NORMAL},
    {"glorot_uniform", TCT_INIT_GLOROT_UNIFORM},
    {"glorot_normal", TCT_INIT_GLOROT_NORMAL},
    {"he_uniform", TCT_INIT_HE_UNIFORM},
    {"he_normal", TCT_INIT_HE_NORMAL},
    {"lecun_uniform", TCT_INIT_LECUN_UNIFORM},
    {"lecun_normal", TCT_INIT_LECUN_NORMAL},
    {"orthogonal", TCT_INIT_ORTHOGONAL},
    {"unit_forget", TCT_INIT_UNIT_FORGET},
};

bool tct_initializer_parse(const char *name, tct_init *out) {
  const char *names[TCT_COUNT_OF(rows)];
  *out = (tct_init){0};
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    names[i] = rows[i].name;
    if (strcmp(rows[i].name, name) == 0) {
      out->kind = rows[i].kind;
      return true;
    }
  }
  const char *near = tct_nearest(name, names, TCT_COUNT_OF(rows));
  (void)tct_fail(TCT_E_UNKNOWN_WORD, "unknown initializer '%s'%s%s%s", name, TCT_DID_YOU_MEAN(near));
  return false;
}
