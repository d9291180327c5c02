/* tercet data: data that the library makes itself, as files. */
#include "tool.h"

#include <string.h>

static int run_data(const tool_options *options) {
  if (strcmp(options->positional, "glyphs") != 0)
    return tool_usage("data: unknown data '%s'; there is 'glyphs'", options->positional);
  if (!options->output) return tool_usage("data glyphs: give a folder with -o DIR");
  if (options->n_train < 1 || options->n_test < 1) return tool_usage("data glyphs: --train and --test need 1 or more");
  if (tct_glyphs_write(options->output, options->n_train, options->n_test, (uint64_t)options->seed) != TCT_OK)
    return tool_fail();
  if (options->json) {
    tool_print_json(json_pack("{s:s, s:I, s:I, s:I}", "directory", options->output, "train",
                              (json_int_t)options->n_train, "test", (json_int_t)options->n_test, "seed",
                              (json_int_t)options->seed));
  } else {
    printf("%lld training and %lld test images written to %s\n", (long long)options->n_train,
           (long long)options->n_test, options->output);
  }
  return tool_finish();
}

const tool_command tool_data = {
    .name = "data",
    .letter = 'g',
    .argument = "glyphs",
    .summary = "draw digit images and write them as IDX files",
    .about = "Glyphs are digits 0 to 9, drawn with random position, rotation, shear, stroke, noise and clutter: a data\n"
             "set of the MNIST family that needs no download, the same for a seed on every machine. Writes\n"
             "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte.\n\n"
             "Example:\n"
             "  tercet data glyphs -o glyphs --train 20000 --test 4000 --seed 7\n",
    .run = run_data};
