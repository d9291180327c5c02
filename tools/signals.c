/* Ctrl-C and SIGTERM, while something runs that can end well. */
#include "tool.h"

#include <signal.h>
#include <stddef.h>

static const int caught[] = {SIGINT, SIGTERM};
enum { N_CAUGHT = sizeof caught / sizeof caught[0] };

volatile int tool_stop_signal; /* an int that a handler may set: see tct_fit_options.cancel */
static struct sigaction before[N_CAUGHT];

static void on_signal(int number) {
  if (tool_stop_signal != 0) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
    raise(number); /* comes when this handler returns */
    return;
  }
  tool_stop_signal = number;
}

void tool_catch_signals(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  for (int i = 0; i < N_CAUGHT; i++) {
    sigaction(caught[i], NULL, &before[i]);
    if (before[i].sa_handler != SIG_IGN) sigaction(caught[i], &action, NULL);
  }
}

void tool_release_signals(void) {
  for (int i = 0; i < N_CAUGHT; i++) sigaction(caught[i], &before[i], NULL);
}
