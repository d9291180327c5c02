/* The .npy container: magic, version, a Python dictionary of three known keys, then the array. The dictionary is read
 * by a strict parser of exactly what NumPy writes; anything else is refused with the NumPy call that mends it. */
#include "io/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/file.h"
#include "base/status.h"
#include "io/web_page.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little-endian and copied as they are");

#define MOST_BYTES   ((size_t)1 << 40)
#define MAGIC        "\x93NUMPY"
#define MAGIC_BYTES  6
#define HEADER_ALIGN 64

typedef struct descr_row {
  const char *text;
  tct_dtype dtype;
} descr_row;

static const descr_row descr_table[] = {
    {"<f4", TCT_F32}, {"<f8", TCT_F64}, {"<f2", TCT_F16}, {"<i4", TCT_I32},
    {"<i8", TCT_I64}, {"|u1", TCT_U8},  {"|i1", TCT_I8},  {"|b1", TCT_BOOL},
};

typedef struct header {
  const char *path;
  const char *at, *end;
  tct_desc desc;
  bool has_descr, has_order, has_shape;
} header;

static void skip_blanks(header *h) {
  while (h->at < h->end && *h->at == ' ') h->at++;
}

/* Consumes `c` after blanks. */
static bool take(header *h, char c) {
  skip_blanks(h);
  if (h->at == h->end || *h->at != c) return false;
  h->at++;
  return true;
}

static bool take_word(header *h, const char *word) {
  const size_t n = strlen(word);
  skip_blanks(h);
  if ((size_t)(h->end - h->at) < n || memcmp(h->at, word, n) != 0) return false;
  h->at += n;
  return true;
}

/* A quoted string without escapes. */
static bool take_string(header *h, char *text, size_t text_bytes) {
  skip_blanks(h);
  if (h->at == h->end || (*h->at != '\'' && *h->at != '"')) return false;
  const char quote = *h->at++;
  size_t n = 0;
  for (; h->at < h->end && *h->at != quote; h->at++) {
    if (*h->at == '\\' || n + 1 >= text_bytes) return false;
    text[n++] = *h->at;
  }
  text[n] = 0;
  return take(h, quote);
}

static tct_status malformed(const header *h, const char *needs) {
  return tct_fail(TCT_E_NPY, "%s: its .npy header is malformed near '%.16s', needs %s; save it again with numpy.save",
                  h->path, h->at, needs);
}

static tct_status parse_descr(header *h) {
  char text[16] = "";
  if (!take_string(h, text, sizeof text)) {
    skip_blanks(h);
    if (h->at < h->end && *h->at == '[')
      return tct_fail(
          TCT_E_NPY, "%s: is a structured array (named fields), needs a plain one; save one field: x['name']", h->path);
    return malformed(h, "a dtype such as '<f4'");
  }
  for (size_t i = 0; i < TCT_COUNT_OF(descr_table); i++) {
    if (strcmp(text, descr_table[i].text) != 0) continue;
    h->desc.dtype = descr_table[i].dtype;
    return TCT_OK;
  }
  if (text[0] == '>')
    return tct_fail(TCT_E_NPY, "%s: dtype '%s' is big-endian, needs little-endian; save x.astype('<%s')", h->path, text,
                    text + 1);
  return tct_fail(TCT_E_NPY, "%s: dtype '%s' is not read, needs one of <f4 <f8 <f2 <i4 <i8 |u1 |b1; save x.astype('<f4')",
                  h->path, text);
}

static tct_status parse_order(header *h) {
  if (take_word(h, "False")) return TCT_OK;
  if (take_word(h, "True"))
    return tct_fail(TCT_E_NPY, "%s: is in Fortran order, needs C order; save numpy.ascontiguousarray(x)", h->path);
  return malformed(h, "True or False");
}

static tct_status parse_shape(header *h) {
  if (!take(h, '(')) return malformed(h, "a shape such as (3, 4)");
  tct_shape *const shape = &h->desc.shape;
  while (!take(h, ')')) {
    int64_t extent = 0;
    const char *const first = h->at;
    for (; h->at < h->end && *h->at >= '0' && *h->at <= '9'; h->at++)
      if (!tct_mul_i64(extent, 10, &extent) || !tct_add_i64(extent, *h->at - '0', &extent))
        return malformed(h, "extents below 2^63");
    if (h->at == first) return malformed(h, "a non-negative extent");
    if (shape->rank == TCT_MAX_RANK)
      return tct_fail(TCT_E_NPY, "%s: has more than %d dimensions; reshape it", h->path, TCT_MAX_RANK);
    shape->dim[shape->rank++] = extent;
    skip_blanks(h);
    if (!take(h, ',') && (h->at == h->end || *h->at != ')' || shape->rank == 1)) return malformed(h, "',' or ')'");
  }
  return TCT_OK;
}

static tct_status parse_entry(header *h) {
  char key[32] = "";
  if (!take_string(h, key, sizeof key) || !take(h, ':')) return malformed(h, "'key':");
  bool *seen = NULL;
  tct_status (*parse)(header *) = NULL;
  if (strcmp(key, "descr") == 0)
    seen = &h->has_descr, parse = parse_descr;
  else if (strcmp(key, "fortran_order") == 0)
    seen = &h->has_order, parse = parse_order;
  else if (strcmp(key, "shape") == 0)
    seen = &h->has_shape, parse = parse_shape;
  if (!parse || *seen) return malformed(h, "the keys descr, fortran_order and shape, once each");
  *seen = true;
  return parse(h);
}

