/* The vocabulary of every other header: status codes, the error record, data types, shapes, version. */
#ifndef TERCET_TYPES_H
#define TERCET_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TCT_VERSION_MAJOR 0
#define TCT_VERSION_MINOR 1
#define TCT_VERSION_PATCH 0

#if defined(__GNUC__)
#define TCT_PRINTF(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))
#define TCT_API __attribute__((visibility("default")))
#define TCT_CHECKED __attribute__((warn_unused_result))
#else
#define TCT_PRINTF(fmt_at, args_at)
#define TCT_API
#define TCT_CHECKED
#endif

#ifdef __cplusplus
#define TCT_BEGIN_DECLS extern "C" {
#define TCT_END_DECLS }
#else
#define TCT_BEGIN_DECLS
#define TCT_END_DECLS
#endif

TCT_BEGIN_DECLS

/* What a fallible function returns. The sentence that goes with it is tct_error_message(). */
typedef enum tct_status {
  TCT_OK = 0,
  TCT_INVALID = 1,       /* the caller's own values: a shape, a key, an option */
  TCT_NOT_FOUND = 2,     /* a file, a name, a key that does not exist */
  TCT_BAD_DATA = 3,      /* a file's content is not what its format promises */
  TCT_UNSUPPORTED = 4,   /* the device has no kernel for this; says which and why */
  TCT_UNAVAILABLE = 5,   /* the device or library is not here; says why */
  TCT_OUT_OF_MEMORY = 6, /* host or device memory */
  TCT_IO = 7,            /* reading or writing failed; may succeed when tried again */
  TCT_NUMERIC = 8,       /* NaN or Inf where a finite number is needed */
  TCT_CANCELLED = 9,     /* the caller asked to stop */
  TCT_INTERNAL = 10,     /* our own bug; please report */
  TCT_N_STATUS
} tct_status;

/* A short name ("invalid", "out of memory"); static storage. */
TCT_API const char *tct_status_name(tct_status status);

/* The calling thread's last error, whole: the message, then one line per context frame, innermost first.
 * Empty string when nothing failed. Owned by the thread; valid until its next failing call. */
TCT_API const char *tct_error_message(void);
TCT_API tct_status tct_error_status(void);
TCT_API void tct_error_clear(void);

/* "0.1.0"; static storage. */
TCT_API const char *tct_version(void);

/* Element types. BF16 and F16 are for storage: ops compute in f32 and round what they write, to nearest with ties to even.
 * BOOL is one byte, 0 or 1. I8 is for products of whole numbers: matmul multiplies i8 into i32; else it is cast and moved. */
typedef enum tct_dtype {
  TCT_DTYPE_NONE = 0,
  TCT_F32,
  TCT_F64,
  TCT_I32,
  TCT_I64,
  TCT_U8,
  TCT_BOOL,
  TCT_BF16,
  TCT_F16,
  TCT_I8,
  TCT_N_DTYPES
} tct_dtype;

TCT_API const char *tct_dtype_name(tct_dtype dtype); /* "f32" …; "?" when out of range */
TCT_API size_t tct_dtype_bytes(tct_dtype dtype);     /* 0 when out of range */

#define TCT_MAX_RANK 8

/* Extents, outermost first; tensors are dense and row-major. Rank 0 is a scalar; an extent may be 0. */
typedef struct tct_shape {
  int32_t rank;
  int32_t reserved; /* zero: no padding, because attributes are compared by their bytes */
  int64_t dim[TCT_MAX_RANK];
} tct_shape;

/* tct_shape from a list: TCT_SHAPE(32, 28, 28, 1). Scalars: tct_shape_of(0, NULL). */
TCT_API tct_shape tct_shape_of(int32_t rank, const int64_t *dim);
#ifdef __cplusplus
TCT_END_DECLS
#include <initializer_list>
static inline tct_shape tct_shape_list(std::initializer_list<int64_t> dim) {
  return tct_shape_of(static_cast<int32_t>(dim.size()), dim.begin());
}
#define TCT_SHAPE(...) tct_shape_list({__VA_ARGS__})
TCT_BEGIN_DECLS
#else
#define TCT_SHAPE(...)                                                                             \
  tct_shape_of((int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),                      \
               (const int64_t[]){__VA_ARGS__})
#endif

TCT_API bool tct_shape_equal(const tct_shape *a, const tct_shape *b);
/* Number of elements; -1 when negative extents or overflow. */
TCT_API int64_t tct_shape_size(const tct_shape *shape);
/* "[32,28,28,1]" into `text`; returns `text`. 160 bytes always suffice. */
TCT_API const char *tct_shape_print(const tct_shape *shape, char *text, size_t text_bytes);

/* What a tensor is, without its data. */
typedef struct tct_desc {
  tct_dtype dtype;
  tct_shape shape;
} tct_desc;

/* An option whose default is "on" or "depends". Zero means the default. */
typedef enum tct_toggle { TCT_DEFAULT = 0, TCT_ON = 1, TCT_OFF = 2 } tct_toggle;

/* ---- seams: how the library meets the process ---------------------------------------------------- */

/* Replaces the allocator of the whole process. Set it before any other call. `align` is a power of two,
 * at least sizeof(void *). Memory is not zeroed. `release(user, NULL)` is never called. */
typedef struct tct_allocator {
  void *(*acquire)(void *user, size_t bytes, size_t align);
  void (*release)(void *user, void *memory);
  void *user;
} tct_allocator;
TCT_API void tct_set_allocator(const tct_allocator *allocator); /* NULL: the default again */

typedef enum tct_log_level { TCT_LOG_ERROR, TCT_LOG_WARNING, TCT_LOG_INFO, TCT_LOG_DEBUG } tct_log_level;
typedef void (*tct_log_fn)(void *user, tct_log_level level, const char *line);
/* The library itself never prints: without a callback, log lines go nowhere. */
TCT_API void tct_set_log(tct_log_fn fn, void *user, tct_log_level most);

TCT_END_DECLS
#endif
