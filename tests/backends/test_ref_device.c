/* The reference device through its table alone, with a host of the test's own: every op has a kernel, dtypes convert as
 * convert.h says, updates write their variables, tickets carry the host's clock. */
#include <stdarg.h>

#include "backends/ref/entry.h"
#include "test.h"

static char message[512];
static int64_t now_ns;
static int64_t n_allocated;

static void *host_alloc(size_t bytes, size_t align) {
  n_allocated++;
  return aligned_alloc(align, (bytes + align - 1) / align * align);
}
static void host_release(void *memory) {
  n_allocated--;
  free(memory);
}
static tct_status host_fail(tct_status status, const char *format, ...) TCT_PRINTF(2, 3);
static tct_status host_fail(tct_status status, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  return status;
}
static int64_t host_clock(void) {
  return now_ns;
}

static const tct_host host = {
    .abi = TCT_BACKEND_ABI, .alloc = host_alloc, .release = host_release, .fail = host_fail, .clock_ns = host_clock};

static const tct_backend *enter(void) {
  const tct_backend *backend = tct_backend_entry_ref(&host);
  CHECK(backend != NULL, "%s", message);
  return backend;
}

static const tct_kernel *kernel_of(const tct_backend *backend, const char *op) {
  for (size_t i = 0; i < backend->n_kernels; i++)
    if (strcmp(backend->kernels[i].op, op) == 0) return &backend->kernels[i];
  return NULL;
}

/* Prepares and launches one node on host memory. */
static void launch(const tct_backend *backend, tct_node_view node, void *const *in, void *const *out) {
  static _Alignas(64) char workspace[1 << 16];
  const tct_kernel *kernel = kernel_of(backend, node.op_name);
  CHECK(kernel != NULL, "no kernel for %s", node.op_name);
  CHECK(kernel->supports == NULL, "the reference takes every node");
  tct_prepared prepared;
  CHECK(kernel->prepare(NULL, &node, &prepared) == TCT_OK && prepared.workspace_bytes <= sizeof workspace, "prepare");
  memset(workspace, 0xFF, sizeof workspace);
  CHECK(kernel->launch(NULL, &(tct_launch){&node, in, out, workspace, prepared.state}) == TCT_OK, "launch");
}

