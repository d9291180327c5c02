/* Claims, and what it takes to have the same numbers again: command, job, versions, machine, and how quiet it was. */
#include "perf/report/page.h"

#include <math.h>
#include <string.h>

void section_claims(page *p) {
  const json_t *const claims = page_at(p->summary, "claims");
  if (json_array_size(claims) > 0) {
    size_t i;
    json_t *claim;
    table_open(p, "Claims of the textbooks, as tercet claims tried them", "Claim|Verdict|Expected|Measured");
    json_array_foreach(claims, i, claim) {
      const char *const text = page_string(claim, "claim"), *const verdict = page_string(claim, "verdict");
      const bool holds = verdict != NULL && strcmp(verdict, "holds") == 0, fails = verdict != NULL && strcmp(verdict, "fails") == 0;
      table_row_text(p, text != NULL ? text : "?");
      page_put(p, "<td class=%s>%s%s</td>", holds ? "yes" : fails ? "no" : "na", holds ? "✓ " : fails ? "✗ " : "", verdict != NULL ? page_escape(p, verdict) : "–");
      table_text(p, page_string(claim, "expected"));
      table_text(p, page_string(claim, "measured"));
      table_row_end(p);
    }
    table_close(p);
    return;
  }
  page_none(p, "“GPUs are faster than CPUs”, “small batches are faster on the CPU”, “bf16 reaches the same accuracy”: <code>tercet claims</code> tries what "
               "is taught about devices on this machine, each in under a minute, and says what holds; <code>--claims</code> takes what its <code>--json</code> printed.");
}

static void put_fact(page *p, const char *name, const char *value) {
  if (value == NULL) return;
  table_row_text(p, name);
  table_text(p, value);
  table_row_end(p);
}

/* A row for each leaf of the object, its path as the name; arrays of texts and numbers in one row, those of objects in none. */
static void put_leaves(page *p, const char *path, json_t *value, int depth, size_t *n) {
  enum { MOST_LEAVES = 80, DEEPEST = 6 };
  if (depth > DEEPEST || *n >= MOST_LEAVES) return;
  if (json_is_object(value)) {
    const char *key;
    json_t *member;
    json_object_foreach(value, key, member)
      put_leaves(p, *path != '\0' ? page_format(p, "%s.%s", path, key) : key, member, depth + 1, n);
    return;
  }
  const char *text = NULL;
  if (json_is_array(value)) {
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item) {
      if (json_is_object(item) || json_is_array(item)) return; /* such as each cache's sizes: the data file has them */
      const char *const one = json_is_string(item) ? json_string_value(item) : json_is_number(item) ? page_format(p, "%.15g", json_number_value(item)) : "";
      text = text == NULL ? one : page_format(p, "%s, %s", text, one);
    }
  } else if (json_is_string(value)) {
    text = json_string_value(value);
  } else if (json_is_number(value)) {
    text = page_format(p, "%.15g", json_number_value(value));
  } else if (json_is_boolean(value)) {
    text = json_is_true(value) ? "yes" : "no";
  }
  if (text == NULL) return;
  put_fact(p, path, text);
  (*n)++;
}

static const char *joined(page *p, const json_t *texts) {
  const char *out = NULL;
  size_t i;
  json_t *text;
  json_array_foreach(texts, i, text) {
    if (json_is_string(text)) out = page_format(p, "%s%s%s", out != NULL ? out : "", out != NULL ? "; " : "", json_string_value(text));
  }
  return out;
}

static void put_noise(page *p) {
  table_open(p, "How quiet the machine was", "Device|Runs#|Variation of the runs#|Load before#|Taken by other machines#|Fit|Remarks");
  for (size_t i = 0; i < p->n_devices; i++) {
    const page_device *const d = &p->devices[i];
    const json_t *const noise = page_at(d->point, "noise");
    table_row(p, d);
    table_number(p, SOURCE_MEASURED, NUMBER_COUNT, page_number(d->point, "n_runs"));
    table_number(p, SOURCE_MEASURED, NUMBER_SHARE, page_number(noise, "cv"));
    table_number(p, SOURCE_MEASURED, NUMBER_PLAIN, page_number(noise, "load"));
    table_number(p, SOURCE_MEASURED, NUMBER_SHARE, page_number(noise, "steal"));
    if (json_is_boolean(json_object_get(noise, "unfit")))
      page_put(p, "<td class=%s</td>", page_true(noise, "unfit") ? "no>✗ unfit" : "yes>✓ fit");
    else
      table_text(p, NULL);
    table_text(p, joined(p, page_at(noise, "flags")));
    table_row_end(p);
  }
  table_close(p);
}

static void put_inputs(page *p) {
  static const struct {
    const char *path, *name;
  } texts[] = {
      {"tercet", "Tercet"},        {"created", "Made (UTC)"},        {"job.name", "Job"},
      {"job.file", "Job file"},    {"job.hash", "Hash of the job"},  {"data.hash", "Hash of the training samples"},
      {"mode", "Mode"},
  }, numbers[] = {
      {"data.samples", "Training samples"}, {"data.test_samples", "Test samples"}, {"runs", "Runs"}, {"warmup", "Warm-up steps"}, {"seed", "Seed"},
      {"schema", "Schema of the data"},
  };
  table_open(p, "What was run", "What|Value");
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) put_fact(p, texts[i].name, page_string(p->summary, texts[i].path));
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    const double value = page_number(p->summary, numbers[i].path);
    if (isfinite(value)) put_fact(p, numbers[i].name, page_format(p, "%.15g", value));
  }
  table_close(p);
}

void section_reproduce(page *p) {
  const char *const command = page_string(p->summary, "command"), *const job = page_string(p->summary, "job.text");
  if (command != NULL)
    page_put(p, "<p>The exact command:</p>\n<pre tabindex=0>%s</pre>\n", page_escape(p, command));
  else
    page_none(p, "The command is not in the data.");
  put_inputs(p);
  size_t n = 0;
  json_t *const machine = json_object_get(p->summary, "machine");
  if (json_object_size(machine) > 0) {
    table_open(p, "The machine", "What|Value");
    put_leaves(p, "", machine, 0, &n);
    table_close(p);
  } else {
    page_none(p, "The machine is not in the data.");
  }
  if (p->n_devices > 0) put_noise(p);
  for (size_t i = 0; i < p->n_devices; i++) {
    json_t *const facts = json_object_get(p->devices[i].json, "facts");
    const char *const about = page_string(p->devices[i].json, "description");
    if (json_object_size(facts) == 0 && about == NULL) continue;
    page_put(p, "<details><summary>%s%s%s</summary>\n", page_device_name(p, &p->devices[i]), about != NULL ? ": " : "", page_escape(p, about));
    n = 0;
    if (json_object_size(facts) > 0) {
      table_open(p, "What the device found and chose", "Fact|Value");
      put_leaves(p, "", facts, 0, &n);
      table_close(p);
    }
    page_put(p, "</details>\n");
  }
  if (job != NULL)
    page_put(p, "<details><summary>The job with all defaults and overrides</summary>\n<pre tabindex=0>%s</pre></details>\n", page_escape(p, job));
}
