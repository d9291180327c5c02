/* What a device is known not to do: NAME.list, for the backend NAME, in a folder of TERCET_BACKEND_PATH (a module brings its
 * own) or in tests/conformance. Each line that is not empty and does not begin with # is
 *
 *   unsupported    OP     DTYPE  reason   the device refuses nodes of the op that have an operand or result of the type
 *   fails          LABEL  DTYPE  reason   the case of op_cases.def gives a wrong result in the type, today
 *   fails-gradient LABEL  DTYPE  reason   its gradient does
 *
 * * and ? are wildcards. A refusal or failure that no line lists fails the suite, and so does a line that lists none. */
#ifndef TCT_TESTS_CONFORMANCE_H
#define TCT_TESTS_CONFORMANCE_H

#include "device/device.h"
#include "ops/cases.h"

typedef enum conformance_kind { CONFORMANCE_UNSUPPORTED, CONFORMANCE_FAILS, CONFORMANCE_FAILS_GRADIENT } conformance_kind;

enum { MOST_ENTRIES = 128 };
typedef struct conformance_entry {
  conformance_kind kind;
  char pattern[64], dtype[16], reason[160];
  int32_t line;
  int64_t applied; /* how often it was needed */
} conformance_entry;
typedef struct conformance {
  char path[600]; /* "": no list */
  int32_t n;
  conformance_entry entry[MOST_ENTRIES];
} conformance;

/* false with the place and the reason in `why`. */
bool conformance_parse(const char *path, const char *text, conformance *out, char *why, size_t why_bytes);
/* The list of the device's backend, for check:NAME that of NAME; read once a process. Fails the test when it is malformed. */
conformance *conformance_of(const tct_device *device);

/* Whether a line lists the refusal of the node, or the failure of the case; the line has applied then. */
bool conformance_lists_node(conformance *list, const tct_node_view *node);
bool conformance_lists_case(conformance *list, conformance_kind kind, const char *label, tct_dtype dtype);
/* A failure for each line of the kind that has not applied. */
void conformance_finish(const conformance *list, conformance_kind kind, case_report *report);

#endif
