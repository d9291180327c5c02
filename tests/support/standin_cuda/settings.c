/* What the stand-in pretends to be: its settings, the failures that it was told to make, and counts of calls. */
#include "support/standin_cuda/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RULES = 4, MOST_NAMES = 160 };

typedef struct rule {
  char name[48];
  int64_t left; /* calls until it applies; 0: it has */
  CUresult code;
} rule;

standin_settings standin_now;
static rule fails[MOST_RULES], faults[MOST_RULES];
static struct {
  char name[48];
  int64_t n;
} counts[MOST_NAMES];

static void add_rule(rule *rules, const char *text) {
  int i = 0;
  while (i < MOST_RULES && rules[i].name[0] != '\0') i++;
  int code = 0;
  long long n = 0;
  if (i == MOST_RULES || sscanf(text, "%47[^:]:%lld:%d", rules[i].name, &n, &code) != 3) {
    fprintf(stderr, "stand-in: '%s' is not NAME:N:CODE, of at most %d\n", text, MOST_RULES);
    abort();
  }
  rules[i].left = n;
  rules[i].code = (CUresult)code;
}

static void set_pace(const char *text) {
  static const char *const names[] = {[PACE_LAZY] = "lazy", [PACE_NOW] = "now", [PACE_AHEAD] = "ahead", [PACE_BEHIND] = "behind"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (strcmp(names[i], text) == 0) standin_pace = (work_pace)i;
  }
}

void standin_set(const char *settings) {
  char words[512], *rest = words;
  standin_now = (standin_settings){.n_devices = 1, .driver = 13000, .capability = 90, .units = 2, .memory = (size_t)1 << 30, .cublaslt = 130100, .cudnn = 91900};
  standin_pace = PACE_LAZY;
  standin_guards = false;
  memset(fails, 0, sizeof fails);
  memset(faults, 0, sizeof faults);
  memset(counts, 0, sizeof counts);
  snprintf(words, sizeof words, "%s", settings);
  for (char *word = strtok_r(words, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
    char *const value = strchr(word, '=') != NULL ? strchr(word, '=') + 1 : word + strlen(word);
    if (strncmp(word, "devices=", 8) == 0) standin_now.n_devices = atoi(value);
    else if (strncmp(word, "driver=", 7) == 0) standin_now.driver = atoi(value);
    else if (strncmp(word, "capability=", 11) == 0) standin_now.capability = atoi(value);
    else if (strncmp(word, "units=", 6) == 0) standin_now.units = atoi(value);
    else if (strncmp(word, "memory=", 7) == 0) standin_now.memory = (size_t)atoll(value);
    else if (strncmp(word, "cublaslt=", 9) == 0) standin_now.cublaslt = (size_t)atoll(value);
    else if (strncmp(word, "cudnn=", 6) == 0) standin_now.cudnn = (size_t)atoll(value);
    else if (strncmp(word, "nvrtc=", 6) == 0) standin_now.nvrtc = (size_t)atoll(value);
    else if (strncmp(word, "queues=", 7) == 0) set_pace(value);
    else if (strncmp(word, "guard=", 6) == 0) standin_guards = atoi(value) != 0;
    else if (strncmp(word, "fail=", 5) == 0) add_rule(fails, value);
    else if (strncmp(word, "fault=", 6) == 0) add_rule(faults, value);
    else {
      fprintf(stderr, "stand-in: no setting '%s'\n", word);
      abort();
    }
  }
}

static CUresult apply(rule *rules, const char *name) {
  for (int i = 0; i < MOST_RULES; i++) {
    if (strcmp(rules[i].name, name) != 0 && strcmp(rules[i].name, "*") != 0) continue;
    if (rules[i].left > 0 && --rules[i].left == 0) return rules[i].code;
  }
  return CUDA_SUCCESS;
}

CUresult standin_called(const char *function) {
  for (int i = 0; i < MOST_NAMES; i++) {
    if (counts[i].name[0] == '\0') snprintf(counts[i].name, sizeof counts[i].name, "%s", function);
    if (strcmp(counts[i].name, function) != 0) continue;
    counts[i].n++;
    break;
  }
  return apply(fails, function);
}

CUresult standin_fault_of(const char *kernel) { return apply(faults, kernel); }

int64_t standin_calls(const char *function) {
  for (int i = 0; i < MOST_NAMES; i++)
    if (strcmp(counts[i].name, function) == 0) return counts[i].n;
  return 0;
}

__attribute__((constructor)) static void set_from_environment(void) {
  const char *const settings = getenv("STANDIN_CUDA");
  standin_set(settings != NULL ? settings : "");
}
