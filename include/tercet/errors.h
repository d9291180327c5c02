/* Stable codes of errors: a message says what is wrong in this case and ends in "[E102]"; the code says which kind of
 * error it is, in this and every later version, for programs and for `tercet explain`. */
#ifndef TERCET_ERRORS_H
#define TERCET_ERRORS_H

#include <tercet/types.h>

TCT_BEGIN_DECLS

/* TCT_E_RANK = 102 … The kinds are the rows of errors.def. */
typedef enum tct_error_number {
  TCT_E_NONE = 0,
#define ERROR(number, name, status, title, means, example, fix) TCT_E_##name = number,
#include <tercet/errors.def>
#undef ERROR
} tct_error_number;

/* A kind of error, explained. All texts have static storage. */
typedef struct tct_error_kind {
  int32_t number;
  const char *code; /* "E102" */
  tct_status status;
  const char *title;   /* "wrong number of axes" */
  const char *means;   /* sentences */
  const char *example; /* a small wrong example; may have several lines */
  const char *fix;
} tct_error_kind;

/* The number of the calling thread's last error; TCT_E_NONE when nothing failed. Where several problems were found, the
 * first one's. tct_error_message ends in the code, or has one after each problem. */
TCT_API int32_t tct_error_code(void);

/* Row i of the table, in ascending numbers; NULL when out of range. */
TCT_API const tct_error_kind *tct_error_kind_at(int32_t i);
/* By "E102", "e102" or "102"; NULL: there is no such kind. */
TCT_API const tct_error_kind *tct_error_kind_find(const char *code);

/* The kind of a failed file call's errno: E701, E702, E703, E704 or E006. */
TCT_API const tct_error_kind *tct_error_kind_of_errno(int error);

TCT_END_DECLS
#endif
