/* A small generator of cases (xorshift), so that they do not depend on the library's. */
#ifndef TCT_TESTS_DRAWS_H
#define TCT_TESTS_DRAWS_H

#include <stdint.h>

static inline uint64_t next(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

/* From least to most, both included. */
static inline int64_t between(uint64_t *state, int64_t least, int64_t most) {
  return least + (int64_t)(next(state) % (uint64_t)(most - least + 1));
}

#endif
