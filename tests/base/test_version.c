/* Before 1.0 another minor version is another ABI; a library is good for programs that are as old as it or older. */
#include <tercet/version.h>

#include "test.h"

TEST(version, check) {
  const int32_t major = TCT_VERSION_MAJOR, minor = TCT_VERSION_MINOR, patch = TCT_VERSION_PATCH;
  OK(tct_version_check(TCT_VERSION));
  OK(tct_version_check(TCT_VERSION_OF(major, minor, 0)));
  FAILS(tct_version_check(TCT_VERSION_OF(major, minor, patch + 1)), TCT_UNAVAILABLE, "which is older; update the library");
  FAILS(tct_version_check(TCT_VERSION_OF(major + 1, minor, patch)), TCT_UNAVAILABLE, "which speaks another ABI");
  FAILS(tct_version_check(TCT_VERSION_OF(major, minor + 1, 0)), TCT_UNAVAILABLE, "the program was compiled with tercet ");
  if (major == 0) FAILS(tct_version_check(TCT_VERSION_OF(0, minor - 1, 999)), TCT_UNAVAILABLE, "which speaks another ABI");
  CHECK(TCT_VERSION >= TCT_VERSION_OF(0, 1, 0) && TCT_VERSION_OF(1, 0, 0) > TCT_VERSION_OF(0, 999, 999));
}
