/* Level 2, layers: build a model, see its summary. A model is a graph of layers over one sample's shapes; programs for a
 * batch size are made from it when it trains, evaluates or predicts (<tercet/train.h>).
 *
 * Calls need no check between them: a wrong layer records an error in the model and gives a poisoned handle, and
 * tct_model_status, tct_fit … report the first error, with the others behind it. A NULL model is such an error too. */
#ifndef TERCET_NN_H
#define TERCET_NN_H

#include <tercet/graph.h>
#include <tercet/types.h>

TCT_BEGIN_DECLS

typedef struct tct_model tct_model;

/* A layer's output. Copy it freely; it is valid as long as its model. id < 0: poisoned. */
typedef struct tct_layer {
  tct_model *model;
  int32_t id;
} tct_layer;

typedef struct tct_penalty {
  double l1, l2; /* l1·Σ|w| + l2·Σw², added to the loss (Keras' kernel_regularizer) */
} tct_penalty;

/* Options of each layer (<tercet/layers.def>). Zero is the default; `name` NULL: the type in snake case, numbered. */
typedef struct tct_pair {
  int64_t v[2]; /* vertical, horizontal; {n, 0} means n for both */
} tct_pair;

#define TCT_KIND_INT int64_t
#define TCT_KIND_REAL double
#define TCT_KIND_BOOL tct_toggle
#define TCT_KIND_TEXT const char *
#define TCT_KIND_PAIR tct_pair
#define TCT_KIND_DIMS tct_shape
#define TCT_KIND_PENALTY tct_penalty

/* What every layer's options begin with. */
typedef struct tct_layer_common {
  const char *name; /* copied */
  bool frozen;      /* its weights do not train (Keras' trainable: false) */
} tct_layer_common;

/* tct_dense_layer { const char *name; bool frozen; int64_t units; … }: one struct per layer, members in the table's order. Text members must stay valid during the call only. */
#define LAYER(layer, type, min_in, max_in)                                                         \
  typedef struct tct_##layer##_layer {                                                             \
    const char *name;                                                                              \
    bool frozen;
#define KEY(layer, key, kind, fallback) TCT_KIND_##kind key;
#define LAYER_END(layer)                                                                           \
  }                                                                                                \
  tct_##layer##_layer;
#include <tercet/layers.def>

/* The model's type of its floats is `dtype` (TCT_F32, or TCT_F64 on the reference device). NULL after an allocation
 * failure (every other call then reports it). */
TCT_API tct_model *tct_model_create(const char *name, tct_dtype dtype);
TCT_API void tct_model_free(tct_model *model); /* NULL is fine; in its own fit it stays, and the fit fails */
TCT_API tct_status tct_model_status(const tct_model *model) TCT_CHECKED;

/* An input of one sample's shape, without the batch extent. Its name is the dataset's field that feeds it. */
TCT_API tct_layer tct_layer_input(tct_model *model, const char *name, tct_dtype dtype, tct_shape shape);

/* tct_layer_dense(x, &(tct_dense_layer){.units = 10}) …; layers of several inputs take an array:
 * tct_layer_add((tct_layer[]){a, b}, 2, NULL). */
#define LAYER(name, type, min_in, max_in) TCT_LAYER_BUILDER_##min_in(name)
#define TCT_LAYER_BUILDER_1(name) TCT_API tct_layer tct_layer_##name(tct_layer x, const tct_##name##_layer *options);
#define TCT_LAYER_BUILDER_2(name)                                                                  \
  TCT_API tct_layer tct_layer_##name(const tct_layer *x, int32_t n, const tct_##name##_layer *options);
#define TCT_LAYER_BUILDER_01(name) TCT_LAYER_BUILDER_2(name)
#include <tercet/layers.def>

/* The output added last: a sequential model is a chain of layers on it. */
TCT_API tct_layer tct_model_last(tct_model *model);
/* What the model computes; default: the last layer. */
TCT_API void tct_model_output(tct_layer output);

TCT_API const char *tct_model_name(const tct_model *model);
TCT_API tct_shape tct_layer_shape(tct_layer layer); /* of one sample */
TCT_API const char *tct_layer_name(tct_layer layer);

/* ---- parameters ---- */

typedef struct tct_parameter {
  const char *name; /* "conv1/kernel" */
  tct_desc desc;
  bool trainable;
  tct_penalty penalty;
  tct_init init;
} tct_parameter;
TCT_API int32_t tct_model_n_parameters(const tct_model *model);
TCT_API const tct_parameter *tct_model_parameter(const tct_model *model, int32_t i); /* NULL when out of range */

/* Keras' table: layers, output shapes, parameter counts, trainable and not; for a compiled model also the memory plan of
 * a training step at `batch_size` (0: leave out). json: one object with layers and parameters (names, shapes, dtypes). */
TCT_API tct_status tct_model_summary(tct_model *model, int64_t batch_size, bool json, tct_write_fn write, void *user)
    TCT_CHECKED;

/* ---- the graph of a model ---- */

/* Builds the model into `graph` for inputs [batch, …] in the order of the model's inputs, variables named as the
 * parameters. step: i64 [] that counts runs, for dropout (poisoned: inference). out_logits (may be NULL): the output
 * before its softmax or sigmoid, where it has one, else the output itself. Returns the output. */
TCT_API tct_tensor tct_model_build(const tct_model *model, tct_graph *graph, const tct_tensor *inputs, int32_t n_inputs,
                                   tct_tensor step, uint64_t seed, tct_tensor *out_logits);
TCT_API int32_t tct_model_n_inputs(const tct_model *model);
TCT_API const char *tct_model_input_name(const tct_model *model, int32_t i);
TCT_API tct_status tct_model_input_desc(const tct_model *model, int32_t i, tct_desc *out) TCT_CHECKED; /* one sample */

TCT_END_DECLS
#endif
