/* The lexer of CSV. Lines end in LF, CRLF or CR; a quoted cell may hold delimiters, line ends and doubled quotes. */
#include "data/csv_scan.h"

#include <inttypes.h>
#include <string.h>

#include "base/status.h"

void tct_csv_begin(tct_csv_scan *scan, const char *path, const char *data, size_t bytes, char delimiter) {
  const size_t mark = bytes >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
  *scan = (tct_csv_scan){
      .path = path, .data = data, .bytes = bytes, .at = mark, .line = 1, .line_start = mark, .delimiter = delimiter};
}

void tct_csv_end(tct_csv_scan *scan) {
  tct_text_free(&scan->unquoted);
}

static bool at_line_end(const tct_csv_scan *scan, size_t at) {
  return at == scan->bytes || scan->data[at] == '\n' || scan->data[at] == '\r';
}

static bool is_blank(const tct_csv_scan *scan, size_t at) {
  const char c = scan->data[at];
  return (c == ' ' || c == '\t') && c != scan->delimiter;
}

/* Consumes the line end at `at`, if there is one. */
static void pass_line_end(tct_csv_scan *scan) {
  if (scan->at == scan->bytes) return;
  const bool pair = scan->data[scan->at] == '\r' && scan->at + 1 < scan->bytes && scan->data[scan->at + 1] == '\n';
  scan->at += pair ? 2 : 1;
  scan->line++;
  scan->line_start = scan->at;
}

bool tct_csv_next_row(tct_csv_scan *scan) {
  for (;;) {
    size_t at = scan->at;
    while (at < scan->bytes && is_blank(scan, at)) at++;
    if (at == scan->bytes) return false;
    if (!at_line_end(scan, at)) return true;
    scan->at = at;
    pass_line_end(scan);
  }
}

/* After a cell's text: the delimiter, or the end of the row. */
static tct_status finish_cell(tct_csv_scan *scan, tct_csv_cell *out) {
  while (scan->at < scan->bytes && is_blank(scan, scan->at)) scan->at++;
  out->last = at_line_end(scan, scan->at);
  if (out->last) {
    pass_line_end(scan);
    return TCT_OK;
  }
  if (scan->data[scan->at] != scan->delimiter)
    return tct_fail(TCT_E_CSV,
                    "%s:%" PRId64 ":%zu: text follows a closing quote; a quoted cell needs its inner quotes doubled",
                    scan->path, scan->line, scan->at - scan->line_start + 1);
  scan->at++;
  return TCT_OK;
}

/* `at` is on the opening quote. The text is used in place unless it holds doubled quotes. */
static tct_status quoted_cell(tct_csv_scan *scan, tct_csv_cell *out) {
  out->quoted = true;
  size_t first = ++scan->at;
  bool copied = false;
  scan->unquoted.length = 0;
  for (;;) {
    if (scan->at == scan->bytes)
      return tct_fail(TCT_E_CSV, "%s:%" PRId64 ":%" PRId64 ": the quote that opens here is never closed", scan->path,
                      out->line, out->column);
    const char c = scan->data[scan->at];
    if (c == '\n' || c == '\r') {
      pass_line_end(scan);
      continue;
    }
    if (c == '"') {
      if (scan->at + 1 == scan->bytes || scan->data[scan->at + 1] != '"') break;
      tct_text_append_bytes(&scan->unquoted, scan->data + first, scan->at + 1 - first);
      copied = true;
      first = scan->at + 2;
      scan->at++;
    }
    scan->at++;
  }
  out->text = scan->data + first;
  out->length = scan->at - first;
  if (copied) {
    tct_text_append_bytes(&scan->unquoted, out->text, out->length);
    if (scan->unquoted.failed) return TCT_OUT_OF_MEMORY;
    out->text = scan->unquoted.data;
    out->length = scan->unquoted.length;
  }
  scan->at++;
  return TCT_OK;
}

static tct_status plain_cell(tct_csv_scan *scan, tct_csv_cell *out) {
  const size_t first = scan->at;
  size_t end = first;
  for (; !at_line_end(scan, scan->at) && scan->data[scan->at] != scan->delimiter; scan->at++) {
    const char c = scan->data[scan->at];
    if (c == '"' || c == 0)
      return tct_fail(TCT_E_CSV, "%s:%" PRId64 ":%zu: %s", scan->path, scan->line, scan->at - scan->line_start + 1,
                      c == 0 ? "a zero byte; the file is not text, or is UTF-16: save it as UTF-8"
                             : "a quote inside an unquoted cell; quote the whole cell and double its inner quotes");
    if (!is_blank(scan, scan->at)) end = scan->at + 1;
  }
  out->text = scan->data + first;
  out->length = end - first;
  return TCT_OK;
}

tct_status tct_csv_next_cell(tct_csv_scan *scan, tct_csv_cell *out) {
  *out = (tct_csv_cell){0};
  while (scan->at < scan->bytes && is_blank(scan, scan->at)) scan->at++;
  out->line = scan->line;
  out->column = (int64_t)(scan->at - scan->line_start) + 1;
  const bool quoted = scan->at < scan->bytes && scan->data[scan->at] == '"';
  TCT_TRY(quoted ? quoted_cell(scan, out) : plain_cell(scan, out));
  return finish_cell(scan, out);
}
