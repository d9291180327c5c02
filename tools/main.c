/* The `tercet` command: finds the subcommand and runs it. */
#include "tool.h"

#include <stdlib.h>
#include <string.h>

const tool_command *const tool_commands[] = {
#define COMMAND(name) &tool_##name,
#define PERF(name) &tool_##name,
#include "commands.def"
#undef COMMAND
#undef PERF
    NULL};
enum { N_COMMANDS = sizeof tool_commands / sizeof tool_commands[0] - 1 };

char **tool_arguments;

static void print_log(void *user, tct_log_level level, const char *text) {
  static const char *const names[] = {"error: ", "warning: ", "", ""};
  (void)user;
  fprintf(stderr, "tercet: %s%s\n", names[level], text);
}

static void print_overview(FILE *to) {
  fputs("tercet trains neural networks from job files.\n\n"
        "  tercet COMMAND [arguments] [options]\n\n"
        "Commands:\n", to);
  for (size_t i = 0; i < N_COMMANDS; i++)
    fprintf(to, "  %-9s %-10s %s\n", tool_commands[i]->name, tool_commands[i]->argument, tool_commands[i]->summary);
  fputs("\nBegin with:\n"
        "  tercet train examples/glyphs.yaml        draws its own data, trains a CNN, saves it\n"
        "  tercet COMMAND --help                    options, examples and exit codes\n"
        "\ndocs/job-file.md describes job files. tercet --version prints the version; tercet help --bash completion for bash.\n", to);
}

static const tool_command *find(const char *name) {
  for (size_t i = 0; i < N_COMMANDS; i++)
    if (strcmp(tool_commands[i]->name, name) == 0) return tool_commands[i];
  return NULL;
}

static int unknown_command(const char *name) {
  const char *names[N_COMMANDS];
  for (size_t i = 0; i < N_COMMANDS; i++) names[i] = tool_commands[i]->name;
  const char *const nearest = tool_nearest(name, names, N_COMMANDS);
  if (nearest) return tool_usage("unknown command '%s'; did you mean '%s'?", name, nearest);
  return tool_usage("unknown command '%s'; 'tercet --help' lists them", name);
}

/* tercet help [COMMAND [--man]], tercet help --bash */
static int help(int argc, char **argv) {
  const char *const word = argc > 2 ? argv[2] : NULL;
  const bool bash = word && strcmp(word, "--bash") == 0, man = argc > 3 && strcmp(argv[3], "--man") == 0;
  const tool_command *const command = word && !bash ? find(word) : NULL;
  if (argc > (man ? 4 : 3)) return tool_usage("help: '%s' is one argument too many", argv[man ? 4 : 3]);
  if (bash)
    tool_print_bash();
  else if (!word)
    print_overview(stdout);
  else if (!command)
    return unknown_command(word);
  else if (man)
    tool_print_man(command);
  else
    tool_print_help(command, stdout);
  return tool_finish();
}

int main(int argc, char **argv) {
  const char *const name = argc > 1 ? argv[1] : NULL;
  tool_arguments = argv;
  if (!name) {
    print_overview(stderr);
    return TOOL_USAGE;
  }
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) return help(argc, argv);
  if (strcmp(name, "--version") == 0) {
    printf("tercet %s\n", tct_version());
    return tool_finish();
  }
  const tool_command *const command = find(name);
  if (!command) return unknown_command(name);
  tool_options options = {.n_train = 60000, .n_test = 10000, .runs = 7, .steps = -1, .warmup = 10};
  int code = tool_parse(command, argc - 1, argv + 1, &options);
  if (code < 0) {
    /* A dump that was asked for is wanted on the screen. */
    const bool dumps = getenv("TERCET_DUMP") != NULL;
    if (!options.quiet) tct_set_log(print_log, NULL, options.verbose || dumps ? TCT_LOG_DEBUG : TCT_LOG_WARNING);
    code = command->run(&options);
  }
  tool_options_free(&options);
  return code;
}
