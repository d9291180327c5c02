/* SCALE-Sim's topology files: tidy and untidy ones give the same layers, wrong ones are named by cell, and no failing allocation
 * or file call leaks. The rows are cut from files that SCALE-Sim ships; its parser refuses most of the untidy ones. */
#include <errno.h>

#include <tercet/systolic.h>
#include "base/alloc.h"
#include "base/file.h"
#include "base/status.h"
#include "faults.h"
#include "test.h"

#define CONV "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides"

static char folder[SCRATCH_BYTES], path[2 * SCRATCH_BYTES];

static void begin(void) {
  scratch_make(folder);
  snprintf(path, sizeof path, "%s/net.csv", folder);
}

static void write_file(const char *text) {
  OK(tct_file_write_atomic(path, &(tct_file_part){.data = text, .bytes = strlen(text)}, 1));
}

static bool same_layer(const tct_scale_layer *a, const tct_scale_layer *b) {
  return a->ifmap_h == b->ifmap_h && a->ifmap_w == b->ifmap_w && a->filter_h == b->filter_h && a->filter_w == b->filter_w &&
         a->channels == b->channels && a->n_filters == b->n_filters && a->stride_h == b->stride_h && a->stride_w == b->stride_w;
}

TEST(systolic_topology, files_as_they_are) {
  const struct {
    const char *text;
    int64_t n;
    tct_topology_layer last;
  } rows[] = {
      {CONV ",\nConv1,      224,          224,         11,            11,           3,        96,         4,\n", 1,
       {"Conv1", {224, 224, 11, 11, 3, 96, 4, 4}, 1, 2}},
      {CONV ",,,Eh,Ew,e2\n,,,,,,,,,,,,\nConv1,224,224,7,7,3,64,2,,,110,110,12100\nFC6,1,1,1,1,2048,1000,1,,,,,", 2,
       {"FC6", {1, 1, 1, 1, 2048, 1000, 1, 1}, 1, 4}},
      {CONV "\nConv1,224,224,7,7,3,64,2", 1, {"Conv1", {224, 224, 7, 7, 3, 64, 2, 2}, 1, 2}},
      {CONV ",\r\n\r\n\tConv8_dw, 56, 56, 3, 3, 1, 1, 2,#dw\r\n  \t \r\n", 1, {"Conv8_dw", {56, 56, 3, 3, 1, 1, 2, 2}, 1, 3}},
      {CONV ", Batch Size,\nLayerNorm, 512, 512, 1, 1, 4096, 4096, 1, 1,\n", 1,
       {"LayerNorm", {512, 512, 1, 1, 4096, 4096, 1, 1}, 1, 2}},
      {CONV ", Sparsity,\nConv1, 8, 8, 3, 3, 3, 96, 4, 1:4,", 1, {"Conv1", {8, 8, 3, 3, 3, 96, 4, 4}, 1, 2}},
      {"Layer name\t IFMAP Height\t IFMAP Width\t Filter Height\t Filter Width\t Channels\t Num Filter\t Strides\t \n"
       "\t\t\t\t\t\t\t\t\nTR_Conv1\t28\t28\t2\t2\t1024\t512\t1\t\n", 1, {"TR_Conv1", {28, 28, 2, 2, 1024, 512, 1, 1}, 1, 3}},
      {"Layer name,IFMAP height,IFMAP width,Filter height,Filter width,Channels,Num filter,Stride height,Stride width,\n"
       "a,9,9,3,3,2,4,1,2,\nb,9,9,3,3,2,4,3,,\n", 2, {"b", {9, 9, 3, 3, 2, 4, 3, 3}, 1, 3}},
      {"stride_w;STRIDE_H;num_filters;channels;filter_w;filter_h;ifmap_w;ifmap_h\n7;6;5;4;3;2;9;8\n", 1,
       {"", {8, 9, 2, 3, 4, 5, 6, 7}, 1, 2}},
      {CONV "\nDP_2,14,14,3,3,512,1,1,\n", 1, {"DP_2", {14, 14, 3, 3, 1, 1, 1, 1}, 512, 2}},
      {"\xef\xbb\xbfLayer Name, M, N, K, Sparsity,\nGEMM_1, 3, 5, 16, 1:1,\nDP, 1, 5, 16, 1,", 2,
       {"DP", {1, 16, 1, 16, 1, 5, 1, 1}, 1, 3}},
      {"what,M,K,FFN_up,N\n\"Q, \"\"K\"\"\",1378,3584,,18944\n", 1, {"Q, \"K\"", {1378, 3584, 1, 3584, 1, 18944, 1, 1}, 1, 2}},
  };
  begin();
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    tct_topology *net = NULL;
    write_file(rows[i].text);
    OK(tct_topology_read(path, &net));
    CHECK(tct_topology_n_layers(net) == rows[i].n, "row %zu: %lld layers", i, (long long)tct_topology_n_layers(net));
    const tct_topology_layer *const last = tct_topology_layer_at(net, rows[i].n - 1), *const wanted = &rows[i].last;
    CHECK(strcmp(last->name, wanted->name) == 0, "row %zu: '%s'", i, last->name);
    CHECK(same_layer(&last->layer, &wanted->layer), "row %zu: another layer", i);
    CHECK(last->copies == wanted->copies && last->line == wanted->line, "row %zu: %lld copies, line %lld", i,
          (long long)last->copies, (long long)last->line);
    CHECK(tct_topology_layer_at(net, rows[i].n) == NULL && tct_topology_layer_at(net, -1) == NULL);
    tct_topology_free(net);
  }
  tct_topology_free(NULL);
  scratch_remove(folder);
}

