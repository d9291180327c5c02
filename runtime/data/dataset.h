/* What every dataset is made of: a base struct with its fields, and a table of two calls. A source or view embeds the
 * base as its first member. */
#ifndef TCT_DATA_DATASET_H
#define TCT_DATA_DATASET_H

#include <stdatomic.h>
#include <tercet/data.h>

#include "base/arena.h"

/* Fields of one dataset, so that readers keep their pointer arrays on the stack. */
#define TCT_DATASET_MAX_FIELDS 64

typedef struct tct_dataset_kind {
  /* Reads checked, in-range samples; n >= 1. Any thread, any time. */
  tct_status (*read)(const tct_dataset *data, const int64_t *index, int64_t n, void *const *out);
  void (*release)(tct_dataset *data); /* frees what the source owns beyond the base; NULL: nothing */
} tct_dataset_kind;

struct tct_dataset {
  const tct_dataset_kind *kind;
  atomic_llong references;
  int64_t n_samples;
  int32_t n_fields;
  tct_field *fields;         /* in the arena, names too */
  size_t *sample_bytes;      /* in the arena; per field */
  tct_dataset *parent;       /* a view's; one reference owned */
  const tct_dataset *naming; /* holds the class names and alphabet: itself or an ancestor; NULL: none */
  int32_t n_classes;
  const char **class_names; /* in the arena */
  int32_t n_alphabet;
  unsigned char alphabet[256];
  tct_arena arena;
};

/* A zeroed struct of `bytes` whose base has one reference, copies of `fields`, and, for a view, a new reference to
 * `parent`. Errors: TCT_INVALID for a bad field (name, dtype, shape) or count. */
tct_status tct_dataset_new(const tct_dataset_kind *kind, size_t bytes, int64_t n_samples, int32_t n_fields,
                           const tct_field *fields, tct_dataset *parent, tct_dataset **out) TCT_CHECKED;
void tct_dataset_retain(tct_dataset *data);

/* Copies the class names. */
tct_status tct_dataset_set_classes(tct_dataset *data, int32_t n, const char *const *names) TCT_CHECKED;

/* Arrays that the dataset takes over, also when it fails (tct_release). */
tct_status tct_dataset_adopt(int64_t n_samples, int32_t n_fields, const tct_field *fields, void *const *data,
                             tct_dataset **out) TCT_CHECKED;

#endif
