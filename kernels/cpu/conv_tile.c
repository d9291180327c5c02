/* Direct convolution's register tiles. NHWC makes the taps (s, c) of a window row contiguous, so that a convolution is
 * a product whose left rows overlap in memory: nothing is packed but the weights, and with a zero halo nothing is an
 * edge. A tile is up to 14 pixels × 2 vectors where there are 32 registers, 6 × 2 where there are 16; narrow outputs
 * take one vector, and half-width ones where the level has them. */
#include "kernels/cpu/kernels.h"

#define PASTE_(a, b) a##b
#define PASTE(a, b)  PASTE_(a, b)
#define V_(what)     PASTE(PASTE(tct_, V), PASTE(_, what))
#define V_TYPE       PASTE(tct_, V)
#define NAME(what)   PASTE(V, PASTE(_, what))

/* Every (pixels) and (rows, taps) that a block of that many vectors has; each list stands once, used for the functions
 * and for the tables. */
#define SIXES(X, v)      X(1, v) X(2, v) X(3, v) X(4, v) X(5, v) X(6, v)
#define TWELVES(X, v)    SIXES(X, v) X(7, v) X(8, v) X(9, v) X(10, v) X(11, v) X(12, v)
#define FOURTEENS(X, v)  TWELVES(X, v) X(13, v) X(14, v)
#define ONE_ROW(n, v)    FILTER(1, n, v)
#define SMALL_ROWS(X, v) X(2, 1, v) X(2, 2, v) X(2, 3, v) X(3, 1, v) X(3, 2, v)
#define MORE_ROWS(X, v)  X(2, 4, v) X(2, 5, v) X(2, 6, v) X(3, 3, v) X(3, 4, v)

#define AT_FORWARD(n, v)    [n] = NAME(forward_##n##_##v),
#define AT_ONE_ROW(n, v)    [1][n] = NAME(filter_1_##n##_##v),
#define AT_ROWS(rows, n, v) [rows][n] = NAME(filter_##rows##_##n##_##v),

#if defined(__AVX512F__)
#define V     v16
#define LANES 16
#include "kernels/cpu/conv_tile.h"
FOURTEENS(FORWARD, 2)
FOURTEENS(ONE_ROW, 2)
SMALL_ROWS(FILTER, 2)
MORE_ROWS(FILTER, 2)
FOURTEENS(FORWARD, 1)
FOURTEENS(ONE_ROW, 1)
SMALL_ROWS(FILTER, 1)
MORE_ROWS(FILTER, 1)
static const tct_cpu_conv_block wide[] = {
    {32, 14, {FOURTEENS(AT_FORWARD, 2)}, {FOURTEENS(AT_ONE_ROW, 2) SMALL_ROWS(AT_ROWS, 2) MORE_ROWS(AT_ROWS, 2)}},
    {16, 14, {FOURTEENS(AT_FORWARD, 1)}, {FOURTEENS(AT_ONE_ROW, 1) SMALL_ROWS(AT_ROWS, 1) MORE_ROWS(AT_ROWS, 1)}},
};
#undef V
#undef LANES
#define V     v8
#define LANES 8
#include "kernels/cpu/conv_tile.h"
FOURTEENS(FORWARD, 1)
FOURTEENS(ONE_ROW, 1)
SMALL_ROWS(FILTER, 1)
MORE_ROWS(FILTER, 1)
static const tct_cpu_conv_block narrow = {
    8, 14, {FOURTEENS(AT_FORWARD, 1)}, {FOURTEENS(AT_ONE_ROW, 1) SMALL_ROWS(AT_ROWS, 1) MORE_ROWS(AT_ROWS, 1)}};
#else
#if defined(__AVX2__)
#define V     v8
#define LANES 8
#else
#define V     v4
#define LANES 4
#endif
#include "kernels/cpu/conv_tile.h"
SIXES(FORWARD, 2)
SIXES(ONE_ROW, 2)
SMALL_ROWS(FILTER, 2)
TWELVES(FORWARD, 1)
TWELVES(ONE_ROW, 1)
SMALL_ROWS(FILTER, 1)
MORE_ROWS(FILTER, 1)
static const tct_cpu_conv_block wide[] = {
    {2 * LANES, 6, {SIXES(AT_FORWARD, 2)}, {SIXES(AT_ONE_ROW, 2) SMALL_ROWS(AT_ROWS, 2)}},
    {LANES, 12, {TWELVES(AT_FORWARD, 1)}, {TWELVES(AT_ONE_ROW, 1) SMALL_ROWS(AT_ROWS, 1) MORE_ROWS(AT_ROWS, 1)}},
};
#if defined(__AVX2__)
#undef V
#undef LANES
#define V     v4
#define LANES 4
#include "kernels/cpu/conv_tile.h"
TWELVES(FORWARD, 1)
TWELVES(ONE_ROW, 1)
SMALL_ROWS(FILTER, 1)
MORE_ROWS(FILTER, 1)
static const tct_cpu_conv_block narrow = {
    4, 12, {TWELVES(AT_FORWARD, 1)}, {TWELVES(AT_ONE_ROW, 1) SMALL_ROWS(AT_ROWS, 1) MORE_ROWS(AT_ROWS, 1)}};
#endif
#endif

const tct_cpu_conv_block *TCT_CPU(conv_block)(int32_t i) {
#if defined(__AVX2__)
  return i < 2 ? &wide[i] : i == 2 ? &narrow : NULL;
#else
  return i < 2 ? &wide[i] : NULL;
#endif
}
