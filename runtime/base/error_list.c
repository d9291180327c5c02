/* The list of errors that are reported together. */
#include "base/error_list.h"

#include <inttypes.h>

#include "base/status.h"

void tct_error_list_add(tct_error_list *list, tct_status status) {
  if (status == TCT_OK) return;
  if (list->n == 0) list->code = (uint32_t)tct_error_code();
  if (++list->n > TCT_MOST_LISTED_ERRORS) return;
  /* The first stands without its number, so that it can be reported alone. */
  if (list->n > 1) tct_text_printf(&list->text, "\n%" PRId32 ". ", list->n);
  tct_text_append(&list->text, tct_error_message());
}

tct_status tct_error_list_end(tct_error_list *list, const char *what) {
  const char *const text = list->text.data;
  const int32_t more = list->n - TCT_MOST_LISTED_ERRORS;
  tct_status status = TCT_OK;
  if (more > 0) tct_text_printf(&list->text, "\nand %" PRId32 " more", more);
  if (list->n > 0 && (list->text.failed || !text))
    status = tct_fail(TCT_OUT_OF_MEMORY, "%s: %" PRId32 " problems, and no memory to list them", what, list->n);
  else if (list->n == 1)
    status = tct_fail(list->code, "%s", list->text.data);
  else if (list->n > 1)
    status = tct_fail(list->code, "%s: %" PRId32 " problems\n1. %s", what, list->n, list->text.data);
  tct_text_free(&list->text);
  *list = (tct_error_list){0};
  return status;
}
