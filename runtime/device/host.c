/* The host table: the runtime's seams, as backends see them. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "base/clock.h"
#include "base/env.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/status.h"
#include "device/device.h"

/* Backends choose code by it, so a set-user-ID program gets none. */
static const char *env_by_name(const char *name) {
  for (int i = 0; i < TCT_N_ENV; i++) {
    if (strcmp(tct_env_table[i].name, name) == 0) return tct_env_trusted((tct_env_id)i);
  }
  return "";
}

const tct_host *tct_host_table(void) {
  static const tct_host table = {
      .abi = TCT_BACKEND_ABI,
      .alloc = tct_alloc_aligned,
      .release = tct_release,
      .fail = tct_fail,
      .log = tct_log_line,
      .clock_ns = tct_clock_ns,
      .env = env_by_name,
      .pool_create = tct_pool_create,
      .pool_free = tct_pool_free,
      .pool_threads = tct_pool_threads,
      .pool_run = tct_pool_run,
      .find_backend = tct_find_backend,
  };
  return &table;
}
