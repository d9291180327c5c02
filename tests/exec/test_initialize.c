/* First values of variables that are not floats: what fits is stored, what does not is refused by name. */
#include <tercet/tercet.h>
#include "test.h"

static tct_status first_value(tct_dtype dtype, double value, tct_variables **out, tct_device *device) {
  tct_graph *graph = NULL;
  tct_program *program = NULL;
  OK(tct_variables_create(device, 0, out));
  OK(tct_graph_create(&graph));
  const tct_init init = {.kind = TCT_INIT_CONSTANT, .value = value};
  tct_output(graph, "y", tct_variable(graph, "v", dtype, TCT_SHAPE(1), init));
  const tct_status status = tct_compile(graph, device, &(tct_compile_options){.variables = *out}, &program);
  tct_program_free(program);
  tct_graph_free(graph);
  return status;
}

TEST(initialize, constants_fit_their_dtype) {
  tct_device *device = NULL;
  tct_variables *variables = NULL;
  OK(tct_device_open("ref", NULL, &device));
  uint8_t truth = 9;
  OK(first_value(TCT_BOOL, 2, &variables, device));
  OK(tct_variables_read(variables, "v", &truth, sizeof truth));
  CHECK(truth == 1, "a bool is %d", truth);
  tct_variables_free(variables);
  static const struct {
    tct_dtype dtype;
    double value;
  } rows[] = {{TCT_U8, 256}, {TCT_U8, -1}, {TCT_I32, 1e10}, {TCT_I64, 1e19}, {TCT_I32, NAN}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    FAILS(first_value(rows[i].dtype, rows[i].value, &variables, device), TCT_INVALID, "does not fit");
    tct_variables_free(variables);
  }
  tct_device_close(device);
}
