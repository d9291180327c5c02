/* The pass manager. */
#include "passes/passes.h"

#include <stdio.h>
#include <string.h>
#include "base/env.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"

typedef struct pass_row {
  const char *name;
  bool optional;
  tct_status (*run)(const tct_graph *in, const tct_pass_context *context, tct_graph **out);
} pass_row;

static const pass_row rows[] = {
#define PASS(name, optional) {#name, optional, tct_pass_##name},
#include "passes/passes.def"
#undef PASS
};

static void append(void *user, const char *text, size_t length) { tct_text_append_bytes(user, text, length); }

static void dump(const tct_graph *graph, const char *pass) {
  const char *wanted = tct_env(TCT_ENV_DUMP);
  if (!tct_list_has(wanted, pass) && !tct_list_has(wanted, "all")) return;
  tct_text text = {0};
  tct_graph_print(graph, append, &text);
  tct_log_line(TCT_LOG_INFO, "graph after %s:", pass);
  for (char *line = text.data; line != NULL && *line != '\0';) {
    char *end = strchr(line, '\n');
    if (end != NULL) *end = '\0';
    tct_log_line(TCT_LOG_INFO, "  %s", line);
    line = end != NULL ? end + 1 : NULL;
  }
  tct_text_free(&text);
}

tct_status tct_run_passes(const tct_graph *in, const tct_pass_context *context, tct_graph **out) {
  *out = NULL;
  TCT_TRY(tct_graph_verify(in));
  dump(in, "build");
  tct_graph *graph = NULL;
  TCT_TRY(tct_graph_copy(in, &graph));
  for (size_t p = 0; p < TCT_COUNT_OF(rows); p++) {
    if (rows[p].optional && (tct_list_has(tct_env(TCT_ENV_SKIP), rows[p].name) ||
                             (context->no_fusion && strncmp(rows[p].name, "fuse_", 5) == 0))) {
      continue;
    }
    tct_graph *next = NULL;
    tct_status status = rows[p].run(graph, context, &next);
    tct_graph_free(graph);
    if (status != TCT_OK) return status;
    graph = next;
    dump(graph, rows[p].name);
    status = tct_graph_verify(graph);
    if (status != TCT_OK) {
      tct_graph_free(graph);
      return tct_context("after the pass %s", rows[p].name);
    }
  }
  *out = graph;
  return TCT_OK;
}
