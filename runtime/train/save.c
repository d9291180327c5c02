/* The model file: parameters as safetensors, under the names and in the layouts that the summary shows. */
#include <stdio.h>
#include <stdarg.h>
#include <string.h>
#include "base/alloc.h"
#include "base/desc.h"
#include "base/number.h"
#include "base/arena.h"
#include "base/error_list.h"
#include "base/status.h"
#include "base/text.h"
#include "io/safetensors.h"
#include "train/session.h"

static tct_status save(tct_model *model, const char *path, const char *job, tct_arena *arena) {
  const size_t n = (size_t)model->n_parameters;
  tct_named_array *arrays = tct_arena_alloc(arena, (n + 1) * sizeof *arrays);
  if (arrays == NULL) return TCT_OUT_OF_MEMORY;
  for (size_t i = 0; i < n; i++) {
    const tct_parameter *p = &model->parameters[i];
    void *data = tct_arena_alloc(arena, tct_desc_bytes(&p->desc) + 16);
    if (data == NULL) return TCT_OUT_OF_MEMORY;
    TCT_TRY(tct_variables_read(model->session->variables, p->name, data, tct_desc_bytes(&p->desc)));
    arrays[i] = (tct_named_array){p->name, p->desc, data};
  }
  const tct_named_text metadata[] = {
      {"format", "tercet"}, {"tercet.version", tct_version()}, {"tercet.model", model->name}, {"tercet.job", job}};
  return tct_safetensors_write(path, arrays, n, metadata, job != NULL ? 4 : 3);
}

tct_status tct_model_save(tct_model *model, const char *path, const char *metadata_job) {
  tct_session *session = NULL;
  TCT_TRY(tct_session_of(model, &session));
  tct_arena arena = {0};
  const tct_status status = save(model, path, metadata_job, &arena);
  tct_arena_free(&arena);
  return status;
}

/* ---- load ---- */

/* Appends a line; of more than TCT_MOST_LISTED_ERRORS only the number is told. */
static void note(tct_text *text, int *n, const char *format, ...) TCT_PRINTF(3, 4);
static void note(tct_text *text, int *n, const char *format, ...) {
  if (++*n > TCT_MOST_LISTED_ERRORS) return;
  va_list args;
  va_start(args, format);
  tct_text_append(text, "\n");
  tct_text_vprintf(text, format, args);
  va_end(args);
}

static bool model_has(const tct_model *model, const char *name) {
  for (int32_t p = 0; p < model->n_parameters; p++)
    if (strcmp(model->parameters[p].name, name) == 0) return true;
  return false;
}

/* All differences between file and model, one a line. */
static tct_status compare(const tct_model *model, const tct_safetensors *file, const char *path) {
  tct_text text = {0};
  int n = 0;
  char has[160], wants[160];
  for (int32_t i = 0; i < model->n_parameters; i++) {
    const tct_parameter *p = &model->parameters[i];
    const tct_named_array *array = tct_safetensors_find(file, p->name);
    if (array == NULL)
      note(&text, &n, "'%s' is not in the file", p->name);
    else if (!tct_shape_equal(&array->desc.shape, &p->desc.shape) || !tct_dtype_is_float(array->desc.dtype))
      note(&text, &n, "'%s' is %s%s in the file, the model's is %s%s", p->name, tct_dtype_name(array->desc.dtype),
           tct_shape_print(&array->desc.shape, has, sizeof has), tct_dtype_name(p->desc.dtype),
           tct_shape_print(&p->desc.shape, wants, sizeof wants));
  }
  for (size_t i = 0; i < tct_safetensors_count(file); i++) {
    const char *const name = tct_safetensors_at(file, i)->name;
    if (!model_has(model, name)) note(&text, &n, "'%s' of the file is not in the model", name);
  }
  if (n > TCT_MOST_LISTED_ERRORS) tct_text_printf(&text, "\nand %d more", n - TCT_MOST_LISTED_ERRORS);
  tct_status status = TCT_OK;
  if (n > 0) {
    status = tct_fail(TCT_E_OTHER_MODEL, "'%s' holds the weights of another model than '%s': %d difference%s [%s]%s",
                      path, model->name, n, n == 1 ? "" : "s", tct_error_kind_of(TCT_E_OTHER_MODEL)->code,
                      text.data != NULL ? text.data : "");
  }
  tct_text_free(&text);
  return status;
}

static void convert(const tct_named_array *array, tct_dtype to, void *data) {
  const int64_t size = tct_shape_size(&array->desc.shape);
  for (int64_t i = 0; i < size; i++) tct_store_number(to, data, i, tct_load_number(array->desc.dtype, array->data, i));
}

static tct_status load(tct_model *model, const tct_safetensors *file) {
  for (int32_t i = 0; i < model->n_parameters; i++) {
    const tct_parameter *p = &model->parameters[i];
    void *data = tct_alloc(tct_desc_bytes(&p->desc) + 16);
    if (data == NULL) return TCT_OUT_OF_MEMORY;
    convert(tct_safetensors_find(file, p->name), p->desc.dtype, data);
    const tct_status status = tct_variables_write(model->session->variables, p->name, data, tct_desc_bytes(&p->desc));
    tct_release(data);
    TCT_TRY(status);
  }
  return TCT_OK;
}

tct_status tct_model_load(tct_model *model, const char *path) {
  tct_session *session = NULL;
  TCT_TRY(tct_session_of(model, &session));
  tct_safetensors *file = NULL;
  TCT_TRY(tct_safetensors_read(path, &file));
  tct_status status = compare(model, file, path);
  if (status == TCT_OK) status = load(model, file);
  tct_safetensors_free(file);
  return status;
}

tct_status tct_model_read(tct_model *model, const char *parameter, void *data, size_t bytes) {
  tct_session *session = NULL;
  TCT_TRY(tct_session_of(model, &session));
  return tct_variables_read(session->variables, parameter, data, bytes);
}

tct_status tct_model_write(tct_model *model, const char *parameter, const void *data, size_t bytes) {
  tct_session *session = NULL;
  TCT_TRY(tct_session_of(model, &session));
  return tct_variables_write(session->variables, parameter, data, bytes);
}
