/* The clock and entropy seam, replayable in tests. */
#ifndef TCT_BASE_CLOCK_H
#define TCT_BASE_CLOCK_H

#include <stdint.h>

typedef struct tct_clock_calls {
  int64_t (*monotonic_ns)(void);
  int64_t (*realtime_ns)(void);
  uint64_t (*entropy)(void); /* a seed where the user gave none */
} tct_clock_calls;
void tct_set_clock_calls(const tct_clock_calls *calls); /* NULL: the system's again */

int64_t tct_clock_ns(void);
int64_t tct_realtime_ns(void);
uint64_t tct_entropy(void);

#endif
