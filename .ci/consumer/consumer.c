/* A stranger's program against the installed headers and library, compiled by .ci/consumers.sh as C17 and as C++17: it
 * computes 2·3 through a graph, so that linking and loading are tested as well. */
#include <stdio.h>
#include <tercet/tercet.h>

static tct_status multiply(tct_device *device, tct_graph *graph, float *product) {
  const tct_tensor two = tct_scalar(graph, TCT_F32, 2), three = tct_full(graph, TCT_F32, TCT_SHAPE(1, 1), 3);
  tct_program *program = NULL;
  tct_output(graph, "product", tct_mul(two, three));
  tct_status status = tct_compile(graph, device, NULL, &program);
  if (status == TCT_OK) status = tct_program_run(program);
  if (status == TCT_OK) status = tct_program_get(program, "product", product, sizeof *product);
  tct_program_free(program);
  return status;
}

int main(void) {
  tct_device *device = NULL;
  tct_graph *graph = NULL;
  float product = 0;
  tct_status status = tct_device_open("cpu", NULL, &device);
  if (status == TCT_OK) status = tct_graph_create(&graph);
  if (status == TCT_OK) status = multiply(device, graph, &product);
  if (status != TCT_OK) fprintf(stderr, "consumer: %s\n", tct_error_message());
  tct_graph_free(graph);
  tct_device_close(device);
  if (status == TCT_OK) printf("tercet %s: 2 x 3 = %g\n", tct_version(), (double)product);
  return status == TCT_OK && product == 6 ? 0 : 1;
}
