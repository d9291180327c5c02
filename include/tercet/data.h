/* Datasets: a number of samples, each with the same named fields ("x", "y", …) of fixed dtype and shape, read in any
 * order; and the loader, which shuffles, batches and prefetches them. */
#ifndef TERCET_DATA_H
#define TERCET_DATA_H

#include <tercet/types.h>

TCT_BEGIN_DECLS

typedef struct tct_dataset tct_dataset;

/* One component of a sample; `shape` is that of one sample, without the batch extent. */
typedef struct tct_field {
  const char *name;
  tct_dtype dtype;
  tct_shape shape;
} tct_field;

TCT_API int64_t tct_dataset_samples(const tct_dataset *data);
TCT_API int32_t tct_dataset_n_fields(const tct_dataset *data);
TCT_API const tct_field *tct_dataset_field(const tct_dataset *data, int32_t i); /* NULL when out of range */
TCT_API int32_t tct_dataset_find(const tct_dataset *data, const char *name);    /* field index or -1 */
/* Class names of field "y" where its source had names (CSV's string labels); 0 and NULL otherwise. */
TCT_API int32_t tct_dataset_n_classes(const tct_dataset *data);
TCT_API const char *tct_dataset_class_name(const tct_dataset *data, int32_t class_id);

/* Reads samples index[0..n) into out[field], each [n, shape…] in the field's dtype. Any thread may call it at any time.
 * Errors: TCT_INVALID for an index out of range, what a callback returned. */
TCT_API tct_status tct_dataset_read(const tct_dataset *data, const int64_t *index, int64_t n, void *const *out)
    TCT_CHECKED;

/* Datasets are reference-counted: views keep their parent alive. NULL is fine. */
TCT_API void tct_dataset_free(tct_dataset *data);

/* ---- sources ---------------------------------------------------------------------------------------- */

/* Arrays in memory, at most 64: data[i] is [n_samples, fields[i].shape…]. Copied unless `borrow` (then the caller keeps
 * them alive and unchanged until the dataset is freed). */
TCT_API tct_status tct_dataset_arrays(int64_t n_samples, int32_t n_fields, const tct_field *fields,
                                      const void *const *data, bool borrow, tct_dataset **out) TCT_CHECKED;

/* A callback that fills one batch, as tct_dataset_read does; called from the loader's thread, and with parts of a batch
 * through a slice. */
typedef tct_status (*tct_dataset_fn)(void *user, const int64_t *index, int64_t n, void *const *out);
TCT_API tct_status tct_dataset_callback(int64_t n_samples, int32_t n_fields, const tct_field *fields,
                                        tct_dataset_fn fn, void *user, tct_dataset **out) TCT_CHECKED;

/* IDX (the MNIST family), plain or .gz, told apart by content. Images [n, h, w] of u8 become field "x" f32 [h, w, 1],
 * divided by 255 unless options->raw; labels [n] of u8 become "y" i32 []. labels_path NULL: no "y". */
typedef struct tct_idx_options {
  bool raw;        /* keep 0…255 */
  tct_dtype dtype; /* of "x": TCT_F32 (default) or TCT_F64, in which the division is done */
  uint64_t reserved[4];
} tct_idx_options;
TCT_API tct_status tct_dataset_idx(const char *images_path, const char *labels_path, const tct_idx_options *options,
                                   tct_dataset **out) TCT_CHECKED;

/* CSV (RFC 4180), plain or .gz. Every column but the target is a number and goes, in order, into "x" f32 [features];
 * the target becomes "y": class ids i32 [] with names sorted bytewise when any target is not a number or options->classes
 * is TCT_ON, else f32 [1] (whole numbers too). Missing and non-finite values are errors that name file:line:column. */
typedef struct tct_csv_options {
  tct_toggle header;         /* default: on when the first row has a non-number in a feature column */
  char delimiter;            /* 0: ',' */
  const char *target;        /* column name, or index as text ("-1" is the last); NULL: the last */
  bool no_target;            /* all columns are features, no "y" (for predict) */
  tct_toggle classes;        /* default: decided by the target column */
  const tct_dataset *like;   /* take the class names of this dataset (test files); an unknown class is an error */
  tct_dtype dtype;           /* of numbers: TCT_F32 (default) or TCT_F64 */
  uint64_t reserved[4];
} tct_csv_options;
TCT_API tct_status tct_dataset_csv(const char *path, const tct_csv_options *options, tct_dataset **out) TCT_CHECKED;

/* NumPy .npy: "x" from x_path and, unless NULL, "y" from y_path, of equal length. C order, little-endian f4 f8 i4 i8 u1
 * b1; f8 stays f64, i8 stays i64. Fortran order and other types are refused with the fix. */
TCT_API tct_status tct_dataset_npy(const char *x_path, const char *y_path, tct_dataset **out) TCT_CHECKED;

