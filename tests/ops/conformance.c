/* See conformance.h. */
#include "ops/conformance.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/file.h"
#include "test.h"

static const char *const kinds[] = {"unsupported", "fails", "fails-gradient"};

static bool parse_line(char *line, conformance_entry *out) {
  char kind[32];
  int at = 0;
  if (sscanf(line, "%31s %63s %15s %n", kind, out->pattern, out->dtype, &at) != 3 || line[at] == '\0') return false;
  snprintf(out->reason, sizeof out->reason, "%s", line + at);
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
    out->kind = (conformance_kind)k;
    if (strcmp(kinds[k], kind) == 0) return true;
  }
  return false;
}

bool conformance_parse(const char *path, const char *text, conformance *out, char *why, size_t why_bytes) {
  *out = (conformance){.n = 0};
  snprintf(out->path, sizeof out->path, "%s", path);
  int32_t number = 0;
  while (*text != '\0') {
    char line[512];
    const size_t length = strcspn(text, "\n"), kept = length < sizeof line ? length : sizeof line - 1;
    memcpy(line, text, kept);
    line[kept] = '\0';
    text += length + (text[length] == '\n');
    number++;
    if (line[strspn(line, " \t\r")] == '\0' || line[0] == '#') continue;
    conformance_entry entry = {.line = number};
    if (out->n == MOST_ENTRIES || !parse_line(line, &entry)) {
      snprintf(why, why_bytes, "%s:%d: '%s' is not 'unsupported|fails|fails-gradient PATTERN DTYPE reason', of at most %d",
               path, (int)number, line, MOST_ENTRIES);
      return false;
    }
    out->entry[out->n++] = entry;
  }
  return true;
}

/* ---- finding a device's list ---- */

static bool read_list(const char *folder, size_t length, const char *name, conformance *out) {
  char path[600], why[700];
  void *text = NULL;
  size_t bytes = 0;
  snprintf(path, sizeof path, "%.*s/%s.list", (int)length, folder, name);
  if (tct_file_read(path, 1 << 20, &text, &bytes) != TCT_OK) return false;
  char *copy = calloc(bytes + 1, 1);
  memcpy(copy, text, bytes);
  tct_release(text);
  const bool good = conformance_parse(path, copy, out, why, sizeof why);
  free(copy);
  CHECK(good, "%s", why);
  return true;
}

static void find_list(const char *name, conformance *out) {
  const char *folders = getenv("TERCET_BACKEND_PATH");
  while (folders != NULL && *folders != '\0') {
    const size_t length = strcspn(folders, ":");
    if (length > 0 && read_list(folders, length, name, out)) return;
    folders += length + (folders[length] == ':');
  }
  static const char in_tree[] = TCT_SOURCE_DIR "/tests/conformance";
  if (!read_list(in_tree, sizeof in_tree - 1, name, out)) *out = (conformance){.n = 0};
}

conformance *conformance_of(const tct_device *device) {
  enum { MOST_LISTS = 16 };
  static conformance lists[MOST_LISTS];
  static char names[MOST_LISTS][64];
  const char *spec = tct_device_spec(device);
  char name[64];
  if (strncmp(spec, "check:", 6) == 0) spec += 6;
  snprintf(name, sizeof name, "%.*s", (int)strcspn(spec, ":"), spec);
  int i = 0;
  while (i < MOST_LISTS - 1 && names[i][0] != '\0' && strcmp(names[i], name) != 0) i++;
  if (strcmp(names[i], name) != 0) {
    memcpy(names[i], name, sizeof name);
    find_list(name, &lists[i]);
  }
  return &lists[i];
}

/* ---- asking ---- */

static bool has_dtype(const tct_node_view *node, const char *pattern) {
  for (int32_t i = 0; i < node->n_in + node->n_out; i++) {
    const tct_desc *desc = i < node->n_in ? &node->in[i] : &node->out[i - node->n_in];
    if (fnmatch(pattern, tct_dtype_name(desc->dtype), 0) == 0) return true;
  }
  return false;
}

bool conformance_lists_node(conformance *list, const tct_node_view *node) {
  bool listed = false;
  for (int32_t i = 0; i < list->n; i++) {
    conformance_entry *e = &list->entry[i];
    if (e->kind != CONFORMANCE_UNSUPPORTED || fnmatch(e->pattern, node->op_name, 0) != 0 || !has_dtype(node, e->dtype)) continue;
    e->applied++;
    listed = true;
  }
  return listed;
}

bool conformance_lists_case(conformance *list, conformance_kind kind, const char *label, tct_dtype dtype) {
  bool listed = false;
  for (int32_t i = 0; i < list->n; i++) {
    conformance_entry *e = &list->entry[i];
    if (e->kind != kind || fnmatch(e->pattern, label, 0) != 0 || fnmatch(e->dtype, tct_dtype_name(dtype), 0) != 0) continue;
    e->applied++;
    listed = true;
  }
  return listed;
}

void conformance_finish(const conformance *list, conformance_kind kind, case_report *report) {
  for (int32_t i = 0; i < list->n; i++) {
    const conformance_entry *e = &list->entry[i];
    if (e->kind != kind || e->applied > 0) continue;
    report_failure(report, "%s:%d: '%s %s %s' applies to nothing (any more): take the line out", list->path, (int)e->line,
                   kinds[e->kind], e->pattern, e->dtype);
  }
}
