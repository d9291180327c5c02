/* Data files: whatever is in them, a dataset comes out that can be read to its last sample, or an error. */
#include "fuzz/targets.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/chip.h>
#include <tercet/systolic.h>

/* Reads the first and the last sample; floats are finite where `finite`. */
static void read_ends(tct_dataset *data, bool finite) {
  const int64_t n = tct_dataset_samples(data), index[2] = {0, n - 1};
  const int32_t n_fields = tct_dataset_n_fields(data);
  void *out[4] = {NULL};
  fuzz_expect(n_fields >= 1 && n_fields <= 4, "one to four fields");
  if (n == 0) return;
  for (int32_t f = 0; f < n_fields; f++) {
    const tct_field *const field = tct_dataset_field(data, f);
    out[f] = malloc(2 * (size_t)tct_shape_size(&field->shape) * tct_dtype_bytes(field->dtype) + 1);
    fuzz_expect(out[f] != NULL, "memory for two samples");
  }
  fuzz_expect(fuzz_passed(tct_dataset_read(data, index, 2, out)), "samples of a dataset that was opened can be read");
  for (int32_t f = 0; f < n_fields; f++) {
    const tct_field *const field = tct_dataset_field(data, f);
    for (int64_t i = 0; finite && field->dtype == TCT_F32 && i < 2 * tct_shape_size(&field->shape); i++)
      fuzz_expect(isfinite(((const float *)out[f])[i]), "finite numbers");
    free(out[f]);
  }
}

static void use(tct_status status, tct_dataset *data, bool finite) {
  if (fuzz_passed(status)) read_ends(data, finite);
  fuzz_expect((status == TCT_OK) == (data != NULL), "a dataset or an error");
  tct_dataset_free(data);
}

void fuzz_idx(const uint8_t *data, size_t bytes) {
  if (bytes < 2) return;
  size_t labels = (size_t)data[0] | (size_t)data[1] << 8;
  data += 2;
  bytes -= 2;
  if (labels > bytes) labels = bytes;
  const char *const labels_path = labels > 0 ? fuzz_file(0, data, labels) : NULL;
  tct_dataset *set = NULL;
  const tct_status status = tct_dataset_idx(fuzz_file(1, data + labels, bytes - labels), labels_path, NULL, &set);
  use(status, set, true);
}

void fuzz_npy(const uint8_t *data, size_t bytes) {
  tct_dataset *set = NULL;
  const tct_status status = tct_dataset_npy(fuzz_file(0, data, bytes), NULL, &set);
  use(status, set, false);
}

void fuzz_csv(const uint8_t *data, size_t bytes) {
  static const char *const targets[] = {NULL, "0", "-1", "y"};
  if (bytes < 1) return;
  const tct_csv_options options = {.header = (tct_toggle)(data[0] % 3),
                                   .target = targets[data[0] >> 2 & 3],
                                   .no_target = (data[0] >> 4 & 1) != 0,
                                   .classes = (tct_toggle)((data[0] >> 5 & 3) % 3),
                                   .delimiter = (data[0] & 0x80) != 0 ? ';' : '\0'};
  tct_dataset *set = NULL;
  const tct_status status = tct_dataset_csv(fuzz_file(0, data + 1, bytes - 1), &options, &set);
  use(status, set, true);
}

void fuzz_characters(const uint8_t *data, size_t bytes) {
  if (bytes < 1) return;
  const tct_text_options options = {.window = 1 + data[0] % 64, .last_only = (data[0] & 0x80) != 0};
  tct_dataset *set = NULL;
  const tct_status status = tct_dataset_text(fuzz_file(0, data + 1, bytes - 1), &options, &set);
  use(status, set, false);
}

/* What the reader lets through the model takes, or refuses for its size. */
void fuzz_topology(const uint8_t *data, size_t bytes) {
  static const tct_scale_config config = {.rows = 8, .cols = 8, .ifmap_kb = 1, .filter_kb = 1, .ofmap_kb = 1, .version = 2,
                                          .walks = TCT_SCALE_WALK_NONE};
  tct_topology *topology = NULL;
  const tct_status status = tct_topology_read(fuzz_file(0, data, bytes), &topology);
  fuzz_expect((status == TCT_OK) == (topology != NULL), "a topology or an error");
  if (!fuzz_passed(status)) return;
  const int64_t n = tct_topology_n_layers(topology);
  fuzz_expect(n >= 1 && tct_topology_layer_at(topology, n) == NULL, "layers");
  for (int64_t i = 0; i < n; i++) {
    const tct_topology_layer *const layer = tct_topology_layer_at(topology, i);
    fuzz_expect(layer->name != NULL && layer->copies >= 1 && layer->line >= 2, "a layer");
    tct_scale_report report;
    if (fuzz_passed(tct_scale_run(&config, &layer->layer, &report)))
      fuzz_expect(report.total_cycles >= 0 && report.mapping_efficiency > 0 && report.mapping_efficiency <= 100, "counts");
  }
  tct_topology_free(topology);
}

/* A chip that was read can be reckoned with. */
static void use_chip(const char *spec) {
  tct_chip chip;
  tct_chip_time time;
  if (!fuzz_passed(tct_chip_open(spec, &chip))) return;
  fuzz_expect(chip.clock >= 1e6 && chip.array_rows >= 1 && chip.array_cols <= 4096 && chip.chips >= 1, "values in their ranges");
  const tct_product product = {.m = 100, .k = 30, .n = 50, .x_bytes = 12000, .w_bytes = 6000, .y_bytes = 20000};
  if (fuzz_passed(tct_chip_product(&chip, &product, &time)))
    fuzz_expect(time.total > 0 && time.total < 1e30 && tct_chip_energy(&chip, &time) >= 0, "a time and an energy");
  const double sum = tct_chip_all_reduce(&chip, 1e6);
  fuzz_expect(sum >= 0 && sum < 1e30, "a time on the links");
}

void fuzz_chip(const uint8_t *data, size_t bytes) {
  char *const text = fuzz_text(data, bytes);
  char *const end = strchr(text, '\n');
  const size_t line = end != NULL ? (size_t)(end - text) : strlen(text);
  char spec[1200];
  text[line] = '\0';
  (void)snprintf(spec, sizeof spec, "v3,%s", text);
  use_chip(spec);
  const size_t rest = line < bytes ? line + 1 : bytes;
  (void)snprintf(spec, sizeof spec, "%s,%s", fuzz_file(0, data + rest, bytes - rest), line > 0 ? text : "chips=1");
  use_chip(spec);
  free(text);
}

/* Tile lists of any size; layers of numbers of one digit, for their walks may take minutes. */
void fuzz_experiments(const uint8_t *data, size_t bytes) {
  char *const text = fuzz_text(data, bytes);
  bool small = true;
  for (size_t i = 1; i < bytes; i++) small = small && !(isdigit(data[i - 1]) && isdigit(data[i]));
  const bool tiles = strlen(text) == bytes && strstr(text, "simulator") == NULL;
  if (small || tiles) (void)fuzz_passed(tct_systolic_batch(fuzz_file(0, data, bytes), "/dev/null"));
  free(text);
}
