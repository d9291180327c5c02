/* Arrays of doubles, the operands of a case from a generator of fixed seed, and the comparison of results. */
#include "ops/cases.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/number.h"
#include "base/text.h"

/* ---- arrays ---- */

void arrays_free(arrays *all) {
  for (int32_t i = 0; i < all->n; i++) free(all->at[i].value);
  all->n = 0;
}

array *arrays_find(arrays *all, const char *name) {
  for (int32_t i = 0; i < all->n; i++) {
    if (strcmp(all->at[i].name, name) == 0) return &all->at[i];
  }
  return NULL;
}

/* ---- operands ---- */

/* splitmix64: Steele, Lea & Flood, 2014. */
static uint64_t next(uint64_t *state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}
static double unit(uint64_t *state) {
  return (double)(next(state) >> 11) * 0x1p-53;
}

/* One value in the middle half of each of n cells of (low, high), shuffled: no two are close, and with an even number
 * of cells none is close to the middle, so that a maximum has one place and relu no kink nearby. */
static void spread(double low, double high, int64_t n, uint64_t *state, double *value) {
  const int64_t cells = n + n % 2;
  for (int64_t i = 0; i < n; i++) {
    const int64_t j = (int64_t)(next(state) % (uint64_t)(i + 1));
    value[i] = value[j];
    value[j] = (double)i;
  }
  for (int64_t i = 0; i < n; i++) {
    const double at = (value[i] + 0.25 + 0.5 * unit(state)) / (double)cells;
    value[i] = (double)(float)(low + (high - low) * at);
  }
}

static void whole(double low, double high, int64_t n, uint64_t *state, double *value) {
  const double first = ceil(low), count = floor(high) - first + 1;
  for (int64_t i = 0; i < n; i++) value[i] = first + floor(unit(state) * count);
}

static tct_dtype operand_dtype(const operand *o, tct_dtype dtype) {
  switch (o->kind) {
  case KIND_INDEX:
    return TCT_I32;
  case KIND_TRUTH:
    return TCT_BOOL;
  case KIND_STEP:
    return TCT_I64;
  default:
    return dtype;
  }
}

/* What is left of a value when it is stored. */
static double stored(tct_dtype dtype, double value) {
  int64_t memory = 0;
  tct_store_number(dtype, &memory, 0, value);
  return tct_load_number(dtype, &memory, 0);
}

static void fill(const operand *o, tct_dtype dtype, uint64_t *state, array *out) {
  const bool is_float = tct_dtype_is_float(dtype);
  const double low = dtype == TCT_U8 && o->low < 0 ? 0 : dtype == TCT_I8 && o->low < INT8_MIN ? INT8_MIN : o->low;
  const double high = dtype == TCT_I8 && o->high > INT8_MAX ? INT8_MAX : o->high;
  if (dtype == TCT_BOOL) {
    whole(0, 1, out->n, state, out->value);
  } else if (is_float && o->kind != KIND_WHOLE) {
    spread(o->low, o->high, out->n, state, out->value);
    for (int64_t i = 0; i < out->n; i++) out->value[i] = stored(dtype, out->value[i]);
  } else {
    whole(low, high, out->n, state, out->value);
  }
}

void case_operands(const op_case *c, tct_dtype dtype, arrays *out) {
  *out = (arrays){.n = c->n_operands};
  for (int32_t i = 0; i < c->n_operands; i++) {
    const operand *o = &c->operands[i];
    array *a = &out->at[i];
    uint64_t state = tct_hash(c->label, strlen(c->label)) + (uint64_t)i;
    snprintf(a->name, sizeof a->name, "x%d", (int)i);
    a->dtype = operand_dtype(o, dtype);
    a->n = tct_shape_size(&o->shape);
    a->value = calloc((size_t)a->n + 1, sizeof(double));
    fill(o, a->dtype, &state, a);
  }
}

/* ---- comparing ---- */

void report_failure(case_report *report, const char *format, ...) {
  const size_t used = strlen(report->text);
  report->n_failed++;
  va_list args;
  va_start(args, format);
  const int more = vsnprintf(report->text + used, sizeof report->text - used, format, args);
  va_end(args);
  if (more > 0 && used + (size_t)more + 2 < sizeof report->text) strcat(report->text, "\n");
}

static bool is_narrow(tct_dtype dtype) {
  return dtype == TCT_BF16 || dtype == TCT_F16;
}

