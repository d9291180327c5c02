/* The register tiles of direct convolution for one vector type, included once per type with
 *   V      suffix of the type's functions in simd.h (tct_v16_load …), LANES its width
 *   NAME   pastes a prefix: NAME(forward) must be unique
 * The counts of pixels, taps and vectors are constants at every call, so that the accumulators live in registers. */

typedef V_TYPE NAME(vector);

/* A pointer for every third pixel, the two after it by their distance: x86 addresses base + {0, 1, 2}·step. Left alone,
 * compilers keep an address per pixel and spill them. */
TCT_INLINE void NAME(forward)(const tct_cpu_conv_tile *at, const int pixels, const int vectors) {
  NAME(vector) acc[TCT_CPU_MOST_PIXELS][2];
  TCT_UNROLLED (v, vectors) {
    const NAME(vector) start = at->bias != NULL ? V_(load)(at->bias + v * LANES) : V_(splat)(0.0f);
    TCT_UNROLLED (i, pixels) acc[i][v] = start;
  }
  const float *w = at->w;
  const int64_t taps = at->taps, n_rows = at->n_rows, step = at->x_step;
  for (int64_t row = 0; row < n_rows; row++) {
    const float *base[(TCT_CPU_MOST_PIXELS + 2) / 3];
    TCT_UNROLLED (g, (pixels + 2) / 3) base[g] = at->x + at->row_offset[row] + 3 * g * step;
    for (int64_t t = 0; t < taps; t++, w += vectors * LANES) {
      NAME(vector) weight[2];
      TCT_UNROLLED (v, vectors) weight[v] = V_(load)(w + v * LANES);
      TCT_UNROLLED (i, pixels) {
        if (i % 3 == 0) TCT_OPAQUE(base[i / 3]);
        const NAME(vector) one = V_(splat)(base[i / 3][i % 3 * step]);
        TCT_UNROLLED (v, vectors) acc[i][v] = V_(fma)(one, weight[v], acc[i][v]);
      }
      TCT_UNROLLED (g, (pixels + 2) / 3) base[g]++;
    }
  }
  if (at->relu) {
    TCT_UNROLLED (i, pixels)
      TCT_UNROLLED (v, vectors) acc[i][v] = V_(relu)(acc[i][v]);
  }
  float *y = at->y;
  if (at->width == vectors * LANES) {
    TCT_UNROLLED (i, pixels)
      TCT_UNROLLED (v, vectors) V_(store)(y + i * at->y_step + v * LANES, acc[i][v]);
    return;
  }
  /* What a narrow tile's whole vectors write past their pixel is overwritten by the pixels after it; where the tile ends,
   * pixels go through a buffer. */
  const int64_t end = (pixels - 1) * at->y_step + at->width - vectors * LANES;
  TCT_UNROLLED (i, pixels) {
    if (i * at->y_step <= end) {
      TCT_UNROLLED (v, vectors) V_(store)(y + i * at->y_step + v * LANES, acc[i][v]);
    } else {
      float last[2 * LANES];
      TCT_UNROLLED (v, vectors) V_(store)(last + v * LANES, acc[i][v]);
      /* cppcheck-suppress uninitvar ; there is at least one vector */
      memcpy(y + i * at->y_step, last, (size_t)at->width * sizeof *y);
    }
  }
}

TCT_INLINE void NAME(filter)(const tct_cpu_filter_tile *at, const int rows, const int taps, const int vectors) {
  NAME(vector) acc[TCT_CPU_MOST_TAP_ROWS][TCT_CPU_MOST_PIXELS][2];
  TCT_UNROLLED (a, rows)
    TCT_UNROLLED (t, taps)
      TCT_UNROLLED (v, vectors) acc[a][t][v] = V_(load)(at->dw + a * at->dw_row + t * at->dw_tap + v * LANES);
  const int64_t x_step = at->x_step, dy_step = at->dy_step;
  for (int64_t i = 0; i < at->p; i++) {
    const float *x[TCT_CPU_MOST_TAP_ROWS];
    TCT_UNROLLED (a, rows) x[a] = at->x + i * at->x_row + at->row_offset[a];
    const float *dy = at->dy + i * at->dy_row;
    for (int64_t j = 0; j < at->q; j++, dy += dy_step) {
      NAME(vector) slope[2];
      TCT_UNROLLED (v, vectors) slope[v] = V_(load)(dy + v * LANES);
      TCT_UNROLLED (a, rows) {
        TCT_UNROLLED (t, taps) {
          const NAME(vector) one = V_(splat)(x[a][t]);
          TCT_UNROLLED (v, vectors) acc[a][t][v] = V_(fma)(one, slope[v], acc[a][t][v]);
        }
        x[a] += x_step;
      }
    }
  }
  TCT_UNROLLED (a, rows)
    TCT_UNROLLED (t, taps)
      TCT_UNROLLED (v, vectors) V_(store)(at->dw + a * at->dw_row + t * at->dw_tap + v * LANES, acc[a][t][v]);
}

#define FORWARD(n, vectors)                                                                                            \
  static void NAME(forward_##n##_##vectors)(const tct_cpu_conv_tile *at) {                                             \
    NAME(forward)(at, n, vectors);                                                                                     \
  }
#define FILTER(rows, taps, vectors)                                                                                    \
  static void NAME(filter_##rows##_##taps##_##vectors)(const tct_cpu_filter_tile *at) {                                \
    NAME(filter)(at, rows, taps, vectors);                                                                             \
  }
