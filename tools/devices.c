/* tercet devices: what is here, and for what is not, why. */
#include "tool.h"

json_t *tool_kind_json(const tct_device_kind *kind) {
  json_t *const object = json_object();
  json_object_set_new(object, "name", json_string(kind->name));
  json_object_set_new(object, "devices", json_integer(kind->n_devices));
  if (kind->n_devices > 0)
    json_object_set_new(object, "description", json_string(kind->description));
  else
    json_object_set_new(object, "why", json_string(kind->why));
  if (kind->module[0] != '\0') json_object_set_new(object, "module", json_string(kind->module));
  return object;
}

static void print_kind(const tct_device_kind *kind) {
  const char *const open = kind->module[0] != '\0' ? "  [" : "", *const close = kind->module[0] != '\0' ? "]" : "";
  if (kind->n_devices > 0)
    printf("%-8s %d  %s%s%s%s\n", kind->name, (int)kind->n_devices, kind->description, open, kind->module, close);
  else
    printf("%-8s -  not here: %s%s%s%s\n", kind->name, kind->why, open, kind->module, close);
}

static int run_devices(const tool_options *options) {
  json_t *const list = json_array();
  tct_device_kind kind;
  for (int32_t i = 0; tct_device_list(i, &kind); i++) {
    if (options->json)
      json_array_append_new(list, tool_kind_json(&kind));
    else
      print_kind(&kind);
  }
  if (options->json)
    tool_print_json(list);
  else
    json_decref(list);
  return tool_finish();
}

const tool_command tool_devices = {
    .name = "devices",
    .letter = 'd',
    .argument = "",
    .summary = "list the devices that a job can run on",
    .about = "One line per kind of device: its name for --device, how many are here, and what the first is; or why\n"
             "there is none. A backend from a shared object (TERCET_BACKEND_PATH) shows its file, also when it did\n"
             "not load.\n\n"
             "Example:\n"
             "  tercet devices --json\n",
    .run = run_devices};
