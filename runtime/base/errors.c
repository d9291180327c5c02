/* The kinds of errors as a table, made from errors.def, and the search in it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "base/text.h"

static const tct_error_kind kinds[] = {
#define ERROR(number_, name, status_, title_, means_, example_, fix_)                                                  \
  {.number = number_,                                                                                                  \
   .code = (number_) < 10    ? "E00" #number_                                                                          \
           : (number_) < 100 ? "E0" #number_                                                                           \
                             : "E" #number_,                                                                           \
   .status = TCT_##status_,                                                                                            \
   .title = title_,                                                                                                    \
   .means = means_,                                                                                                    \
   .example = example_,                                                                                                \
   .fix = fix_},
#include <tercet/errors.def>
#undef ERROR
};

static int by_number(const void *key, const void *row) {
  const int32_t a = *(const int32_t *)key, b = ((const tct_error_kind *)row)->number;
  return a < b ? -1 : a > b;
}

const tct_error_kind *tct_error_kind_of(uint32_t number) {
  const int32_t key = number <= INT32_MAX ? (int32_t)number : 0;
  const tct_error_kind *const found = bsearch(&key, kinds, TCT_COUNT_OF(kinds), sizeof kinds[0], by_number);
  return found ? found : &kinds[TCT_E_INTERNAL - 1];
}

const tct_error_kind *tct_error_kind_at(int32_t i) {
  return i >= 0 && i < (int32_t)TCT_COUNT_OF(kinds) ? &kinds[i] : NULL;
}

const tct_error_kind *tct_error_kind_find(const char *code) {
  if (*code == 'E' || *code == 'e') code++;
  int64_t number = 0;
  if (!tct_parse_i64(code, strlen(code), &number) || number < 1 || number > INT32_MAX) return NULL;
  const tct_error_kind *const kind = tct_error_kind_of((uint32_t)number);
  return kind->number == number ? kind : NULL;
}

static uint32_t number_of_errno(int error) {
  switch (error) {
  case ENOENT:
  case ENOTDIR:
    return TCT_E_NO_FILE;
  case ENOMEM:
    return TCT_E_OUT_OF_MEMORY;
  case ENOSPC:
  case EDQUOT:
    return TCT_E_DISK_FULL;
  /* Trying again cannot help: the path or its permissions must change. */
  case EACCES:
  case EPERM:
  case EROFS:
  case EISDIR:
  case EEXIST:
  case ENAMETOOLONG:
  case ELOOP:
  case EINVAL:
    return TCT_E_NO_ACCESS;
  default:
    return TCT_E_FILE_IO;
  }
}

const tct_error_kind *tct_error_kind_of_errno(int error) {
  return tct_error_kind_of(number_of_errno(error));
}