TEST(ref_device, every_op_has_a_kernel) {
  const tct_backend *backend = enter();
  bool wanted;
#define SOURCE false
#define VIEW   false
#define CHAIN  true
#define PLAIN  true
#define UPDATE true
#define OP(op_name, attrs, min_in, max_in, n_out, flags)                                                               \
  wanted = flags;                                                                                                      \
  CHECK((kernel_of(backend, #op_name) != NULL) == wanted, "%s", #op_name);
#include <tercet/ops.def>
#define UNARY(op_name, ...)                                                                                            \
  CHECK(kernel_of(backend, #op_name) != NULL && kernel_of(backend, #op_name "_grad") != NULL, "%s", #op_name);
#define BINARY(op_name, ...)    CHECK(kernel_of(backend, #op_name) != NULL, "%s", #op_name);
#define COMPARE(op_name, ...)   CHECK(kernel_of(backend, #op_name) != NULL, "%s", #op_name);
#define LOGICAL(op_name, ...)   CHECK(kernel_of(backend, #op_name) != NULL, "%s", #op_name);
#define PREDICATE(op_name, ...) CHECK(kernel_of(backend, #op_name) != NULL, "%s", #op_name);
#include <tercet/elementwise.def>
}

TEST(ref_device, f32_rounds_once) {
  const tct_backend *backend = enter();
  float a[3] = {1, 0.1f, 16777216}, b[3] = {2, 0.2f, 1}, y[3] = {0};
  const tct_desc in[2] = {{TCT_F32, TCT_SHAPE(3)}, {TCT_F32, TCT_SHAPE(3)}}, out = {TCT_F32, TCT_SHAPE(3)};
  launch(backend, (tct_node_view){.op = TCT_OP_add, .op_name = "add", .n_in = 2, .n_out = 1, .in = in, .out = &out},
         (void *[]){a, b}, (void *[]){y});
  for (int i = 0; i < 3; i++)
    CHECK(y[i] == (float)((double)a[i] + (double)b[i]), "element %d is %.9g", i, (double)y[i]);
}

TEST(ref_device, casts_settle_every_value) {
  const tct_backend *backend = enter();
  float x[6] = {-1.7f, 300.9f, NAN, INFINITY, -INFINITY, 0};
  int32_t i32[6];
  int64_t i64[6];
  uint8_t u8[6], truth[6];
  static const int64_t want_i64[6] = {-1, 300, 0, INT64_MAX, INT64_MIN, 0};
  static const int32_t want_i32[6] = {-1, 300, 0, INT32_MAX, INT32_MIN, 0};
  static const uint8_t want_u8[6] = {0, 255, 0, 255, 0, 0}, want_truth[6] = {1, 1, 1, 1, 1, 0};
  const struct {
    tct_dtype dtype;
    void *got;
    const void *want;
    size_t bytes;
  } rows[] = {
      {TCT_I32, i32, want_i32, sizeof i32},
      {TCT_I64, i64, want_i64, sizeof i64},
      {TCT_U8, u8, want_u8, sizeof u8},
      {TCT_BOOL, truth, want_truth, sizeof truth},
  };
  const tct_desc in = {TCT_F32, TCT_SHAPE(6)};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const tct_desc out = {rows[i].dtype, TCT_SHAPE(6)};
    const tct_cast_attrs attrs = {rows[i].dtype};
    launch(backend,
           (tct_node_view){
               .op = TCT_OP_cast, .op_name = "cast", .attrs = &attrs, .n_in = 1, .n_out = 1, .in = &in, .out = &out},
           (void *[]){x}, (void *[]){rows[i].got});
    CHECK(memcmp(rows[i].got, rows[i].want, rows[i].bytes) == 0, "cast to %s", tct_dtype_name(rows[i].dtype));
  }
}

TEST(ref_device, integers_are_exact) {
  const tct_backend *backend = enter();
  int64_t a[2] = {4503599627370497, -5}, b[2] = {2, 3}, y[2];
  const tct_desc in[2] = {{TCT_I64, TCT_SHAPE(2)}, {TCT_I64, TCT_SHAPE(2)}}, out = {TCT_I64, TCT_SHAPE(2)};
  launch(backend, (tct_node_view){.op = TCT_OP_mul, .op_name = "mul", .n_in = 2, .n_out = 1, .in = in, .out = &out},
         (void *[]){a, b}, (void *[]){y});
  CHECK(y[0] == 9007199254740994 && y[1] == -15, "%lld %lld", (long long)y[0], (long long)y[1]);

  float table[2] = {1, 2}, rows[2];
  int32_t numbers[2] = {7, 1}, indices[2] = {1, 9}, taken[2];
  const tct_gather_attrs attrs = {.axis = 0};
  const tct_desc index_desc = {TCT_I32, TCT_SHAPE(2)}, float_desc = {TCT_F32, TCT_SHAPE(2)};
  const tct_node_view of_floats = {.op = TCT_OP_gather,
                                   .op_name = "gather",
                                   .attrs = &attrs,
                                   .n_in = 2,
                                   .n_out = 1,
                                   .in = (tct_desc[]){float_desc, index_desc},
                                   .out = &float_desc};
  const tct_node_view of_integers = {.op = TCT_OP_gather,
                                     .op_name = "gather",
                                     .attrs = &attrs,
                                     .n_in = 2,
                                     .n_out = 1,
                                     .in = (tct_desc[]){index_desc, index_desc},
                                     .out = &index_desc};
  launch(backend, of_floats, (void *[]){table, indices}, (void *[]){rows});
  launch(backend, of_integers, (void *[]){numbers, indices}, (void *[]){taken});
  CHECK(rows[0] == 2 && isnan(rows[1]), "a missing float row reads NaN");
  CHECK(taken[0] == 1 && taken[1] == 0, "a missing integer row reads 0");
}

TEST(ref_device, updates_write_their_variables) {
  const tct_backend *backend = enter();
  float w[2] = {1, 2}, velocity[2] = {0.5f, 0}, g[2] = {1, -1}, lr = 0.5f;
  const tct_desc in[4] = {{TCT_F32, TCT_SHAPE(2)}, {TCT_F32, TCT_SHAPE(2)}, {TCT_F32, TCT_SHAPE(2)}, {TCT_F32, {0}}};
  const tct_update_attrs attrs = {.n_state = 2, .momentum = 0.5};
  launch(backend,
         (tct_node_view){.op = TCT_OP_sgd_update, .op_name = "sgd_update", .attrs = &attrs, .n_in = 4, .in = in},
         (void *[]){w, velocity, g, &lr}, NULL);
  CHECK(w[0] == 0.75f && w[1] == 2.5f && velocity[0] == -0.25f && velocity[1] == 0.5f, "w %g %g, velocity %g %g",
        (double)w[0], (double)w[1], (double)velocity[0], (double)velocity[1]);
  CHECK(g[0] == 1 && g[1] == -1 && lr == 0.5f, "other operands stay");
}

TEST(ref_device, f64_is_used_in_place) {
  const tct_backend *backend = enter();
  double x[3] = {1, 2, 3};
  const tct_desc desc = {TCT_F64, TCT_SHAPE(3)}, large = {TCT_F64, TCT_SHAPE(1000, 1000)};
  const tct_node_view node = {
      .op = TCT_OP_square, .op_name = "square", .n_in = 1, .n_out = 1, .in = &desc, .out = &desc};
  launch(backend, node, (void *[]){x}, (void *[]){x});
  CHECK(x[0] == 1 && x[1] == 4 && x[2] == 9, "an output may be its input");
  tct_node_view big = node;
  big.in = big.out = &large;
  tct_prepared prepared;
  CHECK(kernel_of(backend, "square")->prepare(NULL, &big, &prepared) == TCT_OK, "prepare");
  CHECK(prepared.workspace_bytes < 1024, "%zu bytes of workspace for f64", prepared.workspace_bytes);
}

TEST(ref_device, refuses_what_it_cannot_do) {
  const tct_backend *backend = enter();
  tct_device_impl *device = NULL;
  CHECK(backend->open(&(tct_open_options){.ordinal = 1, .options = ""}, &device) == TCT_INVALID && device == NULL, "%s",
        message);
  CHECK(strstr(message, "number 1") != NULL, "%s", message);
  CHECK(backend->open(&(tct_open_options){.options = "fast"}, &device) == TCT_INVALID && strstr(message, "'fast'"),
        "%s", message);

  tct_host other = host;
  other.abi = TCT_BACKEND_ABI + 1;
  CHECK(tct_backend_entry_ref(&other) == NULL && strstr(message, "ABI"), "%s", message);
}

TEST(ref_device, memory_and_clock) {
  const tct_backend *backend = enter();
  char why[64] = "?";
  CHECK(backend->probe(why, sizeof why) == 1 && why[0] == '\0', "%s", why);
  tct_device_impl *device = NULL;
  CHECK(backend->open(&(tct_open_options){.options = ""}, &device) == TCT_OK, "%s", message);
  void *memory = NULL;
  CHECK(backend->alloc(device, 0, &memory) == TCT_OK && memory != NULL, "an empty buffer is a buffer");
  backend->free(device, memory);
  CHECK(backend->alloc(device, 100, &memory) == TCT_OK && (uintptr_t)memory % 64 == 0, "buffers are aligned");
  char back[4] = "";
  CHECK(backend->upload(device, memory, "abc", 4) == TCT_OK && backend->download(device, back, memory, 4) == TCT_OK,
        "copies");
  CHECK(strcmp(back, "abc") == 0, "got '%s'", back);

  tct_ticket begin, end, many;
  now_ns = 1000;
  CHECK(backend->mark(device, TCT_QUEUE_COMPUTE, &begin) == TCT_OK, "mark");
  now_ns = 2501000;
  CHECK(backend->mark(device, TCT_QUEUE_COMPUTE, &end) == TCT_OK && backend->reached(device, end), "mark");
  CHECK(fabs(backend->elapsed(device, begin, end) - 2.5e-3) < 1e-12, "%g s", backend->elapsed(device, begin, end));
  for (int i = 0; i < 5000; i++) CHECK(backend->mark(device, TCT_QUEUE_COMPUTE, &many) == TCT_OK, "mark");
  CHECK(backend->elapsed(device, begin, many) == 0.0, "a forgotten mark gives 0");
  CHECK(backend->sync(device) == TCT_OK, "sync");
  backend->free(device, memory);
  backend->close(device);
  backend->close(NULL);
  CHECK(n_allocated == 0, "%d allocations left", (int)n_allocated);
}
