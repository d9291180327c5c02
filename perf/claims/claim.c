/* The table of claims, and how a verdict comes about. */
#include "perf/claims/claim.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define CLAIM(name) extern const claim claim_##name;
#include "claims.def"
#undef CLAIM

static const claim *const table[] = {
#define CLAIM(name) &claim_##name,
#include "claims.def"
#undef CLAIM
};
enum { N_CLAIMS = sizeof table / sizeof table[0] };

const claim *claim_at(int i) {
  for (int about = 0; about < CLAIM_N_ABOUT; about++) {
    for (int k = 0; k < N_CLAIMS; k++)
      if (table[k]->about == (claim_about)about && i-- == 0) return table[k];
  }
  return NULL;
}

const claim *claim_find(const char *name) {
  for (int k = 0; k < N_CLAIMS; k++)
    if (strcmp(table[k]->name, name) == 0) return table[k];
  return NULL;
}

void claim_set(claim_numbers *numbers, const char *name, const char *unit, double value) {
  if (numbers->n < CLAIM_MOST_NUMBERS) numbers->at[numbers->n++] = (claim_number){name, value, unit};
}

double claim_get(const claim_numbers *numbers, const char *name) {
  for (int i = 0; i < numbers->n; i++)
    if (strcmp(numbers->at[i].name, name) == 0) return numbers->at[i].value;
  return (double)NAN;
}

void claim_cannot_tell(claim_numbers *numbers, const char *format, ...) {
  va_list args;
  va_start(args, format);
  (void)vsnprintf(numbers->why_not, sizeof numbers->why_not, format, args);
  va_end(args);
}

const char *claim_outcome_name(claim_outcome outcome) {
  static const char *const names[CLAIM_N_OUTCOMES] = {"holds", "fails", "not testable here"};
  return names[outcome];
}

const char *claim_about_name(claim_about about) {
  static const char *const names[CLAIM_N_ABOUT] = {"devices", "TPUs", "training"};
  return names[about];
}

claim_verdict claim_judge(const claim *c, const claim_numbers *numbers) {
  claim_verdict v = {.outcome = CLAIM_NOT_TESTABLE};
  if (numbers->why_not[0] != '\0') {
    (void)snprintf(v.text, sizeof v.text, "%s", numbers->why_not);
    return v;
  }
  for (int i = 0; i < c->holds.n; i++) {
    const double value = claim_get(numbers, c->holds.at[i].name);
    if (isfinite(value)) continue;
    (void)snprintf(v.text, sizeof v.text, "the experiment gave no number for '%s'", c->holds.at[i].name);
    return v;
  }
  v.outcome = c->rule(numbers, v.text, sizeof v.text) ? CLAIM_HOLDS : CLAIM_FAILS;
  return v;
}

static double now(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void claim_try(const claim *c, claim_result *out) {
  *out = (claim_result){.claim = c};
  const double began = now();
  out->status = c->experiment(&out->numbers);
  out->seconds = now() - began;
  if (out->status != TCT_OK)
    claim_cannot_tell(&out->numbers, "the experiment failed: %s", tct_error_message()[0] != '\0' ? tct_error_message() : tct_status_name(out->status));
  out->verdict = claim_judge(c, &out->numbers);
}