TEST(systolic_topology, wrong_files) {
  static const struct {
    const char *text, *part;
  } rows[] = {
      {"", "net.csv:1:1: empty, needs a header"},
      {CONV "\n\n", ":3:1: no layers below the header"},
      {"Conv1,8,8,3,3,1,4,1\n", ":1:1: no column 'IFMAP Height'; a topology's first line names its columns"},
      {"\nLayer,M,N\nA,1,2\n", ":2:1: no column 'K'"},
      {CONV "\nA,8,8,3,3,1,x,1\n", ":2:13: column 'Num Filter' is 'x', needs a whole number"},
      {CONV "\nA,8,8,3,3,1,4.5,1\n", ":2:13: column 'Num Filter' is '4.5', needs a whole number"},
      {CONV "\n\nA,8,8,3\n", ":3:1: the row ends before column 'Filter Width', needs a whole number"},
      {CONV "\nA,8,8,3,3,1,4,\n", ":2:15: column 'Strides' is '', needs a whole number"},
      {CONV "\nA,8,8,9,3,1,4,1\n", ":2:7: column 'Filter Height': filter height is 9, needs 1 to 8"},
      {CONV "\nA,8,8,3,3,1,4,0\n", ":2:15: column 'Strides': stride_h is 0"},
      {CONV "\nA,8,8,3,3,1,4,-1\n", ":2:15: column 'Strides': stride_h is -1"},
      {CONV ",Stride W\nA,8,8,3,3,1,4,1,0\n", ":2:17: column 'Stride Width': stride_w is 0"},
      {CONV ",Batch\nA,8,8,3,3,1,4,1,32\n", ":2:17: column 'Batch' is '32', needs 1"},
      {CONV "\nDPA,8,8,3,3,1048575,4,1\nDP,8,8,3,3,2,4,1\n", ":3:1: more than 1048576 layers"},
      {"Layer,M,N,K\nA,0,1,1\n", ":2:3: column 'M': ifmap height is 0"},
      {"Layer,M,N,K\nA,1,0,1\n", ":2:5: column 'N': filters is 0"},
      {"Layer,M,N,K\nA,1,1,99999999999\n", ":2:7: column 'K': ifmap width is 99999999999"},
      {"Layer,M,N,K\nA,1,1,99999999999999999999\n", ":2:7: column 'K' is '99999999999999999999'"},
      {"Layer,M,N,K\n\xe4,1,1,1\n", ":2:1: column 'Layer' is '\xe4', needs UTF-8"},
      {"Layer,M,N,K\n\"A,1,1,1\n", ":2:1: the quote that opens here is never closed"},
  };
  begin();
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    tct_topology *net = NULL;
    write_file(rows[i].text);
    FAILS(tct_topology_read(path, &net), TCT_BAD_DATA, rows[i].part);
    CHECK(net == NULL, "row %zu", i);
  }
  tct_topology *net = NULL;
  FAILS(tct_topology_read("not-there.csv", &net), TCT_NOT_FOUND, "not-there.csv");
  FAILS(tct_topology_read(NULL, &net), TCT_INVALID, "no path");
  scratch_remove(folder);
}

