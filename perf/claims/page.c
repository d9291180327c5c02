/* Writing the page. An outcome is told by its word, and again by a colour and a mark. */
#include "perf/claims/page.h"

#include <math.h>
#include <string.h>

static const char head[] =
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Claims, tried on this machine</title>\n<style>\n"
    ":root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --soft: #57606a; --line: #d0d7de; --panel: #f6f8fa;\n"
    "  --holds: #0a5c86; --fails: #a33a00; --unknown: #5a5f66; }\n"
    "@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --soft: #9da7b1; --line: #30363d; --panel: #161b22;\n"
    "  --holds: #6cc1f0; --fails: #ffa366; --unknown: #aab2ba; } }\n"
    "* { box-sizing: border-box; }\n"
    "body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem 4rem; font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper); }\n"
    "h1 { font-size: 1.7rem; margin: 0 0 .3rem; } h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; } h3 { font-size: 1.05rem; margin: 0; }\n"
    "p { margin: .5rem 0; } .soft { color: var(--soft); } code { font-size: .92em; overflow-wrap: anywhere; }\n"
    "a { color: inherit; } a:focus-visible { outline: 2px solid var(--holds); outline-offset: 2px; }\n"
    "article { border: 1px solid var(--line); border-radius: 8px; padding: .9rem 1rem; margin: .9rem 0; background: var(--panel); }\n"
    ".verdict { font-weight: 600; } .holds { color: var(--holds); } .fails { color: var(--fails); } .unknown { color: var(--unknown); }\n"
    "dl { margin: .5rem 0; } dt { font-weight: 600; margin-top: .4rem; } dd { margin: 0; }\n"
    ".wide { overflow-x: auto; } table { border-collapse: collapse; margin: .4rem 0; }\n"
    "th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); vertical-align: top; } td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }\n"
    "@media print { :root { color-scheme: light; --ink: #000; --paper: #fff; --soft: #444; --line: #bbb; --panel: #fff; --holds: #0a5c86; --fails: #a33a00; --unknown: #555; }\n"
    "  body { max-width: none; padding: 0; font-size: 11pt; } article { break-inside: avoid; } }\n"
    "</style>\n</head>\n<body>\n<main>\n<h1>Claims, tried on this machine</h1>\n";

static void put(FILE *to, const char *text) {
  for (; *text != '\0'; text++) {
    switch (*text) {
    case '&': fputs("&amp;", to); break;
    case '<': fputs("&lt;", to); break;
    case '>': fputs("&gt;", to); break;
    case '"': fputs("&quot;", to); break;
    default: fputc(*text, to);
    }
  }
}

static const char *class_of(claim_outcome outcome) { return outcome == CLAIM_HOLDS ? "holds" : outcome == CLAIM_FAILS ? "fails" : "unknown"; }
static const char *mark_of(claim_outcome outcome) { return outcome == CLAIM_HOLDS ? "&#10003;" : outcome == CLAIM_FAILS ? "&#10007;" : "&#8211;"; }

const char *claim_number_text(const claim_number *number, char *text, size_t text_bytes) {
  if (!isfinite(number->value)) (void)snprintf(text, text_bytes, "—");
  else (void)snprintf(text, text_bytes, "%.4g%s%s", number->value, number->unit[0] != '\0' ? " " : "", number->unit);
  return text;
}

static void write_verdict(const claim_result *r, FILE *to) {
  const claim_outcome o = r->verdict.outcome;
  fprintf(to, "<span class=\"verdict %s\"><span aria-hidden=\"true\">%s</span> %s</span>", class_of(o), mark_of(o), claim_outcome_name(o));
}

static void write_overview(const claim_page *page, FILE *to) {
  int n[CLAIM_N_OUTCOMES] = {0};
  for (int i = 0; i < page->n; i++) n[page->results[i].verdict.outcome]++;
  fprintf(to, "<p>%d hold, %d fail, %d are not testable here.</p>\n<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">claim</th><th scope=\"col\">verdict</th></tr></thead>\n<tbody>\n",
          n[CLAIM_HOLDS], n[CLAIM_FAILS], n[CLAIM_NOT_TESTABLE]);
  for (int i = 0; i < page->n; i++) {
    fprintf(to, "<tr><td><a href=\"#%s\">", page->results[i].claim->name);
    put(to, page->results[i].claim->says);
    fputs("</a></td><td>", to);
    write_verdict(&page->results[i], to);
    fputs("</td></tr>\n", to);
  }
  fputs("</tbody></table></div>\n", to);
}

static void write_pair(const char *term, const char *text, FILE *to) {
  fprintf(to, "<dt>%s</dt><dd>", term);
  put(to, text);
  fputs("</dd>\n", to);
}

static void write_claim(const claim_result *r, FILE *to) {
  const claim *const c = r->claim;
  fprintf(to, "<article id=\"%s\">\n<h3>", c->name);
  put(to, c->says);
  fputs("</h3>\n<p>", to);
  write_verdict(r, to);
  fputs(": ", to);
  put(to, r->verdict.text);
  fputs("</p>\n<dl>\n", to);
  write_pair("done", c->did, to);
  write_pair("expected, if it holds", c->expected, to);
  fputs("</dl>\n", to);
  if (r->numbers.n > 0) fputs("<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">found</th><th scope=\"col\"></th></tr></thead>\n<tbody>\n", to);
  for (int i = 0; i < r->numbers.n; i++) {
    char value[64];
    fputs("<tr><td>", to);
    put(to, r->numbers.at[i].name);
    fputs("</td><td class=\"number\">", to);
    put(to, claim_number_text(&r->numbers.at[i], value, sizeof value));
    fputs("</td></tr>\n", to);
  }
  if (r->numbers.n > 0) fputs("</tbody></table></div>\n", to);
  fputs("<p>", to);
  put(to, c->explains);
  fprintf(to, "</p>\n<p class=\"soft\">%sTook %.2g s. <code>tercet claims %s</code> · docs/claims.md#%s</p>\n</article>\n",
          c->modelled ? "A TPU's times are a model's, not measured. " : "", r->seconds, c->name, c->name);
}

void claim_page_write(const claim_page *page, FILE *to) {
  fputs(head, to);
  fputs("<p class=\"soft\">", to);
  put(to, page->machine);
  fputs(" · ", to);
  put(to, page->created);
  fputs(" · <code>", to);
  put(to, page->command);
  fputs("</code></p>\n", to);
  write_overview(page, to);
  for (int about = 0; about < CLAIM_N_ABOUT; about++) {
    bool first = true;
    for (int i = 0; i < page->n; i++) {
      if (page->results[i].claim->about != (claim_about)about) continue;
      if (first) fprintf(to, "<h2>About %s</h2>\n", claim_about_name((claim_about)about));
      first = false;
      write_claim(&page->results[i], to);
    }
  }
  fputs("</main>\n</body>\n</html>\n", to);
}
