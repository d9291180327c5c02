/* A training step under a stopwatch, driven over standard input, so that a script can alternate rounds with a peer's in
 * one run: step_server MODEL BATCH THREADS [DEVICE [WORD…]], then commands, one a line, each answered by one line of JSON:
 *   ready           nothing; the session, which any other command begins, has not begun
 *   describe        what one step takes by plan: products' flops, least bytes of traffic, bytes of memory (all that is
 *                   allocated once the program is compiled, and the batch)
 *   export PREFIX   writes each parameter and the batches as PREFIX-<name>.npy ('/' becomes '.')
 *   run N           N training steps: seconds and the loss of the last step, before its update; each step's loss is read
 *   stream N        the same, but the loss of the last step alone is read
 *   profile N       N steps under the program's own stopwatch; the lines before the answer are its steps
 *   memory          the highest resident set since the session began, above the process before it (Linux); what a GPU's
 *                   uploads hold on it beside the plan
 * Words: bfloat16 or float16, the precision (float32); batches=N, batches of noise that steps take in turn (1); `warm`,
 * which trains the same model for two steps at batch 1 and forgets it before the session begins, so that the code that a
 * step runs is resident and memory counts data alone: a device that is not the host stays open from then on. */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "perf/support/machine.h"
#include "perf/support/models.h"

static int fail(const char *what) {
  fprintf(stderr, "step_server: %s: %s\n", what, tct_error_message());
  return 1;
}

/* A size of /proc/self/status in bytes; 0 where there is none. */
static double memory_of(const char *key) {
  char line[256];
  long long kilobytes = 0;
  FILE *file = fopen("/proc/self/status", "r");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, key, strlen(key)) == 0) kilobytes = strtoll(line + strlen(key) + 1, NULL, 10);
  }
  if (file != NULL) fclose(file);
  return (double)kilobytes * 1024.0;
}

/* What the library holds: after compiling it is what a step takes, as steps allocate nothing. Large blocks are listed by the
 * size asked for, as what the C library takes beside an alignment of 2 MiB is never touched. */
static struct {
  pthread_mutex_t lock;
  int64_t bytes;
  struct {
    void *memory;
    size_t bytes;
  } large[64];
} held = {.lock = PTHREAD_MUTEX_INITIALIZER};
enum { LARGE = 1 << 17, N_LARGE = sizeof held.large / sizeof held.large[0] };

/* The size that a block counts with; sets its entry to `now`, or forgets it when that is 0. */
static int64_t counted(void *memory, size_t now) {
  for (size_t i = 0; i < N_LARGE; i++) {
    if (held.large[i].memory != (now > 0 ? NULL : memory)) continue;
    const size_t bytes = now > 0 ? now : held.large[i].bytes;
    held.large[i].memory = now > 0 ? memory : NULL;
    held.large[i].bytes = bytes;
    return (int64_t)bytes;
  }
  return (int64_t)malloc_usable_size(memory);
}

static void *acquire(void *user, size_t bytes, size_t align) {
  (void)user;
  void *memory = NULL;
  if (posix_memalign(&memory, align < 16 ? 16 : align, bytes) != 0) return NULL;
  pthread_mutex_lock(&held.lock);
  held.bytes += bytes >= LARGE ? counted(memory, bytes) : (int64_t)malloc_usable_size(memory);
  pthread_mutex_unlock(&held.lock);
  return memory;
}

static void release(void *user, void *memory) {
  (void)user;
  pthread_mutex_lock(&held.lock);
  held.bytes -= counted(memory, 0);
  pthread_mutex_unlock(&held.lock);
  free(memory);
}

/* From here VmHWM begins anew. */
static double begin_peak(void) {
  malloc_trim(0);
  FILE *file = fopen("/proc/self/clear_refs", "w");
  if (file != NULL) {
    fputs("5", file);
    fclose(file);
  }
  return memory_of("VmRSS");
}