/* Character windows over a text: the alphabet is the sorted set of bytes that occur in it. Sample i starts at byte
 * i × stride; "x" is i32 [window], "y" the same window one character later (last_only: only the character that follows,
 * i32 []). begin and end (fractions of the text; 0, 0 means all) choose a part, with the alphabet of the whole. */
typedef struct tct_text_options {
  int64_t window; /* required, >= 1 */
  int64_t stride; /* 0: 1 */
  bool last_only;
  double begin, end;
  uint64_t reserved[4];
} tct_text_options;
TCT_API tct_status tct_dataset_text(const char *path, const tct_text_options *options, tct_dataset **out) TCT_CHECKED;
/* The bytes of the alphabet, in class-id order; 0 for other datasets. */
TCT_API int32_t tct_dataset_alphabet(const tct_dataset *data, unsigned char out[256]);

/* Glyphs: procedurally drawn digits 0–9, 28×28, with random affine map, stroke width, noise and clutter. Sample i of a
 * seed is the same on every machine and does not depend on n_samples. "x" f32 [28,28,1] in 0…1, "y" i32 []. */
typedef struct tct_glyphs_options {
  int64_t n_samples; /* 0: 10 000 */
  uint64_t seed;
  int64_t first;     /* number of the first sample: a test set is the same seed with first = 1 000 000 */
  uint64_t reserved[4];
} tct_glyphs_options;
TCT_API tct_status tct_dataset_glyphs(const tct_glyphs_options *options, tct_dataset **out) TCT_CHECKED;
/* Writes images and labels as IDX files: DIR/train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-… */
TCT_API tct_status tct_glyphs_write(const char *directory, int64_t n_train, int64_t n_test, uint64_t seed) TCT_CHECKED;

/* ---- views ------------------------------------------------------------------------------------------ */

/* Samples [begin, end) of `data`. */
TCT_API tct_status tct_dataset_slice(tct_dataset *data, int64_t begin, int64_t end, tct_dataset **out) TCT_CHECKED;

/* Per-feature mean and standard deviation (population) of float field `field`, flattened over its shape, computed in
 * double over all samples; a feature that never varies gets deviation 1. mean and std: [size of the field]. */
TCT_API tct_status tct_dataset_moments(const tct_dataset *data, int32_t field, double *mean, double *std) TCT_CHECKED;
/* (value − mean) ÷ std for each feature of `field`; moments are copied. Take them from the training split only. */
TCT_API tct_status tct_dataset_standardize(tct_dataset *data, int32_t field, const double *mean, const double *std,
                                           tct_dataset **out) TCT_CHECKED;
/* Fields of other names, dtypes or shapes of the same size: `fields[i]` is made from field from[i] (f32 ↔ f64,
 * integers → floats, integers → i32: a value that does not fit is an error of the read). */
TCT_API tct_status tct_dataset_select(tct_dataset *data, int32_t n_fields, const int32_t *from,
                                      const tct_field *fields, tct_dataset **out) TCT_CHECKED;

/* ---- loader ----------------------------------------------------------------------------------------- */

/* One thread at a time uses a loader. */
typedef struct tct_loader tct_loader;

typedef struct tct_loader_options {
  int64_t batch_size; /* required, 1 … number of samples */
  bool shuffle;       /* a permutation per epoch from (seed, epoch), the same whatever prefetch is */
  uint64_t seed;
  bool drop_remainder; /* default: the last batch is smaller */
  int32_t prefetch;    /* batches prepared ahead by one worker thread; 0: 2; -1: none, read on the caller's thread */
  uint64_t reserved[4];
} tct_loader_options;

typedef struct tct_batch {
  int64_t n;              /* samples in it */
  int64_t first;          /* position in the epoch of its first sample */
  const int64_t *index;   /* [n] sample numbers */
  void *const *field;     /* one array per field; owned by the loader until the next tct_loader_next */
} tct_batch;

/* `data` is kept alive. Errors: batch larger than the data, empty data. */
TCT_API tct_status tct_loader_create(tct_dataset *data, const tct_loader_options *options, tct_loader **out)
    TCT_CHECKED;
TCT_API void tct_loader_free(tct_loader *loader);
TCT_API int64_t tct_loader_batches(const tct_loader *loader); /* per epoch */
/* Begins epoch number `epoch` at batch `skip` (resume); any unread batches are dropped. */
TCT_API tct_status tct_loader_start(tct_loader *loader, int64_t epoch, int64_t skip) TCT_CHECKED;
/* The next batch; at the end of the epoch out->n is 0. A read error comes out here, once, in the place
 * of its batch, and ends the epoch. No allocation. */
TCT_API tct_status tct_loader_next(tct_loader *loader, tct_batch *out) TCT_CHECKED;
/* Nanoseconds that tct_loader_next has waited for data since the last tct_loader_start. */
TCT_API int64_t tct_loader_wait_ns(const tct_loader *loader);

TCT_END_DECLS
#endif