static int warnings;
static void count_warnings(void *user, tct_log_level level, const char *text) {
  (void)user;
  warnings += level == TCT_LOG_WARNING && strstr(text, "sparsity") != NULL;
}

TEST(systolic_topology, sparsity_is_passed_over_aloud) {
  static const char *const ratios[] = {"1:1", "1", "", "2:4"};
  begin();
  tct_set_log(count_warnings, NULL, TCT_LOG_WARNING);
  for (size_t i = 0; i < TCT_COUNT_OF(ratios); i++) {
    char text[128];
    tct_topology *net = NULL;
    snprintf(text, sizeof text, "Layer,M,N,K,Sparsity,\nA,1,1,1,%s,\nB,1,1,1,%s,\n", ratios[i], ratios[i]);
    write_file(text);
    warnings = 0;
    OK(tct_topology_read(path, &net));
    CHECK(warnings == (i == 3), "%s: %d warnings", ratios[i], warnings);
    tct_topology_free(net);
  }
  tct_set_log(NULL, NULL, TCT_LOG_WARNING);
  scratch_remove(folder);
}

TEST(systolic_topology, every_call_fails_in_turn) {
  enum { N_LAYERS = 100 };
  static char text[64 * N_LAYERS];
  tct_topology *net = NULL;
  size_t at = (size_t)snprintf(text, sizeof text, CONV "\n\"say \"\"x\"\"\",8,8,3,3,1,4,1\n");
  for (int i = 1; i < N_LAYERS; i++) at += (size_t)snprintf(text + at, sizeof text - at, "layer%d,8,8,3,3,1,4,1\n", i);
  begin();
  write_file(text);
  const int64_t live = tct_alloc_live();
  int64_t n = 1;
  for (bool struck = true; struck; n++) {
    fault_alloc(n);
    const tct_status status = tct_topology_read(path, &net);
    struck = fault_alloc(0);
    CHECK(status == (struck ? TCT_OUT_OF_MEMORY : TCT_OK) && (net != NULL) == !struck, "allocation %lld: %s", (long long)n,
          tct_status_name(status));
    if (!struck) CHECK(tct_topology_n_layers(net) == N_LAYERS);
    tct_topology_free(net);
    CHECK(tct_alloc_live() == live, "allocation %lld leaks", (long long)n);
  }
  CHECK(n > N_LAYERS, "only %lld allocations", (long long)n);
  n = 1;
  for (bool struck = true; struck; n++) {
    fault_file(n, EIO);
    const tct_status status = tct_topology_read(path, &net);
    struck = fault_file(0, 0);
    CHECK(struck || status == TCT_OK, "call %lld: %s", (long long)n, tct_status_name(status));
    tct_topology_free(net);
    CHECK(tct_alloc_live() == live, "call %lld leaks", (long long)n);
  }
  CHECK(n > 3, "only %lld file calls", (long long)n);
  scratch_remove(folder);
}
