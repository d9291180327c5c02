/* gnuplot as a child process, and its SVG made a part of the page. The script and what comes back lie in unnamed files, so that neither
 * side waits for the other; nothing of the user's set-up is read. */
#include "perf/report/plot.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* All of the file as one string (of malloc); NULL: no memory, or it cannot be read. */
static char *read_all(FILE *file) {
  if (fseek(file, 0, SEEK_END) != 0) return NULL;
  const long n = ftell(file);
  char *const text = n < 0 ? NULL : malloc((size_t)n + 1);
  if (text == NULL) return NULL;
  rewind(file);
  text[fread(text, 1, (size_t)n, file)] = '\0';
  return text;
}

static void say(char *why, size_t size, const char *what, const char *reason) {
  (void)snprintf(why, size, "gnuplot (Debian: gnuplot-nox) %s: %.*s", what, (int)strcspn(reason, "\n"), reason);
}

/* Waits for gnuplot between the three files. */
static bool run(FILE *const files[3], char *why, size_t size) {
  char *const argv[] = {(char[]){"gnuplot"}, (char[]){"-d"}, NULL};
  posix_spawn_file_actions_t actions;
  int error = posix_spawn_file_actions_init(&actions);
  for (int i = 0; i < 3 && error == 0; i++) error = posix_spawn_file_actions_adddup2(&actions, fileno(files[i]), i);
  pid_t child = 0;
  if (error == 0) error = posix_spawnp(&child, argv[0], &actions, NULL, argv, environ);
  (void)posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    say(why, size, "cannot be started", strerror(error));
    return false;
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) break;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
  char *const said = read_all(files[2]);
  const char *line = said != NULL ? said + strspn(said, "\n") : "";
  const char *const at = strstr(line, "line ");
  say(why, size, "failed", at != NULL ? at : *line != '\0' ? line : "it gave no reason");
  free(said);
  return false;
}

bool plot_run(const char *script, size_t n, char **out, char *why, size_t size) {
  FILE *const files[3] = {tmpfile(), tmpfile(), tmpfile()};
  bool good = files[0] != NULL && files[1] != NULL && files[2] != NULL;
  *out = NULL;
  if (good) good = fwrite(script, 1, n, files[0]) == n && fflush(files[0]) == 0 && lseek(fileno(files[0]), 0, SEEK_SET) == 0;
  if (!good) {
    say(why, size, "got no temporary file", strerror(errno));
  } else {
    good = run(files, why, size);
    if (good) *out = read_all(files[1]);
    if (good && *out == NULL) say(why, size, "drew more than there is memory for", strerror(ENOMEM));
    good = *out != NULL;
  }
  for (int i = 0; i < 3; i++)
    if (files[i] != NULL) (void)fclose(files[i]);
  return good;
}

static void put_colour(FILE *to, int role) {
  static const char *const ours[] = {[PLOT_INK] = "var(--ink)", [PLOT_MUTED] = "var(--muted)", [PLOT_GRID] = "var(--grid)", [PLOT_PAPER] = "var(--paper)"};
  if (role >= PLOT_PART)
    (void)fprintf(to, "var(--k%d)", role - PLOT_PART);
  else if (role >= PLOT_DEVICE)
    (void)fprintf(to, "var(--d%d)", role - PLOT_DEVICE);
  else
    (void)fputs(ours[role > PLOT_PAPER ? PLOT_INK : role], to);
}

/* What stands at `at` in gnuplot's terms is written in the page's; returns its length, 0 when it may stay. `before` is the byte before. */
static size_t rewrite(FILE *to, const char *at, char before, const plot_names *names) {
  static const char *const named[] = {"black", "gray", "#FFFFFF"};
  int r, g, b, n = 0;
  if (*at == 'r' && sscanf(at, "rgb(%d,%d,%d)%n", &r, &g, &b, &n) == 3 && n > 0) {
    put_colour(to, b);
    return (size_t)n;
  }
  if (*at == 'Q') {
    size_t label = 0;
    if (sscanf(at, "Q%3zu%n", &label, &n) == 1 && n == 4 && at[4 + strspn(at + 4, "q")] == 'Q') {
      if (label < names->n_labels) (void)fputs(names->labels[label], to);
      return 5 + strspn(at + 4, "q");
    }
  }
  if (before == '\'' || before == '"' || before == '#') {
    if (strncmp(at, "gp", 2) == 0) (void)fputs(names->prefix, to); /* ids: gpPt6, gpPat1 */
    for (size_t i = 0; i < 3; i++) {
      const size_t length = strlen(named[i]);
      if (strncmp(at, named[i], length) != 0 || at[length] != before) continue;
      (void)fputs(i == 1 ? "var(--grid)" : "var(--ink)", to);
      return length;
    }
  }
  return 0;
}

static void put_line(FILE *to, const char *line, size_t n, const plot_names *names) {
  for (size_t i = 0; i < n;) {
    const size_t length = rewrite(to, line + i, i > 0 ? line[i - 1] : '\n', names);
    if (length == 0) (void)fputc(line[i], to);
    i += length > 0 ? length : 1;
  }
  (void)fputc('\n', to);
}

static bool begins(const char *line, const char *with) {
  line += strspn(line, " \t");
  return strncmp(line, with, strlen(with)) == 0;
}

const char *plot_inline(FILE *to, const char *svg, const char *open, const plot_names *names) {
  const char *line = strstr(svg, "<g id=\"gnuplot_canvas\">");
  bool filter = false;
  (void)fprintf(to, "%s\n<g>\n", open);
  while (line != NULL && (line = strchr(line, '\n')) != NULL) {
    line++;
    const size_t n = strcspn(line, "\n");
    const char *const next = line[n] == '\0' ? "" : line + n + 1;
    filter = filter || begins(line, "<filter");
    if (begins(line, "</svg>")) {
      (void)fputs("</svg>\n", to);
      return line + strlen("</svg>");
    }
    if (begins(line, "<g fill=") && begins(next, "</g>") && n > 0) {
      line = next; /* an empty group */
    } else if (begins(line, "<g id=")) {
      (void)fputs("<g class=\"series\">\n", to); /* a title in it would be a tool tip */
    } else if (!filter && n > 0) {
      put_line(to, line, n, names);
    }
    filter = filter && !begins(line, "</filter>");
  }
  return NULL;
}
