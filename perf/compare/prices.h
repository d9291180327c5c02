/* Prices of devices: the library's own list (prices.def), and a user's file that goes before it. */
#ifndef TERCET_PERF_PRICES_H
#define TERCET_PERF_PRICES_H

#include "perf/compare/file.h"

/* {"prices": [{"kind": "gpu", "name": "H200", "per": "device", "dollars_per_hour": 4.6, "source": "…", "date": "2026-01"}, …]}: kind,
 * dollars_per_hour (at least 0), source and date are required, name and per are not. *out is the caller's. */
bool perf_prices_read(const char *path, json_t **out, perf_problem *problem);
/* The price of a device record (dollars_per_hour, source, date), from the user's list (may be NULL) or the library's own, of a chip
 * its file's; null when none fits. */
json_t *perf_price_of(const json_t *device, const json_t *user_prices);
json_t *perf_datasheet_of(const json_t *device); /* flops, bytes_per_second, source; or null */
/* The i-th device whose datasheet is here, "H200" …; NULL past the last. */
const char *perf_datasheet_name(int i);
/* Its name as it stands here, capitals or not; NULL: none is here. */
const char *perf_datasheet_called(const char *name);

#endif
