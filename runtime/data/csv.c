/* Datasets from CSV. The first row decides about columns, header and target; every further row adds its numbers to one
 * growing array and its target to a list, which becomes class ids or numbers when the whole file is known. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/error_list.h"
#include "base/status.h"
#include "base/text.h"
#include "data/csv_scan.h"
#include "data/dataset.h"
#include "io/gzip.h"
#include "io/web_page.h"

#define MOST_BYTES   ((size_t)16 << 30)
#define MOST_CLASSES 65536
#define NAME_BYTES   64 /* of a column, in messages */

typedef struct target {
  size_t text_at, length; /* in reader.target_text */
  double number;
  bool is_number;
  int64_t line, column;
} target;

typedef struct reader {
  const char *path;
  tct_csv_options options;
  tct_csv_scan scan;
  tct_arena arena;
  const char **first_row; /* [n_columns], in the arena */
  int64_t n_columns;
  int64_t target_column; /* -1: none */
  bool header;
  bool classes; /* y is class ids */

  int64_t n_rows;
  char *features; /* owned: [n_rows, n_features] of options.dtype */
  size_t features_bytes, features_capacity;
  target *targets; /* owned: [n_rows] */
  size_t targets_capacity;
  tct_text target_text;
  const char **names; /* owned: [n_names] sorted; point into target_text or the dataset that `like` names */
  int32_t n_names;
  size_t names_capacity;
} reader;

/* ---- small helpers ---------------------------------------------------------------------------------- */

/* Makes room for `count` elements of `size` bytes. There is at most one for each byte of a file, so that nothing overflows. */
static tct_status reserve(void **array, size_t *capacity, size_t count, size_t size) {
  if (count <= *capacity) return TCT_OK;
  size_t more = *capacity < 64 ? 64 : *capacity;
  while (more < count) more *= 2;
  void *const grown = tct_realloc(*array, *capacity * size, more * size);
  if (!grown) return TCT_OUT_OF_MEMORY;
  *array = grown;
  *capacity = more;
  return TCT_OK;
}

/* The words by which other tools say that a value is missing. */
static bool is_missing(const char *text, size_t length) {
  static const char *const words[] = {"",    "?",   "-",   "NA",   "N/A",  "na",  "n/a",
                                      "NaN", "nan", "NAN", "null", "NULL", "None"};
  for (size_t i = 0; i < TCT_COUNT_OF(words); i++)
    if (strlen(words[i]) == length && memcmp(words[i], text, length) == 0) return true;
  return false;
}

static int64_t n_features(const reader *r) {
  return r->n_columns - (r->target_column >= 0);
}

/* "'age'" with a header, "number 3" without. */
static const char *column_name(const reader *r, int64_t column, char text[NAME_BYTES]) {
  if (r->header)
    snprintf(text, NAME_BYTES, "'%.48s'", r->first_row[column]);
  else
    snprintf(text, NAME_BYTES, "number %" PRId64, column);
  return text;
}

/* ---- the first row ---------------------------------------------------------------------------------- */

static tct_status read_first_row(reader *r) {
  size_t capacity = 0;
  void *cells = NULL;
  tct_status status = TCT_OK;
  for (tct_csv_cell cell = {0}; !cell.last;) {
    status = tct_csv_next_cell(&r->scan, &cell);
    if (status == TCT_OK) status = reserve(&cells, &capacity, (size_t)r->n_columns + 1, sizeof(char *));
    if (status != TCT_OK) break;
    char *const copy = tct_arena_alloc(&r->arena, cell.length + 1);
    if (!copy) {
      status = TCT_OUT_OF_MEMORY;
      break;
    }
    memcpy(copy, cell.text, cell.length);
    TCT_ASSERT(cells != NULL);
    ((const char **)cells)[r->n_columns++] = copy;
  }
  if (status == TCT_OK) {
    r->first_row = tct_arena_copy(&r->arena, cells, (size_t)r->n_columns * sizeof *r->first_row);
    if (!r->first_row) status = TCT_OUT_OF_MEMORY;
  }
  tct_release(cells);
  return status;
}

