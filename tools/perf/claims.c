/* tercet claims: runs the experiments that the command line names and prints their verdicts. */
#include "tool.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "perf/claims/page.h"

enum { MOST_CLAIMS = 64, WIDTH = 100 };

static int unknown(const char *name) {
  const char *names[MOST_CLAIMS];
  size_t n = 0;
  for (; n < MOST_CLAIMS && claim_at((int)n) != NULL; n++) names[n] = claim_at((int)n)->name;
  const char *const nearest = tool_nearest(name, names, n);
  if (nearest) return tool_usage("claims: there is no claim '%s'; did you mean '%s'?", name, nearest);
  return tool_usage("claims: there is no claim '%s'; 'tercet claims --list' names them", name);
}

/* Which ones, in the order of the table; TOOL_OK or a usage error. */
static int choose(const tool_options *options, const claim **chosen, int *n) {
  *n = 0;
  for (int32_t i = -1; options->positional != NULL && i < options->n_more; i++) {
    const char *const name = i < 0 ? options->positional : options->more[i];
    if (claim_find(name) == NULL) return unknown(name);
  }
  for (int i = 0; claim_at(i) != NULL && *n < MOST_CLAIMS; i++) {
    bool wanted = options->positional == NULL;
    for (int32_t k = -1; !wanted && k < options->n_more; k++)
      wanted = strcmp(claim_at(i)->name, k < 0 ? options->positional : options->more[k]) == 0;
    if (wanted) chosen[(*n)++] = claim_at(i);
  }
  return TOOL_OK;
}

/* Paragraphs between a margin and the width, words whole. */
static void print_wrapped(const char *head, const char *text) {
  size_t column = (size_t)printf("  %s%*s ", head, strlen(head) < 9 ? (int)(9 - strlen(head)) : 0, "");
  const size_t margin = column;
  while (*text != '\0') {
    const size_t n = strcspn(text, " ");
    if (column + n > WIDTH && column > margin) {
      printf("\n%*s", (int)margin, "");
      column = margin;
    }
    printf("%.*s ", (int)n, text);
    column += n + 1;
    text += n + (text[n] == ' ');
  }
  putchar('\n');
}

static void print_result(const claim_result *r) {
  printf("%s\n", r->claim->says);
  print_wrapped(claim_outcome_name(r->verdict.outcome), r->verdict.text);
  print_wrapped("done", r->claim->did);
  print_wrapped("expected", r->claim->expected);
  for (int i = 0; i < r->numbers.n; i++) {
    char value[64];
    printf("  %-9s %s: %s\n", i == 0 ? "found" : "", r->numbers.at[i].name, claim_number_text(&r->numbers.at[i], value, sizeof value));
  }
  print_wrapped("why", r->claim->explains);
  printf("  %-9s %s, docs/claims.md#%s\n\n", "more", r->claim->name, r->claim->name);
}

static json_t *result_json(const claim_result *r) {
  static const char *const outcomes[CLAIM_N_OUTCOMES] = {"holds", "fails", "not_testable"};
  json_t *const numbers = json_array();
  for (int i = 0; i < r->numbers.n; i++)
    json_array_append_new(numbers, json_pack("{s:s, s:s, s:o}", "name", r->numbers.at[i].name, "unit", r->numbers.at[i].unit, "value",
                                             tool_number(r->numbers.at[i].value)));
  const claim *const c = r->claim;
  return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:o, s:o}", "name", c->name, "about", claim_about_name(c->about), "claim",
                   c->says, "done", c->did, "expected", c->expected, "verdict", outcomes[r->verdict.outcome], "text", r->verdict.text,
                   "explanation", c->explains, "modelled", (int)c->modelled, "numbers", numbers, "seconds", tool_number(r->seconds));
}

static void print_list(const claim *const *chosen, int n, bool json) {
  json_t *const list = json_array();
  for (int i = 0; i < n; i++) {
    if (json) json_array_append_new(list, json_pack("{s:s, s:s}", "name", chosen[i]->name, "claim", chosen[i]->says));
    else printf("%-22s %s\n", chosen[i]->name, chosen[i]->says);
  }
  if (json) tool_print_json(list);
  else json_decref(list);
}

/* ---- the page ---- */

static void write_page(const void *what, FILE *to) { claim_page_write(what, to); }

static int write_html(const tool_options *options, const claim_result *results, int n) {
  char machine[256] = "", created[64] = "", command[512] = "tercet";
  json_t *const described = tool_machine_json();
  const char *const processor = json_string_value(json_object_get(described, "processor"));
  const time_t t = time(NULL);
  struct tm utc;
  (void)snprintf(machine, sizeof machine, "tercet %s%s%s", tct_version(), processor ? " on " : "", processor ? processor : "");
  if (gmtime_r(&t, &utc) != NULL) (void)strftime(created, sizeof created, "%Y-%m-%d %H:%M UTC", &utc);
  for (char **word = tool_arguments + 1; *word != NULL; word++) {
    const size_t at = strlen(command);
    (void)snprintf(command + at, sizeof command - at, " %s", *word);
  }
  const claim_page page = {.results = results, .n = n, .machine = machine, .created = created, .command = command};
  const int code = tool_write_file(options->html, write_page, &page);
  json_decref(described);
  return code;
}

/* ---- the command ---- */

static void print_counts(const claim_result *results, int n) {
  int counts[CLAIM_N_OUTCOMES] = {0};
  for (int i = 0; i < n; i++) counts[results[i].verdict.outcome]++;
  printf("%d of %d hold, %d fail, %d not testable here\n", counts[CLAIM_HOLDS], n, counts[CLAIM_FAILS], counts[CLAIM_NOT_TESTABLE]);
}

/* A claim that fails is a result; an experiment that could not be run is an error, after the others have run. */
static int run_all(const tool_options *options, const claim *const *chosen, int n, claim_result *results) {
  const bool to_stdout = options->html != NULL && strcmp(options->html, "-") == 0;
  json_t *const list = json_array();
  int failed = TOOL_OK;
  for (int i = 0; i < n; i++) {
    if (!options->quiet) fprintf(stderr, "[%d/%d] %s\n", i + 1, n, chosen[i]->name);
    claim_try(chosen[i], &results[i]);
    if (results[i].status != TCT_OK) failed = tool_exit_code(results[i].status);
    if (options->json) json_array_append_new(list, result_json(&results[i]));
    else if (!to_stdout) print_result(&results[i]);
    (void)fflush(stdout);
  }
  if (options->json) tool_print_json(list);
  else json_decref(list);
  if (!options->json && !to_stdout) print_counts(results, n);
  const int code = options->html != NULL ? write_html(options, results, n) : tool_finish();
  return code != TOOL_OK ? code : failed;
}

int perf_claims(const tool_options *options) {
  const claim *chosen[MOST_CLAIMS];
  int n = 0;
  const int code = choose(options, chosen, &n);
  if (code != TOOL_OK) return code;
  if (options->json && options->html && strcmp(options->html, "-") == 0) return tool_usage("claims: --json and --html - both write to stdout");
  if (options->list) {
    print_list(chosen, n, options->json);
    return tool_finish();
  }
  if (!options->verbose) tct_set_log(NULL, NULL, TCT_LOG_ERROR); /* that an experiment's loss is not finite is its result */
  claim_result *const results = calloc((size_t)n + 1, sizeof *results);
  if (!results) return tool_out_of_memory();
  const int end = run_all(options, chosen, n, results);
  free(results);
  return end;
}
