/* Whether the library serves a program that was compiled with headers of some version. */
#include "base/status.h"

#include <tercet/version.h>

tct_status tct_version_check(int32_t headers) {
  const int32_t major = headers / 1000000, minor = headers / 1000 % 1000, patch = headers % 1000;
  const bool same_line = major == TCT_VERSION_MAJOR && (major > 0 || minor == TCT_VERSION_MINOR);
  if (same_line && headers <= TCT_VERSION) return TCT_OK;
  return tct_fail(TCT_UNAVAILABLE, "the program was compiled with tercet %d.%d.%d, and the library is %s, %s", (int)major,
                  (int)minor, (int)patch, tct_version(),
                  same_line ? "which is older; update the library" : "which speaks another ABI; compile the program again");
}