/* NumPy's format, version 1. */
static int write_npy(const char *prefix, const char *name, const char *type, const tct_shape *shape, const void *data,
                     size_t bytes) {
  char path[512], header[256], dims[128] = "";
  snprintf(path, sizeof path, "%s-%s.npy", prefix, name);
  for (char *c = path + strlen(prefix); *c != '\0'; c++) *c = *c == '/' ? '.' : *c;
  for (int32_t i = 0; i < shape->rank; i++) {
    snprintf(dims + strlen(dims), sizeof dims - strlen(dims), "%lld,", (long long)shape->dim[i]);
  }
  int length = snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", type, dims);
  while ((length + 11) % 64 != 0) header[length++] = ' ';
  header[length++] = '\n';
  FILE *file = fopen(path, "wb");
  if (file == NULL) return 1;
  const unsigned char start[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)(length & 255),
                                   (unsigned char)(length >> 8)};
  const size_t written = fwrite(start, 1, sizeof start, file) + fwrite(header, 1, (size_t)length, file) +
                         fwrite(data, 1, bytes, file);
  return (fclose(file) != 0) | (written != sizeof start + (size_t)length + bytes);
}

static tct_shape batched(int64_t batch, const tct_shape *sample) {
  tct_shape shape = {.rank = sample->rank + 1, .dim = {batch}};
  for (int32_t i = 0; i < sample->rank; i++) shape.dim[i + 1] = sample->dim[i];
  return shape;
}

static int export_all(const perf_session *s, const char *prefix) {
  for (int32_t i = 0; i < tct_model_n_parameters(s->model); i++) {
    const tct_parameter *p = tct_model_parameter(s->model, i);
    const size_t bytes = (size_t)tct_shape_size(&p->desc.shape) * sizeof(float);
    float *data = malloc(bytes);
    const bool bad = data == NULL || tct_model_read(s->model, p->name, data, bytes) != TCT_OK ||
                     write_npy(prefix, p->name, "<f4", &p->desc.shape, data, bytes) != 0;
    free(data);
    if (bad) return 1;
  }
  const int64_t n = s->batch * s->n_batches;
  const tct_shape x = batched(n, &s->what->x), y = batched(n, &s->what->y);
  return write_npy(prefix, "x", s->what->n_tokens > 0 ? "<i4" : "<f4", &x, s->x, s->x_bytes * (size_t)s->n_batches) |
         write_npy(prefix, "y", "<i4", &y, s->y, s->y_bytes * (size_t)s->n_batches);
}

static bool is_product(const char *op) {
  static const char *const ops[] = {"matmul", "conv2d", "lstm", "gru", "attention"};
  for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
    if (strncmp(op, ops[i], strlen(ops[i])) == 0) return true;
  return false;
}

/* least_bytes: each variable read once and, when the step updates it, written once, and the batch read. */
static void describe(const perf_session *s) {
  tct_program_info info;
  tct_program_describe(s->program, &info);
  double flops = 0;
  tct_step_info step;
  for (int32_t i = 0; tct_program_step(s->program, i, &step); i++) flops += is_product(step.op) ? step.flops : 0;
  const double batch = (double)(s->x_bytes + s->y_bytes), variables = (double)info.variables_bytes;
  const double planned = (double)held.bytes + batch;
  printf("{\"product_flops\": %.17g, \"least_bytes\": %.17g, \"planned_bytes\": %.17g, \"arena_bytes\": %zu, "
         "\"variables_bytes\": %zu, \"steps\": %d}\n",
         flops, 2 * variables + batch, planned, info.arena_bytes,
         info.variables_bytes, info.n_steps);
}

static bool profile(perf_session *s, int64_t n, double *loss) {
  tct_program_profile(s->program, true);
  if (!perf_session_run(s, n, true, loss)) return false;
  tct_program_profile(s->program, false);
  tct_step_info step;
  for (int32_t i = 0; tct_program_step(s->program, i, &step); i++) {
    printf("%8.1f us %8.2f GFLOP/s %8.2f GB/s  %-26s %s\n", step.seconds * 1e6, step.flops / step.seconds * 1e-9,
           step.bytes / step.seconds * 1e-9, step.kernel, step.name);
  }
  return true;
}

