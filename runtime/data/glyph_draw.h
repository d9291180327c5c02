/* Draws one procedural digit: a pure function of (seed, number). Only + − × ÷ and sqrt are used on the way from random
 * words to bytes, so every compiler and machine draws the same image. */
#ifndef TCT_DATA_GLYPH_DRAW_H
#define TCT_DATA_GLYPH_DRAW_H

#include <stdint.h>

#define TCT_GLYPH_SIDE   28
#define TCT_GLYPH_PIXELS (TCT_GLYPH_SIDE * TCT_GLYPH_SIDE)

/* The digit, 0–9, of a sample; uniform. */
int32_t tct_glyph_label(uint64_t seed, int64_t number);
/* pixels: [28, 28]. */
void tct_glyph_draw(uint64_t seed, int64_t number, uint8_t pixels[TCT_GLYPH_PIXELS]);

#endif
