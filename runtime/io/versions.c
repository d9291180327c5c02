/* The versions of the libraries that are loaded, asked of themselves. */
#include <jansson.h>
#include <tercet/system.h>
#include <yaml.h>
#include <zlib.h>

bool tct_dependency(int32_t i, const char **out_name, const char **out_version) {
  *out_name = *out_version = NULL;
  switch (i) {
  case 0: *out_name = "zlib", *out_version = zlibVersion(); break;
  case 1: *out_name = "libyaml", *out_version = yaml_get_version_string(); break;
  case 2: *out_name = "jansson", *out_version = jansson_version_str(); break;
  default: break;
  }
  return *out_name != NULL;
}
