/* What a model of the array refuses, and which of its values that is: the model's own call makes an error of it, and the
 * reader of a table adds the cell that the value came from. */
#ifndef TCT_SYSTOLIC_REFUSAL_H
#define TCT_SYSTOLIC_REFUSAL_H

#include <tercet/types.h>

#include "base/text.h"

typedef struct tct_refusal {
  int32_t field; /* of the model's own list */
  char text[256];
} tct_refusal;

/* Always true: `return tct_refuse_value(…)` says that the values are refused. */
static inline bool TCT_PRINTF(3, 4) tct_refuse_value(tct_refusal *out, int32_t field, const char *format, ...) {
  va_list args;
  va_start(args, format);
  out->field = field;
  tct_format_clipped_v(out->text, sizeof out->text, format, args);
  va_end(args);
  return true;
}

#endif
