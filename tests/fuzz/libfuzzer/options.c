/* The command's options, as libFuzzer's target: lines are arguments, the first is the subcommand. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tool.h"

enum { MOST_ARGUMENTS = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  char *const text = malloc(bytes + 1);
  char *argv[MOST_ARGUMENTS + 1] = {text};
  int argc = 0;
  if (!text) return 0;
  memcpy(text, data, bytes);
  text[bytes] = '\0';
  for (char *at = text; argc < MOST_ARGUMENTS && at; at = strchr(at, '\n')) {
    if (argc > 0) *at++ = '\0';
    argv[argc++] = at;
  }
  for (size_t i = 0; tool_commands[i]; i++) {
    char *copy[MOST_ARGUMENTS + 1]; /* getopt reorders */
    tool_options options = {0};
    memcpy(copy, argv, sizeof copy);
    const int code = tool_parse(tool_commands[i], argc, copy, &options);
    if (code != -1 && code != TOOL_OK && code != TOOL_USAGE && code != TOOL_IO) abort();
    tool_options_free(&options);
  }
  free(text);
  return 0;
}
