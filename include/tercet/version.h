/* Whether headers and library fit: for the preprocessor, and for a program that was compiled elsewhere. docs/abi.md has the
 * promise behind it. */
#ifndef TERCET_VERSION_H
#define TERCET_VERSION_H

#include <tercet/types.h>

/* #if TCT_VERSION >= TCT_VERSION_OF(0, 2, 0) */
#define TCT_VERSION_OF(major, minor, patch) ((major) * 1000000 + (minor) * 1000 + (patch))
#define TCT_VERSION                         TCT_VERSION_OF(TCT_VERSION_MAJOR, TCT_VERSION_MINOR, TCT_VERSION_PATCH)

TCT_BEGIN_DECLS

/* Whether the loaded library serves a program that was compiled with these headers: tct_version_check(TCT_VERSION). It does
 * when it is not older and has the same major version; before 1.0 the same minor version too. TCT_UNAVAILABLE, with both
 * versions, when not. */
TCT_API tct_status tct_version_check(int32_t headers) TCT_CHECKED;

TCT_END_DECLS
#endif
