/* What the tables say for others to read: a subcommand's man page, and bash's completion of all of them. */
#include "tool.h"

#include <ctype.h>
#include <string.h>

/* ---- man pages ---------------------------------------------------------------------------------------- */

/* Text of a roff line: no escape, no request, minus signs that can be copied. */
static void put_roff(const char *text, size_t length) {
  if (length > 0 && (text[0] == '.' || text[0] == '\'')) fputs("\\&", stdout);
  for (size_t i = 0; i < length; i++) {
    if (text[i] == '\\')
      fputs("\\e", stdout);
    else if (text[i] == '-')
      fputs("\\-", stdout);
    else
      putchar(text[i]);
  }
}

/* `about` as paragraphs; indented lines stand as they are, what follows "Example:" is a section. */
static void put_about(const char *about) {
  bool plain = false;
  while (*about) {
    const size_t n = strcspn(about, "\n");
    const bool indented = about[0] == ' ';
    if (plain && !indented) puts(".fi");
    if (indented && !plain) puts(".nf");
    plain = indented;
    if (n > 1 && strncmp(about, "Example", 7) == 0 && about[n - 1] == ':') {
      puts(".SH EXAMPLES");
    } else if (n == 0) {
      /* A paragraph's space is the heading's own before EXAMPLES and at the end. */
      if (about[1] && strncmp(about + 1, "Example", 7) != 0) puts(".PP");
    } else {
      put_roff(about + (indented ? 2 : 0), n - (indented ? 2 : 0));
      putchar('\n');
    }
    about += n + (about[n] == '\n');
  }
  if (plain) puts(".fi");
}

static void put_option(const tool_option *o) {
  puts(".TP");
  fputs("\\fB", stdout);
  if (o->letter) printf("\\-%c\\fR, \\fB", o->letter);
  fputs("\\-\\-", stdout);
  put_roff(o->name, strlen(o->name));
  fputs("\\fR", stdout);
  if (*o->argument) {
    fputs(" \\fI", stdout);
    put_roff(o->argument, strlen(o->argument));
    fputs("\\fR", stdout);
  }
  putchar('\n');
  put_roff(o->help, strlen(o->help));
  putchar('\n');
}

void tool_print_man(const tool_command *command) {
  char upper[32] = "";
  for (size_t i = 0; command->name[i] && i + 1 < sizeof upper; i++) upper[i] = (char)toupper((unsigned char)command->name[i]);
  printf(".TH TERCET\\-%s 1 \"\" \"tercet %s\" \"User commands\"\n", upper, tct_version());
  printf(".SH NAME\ntercet\\-%s \\- ", command->name);
  put_roff(command->summary, strlen(command->summary));
  printf("\n.SH SYNOPSIS\n.B tercet %s\n", command->name);
  if (*command->argument) printf(".I %s\n", command->argument);
  puts(".RI [ options ]\n.SH DESCRIPTION");
  put_about(command->about);
  puts(".SH OPTIONS");
  for (const tool_option *o = NULL; (o = tool_option_next(command, o)) != NULL;) put_option(o);
  puts(".SH EXIT STATUS");
  for (const char *line = tool_exit_codes; *line;) {
    const size_t n = strcspn(line, "\n");
    put_roff(line, n);
    putchar('\n');
    line += n + (line[n] == '\n');
  }
  puts(".SH SEE ALSO\n.BR tercet (1)");
}

/* ---- completion --------------------------------------------------------------------------------------- */

static const char completion_end[] =
    "  esac\n"
    "  if [[ $cur == -* ]]; then\n"
    "    mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$cur\")\n"
    "  elif [[ $files ]]; then\n"
    "    compopt -o filenames 2>/dev/null\n"
    "    mapfile -t COMPREPLY < <(compgen -d -- \"$cur\"\n"
    "      for ending in $files; do compgen -f -X \"!*.$ending\" -- \"$cur\"; done; compgen -W \"$words\" -- \"$cur\")\n"
    "  elif [[ $words ]]; then\n"
    "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
    "  fi\n"
    "}\n"
    "complete -F _tercet tercet\n";

/* What an option's argument completes to, by its name in the table. */
static void put_argument(const char *argument) {
  if (strcmp(argument, "FILE") == 0)
    fputs("compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")", stdout);
  else if (strcmp(argument, "DIR") == 0)
    fputs("compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- \"$cur\")", stdout);
  else if (strcmp(argument, "D") == 0)
    fputs("mapfile -t COMPREPLY < <(compgen -W \"$(\"$1\" devices 2>/dev/null | cut -d' ' -f1)\" -- \"$cur\")", stdout);
  else if (strchr(argument, '|')) {
    fputs("mapfile -t COMPREPLY < <(compgen -W '", stdout);
    for (const char *c = argument; *c; c++) putchar(*c == '|' ? ' ' : *c);
    fputs("' -- \"$cur\")", stdout);
  } else
    fputs("COMPREPLY=()", stdout);
  fputs("; return ;;\n", stdout);
}

static void put_command(const tool_command *command) {
  const char *const argument = command->argument;
  printf("  %s)\n    case $prev in\n", command->name);
  for (const tool_option *o = NULL; (o = tool_option_next(command, o)) != NULL;) {
    if (!*o->argument) continue;
    printf("    --%s", o->name);
    if (o->letter) printf(" | -%c", o->letter);
    fputs(") ", stdout);
    put_argument(o->argument);
  }
  fputs("    esac\n    options='", stdout);
  for (const tool_option *o = NULL; (o = tool_option_next(command, o)) != NULL;) printf("--%s ", o->name);
  fputs("'\n", stdout);
  if (strcmp(argument, "JOB.yaml") == 0 || strcmp(argument, "MODEL") == 0)
    puts("    files='yaml yml safetensors'");
  else if (strcmp(argument, "FILE.jsonl") == 0)
    puts("    files='jsonl'");
  else if (strcmp(argument, "[FILE]") == 0)
    printf("    files='csv yaml yml safetensors' words='%s'\n", command->word ? command->word : "");
  else if (islower((unsigned char)argument[0]))
    printf("    words='%s'\n", argument);
  puts("    ;;");
}

void tool_print_bash(void) {
  puts("# Completion of `tercet`, from its own tables.\n"
       "_tercet() {\n"
       "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]-}\n"
       "  local options='' words='' files='' ending\n"
       "  COMPREPLY=()\n"
       "  # readline cuts --option=value at the sign\n"
       "  if [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD - 2]}; fi\n"
       "  if [[ $cur == = ]]; then cur=''; fi\n"
       "  if ((COMP_CWORD == 1)); then command=''; fi\n"
       "  case $command in\n  '')");
  fputs("    options='--help --version' words='help", stdout);
  for (size_t i = 0; tool_commands[i]; i++) printf(" %s", tool_commands[i]->name);
  puts("'\n    ;;");
  fputs("  help)\n    words='", stdout);
  for (size_t i = 0; tool_commands[i]; i++) printf("%s ", tool_commands[i]->name);
  puts("' options='--man --bash'\n    ;;");
  for (size_t i = 0; tool_commands[i]; i++) put_command(tool_commands[i]);
  fputs(completion_end, stdout);
}
