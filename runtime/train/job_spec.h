/* A job file's sections as structs, made from job_keys.def, and the reader that fills them and collects problems. */
#ifndef TCT_TRAIN_JOB_SPEC_H
#define TCT_TRAIN_JOB_SPEC_H

#include <tercet/types.h>

#include "base/text.h"
#include "io/yaml.h"

#define TCT_JOB_MOST_PROBLEMS 20
#define TCT_JOB_LOSSES                                                                                                 \
  "sparse_categorical_crossentropy,categorical_crossentropy,binary_crossentropy,mean_squared_error,mse,"               \
  "mean_absolute_error,mae,huber,bce,hinge,squared_hinge,categorical_hinge,kl_divergence,kld"

typedef enum tct_spec_kind {
  TCT_SPEC_TEXT,
  TCT_SPEC_PATH,
  TCT_SPEC_COUNT,
  TCT_SPEC_WHOLE,
  TCT_SPEC_POSITIVE,
  TCT_SPEC_REAL,
  TCT_SPEC_FRACTION,
  TCT_SPEC_SWITCH,
  TCT_SPEC_NODE
} tct_spec_kind;

typedef struct tct_spec_key {
  const char *name;
  tct_spec_kind kind;
  const char *choices, *only;
  size_t offset;
  const char *fallback, *what;
} tct_spec_key;

typedef struct tct_spec_section {
  const char *path;
  const tct_spec_key *keys;
  int32_t n_keys;
} tct_spec_section;

/* Absent numbers are 0, absent texts and nodes NULL: all that the tree owns, it owns. An explicit 0 where the default is
 * another number is stored as −1 ("off", tct_optimizer). */
#define TCT_SPEC_C_TEXT const char *
#define TCT_SPEC_C_PATH const char *
#define TCT_SPEC_C_COUNT int64_t
#define TCT_SPEC_C_WHOLE int64_t
#define TCT_SPEC_C_POSITIVE double
#define TCT_SPEC_C_REAL double
#define TCT_SPEC_C_FRACTION double
#define TCT_SPEC_C_SWITCH tct_toggle
#define TCT_SPEC_C_NODE const tct_yaml *
#define SECTION(section, path) typedef struct tct_spec_##section {
#define KEY(section, key, kind, choices, only, fallback, what) TCT_SPEC_C_##kind key;
#define SECTION_END(section)                                                                                           \
  }                                                                                                                    \
  tct_spec_##section;
#include "train/job_keys.def"

#define SECTION(section, path) extern const tct_spec_section tct_section_##section;
#include "train/job_keys.def"

/* What is wrong with a job, in the order of the reading. */
typedef struct tct_problems {
  const char *origin;     /* names the text */
  const char *const *set; /* the overrides, for problems in them */
  tct_text text;
  uint32_t code; /* the first one's */
  int32_t n;     /* seen; at most TCT_JOB_MOST_PROBLEMS are written out */
} tct_problems;

/* "job.yaml:12:5: model.layers[2]: … [E302]". at_key: the position of the node's key, and the path of its mapping.
 * The kind of error is a key's wrong value (TCT_E_KEY_VALUE), or the row of errors.def that `code` names. */
void tct_problem(tct_problems *problems, const tct_yaml *node, bool at_key, const char *format, ...) TCT_PRINTF(4, 5);
void tct_problem_as(tct_problems *problems, const tct_yaml *node, bool at_key, uint32_t code, const char *format, ...)
    TCT_PRINTF(5, 6);
/* "unknown key 'filter'; did you mean 'filters'?" at the key of `node`. */
void tct_problem_unknown(tct_problems *problems, const tct_yaml *node, const char *const *known, size_t n_known);
/* TCT_OK, or TCT_INVALID with all of them. */
tct_status tct_problems_status(tct_problems *problems) TCT_CHECKED;

/* Fills `out` (the section's struct) from the mapping's keys; keys that are absent leave what is there, null ones give
 * the default. `type` selects the keys that exist; NULL: the mapping's own `type`, or its default. A `node` that is a
 * scalar is the section's `type` alone. */
void tct_spec_read(tct_problems *problems, const tct_spec_section *section, const tct_yaml *node, const char *type,
                   void *out);
/* The word of the key's choices that `node`'s own key is but for case (`- EarlyStopping: {…}`), in `out` (64 bytes at
 * least); false after a problem. */
bool tct_spec_choose(tct_problems *problems, const tct_spec_section *section, const char *key, const tct_yaml *node,
                     char *out, size_t out_bytes);

/* The word of the comma-separated list that equals `text` but for case, in `out` (64 bytes at least); false: none. */
bool tct_word_find(const char *list, const char *text, char *out, size_t out_bytes);
/* Splits the list into at most `most` words (pointers into `copy`, which is cut up); returns how many. */
int32_t tct_words_split(char *copy, const char **words, int32_t most);

bool tct_spec_bool(const tct_yaml *node, bool *out); /* true, false, yes, no, on, off */

#endif
