/* The claims as one page that opens from disk: no network, light and dark, for the screen and for paper. */
#ifndef TERCET_PERF_CLAIM_PAGE_H
#define TERCET_PERF_CLAIM_PAGE_H

#include <stdio.h>
#include "perf/claims/claim.h"

typedef struct claim_page {
  const claim_result *results;
  int n;
  const char *machine, *created, *command; /* texts */
} claim_page;

/* Writes the page; a stream's error is for the caller to ask about. */
void claim_page_write(const claim_page *page, FILE *to);
/* "1 234", "0.0123", "—" for what is no number. Returns `text`. */
const char *claim_number_text(const claim_number *number, char *text, size_t text_bytes);

#endif
