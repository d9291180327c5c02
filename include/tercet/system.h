/* What the library sees of its surroundings, for reports such as `tercet doctor`: its environment variables, the processors
 * that it may use, and the libraries that it runs with. */
#ifndef TERCET_SYSTEM_H
#define TERCET_SYSTEM_H

#include <tercet/types.h>

TCT_BEGIN_DECLS

/* The i-th variable of the environment that the library reads; false at the end. Static storage, but for `value`, which
 * lives until the process changes its environment. */
typedef struct tct_environment_row {
  const char *name;     /* "TERCET_THREADS" */
  const char *value;    /* NULL: not set */
  const char *fallback; /* what counts when it is not set; often "" */
  const char *meaning;
} tct_environment_row;
TCT_API bool tct_environment(int32_t i, tct_environment_row *out);

/* How many CPUs the process may use, and what limits it. */
typedef struct tct_cpu_limits {
  int32_t affinity; /* CPUs in the affinity mask */
  int32_t quota;    /* CPUs' worth of time that the control groups allow, rounded up; 0: no limit */
  int32_t usable;   /* the lesser, at least 1: the default number of threads */
} tct_cpu_limits;
TCT_API void tct_cpu_limits_of_process(tct_cpu_limits *out);

/* The i-th library that this one runs with: "zlib" and the version that was loaded; false at the end. Static storage. */
TCT_API bool tct_dependency(int32_t i, const char **out_name, const char **out_version);

TCT_END_DECLS
#endif
