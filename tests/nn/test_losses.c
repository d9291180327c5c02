/* Losses by hand-checked numbers: the examples of Keras' documentation, their mean over two rows. */
#include <tercet/tercet.h>
#include "graphs.h"
#include "nn/losses.h"
#include "test.h"

static double loss_of(const char *name, const double *target, const double *output) {
  const tct_loss_type *type = tct_loss_find(name);
  CHECK(type != NULL, "no loss '%s'", name);
  const tct_loss_settings settings = {0};
  double loss = NAN;
  tct_device *device = device_make("ref");
  tct_graph *graph = graph_make();
  const tct_tensor t = tct_constant(graph, TCT_F64, TCT_SHAPE(2, 2), target);
  const tct_tensor y = tct_constant(graph, TCT_F64, TCT_SHAPE(2, 2), output);
  const tct_tensor rows = type->build(y, t, &settings);
  CHECK(tct_tensor_shape(rows).rank == 1, "%s: a value per row", name);
  tct_output(graph, "loss", tct_reduce_mean(rows, NULL, 0, false));
  tct_program *program = NULL;
  OK(tct_compile(graph, device, NULL, &program));
  OK(tct_program_run(program));
  OK(tct_program_get(program, "loss", &loss, sizeof loss));
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(device);
  return loss;
}

TEST(losses, hinges_and_divergence_are_keras) {
  static const double target[] = {0, 1, 0, 0}, output[] = {0.6, 0.4, 0.4, 0.6};
  static const double signs[] = {-1, 1, -1, -1}, far[] = {-3, 2, -1, -1};
  static const struct {
    const char *name;
    const double *target, *output;
    double loss, tolerance;
  } rows[] = {{"hinge", target, output, 1.3, 1e-12},
              {"hinge", signs, output, 1.3, 1e-12}, /* 0 and 1 stand for -1 and 1 */
              {"hinge", signs, far, 0, 0},
              {"squared_hinge", target, output, 1.86, 1e-12},
              {"categorical_hinge", target, output, 1.4, 1e-12},
              {"kl_divergence", target, output, 0.458143, 1e-6},
              {"kld", target, target, 0, 1e-12}};
  for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
    const double loss = loss_of(rows[r].name, rows[r].target, rows[r].output);
    CHECK(fabs(loss - rows[r].loss) <= rows[r].tolerance, "row %d, %s: %.9g, not %.9g", (int)r, rows[r].name, loss,
          rows[r].loss);
  }
}
