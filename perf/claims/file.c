/* A claim's row of a report from what the command printed of it. */
#include "perf/claims/file.h"

#include <string.h>
#include <tercet/types.h>
#include "perf/claims/claim.h"
#include "perf/support/json.h"

/* NULL: not a claim. */
static json_t *row_of(const json_t *told) {
  static const char *const texts[] = {"claim", "expected", "text", "verdict"};
  const char *verdict = perf_get_text(told, "verdict");
  for (int i = 0; i < 4; i++) {
    if (perf_get_text(told, texts[i])[0] == '\0') return NULL;
  }
  if (strcmp(verdict, "not_testable") == 0) verdict = claim_outcome_name(CLAIM_NOT_TESTABLE);
  else if (strcmp(verdict, "holds") != 0 && strcmp(verdict, "fails") != 0) return NULL;
  return json_pack("{s:s, s:s, s:s, s:s}", "claim", perf_get_text(told, "claim"), "expected", perf_get_text(told, "expected"), "measured", perf_get_text(told, "text"), "verdict",
                   verdict);
}

bool perf_claims_read(const char *path, json_t **out, perf_problem *problem) {
  json_error_t error;
  size_t i;
  json_t *told;
  json_t *const list = json_load_file(path, 0, &error);
  *out = NULL;
  if (!json_is_array(list)) {
    (void)perf_fails(problem, list == NULL && error.line < 1 ? TCT_NOT_FOUND : TCT_BAD_DATA, "--claims '%s': %s; needs what tercet claims --json printed", path,
                     list == NULL ? error.text : "no array");
    json_decref(list);
    return false;
  }
  *out = json_array();
  json_array_foreach(list, i, told) {
    json_t *const row = row_of(told);
    if (row != NULL && json_array_append_new(*out, row) == 0) continue;
    json_decref(*out);
    json_decref(list);
    *out = NULL;
    return perf_fails(problem, TCT_BAD_DATA, "--claims '%s': entry %d is no claim; needs what tercet claims --json printed", path, (int)i);
  }
  json_decref(list);
  return true;
}
