/* Layers as data: type names, keys and options structs, for the builders, the job file and the documentation. */
#ifndef TCT_NN_LAYER_TYPES_H
#define TCT_NN_LAYER_TYPES_H

#include <tercet/nn.h>

typedef enum tct_key_kind {
  TCT_KEY_INT,
  TCT_KEY_REAL,
  TCT_KEY_BOOL,
  TCT_KEY_TEXT,
  TCT_KEY_PAIR,
  TCT_KEY_DIMS,
  TCT_KEY_PENALTY
} tct_key_kind;

typedef struct tct_key {
  const char *name;
  tct_key_kind kind;
  size_t offset;        /* in the options struct */
  const char *fallback; /* what zero means; "required" */
} tct_key;

typedef enum tct_layer_id {
#define LAYER(name, type, min_in, max_in) TCT_LAYER_##name,
#include <tercet/layers.def>
  TCT_N_LAYERS
} tct_layer_id;

typedef struct tct_layer_type {
  const char *name, *type; /* "conv2d", "Conv2D" */
  int32_t min_in, max_in;  /* max -1: any number */
  size_t options_bytes;    /* the struct begins like tct_layer_common */
  const tct_key *keys;
  int32_t n_keys;
} tct_layer_type;
extern const tct_layer_type tct_layer_types[TCT_N_LAYERS];

/* By Keras type ("Conv2D") or snake case ("conv2d"); NULL: unknown. */
const tct_layer_type *tct_layer_type_find(const char *type);

/* What the builders call. `options` NULL: all defaults. Text is copied. Poisoned inputs give a poisoned layer silently. */
tct_layer tct_layer_create(tct_model *model, const tct_layer_type *type, const void *options, const tct_layer *in,
                           int32_t n_in);

#endif