/* What the device's own transfers hold on it. */
static double staging_of(const perf_session *s) {
  tct_counter counters[32];
  const int32_t n = tct_device_counters(tct_model_device(s->model), counters, 32);
  for (int32_t i = 0; i < n; i++)
    if (strcmp(counters[i].name, "staging") == 0) return counters[i].value;
  return 0;
}

static int answer(perf_session *s, const char *line, double idle) {
  double loss = 0;
  const double begin = perf_now();
  const bool streams = strncmp(line, "stream ", 7) == 0;
  if (streams || strncmp(line, "run ", 4) == 0) {
    if (!perf_session_run(s, strtoll(line + (streams ? 7 : 4), NULL, 10), !streams, &loss)) return fail("run");
    printf("{\"seconds\": %.9f, \"loss\": %.9g}\n", perf_now() - begin, loss);
  } else if (strncmp(line, "profile ", 8) == 0) {
    if (!profile(s, strtoll(line + 8, NULL, 10), &loss)) return fail("profile");
    printf("{}\n");
  } else if (strncmp(line, "export ", 7) == 0) {
    if (export_all(s, line + 7) != 0) return fail("export");
    printf("{}\n");
  } else if (strcmp(line, "describe") == 0) {
    describe(s);
  } else if (strcmp(line, "memory") == 0) {
    printf("{\"peak_bytes\": %.17g, \"staging_bytes\": %.17g}\n", memory_of("VmHWM") - idle, staging_of(s));
  } else {
    fprintf(stderr, "step_server: unknown command '%s'; see the head of perf/step_server.c\n", line);
    return 2;
  }
  return 0;
}

static int serve(const perf_model *what, const perf_session_options *options, double idle) {
  char line[512];
  perf_session session = {.what = NULL};
  int code = 0;
  while (code == 0 && fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    if (strcmp(line, "ready") == 0) printf("{}\n");
    else if (session.what == NULL && !perf_session_open(what, options, &session)) code = fail("set-up");
    else code = answer(&session, line, idle);
    fflush(stdout);
  }
  perf_session_close(&session);
  return code;
}

static bool take_word(const char *word, perf_session_options *o, bool *warm) {
  char *end = NULL;
  if (strcmp(word, "warm") == 0) return *warm = true;
  if (strcmp(word, "bfloat16") == 0 || strcmp(word, "float16") == 0 || strcmp(word, "float32") == 0) return (o->precision = word) != NULL;
  if (strncmp(word, "batches=", 8) != 0) return false;
  o->n_batches = strtoll(word + 8, &end, 10);
  return *end == '\0' && o->n_batches >= 1 && o->n_batches <= 64;
}

static bool warm_up(const perf_model *what, const perf_session_options *options) {
  perf_session_options one = *options;
  perf_session session;
  double loss;
  one.batch = one.n_batches = 1;
  const bool ran = perf_session_open(what, &one, &session) && perf_session_run(&session, 2, true, &loss);
  perf_session_close(&session);
  return ran;
}

int main(int argc, char **argv) {
  const perf_model *what = argc > 3 ? perf_model_find(argv[1]) : NULL;
  perf_session_options options = {.batch = what != NULL ? strtoll(argv[2], NULL, 10) : 0, .device = argc > 4 ? argv[4] : "cpu"};
  bool warm = false, bad = options.batch < 1 || options.batch > 65536;
  for (int i = 5; i < argc; i++) bad = !take_word(argv[i], &options, &warm) || bad;
  if (bad) {
    fprintf(stderr, "usage: step_server %s BATCH THREADS [DEVICE [bfloat16|float16] [batches=N] [warm]]\n", perf_model_names());
    return 2;
  }
  options.n_threads = (int32_t)strtol(argv[3], NULL, 10);
  tct_set_allocator(&(tct_allocator){acquire, release, NULL});
  tct_device *device = NULL; /* keeps a GPU's context and code when the warm-up's model goes */
  const bool kept = !warm || strcmp(options.device, "cpu") == 0 || tct_device_open(options.device, NULL, &device) == TCT_OK;
  const int code = kept && (!warm || warm_up(what, &options)) ? serve(what, &options, begin_peak()) : fail("warm-up");
  tct_device_close(device);
  return code;
}