static tct_status no_such_column(const reader *r, const char *name) {
  const char *const near = tct_nearest(name, r->first_row, (size_t)r->n_columns);
  return tct_fail(TCT_NOT_FOUND, "%s: no column is named '%s'%s%s%s; the header has %" PRId64 " columns", r->path, name,
                  near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "", r->n_columns);
}

/* Which column is the target; a name that is no number asks for a header. */
static tct_status find_target(reader *r) {
  const char *const name = r->options.target;
  r->target_column = r->n_columns - 1;
  if (r->options.no_target) r->target_column = -1;
  if (r->options.no_target || !name) return TCT_OK;
  int64_t index = 0;
  const bool is_index = tct_parse_i64(name, strlen(name), &index);
  const bool may_name = r->options.header == TCT_ON || (r->options.header == TCT_DEFAULT && !is_index);
  int64_t found = -1;
  for (int64_t c = 0; may_name && c < r->n_columns; c++) {
    if (strcmp(r->first_row[c], name) != 0) continue;
    if (found >= 0)
      return tct_fail(TCT_E_CSV,
                      "%s: columns %" PRId64 " and %" PRId64 " are both named '%s'; give the target's number", r->path,
                      found, c, name);
    found = c;
  }
  if (found >= 0) {
    r->options.header = TCT_ON;
    r->target_column = found;
    return TCT_OK;
  }
  if (!is_index && !may_name)
    return tct_fail(TCT_INVALID,
                    "%s: target '%s' is a name, the file is read without a header; give the column's number", r->path,
                    name);
  if (!is_index) return no_such_column(r, name);
  if (index < -r->n_columns || index >= r->n_columns)
    return tct_fail(TCT_INVALID,
                    "%s: target column %" PRId64 ", the file has %" PRId64 " columns (0 … %" PRId64 "); -1 is the "
                    "last",
                    r->path, index, r->n_columns, r->n_columns - 1);
  r->target_column = index < 0 ? index + r->n_columns : index;
  return TCT_OK;
}

static bool looks_like_header(const reader *r) {
  for (int64_t c = 0; c < r->n_columns; c++) {
    double value = 0;
    const size_t length = strlen(r->first_row[c]);
    if (c == r->target_column || is_missing(r->first_row[c], length)) continue;
    if (!tct_parse_double(r->first_row[c], length, &value)) return true;
  }
  return false;
}

static tct_status start_reading(reader *r) {
  if (!tct_csv_next_row(&r->scan)) return tct_fail(TCT_E_CSV, "%s: is empty, needs rows of numbers", r->path);
  const tct_csv_scan before = r->scan;
  TCT_TRY(read_first_row(r));
  TCT_TRY(find_target(r));
  if (n_features(r) == 0)
    return tct_fail(TCT_E_CSV,
                    "%s: has one column, which is the target; needs features beside it (is the delimiter "
                    "'%c'?)",
                    r->path, r->scan.delimiter);
  r->header = r->options.header == TCT_ON || (r->options.header == TCT_DEFAULT && looks_like_header(r));
  if (r->header) return TCT_OK;
  r->scan.at = before.at;
  r->scan.line = before.line;
  r->scan.line_start = before.line_start;
  return TCT_OK;
}

/* ---- rows ------------------------------------------------------------------------------------------- */

static tct_status missing_value(const reader *r, const tct_csv_cell *cell, int64_t column) {
  char name[NAME_BYTES];
  return tct_fail(TCT_E_CSV, "%s:%" PRId64 ":%" PRId64 ": column %s has no value ('%.*s'); fill it in or drop the row",
                  r->path, cell->line, cell->column, column_name(r, column, name), (int)cell->length, cell->text);
}

