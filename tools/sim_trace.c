/* A topology's layers as a timeline in Chrome's trace format: a row of the layers, one after the other, and a row of where their time
 * goes. */
#include "sim.h"

static json_t *span(const char *name, const char *category, double at, double took, int row) {
  return json_pack("{s:s,s:s,s:s,s:o,s:o,s:i,s:i}", "name", name, "cat", category, "ph", "X", "ts", tool_number(at), "dur", tool_number(took),
                   "pid", 1, "tid", row);
}

void sim_add_span(sim_timeline *to, const tct_topology_layer *l, const char *const *classes, const double *parts, int n) {
  const double times = (double)l->copies;
  const double begin = to->now;
  if (to->events == NULL) to->events = json_array();
  for (int i = 0; i < n; i++) {
    if (parts[i] > 0) json_array_append_new(to->events, span(classes[i], "class", to->now, times * parts[i], 2));
    to->now += times * parts[i];
  }
  json_array_append_new(to->events, span(l->name, "layer", begin, to->now - begin, 1));
}

static void write_events(const void *what, FILE *to) {
  (void)json_dumpf(what, to, JSON_COMPACT);
  fputc('\n', to);
}

int sim_write_timeline(const char *path, sim_timeline *t, const char *on, const char *microsecond) {
  json_t *const object = json_pack("{s:o,s:{s:s,s:s}}", "traceEvents", t->events, "otherData", "modelled on", on, "a microsecond is", microsecond);
  t->events = NULL;
  if (object == NULL) return tool_out_of_memory();
  const int code = tool_write_file(path, write_events, object);
  json_decref(object);
  return code;
}
