/* The table of layers, expanded from <tercet/layers.def>. */
#include "nn/layer_types.h"

#include <string.h>
#include "base/status.h"

#define LAYER(layer, type, min_in, max_in) static const tct_key keys_##layer[] = {
#define KEY(layer, key, kind, fallback) {#key, TCT_KEY_##kind, offsetof(tct_##layer##_layer, key), fallback},
#define LAYER_END(layer) {NULL, TCT_KEY_INT, 0, NULL}};
#include <tercet/layers.def>

const tct_layer_type tct_layer_types[TCT_N_LAYERS] = {
#define LAYER(layer, type, min_in, max_in)                                                                             \
  {#layer, #type, min_in, max_in, sizeof(tct_##layer##_layer), keys_##layer, (int32_t)TCT_COUNT_OF(keys_##layer) - 1},
#include <tercet/layers.def>
};

const tct_layer_type *tct_layer_type_find(const char *type) {
  for (int i = 0; i < TCT_N_LAYERS; i++) {
    const tct_layer_type *row = &tct_layer_types[i];
    if (strcmp(row->type, type) == 0 || strcmp(row->name, type) == 0) return row;
  }
  return NULL;
}

#define LAYER(layer, type, min_in, max_in) BUILDER_##min_in(layer)
#define BUILDER_1(layer)                                                                                               \
  tct_layer tct_layer_##layer(tct_layer x, const tct_##layer##_layer *options) {                                       \
    return tct_layer_create(x.model, &tct_layer_types[TCT_LAYER_##layer], options, &x, 1);                             \
  }
#define BUILDER_2(layer)                                                                                               \
  tct_layer tct_layer_##layer(const tct_layer *x, int32_t n, const tct_##layer##_layer *options) {                     \
    return tct_layer_create(n > 0 ? x[0].model : NULL, &tct_layer_types[TCT_LAYER_##layer], options, x, n);            \
  }
#define BUILDER_01(layer) BUILDER_2(layer)
#include <tercet/layers.def>
