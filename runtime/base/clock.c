/* The clock and entropy seam: the system's clocks unless a test put its own in their place. */
#include "base/clock.h"

#include <stdatomic.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

static int64_t read_clock(clockid_t id) {
  struct timespec t = {0};
  (void)clock_gettime(id, &t);
  return (int64_t)t.tv_sec * 1000000000 + (int64_t)t.tv_nsec;
}

static int64_t system_monotonic_ns(void) {
  return read_clock(CLOCK_MONOTONIC);
}
static int64_t system_realtime_ns(void) {
  return read_clock(CLOCK_REALTIME);
}

static uint64_t system_entropy(void) {
  uint64_t bits = 0;
  if (getentropy(&bits, sizeof bits) == 0) return bits;
  /* A sandbox may refuse the call; a seed from the clock is still a seed. Mixed as by splitmix64. */
  bits = (uint64_t)system_realtime_ns() ^ ((uint64_t)getpid() << 32);
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9u;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBu;
  return bits ^ (bits >> 31);
}

static const tct_clock_calls system_calls = {
    .monotonic_ns = system_monotonic_ns,
    .realtime_ns = system_realtime_ns,
    .entropy = system_entropy,
};
static _Atomic(const tct_clock_calls *) calls = &system_calls;

void tct_set_clock_calls(const tct_clock_calls *replacement) {
  atomic_store(&calls, replacement ? replacement : &system_calls);
}

int64_t tct_clock_ns(void) {
  return atomic_load_explicit(&calls, memory_order_acquire)->monotonic_ns();
}
int64_t tct_realtime_ns(void) {
  return atomic_load_explicit(&calls, memory_order_acquire)->realtime_ns();
}
uint64_t tct_entropy(void) {
  return atomic_load_explicit(&calls, memory_order_acquire)->entropy();
}
