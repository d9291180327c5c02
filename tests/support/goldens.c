/* The golden files of goldens.h. */
#include "goldens.h"
#include "test.h"

json_t *open_goldens(const char *folder, const char *file) {
  char path[1024];
  json_error_t error;
  snprintf(path, sizeof path, "%s/../reference/goldens/%s", folder, file);
  json_t *root = json_load_file(path, 0, &error);
  CHECK(root != NULL, "%s: %s", path, error.text);
  return root;
}

const json_t *member(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  CHECK(value != NULL, "the golden file has no '%s'", key);
  return value;
}
