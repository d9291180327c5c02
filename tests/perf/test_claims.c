/* `tercet claims`: every verdict is made of its numbers alone, the table holds what the guides teach, the cheapest experiments
 * run, and the page is well-formed and needs no network. */
#include "tools/command.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include "perf/claims/claim.h"

static int count(void) {
  int n = 0;
  while (claim_at(n) != NULL) n++;
  return n;
}

TEST(claims, other_numbers_are_another_verdict) {
  for (int i = 0; i < count(); i++) {
    const claim *const c = claim_at(i);
    const claim_verdict holds = claim_judge(c, &c->holds), fails = claim_judge(c, &c->fails);
    CHECK(holds.outcome == CLAIM_HOLDS && strlen(holds.text) > 20, "%s: %s", c->name, holds.text);
    CHECK(fails.outcome == CLAIM_FAILS && strlen(fails.text) > 20, "%s: %s", c->name, fails.text);
    CHECK(strcmp(holds.text, fails.text) != 0, "%s says the same of both: %s", c->name, holds.text);
    CHECK(strlen(holds.text) < sizeof holds.text - 1 && strlen(fails.text) < sizeof fails.text - 1, "%s", c->name);
    for (int k = 0; k < c->holds.n; k++) {
      claim_numbers doctored = c->holds;
      doctored.at[k].value = (double)NAN;
      const claim_verdict unknown = claim_judge(c, &doctored);
      CHECK(unknown.outcome == CLAIM_NOT_TESTABLE && strstr(unknown.text, c->holds.at[k].name) != NULL, "%s without '%s': %s", c->name,
            c->holds.at[k].name, unknown.text);
    }
    claim_numbers without = c->holds;
    claim_cannot_tell(&without, "there is no %s here", "abacus");
    const claim_verdict unknown = claim_judge(c, &without);
    CHECK(unknown.outcome == CLAIM_NOT_TESTABLE && strcmp(unknown.text, "there is no abacus here") == 0, "%s: %s", c->name, unknown.text);
  }
}

/* What no verdict may leave out: each number that a claim is made of can turn it, or is there for information. */
TEST(claims, every_claim_turns_on_some_number) {
  for (int i = 0; i < count(); i++) {
    const claim *const c = claim_at(i);
    bool turns = false;
    for (int k = 0; k < c->holds.n; k++) {
      static const double factors[] = {0, 1e-9, 0.5, 2, 1e9};
      for (size_t f = 0; f <= sizeof factors / sizeof *factors; f++) {
        claim_numbers doctored = c->holds;
        doctored.at[k].value = f < sizeof factors / sizeof *factors ? doctored.at[k].value * factors[f] : 1 - doctored.at[k].value;
        turns |= claim_judge(c, &doctored).outcome == CLAIM_FAILS;
      }
    }
    CHECK(turns, "%s: no number turns it", c->name);
  }
}

TEST(claims, the_table_is_whole) {
  static const char *const taught[] = {"gpu-faster", "gpu-no-setup", "tpu-faster", "tpu-no-custom-ops", "small-on-cpu", "tpu-batch-128",
                                       "tpu-three-channels", "tpu-bf16", "input-pipeline", "vanishing-gradients", "exploding-gradients", "dead-relus",
                                       "overfitting", "l1-sparsity", "large-batch", "layer-parameters", "tpu-chips"};
  static char docs[65536];
  FILE *const file = fopen(TCT_SOURCE_DIR "/docs/claims.md", "r");
  CHECK(file != NULL);
  docs[fread(docs, 1, sizeof docs - 1, file)] = '\0';
  fclose(file);
  for (size_t i = 0; i < sizeof taught / sizeof *taught; i++) CHECK(claim_find(taught[i]) != NULL, "%s", taught[i]);
  for (int i = 0; i < count(); i++) {
    const claim *const c = claim_at(i);
    char heading[128];
    (void)snprintf(heading, sizeof heading, "\n## %s\n", c->name);
    CHECK(strstr(docs, heading) != NULL, "docs/claims.md has no section '%s'", c->name);
    CHECK(c->says && c->did && c->expected && c->explains && strlen(c->explains) > 150 && c->experiment && c->rule, "%s", c->name);
    CHECK(claim_find(c->name) == c && c->holds.n > 0 && c->fails.n > 0);
    for (const char *p = c->name; *p; p++) CHECK(islower((unsigned char)*p) || isdigit((unsigned char)*p) || *p == '-', "%s", c->name);
  }
  CHECK(claim_at(count()) == NULL && claim_at(-1) == NULL && claim_find("abacus") == NULL);
}

TEST(claims, cheap_experiments_run) {
  scratch_make(folder);
  RUN("claims", "tpu-no-custom-ops", "layer-parameters", "tpu-three-channels", "--json", "--html", in_folder("claims.html"));
  EXITS(0);
  json_error_t error;
  json_t *const list = json_loads(result.out, 0, &error);
  CHECK(json_array_size(list) == 3, "%s: %s", error.text, result.out);
  for (size_t i = 0; i < 3; i++) {
    const json_t *const c = json_array_get(list, i);
    CHECK(strcmp(json_string_value(json_object_get(c, "verdict")), "holds") == 0, "%s", result.out);
    CHECK(json_array_size(json_object_get(c, "numbers")) >= 2 && json_number_value(json_object_get(c, "seconds")) > 0);
  }
  json_decref(list);
  static char page[1 << 18];
  read_text("claims.html", page, sizeof page);
  CHECK(strncmp(page, "<!doctype html>", 15) == 0 && strstr(page, "</html>\n") != NULL);
  CHECK(strstr(page, "http:") == NULL && strstr(page, "https:") == NULL && strstr(page, "src=") == NULL, "the page reaches out");
  CHECK(strstr(page, "prefers-color-scheme: dark") != NULL && strstr(page, "@media print") != NULL);
  CHECK(strstr(page, "3 hold, 0 fail, 0 are not testable here") != NULL);
  CHECK(strstr(page, "<article id=\"tpu-three-channels\">") != NULL && strstr(page, "a model's, not measured") != NULL);
  scratch_remove(folder);
}

TEST(claims, what_is_not_here_is_said_and_wrong_names_are_refused) {
  scratch_make(folder);
  CHECK(setenv("TERCET_BACKEND_PATH", in_folder(""), 1) == 0); /* no module: no GPU */
  RUN("claims", "gpu-faster", "tpu-faster", "-q");
  EXITS(0);
  SHOWS(out, "  not testable here no gpu here: ");
  SHOWS(out, "step on tpu:v3, modelled: ");
  SHOWS(out, "0 of 2 hold, 0 fail, 2 not testable here\n");
  CHECK(result.err[0] == '\0', "%s", result.err);
  RUN("claims", "gpu-fast");
  EXITS(2);
  SHOWS(err, "there is no claim 'gpu-fast'; did you mean 'gpu-faster'?");
  RUN("claims", "large-batch", "abacus");
  EXITS(2);
  SHOWS(err, "'tercet claims --list' names them");
  RUN("claims", "--list");
  EXITS(0);
  SHOWS(out, "dead-relus             ReLUs die");
  RUN("claims", "layer-parameters", "-q", "--html", "/nowhere/claims.html");
  EXITS(4);
  SHOWS(err, "/nowhere/claims.html");
  RUN("claims", "layer-parameters", "-q", "--html", "-");
  EXITS(0);
  CHECK(strncmp(result.out, "<!doctype html>", 15) == 0, "%.200s", result.out);
  scratch_remove(folder);
}
