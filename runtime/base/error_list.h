/* Errors that are found together and reported together: a check that fails puts its record on the list, and the next
 * check runs all the same. */
#ifndef TCT_BASE_ERROR_LIST_H
#define TCT_BASE_ERROR_LIST_H

#include "base/text.h"

enum { TCT_MOST_LISTED_ERRORS = 20 };

/* {0} is empty. */
typedef struct tct_error_list {
  tct_text text; /* of the first TCT_MOST_LISTED_ERRORS, a line each */
  uint32_t code; /* the first one's */
  int32_t n;     /* all of them */
} tct_error_list;

/* Puts the thread's error on the list when `status` is not TCT_OK. */
void tct_error_list_add(tct_error_list *list, tct_status status);
/* TCT_OK for an empty list; one error as it was; else all, numbered, under the title "`what`: 3 problems". Empties the
 * list. */
tct_status tct_error_list_end(tct_error_list *list, const char *what) TCT_CHECKED;

#endif
