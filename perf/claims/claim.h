/* What the guides teach, as experiments. A claim is one file, claim_NAME.c, with a `const claim claim_NAME`: the sentence, the
 * experiment that gives named numbers, and the rule that makes a verdict of them. The rule sees nothing but the numbers, so that
 * other numbers give another verdict; the file shows some for which it holds and some for which it fails, and a test feeds these.
 * CMake finds the files and makes the table. */
#ifndef TERCET_PERF_CLAIM_H
#define TERCET_PERF_CLAIM_H

#include <tercet/types.h>

#define CLAIM_MOST_NUMBERS 24

typedef struct claim_number {
  const char *name; /* static: "step on cpu" */
  double value;
  const char *unit; /* static: "s", "" for a share or a count */
} claim_number;

typedef struct claim_numbers {
  claim_number at[CLAIM_MOST_NUMBERS];
  int n;
  char why_not[600]; /* why this machine cannot tell, such as the device's own reason; "" when it can */
} claim_numbers;

/* Adds a number; what does not fit is a bug that the claim's test finds. */
void claim_set(claim_numbers *numbers, const char *name, const char *unit, double value);
double claim_get(const claim_numbers *numbers, const char *name); /* NaN: it is not there */
/* This machine cannot tell, and why: a sentence. Numbers that are there stay. */
void claim_cannot_tell(claim_numbers *numbers, const char *format, ...) TCT_PRINTF(2, 3);

typedef enum claim_outcome { CLAIM_HOLDS, CLAIM_FAILS, CLAIM_NOT_TESTABLE, CLAIM_N_OUTCOMES } claim_outcome;
const char *claim_outcome_name(claim_outcome outcome); /* "holds", "fails", "not testable here" */

typedef struct claim_verdict {
  claim_outcome outcome;
  char text[600]; /* what the numbers say, a sentence */
} claim_verdict;

typedef enum claim_about { CLAIM_ABOUT_DEVICES, CLAIM_ABOUT_TPU, CLAIM_ABOUT_TRAINING, CLAIM_N_ABOUT } claim_about;
const char *claim_about_name(claim_about about);

/* Texts are static. */
typedef struct claim {
  const char *name; /* the file's, with '-' for '_' */
  claim_about about;
  const char *says;     /* the claim */
  const char *did;      /* the experiment */
  const char *expected; /* what the numbers would be if it held: the rule in words */
  const char *explains; /* a paragraph */
  bool modelled;        /* some of its times are a model's, never measured */
  /* Fills the numbers, in less than a minute on two cores. What cannot be had on this machine is claim_cannot_tell; an error is
   * one of the experiment itself. */
  tct_status (*experiment)(claim_numbers *out);
  /* true: it holds. `text` gets what the numbers say. All numbers of `holds` are there and finite. */
  bool (*rule)(const claim_numbers *numbers, char *text, size_t text_bytes);
  claim_numbers holds, fails; /* made-up numbers for which it does */
} claim;

/* In the order of `about`, then name; NULL past the last. */
const claim *claim_at(int i);
const claim *claim_find(const char *name); /* NULL: there is none */
/* The rule, where all numbers that it needs are there and the machine can tell. */
claim_verdict claim_judge(const claim *c, const claim_numbers *numbers);

/* A claim that was tried. */
typedef struct claim_result {
  const claim *claim;
  claim_numbers numbers;
  claim_verdict verdict;
  double seconds;
  tct_status status; /* of the experiment; with an error the verdict is "not testable here" and says it */
} claim_result;
void claim_try(const claim *c, claim_result *out);

#endif
