/* Level 1, the graph: linear regression built by hand, differentiated, compiled and run step by step. It finds the weights
 * 3 and -2 and the bias 0.5 that made its data. graph [DEVICE]; the device is "cpu" unless given. */
#include <stdio.h>
#include <tercet/tercet.h>

enum { SAMPLES = 64, FEATURES = 2, STEPS = 400 };

/* Points of a fixed lattice, x [SAMPLES, FEATURES], and y [SAMPLES, 1] = 3·x₀ − 2·x₁ + 0.5. */
static void make_data(float *x, float *y) {
  for (int i = 0; i < SAMPLES; i++) {
    x[2 * i] = (float)(i % 8) / 4 - 1;
    x[2 * i + 1] = (float)(i / 8) / 4 - 1;
    y[i] = 3 * x[2 * i] - 2 * x[2 * i + 1] + 0.5f;
  }
}

/* The whole training step is one graph: forward, gradients and updates. */
static tct_status build(tct_graph *graph) {
  const tct_tensor x = tct_input(graph, "x", TCT_F32, TCT_SHAPE(SAMPLES, FEATURES));
  const tct_tensor y = tct_input(graph, "y", TCT_F32, TCT_SHAPE(SAMPLES, 1));
  const tct_tensor weights = tct_variable(graph, "weights", TCT_F32, TCT_SHAPE(FEATURES, 1), (tct_init){0});
  const tct_tensor bias = tct_variable(graph, "bias", TCT_F32, TCT_SHAPE(1), (tct_init){0});
  const tct_tensor guess = tct_add(tct_matmul(x, weights), bias);
  const tct_tensor loss = tct_reduce_mean(tct_square(tct_sub(guess, y)), NULL, 0, false);
  const tct_tensor parameters[] = {weights, bias}, none = {0};
  tct_tensor gradients[2];
  tct_gradients(loss, parameters, 2, gradients);
  const tct_tensor learning_rate = tct_scalar(graph, TCT_F32, 0.1);
  for (int i = 0; i < 2; i++)
    tct_update(TCT_OP_sgd_update, parameters[i], NULL, 0, gradients[i], learning_rate, none, none, NULL);
  tct_output(graph, "loss", loss);
  return tct_graph_status(graph); /* the one check: every wrong op above is reported here */
}

static tct_status train(tct_program *program) {
  float x[SAMPLES * FEATURES], y[SAMPLES], loss = 0;
  make_data(x, y);
  tct_status status = tct_program_set(program, "x", x, sizeof x);
  if (status == TCT_OK) status = tct_program_set(program, "y", y, sizeof y);
  for (int step = 0; status == TCT_OK && step < STEPS; step++) {
    status = tct_program_run(program);
    if (status == TCT_OK && step % 100 == 0) {
      status = tct_program_get(program, "loss", &loss, sizeof loss);
      printf("step %3d: loss %.6f\n", step, (double)loss);
    }
  }
  return status;
}

static tct_status show(tct_variables *variables) {
  float weights[FEATURES] = {0}, bias = 0;
  tct_status status = tct_variables_read(variables, "weights", weights, sizeof weights);
  if (status == TCT_OK) status = tct_variables_read(variables, "bias", &bias, sizeof bias);
  if (status == TCT_OK) printf("y = %.3f x0 + %.3f x1 + %.3f\n", (double)weights[0], (double)weights[1], (double)bias);
  return status;
}

int main(int argc, char **argv) {
  tct_device *device = NULL;
  tct_graph *graph = NULL;
  tct_program *program = NULL;
  tct_status status = tct_device_open(argc > 1 ? argv[1] : "cpu", NULL, &device);
  if (status == TCT_OK) status = tct_graph_create(&graph);
  if (status == TCT_OK) status = build(graph);
  if (status == TCT_OK) status = tct_compile(graph, device, NULL, &program);
  if (status == TCT_OK) status = train(program);
  if (status == TCT_OK) status = show(tct_program_variables(program));
  if (status != TCT_OK) fprintf(stderr, "graph: %s\n", tct_error_message());
  tct_program_free(program);
  tct_graph_free(graph);
  tct_device_close(device);
  return status == TCT_OK ? 0 : 1;
}
