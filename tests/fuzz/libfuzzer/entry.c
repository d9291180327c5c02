/* libFuzzer's entry: FUZZ_TARGET is the function of one row of targets.def. */
#include "fuzz/targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  FUZZ_TARGET(data, bytes);
  return 0;
}
