/* The arithmetic of sliding windows, shared by convolution and pooling. Along one axis, with the window's reach
 * e = (window - 1)·dilation + 1:   outputs = ⌊(in + before + after - e)/stride⌋ + 1. */
#ifndef TCT_OPS_WINDOW_H
#define TCT_OPS_WINDOW_H

#include <tercet/ops.h>
#include <tercet/op.h>

/* One axis of a window op. */
typedef struct tct_window {
  int64_t in, window, dilation, stride, before, after;
} tct_window;

/* Both image axes: x is [N,H,W,C], pad is top, bottom, left, right; dilation NULL: 1. */
void tct_windows(const int64_t in[2], const int64_t window[2], const int64_t stride[2], const int64_t dilation[2],
                 const int64_t pad[4], tct_window out[2]);
/* The number of outputs of each axis, or the refusal. */
bool tct_window_outputs(tct_infer *infer, const tct_window window[2], int64_t out[2]);

/* SAME (TensorFlow's): before and after such that there are ⌈in/stride⌉ outputs, the odd one after. Values that the
 * shape rule refuses give zeros. */
void tct_window_same(tct_window *window);
/* Writes `pad` of a builder's options; false after recording why the options contradict each other. */
bool tct_resolve_padding(tct_graph *graph, const char *op_name, tct_padding padding, const int64_t asked[4],
                         tct_window window[2], int64_t pad[4]);

#endif