static tct_status add_feature(reader *r, const tct_csv_cell *cell, int64_t column) {
  char name[NAME_BYTES];
  double value = 0;
  if (is_missing(cell->text, cell->length)) return missing_value(r, cell, column);
  if (!tct_parse_double(cell->text, cell->length, &value))
    return tct_fail(TCT_E_CSV,
                    "%s:%" PRId64 ":%" PRId64 ": '%.*s' in column %s is not a number; make it the target, or "
                    "encode or remove the column",
                    r->path, cell->line, cell->column, cell->length > 40 ? 40 : (int)cell->length, cell->text,
                    column_name(r, column, name));
  const float narrow = (float)value;
  const bool wide = r->options.dtype == TCT_F64;
  if (!wide && !isfinite(narrow))
    return tct_fail(TCT_E_CSV,
                    "%s:%" PRId64 ":%" PRId64 ": %.*s in column %s is not a finite f32 (f64 holds up to 1.8e308); mend or "
                    "drop the row",
                    r->path, cell->line, cell->column, cell->length > 40 ? 40 : (int)cell->length, cell->text,
                    column_name(r, column, name));
  const size_t bytes = wide ? sizeof value : sizeof narrow;
  void *grown = r->features;
  const tct_status status = reserve(&grown, &r->features_capacity, r->features_bytes + bytes, 1);
  r->features = grown;
  TCT_TRY(status);
  if (wide)
    memcpy(r->features + r->features_bytes, &value, bytes);
  else
    memcpy(r->features + r->features_bytes, &narrow, bytes);
  r->features_bytes += bytes;
  return TCT_OK;
}

static tct_status add_target(reader *r, const tct_csv_cell *cell) {
  /* A class may be called "None", in quotes. */
  if (cell->quoted ? cell->length == 0 : is_missing(cell->text, cell->length))
    return missing_value(r, cell, r->target_column);
  if (memchr(cell->text, 0, cell->length))
    return tct_fail(TCT_E_CSV, "%s:%" PRId64 ":%" PRId64 ": a zero byte in a class name", r->path, cell->line,
                    cell->column);
  void *grown = r->targets;
  const tct_status status = reserve(&grown, &r->targets_capacity, (size_t)r->n_rows + 1, sizeof *r->targets);
  r->targets = grown;
  TCT_TRY(status);
  target *const t = &r->targets[r->n_rows];
  *t = (target){.text_at = r->target_text.length, .length = cell->length, .line = cell->line, .column = cell->column};
  t->is_number = tct_parse_double(cell->text, cell->length, &t->number);
  tct_text_append_bytes(&r->target_text, cell->text, cell->length);
  tct_text_append_bytes(&r->target_text, "", 1);
  return r->target_text.failed ? TCT_OUT_OF_MEMORY : TCT_OK;
}

static tct_status ragged(const reader *r, const tct_csv_cell *cell, int64_t n, const char *than) {
  return tct_fail(TCT_E_CSV,
                  "%s:%" PRId64 ":%" PRId64 ": the row has %s%" PRId64 " columns, the first row has %" PRId64 "; "
                  "quote cells that hold a '%c'",
                  r->path, cell->line, cell->column, than, n, r->n_columns, r->scan.delimiter);
}

/* Cells that cannot be used are listed, and the reading goes on. A row of another length ends it, as nobody knows what its
 * cells are. */
static tct_status read_row(reader *r, tct_error_list *errors) {
  for (int64_t c = 0; c < r->n_columns; c++) {
    tct_csv_cell cell;
    TCT_TRY(tct_csv_next_cell(&r->scan, &cell));
    if (cell.last && c + 1 < r->n_columns) return ragged(r, &cell, c + 1, "only ");
    if (!cell.last && c + 1 == r->n_columns) return ragged(r, &cell, r->n_columns, "more than ");
    const tct_status status = c == r->target_column ? add_target(r, &cell) : add_feature(r, &cell, c);
    if (status != TCT_OK && status != TCT_BAD_DATA) return status;
    tct_error_list_add(errors, status);
  }
  return TCT_OK;
}

static tct_status read_rows(reader *r) {
  tct_error_list errors = {0};
  tct_status status = TCT_OK;
  for (; status == TCT_OK && tct_csv_next_row(&r->scan); r->n_rows++) status = read_row(r, &errors);
  tct_error_list_add(&errors, status);
  if (r->n_rows == 0) return tct_fail(TCT_E_CSV, "%s: has a header and no rows", r->path);
  return tct_error_list_end(&errors, r->path);
}

