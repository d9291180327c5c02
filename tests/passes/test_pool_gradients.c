/* Gradients through a max pooling: what moves to the pooled size, what stays, and that the values are the same. */
#include "graphs.h"
#include "test.h"

/* d/dw and d/dbias of Σ pool(activation(x⋆w + bias))². */
static tct_graph *step(tct_tensor (*activation)(tct_tensor), int64_t stride, bool pools) {
  tct_graph *graph = graph_make();
  const tct_tensor x = INPUT(graph, "x", 2, 9, 8, 3), w = VARIABLE(graph, "w", 3, 3, 3, 5), b = VARIABLE(graph, "b", 5);
  tct_tensor y = activation(tct_add(tct_conv2d(x, w, NULL), b));
  if (pools) y = tct_max_pool2d(y, &(tct_pool2d_options){.window = {2, 2}, .stride = {stride, stride}});
  tct_tensor gradients[2];
  tct_gradients(sum_of(tct_square(y)), (tct_tensor[]){w, b}, 2, gradients);
  tct_output(graph, "dw", gradients[0]);
  tct_output(graph, "db", gradients[1]);
  return graph;
}

TEST(pool_gradients, activation_and_bias_move_to_the_pooled_size) {
  tct_tensor (*const activations[])(tct_tensor) = {tct_relu, tct_tanh};
  const tct_op slopes[] = {TCT_OP_relu_grad, TCT_OP_tanh_grad};
  tct_device *ref = device_make("ref");
  for (int i = 0; i < 2; i++)
    for (int64_t stride = 1; stride <= 2; stride++) {
      tct_graph *graph = step(activations[i], stride, true);
      tct_graph *out = passed(graph, ref, tct_pass_pool_gradients);
      const tct_node *pool = node_of(out, TCT_OP_max_pool2d_grad), *slope = node_of(out, slopes[i]);
      CHECK(pool->in[2] == slope->out, "the slope comes before the pooling's gradient");
      CHECK(tct_shape_equal(&out->values[slope->out].desc.shape, &out->values[pool->in[1]].desc.shape));
      bool summed_small = false;
      for (int32_t n = 0; n < out->n_nodes; n++)
        summed_small = summed_small || (out->nodes[n].op == TCT_OP_reduce_sum && out->nodes[n].in[0] == slope->out);
      CHECK(summed_small, "the bias' gradient is summed before the pooling's gradient");
      check_same_output(graph, out, ref, "dw");
      check_same_output(graph, out, ref, "db");
      tct_graph_free(out);
      tct_graph_free(graph);
    }
  tct_device_close(ref);
}

TEST(pool_gradients, other_graphs_stay) {
  tct_device *ref = device_make("ref");
  tct_graph *plain = step(tct_relu, 2, false);
  tct_graph *out = passed(plain, ref, tct_pass_pool_gradients);
  CHECK(out->n_nodes == plain->n_nodes && count_op(out, TCT_OP_relu_grad) == 1);
  tct_graph_free(out);
  tct_graph_free(plain);

  /* The pooling's own gradient is read as well: it has to stay as it is. */
  tct_graph *graph = graph_make();
  const tct_tensor x = INPUT(graph, "x", 1, 4, 4, 3), y = tct_relu(x), z = tct_max_pool2d(y, NULL);
  tct_tensor gradients[2];
  tct_gradients(sum_of(tct_square(z)), (tct_tensor[]){x, y}, 2, gradients);
  tct_output(graph, "dx", gradients[0]);
  tct_output(graph, "dy", gradients[1]);
  out = passed(graph, ref, tct_pass_pool_gradients);
  CHECK(node_of(out, TCT_OP_relu_grad)->in[1] == node_of(out, TCT_OP_max_pool2d_grad)->out);
  check_same_output(graph, out, ref, "dx");
  tct_graph_free(out);
  tct_graph_free(graph);
  tct_device_close(ref);
}
