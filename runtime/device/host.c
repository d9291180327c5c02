/* The host table: the runtime's seams, as backends see them. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "base/cache.h"
#include "base/clock.h"
#include "base/env.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/status.h"
#include "device/device.h"
#include <tercet/op.h>

/* Backends choose code by it, so a set-user-ID program gets none. */
static const char *env_by_name(const char *name) {
  for (int i = 0; i < TCT_N_ENV; i++) {
    if (strcmp(tct_env_table[i].name, name) == 0) return tct_env_trusted((tct_env_id)i);
  }
  return "";
}

/* Backends report a status; the library's codes are its own. */
static tct_status fail(tct_status status, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const tct_status same = tct_fail_v(status, format, args);
  va_end(args);
  return same;
}

const tct_host *tct_host_table(void) {
  static const tct_host table = {
      .abi = TCT_BACKEND_ABI,
      .alloc = tct_alloc_aligned,
      .release = tct_release,
      .fail = fail,
      .log = tct_log_line,
      .clock_ns = tct_clock_ns,
      .env = env_by_name,
      .pool_create = tct_pool_create,
      .pool_free = tct_pool_free,
      .pool_threads = tct_pool_threads,
      .pool_run = tct_pool_run,
      .find_backend = tct_find_backend,
      .custom_kernel = tct_op_kernel_at,
      .cache_read = tct_cache_read,
      .cache_write = tct_cache_write,
      .run_code_by = tct_op_code_run_by,
      .custom_code = tct_op_code_of,
  };
  return &table;
}
