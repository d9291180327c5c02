/* Progress of a training run: on a terminal one line that is rewritten, elsewhere a line per epoch and every ten seconds. */
#include "tool.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR_CELLS 24
#define PLAIN_SECONDS 10.0

void tool_progress_begin(tool_progress *progress, bool quiet) {
  const char *const term = getenv("TERM");
  const bool terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
  const char *const no_colour = getenv("NO_COLOR");
  *progress = (tool_progress){.quiet = quiet,
                              .live = terminal && !quiet,
                              .colour = terminal && !(no_colour && *no_colour),
                              .last_epoch = -1};
}

static int columns(void) {
  struct winsize size;
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

/* A line in the making; what exceeds the terminal's width is left out. Plain ASCII: a byte is a column. */
typedef struct line {
  char text[512];
  size_t length;
} line;

static void add(line *out, const char *format, ...) TCT_PRINTF(2, 3);
static void add(line *out, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const int n = vsnprintf(out->text + out->length, sizeof out->text - out->length, format, args);
  va_end(args);
  if (n > 0) out->length += (size_t)n;
  if (out->length >= sizeof out->text) out->length = sizeof out->text - 1;
}

static void add_time(line *out, double seconds) {
  const long long s = (long long)(seconds + 0.5);
  if (s >= 3600)
    add(out, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  else
    add(out, "%lld:%02lld", s / 60, s % 60);
}

static void add_bar(line *out, double part) {
  const int full = (int)(part * BAR_CELLS);
  add(out, " [");
  for (int i = 0; i < BAR_CELLS; i++) add(out, "%c", i < full ? '=' : i == full ? '>' : ' ');
  add(out, "]");
}

static void add_values(line *out, const tct_progress *p) {
  for (int32_t i = 0; i < p->n_values; i++) add(out, "  %s %.4f", p->names[i], p->values[i]);
}

static void add_wait(line *out, const tct_progress *p) {
  if (p->seconds > 0 && p->input_wait_seconds > 0.05 * p->seconds)
    add(out, "  %.0f%% waiting for data", 100 * p->input_wait_seconds / p->seconds);
}

/* At the pace of this run's part of the epoch; < 0: not known yet. */
static double seconds_left(const tool_progress *progress, const tct_progress *p) {
  const int64_t done = p->step - (p->epoch == progress->first_epoch ? progress->first_step : 0);
  const double left = (double)(p->steps - p->step) + (double)(p->epochs - p->epoch - 1) * (double)p->steps;
  return done > 0 ? p->seconds / (double)done * left : -1;
}

static void show_live(const tool_progress *progress, const tct_progress *p) {
  char modelled[128];
  line out = {0};
  const double part = p->steps > 0 ? (double)p->step / (double)p->steps : 0;
  add(&out, "epoch %lld/%lld", (long long)p->epoch + 1, (long long)p->epochs);
  const int width = columns();
  if (width >= 100) add_bar(&out, part);
  add(&out, " %3.0f%%  %lld/%lld", 100 * part, (long long)p->step, (long long)p->steps);
  add_values(&out, p);
  add(&out, "  %.0f/s", p->samples_per_second);
  const double left = seconds_left(progress, p);
  if (left >= 0) {
    add(&out, "  ");
    add_time(&out, left);
    add(&out, " left");
  }
  add_wait(&out, p);
  tool_modelled_line(progress->device, modelled, sizeof modelled);
  add(&out, "%s", modelled);
  if (out.length >= (size_t)width) out.text[width - 1] = '\0';
  fprintf(stderr, "\r%s%s%s\033[K", progress->colour ? "\033[36m" : "", out.text, progress->colour ? "\033[0m" : "");
  fflush(stderr);
}

static void show_plain(const tool_progress *progress, const tct_progress *p) {
  char modelled[128];
  line out = {0};
  add(&out, "epoch %lld/%lld", (long long)p->epoch + 1, (long long)p->epochs);
  if (!p->epoch_end) add(&out, "  step %lld/%lld", (long long)p->step, (long long)p->steps);
  add_values(&out, p);
  add(&out, "  %.0f samples/s  %.1f s", p->samples_per_second, p->seconds);
  add_wait(&out, p);
  tool_modelled_line(progress->device, modelled, sizeof modelled);
  add(&out, "%s", modelled);
  fprintf(stderr, "%s\n", out.text);
}

void tool_progress_show(tool_progress *progress, const tct_progress *p) {
  if (progress->quiet) return;
  if (progress->last_epoch != p->epoch) progress->last_line_seconds = 0;
  progress->last_epoch = p->epoch;
  if (p->epoch_end) {
    if (progress->live) fputs("\r\033[K", stderr);
    show_plain(progress, p);
  } else if (progress->live) {
    show_live(progress, p);
  } else if (p->seconds - progress->last_line_seconds >= PLAIN_SECONDS) {
    progress->last_line_seconds = p->seconds;
    show_plain(progress, p);
  }
}

void tool_progress_end(tool_progress *progress) {
  if (progress->live) fputs("\r\033[K", stderr);
}