static tct_status parse_header(header *h) {
  if (!take(h, '{')) return malformed(h, "'{'");
  while (!take(h, '}')) {
    TCT_TRY(parse_entry(h));
    skip_blanks(h);
    if (!take(h, ',') && (h->at == h->end || *h->at != '}')) return malformed(h, "',' or '}'");
  }
  skip_blanks(h);
  if (h->at < h->end && *h->at == '\n') h->at++;
  if (h->at != h->end) return malformed(h, "nothing after '}'");
  if (!h->has_descr || !h->has_order || !h->has_shape)
    return malformed(h, "the keys descr, fortran_order and shape, once each");
  return TCT_OK;
}

/* Where the dictionary is; false when the file is not a .npy of a known version. */
static bool find_header(const unsigned char *file, size_t n, size_t *out_at, size_t *out_bytes) {
  if (n < 10 || memcmp(file, MAGIC, MAGIC_BYTES) != 0 || file[6] < 1 || file[6] > 3 || file[7] != 0) return false;
  const bool wide = file[6] > 1;
  if (wide && n < 12) return false;
  *out_at = wide ? 12 : 10;
  *out_bytes = (size_t)file[8] | (size_t)file[9] << 8;
  if (wide) *out_bytes |= (size_t)file[10] << 16 | (size_t)file[11] << 24;
  return *out_bytes <= n - *out_at;
}

static tct_status check_bools(const char *path, const unsigned char *data, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (data[i] > 1)
      return tct_fail(TCT_E_NPY, "%s: element %zu of a bool array is byte %d, needs 0 or 1; save x != 0", path, i,
                      data[i]);
  return TCT_OK;
}

/* `file` becomes the array: the data moves to its beginning. */
static tct_status parse_file(const char *path, unsigned char *file, size_t n, tct_desc *out_desc) {
  size_t at = 0, header_bytes = 0;
  TCT_TRY(tct_refuse_web_page(path, file, n, "a .npy file"));
  if (!find_header(file, n, &at, &header_bytes))
    return tct_fail(TCT_E_NPY,
                    "%s: is not a .npy file of version 1 to 3, or is cut short; save it again with numpy.save", path);
  header h = {.path = path, .at = (const char *)file + at, .end = (const char *)file + at + header_bytes};
  TCT_TRY(parse_header(&h));
  const size_t data_at = at + header_bytes;
  const int64_t size = tct_shape_size(&h.desc.shape);
  size_t bytes = 0;
  char text[160];
  if (size < 0 || !tct_mul_size((size_t)size, tct_dtype_bytes(h.desc.dtype), &bytes) || bytes != n - data_at)
    return tct_fail(TCT_E_NPY,
                    "%s: its header promises %s of %s, the file has %zu bytes of data; it is cut short or "
                    "damaged",
                    path, tct_shape_print(&h.desc.shape, text, sizeof text), tct_dtype_name(h.desc.dtype), n - data_at);
  if (h.desc.dtype == TCT_BOOL) TCT_TRY(check_bools(path, file + data_at, bytes));
  memmove(file, file + data_at, bytes);
  *out_desc = h.desc;
  return TCT_OK;
}

tct_status tct_npy_read(const char *path, tct_desc *out_desc, void **out_data) {
  *out_desc = (tct_desc){TCT_DTYPE_NONE, {0}};
  *out_data = NULL;
  void *file = NULL;
  size_t n = 0;
  TCT_TRY(tct_file_read(path, MOST_BYTES, &file, &n));
  const tct_status status = parse_file(path, file, n, out_desc);
  if (status != TCT_OK) {
    tct_release(file);
    return status;
  }
  *out_data = file;
  return TCT_OK;
}

tct_status tct_npy_write(const char *path, const tct_desc *desc, const void *data) {
  const char *descr = NULL;
  for (size_t i = 0; i < TCT_COUNT_OF(descr_table); i++)
    if (descr_table[i].dtype == desc->dtype) descr = descr_table[i].text;
  if (!descr)
    return tct_fail(TCT_E_UNWRITABLE, "%s: NumPy has no dtype for %s; convert it to f32", path,
                    tct_dtype_name(desc->dtype));
  size_t bytes = 0;
  const int64_t size = tct_shape_size(&desc->shape);
  if (size < 0 || !tct_mul_size((size_t)size, tct_dtype_bytes(desc->dtype), &bytes))
    return tct_fail(TCT_E_UNWRITABLE, "%s: the shape has a negative extent or more bytes than memory can address",
                    path);

  /* 8 extents of 19 digits, and room to pad to a multiple of 64. */
  char text[384];
  memcpy(text, MAGIC "\x01\x00\x00\x00", 10);
  int n = 10 + snprintf(text + 10, sizeof text - 10, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
  for (int32_t i = 0; i < desc->shape.rank; i++)
    n += snprintf(text + n, sizeof text - (size_t)n, "%s%" PRId64, i ? ", " : "", desc->shape.dim[i]);
  n += snprintf(text + n, sizeof text - (size_t)n, "%s), }", desc->shape.rank == 1 ? "," : "");
  const size_t header_bytes = ((size_t)n / HEADER_ALIGN + 1) * HEADER_ALIGN;
  memset(text + n, ' ', header_bytes - (size_t)n);
  text[header_bytes - 1] = '\n';
  text[8] = (char)((header_bytes - 10) & 0xff);
  text[9] = (char)((header_bytes - 10) >> 8);
  const tct_file_part parts[2] = {{text, header_bytes}, {data, bytes}};
  return tct_file_write_atomic(path, parts, 2);
}