/* ---- targets ---------------------------------------------------------------------------------------- */

static const char *text_of(const reader *r, const target *t) {
  return r->target_text.data + t->text_at;
}

/* Where `text` stands, or belongs, among the sorted names. */
static int32_t place_of(const reader *r, const char *text, bool *out_found) {
  int32_t low = 0, high = r->n_names;
  while (low < high) {
    const int32_t middle = low + (high - low) / 2;
    const int order = strcmp(r->names[middle], text);
    if (order == 0) {
      *out_found = true;
      return middle;
    }
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  *out_found = false;
  return low;
}

static tct_status collect_names(reader *r) {
  for (int64_t i = 0; i < r->n_rows; i++) {
    bool found = false;
    const int32_t at = place_of(r, text_of(r, &r->targets[i]), &found);
    if (found) continue;
    if (r->n_names == MOST_CLASSES)
      return tct_fail(TCT_E_CSV, "%s: the target has more than %d different values; is it the right column?", r->path,
                      MOST_CLASSES);
    void *grown = (void *)r->names;
    const tct_status status = reserve(&grown, &r->names_capacity, (size_t)r->n_names + 1, sizeof *r->names);
    r->names = grown;
    TCT_TRY(status);
    memmove(r->names + at + 1, r->names + at, (size_t)(r->n_names - at) * sizeof *r->names);
    r->names[at] = text_of(r, &r->targets[i]);
    r->n_names++;
  }
  return TCT_OK;
}

/* Decides between classes and numbers, and where the class names come from. */
static tct_status decide_classes(reader *r) {
  const tct_dataset *const like = r->options.like;
  const int32_t n_like = like ? tct_dataset_n_classes(like) : 0;
  const bool must_be_numbers = r->options.classes == TCT_OFF || (like && n_like == 0);
  tct_error_list errors = {0};
  bool has_text = false;
  for (int64_t i = 0; i < r->n_rows; i++) {
    const target *const t = &r->targets[i];
    if (t->is_number) continue;
    has_text = true;
    if (!must_be_numbers) break;
    tct_error_list_add(&errors, tct_fail(TCT_E_CSV, "%s:%" PRId64 ":%" PRId64 ": the target '%.40s' is not a finite number, "
                                         "and %s", r->path, t->line, t->column, text_of(r, t),
                                         r->options.classes == TCT_OFF ? "classes are off" : "the training file has no classes"));
  }
  TCT_TRY(tct_error_list_end(&errors, r->path));
  r->classes = n_like > 0 || (!must_be_numbers && (has_text || r->options.classes == TCT_ON));
  if (!r->classes) return TCT_OK;
  if (n_like == 0) return collect_names(r);
  void *names = NULL;
  TCT_TRY(reserve(&names, &r->names_capacity, (size_t)n_like, sizeof *r->names));
  r->names = names;
  r->n_names = n_like;
  for (int32_t c = 0; c < n_like; c++) r->names[c] = tct_dataset_class_name(like, c);
  return TCT_OK;
}

/* The i-th target as it stands in field y. */
static tct_status store_target(const reader *r, int64_t i, void *y) {
  const target *const t = &r->targets[i];
  if (!r->classes && r->options.dtype == TCT_F64) {
    ((double *)y)[i] = t->number;
    return TCT_OK;
  }
  if (!r->classes) {
    const float narrow = (float)t->number;
    ((float *)y)[i] = narrow;
    if (isfinite(narrow)) return TCT_OK;
    return tct_fail(TCT_E_CSV, "%s:%" PRId64 ":%" PRId64 ": the target %.40s does not fit f32; read the file as f64",
                    r->path, t->line, t->column, text_of(r, t));
  }
  bool found = false;
  ((int32_t *)y)[i] = place_of(r, text_of(r, t), &found);
  if (found) return TCT_OK;
  return tct_fail(TCT_E_OTHER_DATA,
                  "%s:%" PRId64 ":%" PRId64 ": class '%.40s' is not one of the %" PRId32 " of the training file "
                  "('%.40s' … '%.40s')",
                  r->path, t->line, t->column, text_of(r, t), r->n_names, r->names[0], r->names[r->n_names - 1]);
}

static tct_status make_targets(const reader *r, void **out_y) {
  const size_t element = r->classes ? sizeof(int32_t) : tct_dtype_bytes(r->options.dtype);
  void *const y = tct_alloc_zero((size_t)r->n_rows, element);
  if (!y) return TCT_OUT_OF_MEMORY;
  for (int64_t i = 0; i < r->n_rows; i++) {
    const tct_status status = store_target(r, i, y);
    if (status == TCT_OK) continue;
    tct_release(y);
    return status;
  }
  *out_y = y;
  return TCT_OK;
}

/* ---- the dataset ------------------------------------------------------------------------------------ */

static tct_status check_like(const reader *r) {
  const tct_dataset *const like = r->options.like;
  const tct_field *const x = like ? tct_dataset_field(like, tct_dataset_find(like, "x")) : NULL;
  if (!x || tct_shape_size(&x->shape) == n_features(r)) return TCT_OK;
  return tct_fail(
      TCT_E_OTHER_DATA, "%s: has %" PRId64 " feature columns, the training file has %" PRId64 "%s", r->path,
      n_features(r), tct_shape_size(&x->shape),
      n_features(r) == tct_shape_size(&x->shape) - 1 ? "; has it a target column? Without one, set no_target" : "");
}

static tct_status make_dataset(reader *r, tct_dataset **out) {
  void *arrays[2] = {NULL, NULL};
  if (r->target_column >= 0) {
    TCT_TRY(decide_classes(r));
    TCT_TRY(make_targets(r, &arrays[1]));
  }
  arrays[0] = r->features;
  r->features = NULL;
  const tct_field fields[2] = {
      {"x", r->options.dtype, TCT_SHAPE(n_features(r))},
      {"y", r->classes ? TCT_I32 : r->options.dtype, r->classes ? tct_shape_of(0, NULL) : TCT_SHAPE(1)}};
  TCT_TRY(tct_dataset_adopt(r->n_rows, r->target_column >= 0 ? 2 : 1, fields, arrays, out));
  if (!r->classes) return TCT_OK;
  const tct_status status = tct_dataset_set_classes(*out, r->n_names, r->names);
  if (status != TCT_OK) {
    tct_dataset_free(*out);
    *out = NULL;
  }
  return status;
}

static tct_status read_file(reader *r, tct_dataset **out) {
  TCT_TRY(start_reading(r));
  TCT_TRY(check_like(r));
  TCT_TRY(read_rows(r));
  return make_dataset(r, out);
}

tct_status tct_dataset_csv(const char *path, const tct_csv_options *options, tct_dataset **out) {
  *out = NULL;
  if (!path) return tct_fail(TCT_INVALID, "csv: path is NULL");
  reader r = {.path = path};
  if (options) r.options = *options;
  if (r.options.dtype == TCT_DTYPE_NONE) r.options.dtype = TCT_F32;
  const char delimiter = r.options.delimiter ? r.options.delimiter : ',';
  if (r.options.dtype != TCT_F32 && r.options.dtype != TCT_F64)
    return tct_fail(TCT_INVALID, "%s: dtype %s for the numbers of a CSV file, needs f32 or f64", path,
                    tct_dtype_name(r.options.dtype));
  if (strchr("\"\r\n", delimiter))
    return tct_fail(TCT_INVALID, "%s: the delimiter is a quote or a line end, needs ',', ';', '|' or a tab", path);
  void *file = NULL;
  size_t bytes = 0;
  TCT_TRY(tct_gzip_read(path, MOST_BYTES, &file, &bytes));
  tct_csv_begin(&r.scan, path, file, bytes, delimiter);
  tct_status status = tct_refuse_web_page(path, file, bytes, "a CSV table");
  if (status == TCT_OK) status = read_file(&r, out);
  tct_csv_end(&r.scan);
  tct_arena_free(&r.arena);
  tct_text_free(&r.target_text);
  tct_release((void *)r.names);
  tct_release(r.targets);
  tct_release(r.features);
  tct_release(file);
  return status;
}
