/* What a chip has beside its arrays: the vector unit, HBM's tiled layout, the links to other chips, and the energy of it all. */
#include <math.h>

#include <tercet/chip.h>
#include "systolic/whole.h"

/* ---- the vector unit ---- */

void tct_chip_vector(const tct_chip *chip, double operations, double loaded, double stored, tct_chip_time *out) {
  const double bytes = loaded + stored, busiest = chip->channels == 1 ? bytes : fmax(loaded, stored);
  *out = (tct_chip_time){.hbm_bytes = bytes, .vmem_bytes = 2 * bytes};
  out->vector = operations / (double)(chip->cores * chip->alus);
  /* Where HBM is the weights' alone, activations are in VMEM, a vector's bytes in each cycle. */
  const bool held = chip->weight_fifo > 0;
  const double moves = held ? bytes / (double)(chip->lanes * chip->sublanes) : busiest * chip->clock / chip->hbm;
  out->memory = fmax(0, moves - out->vector) + chip->latency * chip->clock;
  if (held) out->hbm_bytes = 0;
  out->skew = chip->overhead * chip->clock;
  out->total = out->vector + out->memory + out->skew;
}

static double padded(int64_t extent, int64_t to) { return (double)tct_divide_up(extent, to) * (double)to; }

double tct_chip_bytes(const tct_chip *chip, const tct_desc *desc) {
  const tct_shape *s = &desc->shape;
  const bool held = chip->weight_fifo > 0; /* a byte each */
  const int64_t size = held ? 1 : (int64_t)tct_dtype_bytes(desc->dtype);
  const int64_t sublanes = held ? chip->sublanes : chip->sublanes * tct_larger(1, 4 / tct_larger(size, 1));
  double all = 1, best = INFINITY;
  for (int32_t i = 0; i < s->rank; i++) all *= (double)s->dim[i];
  if (all == 0) return 0;
  if (s->rank < 2) return (double)size * padded((int64_t)all, chip->lanes * sublanes);
  /* A compiler lays out the two axes in the tile that waste least. */
  for (int32_t a = 0; a < s->rank; a++) {
    for (int32_t b = 0; b < s->rank; b++) {
      if (a == b) continue;
      const double rest = all / (double)s->dim[a] / (double)s->dim[b];
      best = fmin(best, rest * padded(s->dim[a], chip->lanes) * padded(s->dim[b], sublanes));
    }
  }
  return (double)size * best;
}

/* ---- the links ---- */

/* The torus: extents as equal as the count allows, on at most `axes` axes. */
static void torus_of(const tct_chip *chip, int64_t extent[3]) {
  int64_t rest = chip->chips;
  for (int i = 0; i < 3; i++) {
    extent[i] = 1;
    if (i >= chip->axes) continue;
    const double root = pow((double)rest, 1.0 / (double)(chip->axes - i));
    int64_t best = i == chip->axes - 1 ? rest : 1;
    for (int64_t d = 1; i < chip->axes - 1 && (double)d <= root + 1e-9; d++) {
      if (rest % d == 0) best = d;
    }
    extent[i] = best;
    rest /= best;
  }
}

double tct_chip_all_reduce(const tct_chip *chip, double bytes) {
  if (chip->chips <= 1 || bytes <= 0) return 0;
  int64_t extent[3];
  torus_of(chip, extent);
  double bandwidth = 0;
  int64_t hops = 0;
  for (int i = 0; i < 3; i++) {
    if (extent[i] == 1) continue;
    bandwidth += 2 * chip->ici * (extent[i] % chip->wrap == 0 ? 1 : 0.5);
    hops += extent[i] / 2;
  }
  const double moved = bytes * (1 - 1 / (double)chip->chips) / bandwidth;
  return 2 * fmax(moved, chip->hop * (double)hops) * chip->clock;
}

double tct_chip_energy(const tct_chip *chip, const tct_chip_time *time) {
  return (time->macs - time->macs_int8) * chip->mac + time->macs_int8 * chip->mac_int8 + time->hbm_bytes * chip->hbm_energy + time->vmem_bytes * chip->vmem_energy +
         chip->idle * time->total / chip->clock;
}