/* Unit roundoff of the arithmetic; 0: exact. */
static double roundoff(tct_dtype dtype) {
  return dtype == TCT_F64 ? 0x1p-53 : tct_dtype_is_float(dtype) ? 0x1p-24 : 0;
}

/* Unit roundoff of storage, 2^-p with p bits of significand, where it is coarser than the arithmetic's. */
static double storage_roundoff(tct_dtype dtype) {
  return dtype == TCT_BF16 ? 0x1p-8 : dtype == TCT_F16 ? 0x1p-11 : 0;
}

/* How far a result in floating point may be from the exact one, in units of its scale:
 *
 *   u·(16 + length)
 *
 * u is the unit roundoff of the dtype. A sum of n rounded terms is off by at most n·u times the sum of the terms' sizes
 * (Higham 2002, section 4.2); rounding errors being of either sign, λ√n·u bounds it all but surely with λ = 5 (Higham &
 * Mary 2019). For terms of either sign, the sum of sizes is about √n times the largest result, and √n·√n·u = n·u; for
 * terms of one sign it is the result itself, and n·u bounds it outright. So n·u of the largest result is the bound in
 * both; 16·u is what the elementary functions may add (fastmath.h keeps to 4·u each, a row has up to three and their
 * products).
 *
 * The scale of an element is its own size, but at least an eighth of the largest one: errors that come from the
 * operands' size, as when terms cancel, do not shrink with the result. A graph that computes nothing (length 0) must be
 * exact, as must every result that is not a float.
 *
 * bf16 and f16 are storage: the arithmetic is f32's, and each node rounds its result once more, by at most its u. One node
 * adds one such u. Of n nodes, each but the last has its rounding passed on by those behind it, which multiply a relative
 * error by their condition: at most 4 for the rows in the ranges of the table. */
static double tolerance(case_error error, const array *got) {
  if (!tct_dtype_is_float(got->dtype) || error.length <= 0) return 0;
  const tct_dtype coarse = is_narrow(got->dtype) ? got->dtype : error.dtype;
  const double passed_on = error.roundings > 1 ? 4 * (error.roundings - 1) : 0;
  return roundoff(error.dtype) * (16 + error.length) + storage_roundoff(coarse) * (1 + passed_on);
}

/* Half the spacing of f16's subnormals, for each rounding. */
static double least_error(case_error error, const array *got) {
  return error.length > 0 && (error.dtype == TCT_F16 || got->dtype == TCT_F16) ? 0x1p-25 * (1 + error.roundings) : 0;
}

static void compare_array(case_report *report, const char *what, case_error error, const array *want, const array *got) {
  const double relative = tolerance(error, got), least = least_error(error, got);
  double largest = 0, worst = 0;
  int64_t at = -1;
  for (int64_t i = 0; i < want->n; i++) {
    if (isfinite(want->value[i])) largest = fmax(largest, fabs(want->value[i]));
  }
  for (int64_t i = 0; i < want->n; i++) {
    const double rounded = stored(got->dtype, want->value[i]);
    const double w = isinf(rounded) ? rounded : want->value[i], g = got->value[i];
    const double allowed = relative * fmax(fabs(w), largest / 8) + least;
    double excess = 0; /* over 1: too far */
    if (isnan(w) || isnan(g) || isinf(w) || isinf(g)) {
      const bool same = isnan(w) ? isnan(g) : w == g;
      excess = same ? 0 : INFINITY;
    } else if (w != g) {
      excess = allowed > 0 ? fabs(w - g) / allowed : INFINITY;
    }
    if (excess > worst) worst = excess, at = i;
  }
  report->n_compared++;
  if (worst <= 1) return;
  report_failure(report, "%s: %s (%s, %lld elements): worst at %lld: got %.9g, want %.9g, %.3g times the tolerance",
                 what, want->name, tct_dtype_name(got->dtype), (long long)want->n, (long long)at, got->value[at],
                 want->value[at], worst);
}

void compare(case_report *report, const char *what, case_error error, const arrays *want, const arrays *got) {
  if (want->n != got->n) {
    report_failure(report, "%s: %d results, want %d", what, (int)got->n, (int)want->n);
    return;
  }
  for (int32_t i = 0; i < want->n; i++) {
    const array *w = &want->at[i], *g = &got->at[i];
    if (w->n != g->n || strcmp(w->name, g->name) != 0) {
      report_failure(report, "%s: %s has %lld elements, want %s with %lld", what, g->name, (long long)g->n, w->name,
                     (long long)w->n);
      continue;
    }
    compare_array(report, what, error, w, g);
  }
}
