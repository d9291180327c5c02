/* The lexer of CSV: rows and cells of RFC 4180 with the place of each, from a text in memory. */
#ifndef TCT_DATA_CSV_SCAN_H
#define TCT_DATA_CSV_SCAN_H

#include <tercet/types.h>

#include "base/text.h"

typedef struct tct_csv_scan {
  const char *path; /* for messages */
  const char *data; /* borrowed; not changed */
  size_t bytes, at;
  int64_t line; /* of `at`, from 1 */
  size_t line_start;
  char delimiter;
  tct_text unquoted; /* holds a cell whose doubled quotes were undone */
} tct_csv_scan;

/* Borrowed until the next cell is read. Blanks around an unquoted cell are not part of it. */
typedef struct tct_csv_cell {
  const char *text;
  size_t length;
  int64_t line, column; /* of its first character, from 1 */
  bool quoted;
  bool last; /* of its row */
} tct_csv_cell;

/* Skips a UTF-8 byte-order mark. */
void tct_csv_begin(tct_csv_scan *scan, const char *path, const char *data, size_t bytes, char delimiter);
void tct_csv_end(tct_csv_scan *scan);
/* Moves to the next row that is not blank; false at the end of the text. Call at the start and after a `last` cell. */
bool tct_csv_next_row(tct_csv_scan *scan);
/* The next cell of the row. Errors: TCT_BAD_DATA with path:line:column. */
tct_status tct_csv_next_cell(tct_csv_scan *scan, tct_csv_cell *out) TCT_CHECKED;

#endif
