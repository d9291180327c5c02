/* Size arithmetic that reports overflow instead of wrapping. */
#ifndef TCT_BASE_CHECKED_H
#define TCT_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each returns false on overflow; *out is then unspecified. */
static inline bool tct_add_size(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }
static inline bool tct_mul_size(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool tct_mul_i64(int64_t a, int64_t b, int64_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool tct_add_i64(int64_t a, int64_t b, int64_t *out) { return !__builtin_add_overflow(a, b, out); }

/* Rounds up to a multiple of the power of two `align`; false on overflow. */
static inline bool tct_align_size(size_t bytes, size_t align, size_t *out) {
  size_t sum = 0;
  if (!tct_add_size(bytes, align - 1, &sum)) return false;
  *out = sum & ~(align - 1);
  return true;
}

#endif
