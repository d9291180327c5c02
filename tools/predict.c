/* tercet predict: a trained model's outputs for every sample, as CSV, JSON lines or .npy. */
#include "tool.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct prediction {
  const tct_job *job;
  tct_desc desc; /* [samples, …] */
  const void *values;
  int64_t n, size; /* samples, outputs of one */
  bool classes;    /* the outputs are scores of classes, one set a sample */
} prediction;

static double value_at(const prediction *p, int64_t i, int64_t k) {
  const int64_t at = i * p->size + k;
  return p->desc.dtype == TCT_F64 ? ((const double *)p->values)[at] : (double)((const float *)p->values)[at];
}

static int64_t best(const prediction *p, int64_t i) {
  int64_t k = 0;
  for (int64_t c = 1; c < p->size; c++)
    if (value_at(p, i, c) > value_at(p, i, k)) k = c;
  return k;
}

/* Enough digits to read the same number back. */
static int digits(const prediction *p) { return p->desc.dtype == TCT_F64 ? 17 : 9; }

/* ---- formats ------------------------------------------------------------------------------------------ */

static void write_csv(const prediction *p, FILE *to) {
  if (p->classes) fputs("class,", to);
  for (int64_t k = 0; k < p->size; k++) {
    const char *const name = p->classes ? tct_job_class_name(p->job, (int32_t)k) : NULL;
    if (k > 0) fputc(',', to);
    if (name)
      tool_print_csv_text(to, name);
    else
      fprintf(to, "%s%lld", p->classes ? "score_" : "output_", (long long)k);
  }
  fputc('\n', to);
  for (int64_t i = 0; i < p->n; i++) {
    const int64_t top = p->classes ? best(p, i) : 0;
    const char *const name = p->classes ? tct_job_class_name(p->job, (int32_t)top) : NULL;
    if (name) {
      tool_print_csv_text(to, name);
      fputc(',', to);
    } else if (p->classes) {
      fprintf(to, "%lld,", (long long)top);
    }
    for (int64_t k = 0; k < p->size; k++) fprintf(to, "%s%.*g", k ? "," : "", digits(p), value_at(p, i, k));
    fputc('\n', to);
  }
}

static void write_jsonl(const prediction *p, FILE *to) {
  for (int64_t i = 0; i < p->n; i++) {
    const int64_t top = p->classes ? best(p, i) : 0;
    const char *const name = p->classes ? tct_job_class_name(p->job, (int32_t)top) : NULL;
    fprintf(to, "{\"index\":%lld,", (long long)i);
    if (p->classes) fprintf(to, "\"class\":%lld,", (long long)top);
    if (name) {
      json_t *const text = json_string(name);
      fputs("\"name\":", to);
      json_dumpf(text, to, JSON_ENCODE_ANY);
      fputc(',', to);
      json_decref(text);
    }
    fputs("\"output\":[", to);
    for (int64_t k = 0; k < p->size; k++) {
      const double value = value_at(p, i, k);
      if (isfinite(value))
        fprintf(to, "%s%.*g", k ? "," : "", digits(p), value);
      else
        fprintf(to, "%snull", k ? "," : "");
    }
    fputs("]}\n", to);
  }
}

/* NumPy's format 1.0: magic, header length, a dictionary padded to 64 bytes, the data. */
static void write_npy(const prediction *p, FILE *to) {
  char shape[256] = "", header[512];
  size_t at = 0;
  for (int32_t d = 0; d < p->desc.shape.rank; d++)
    at += (size_t)snprintf(shape + at, sizeof shape - at, "%lld%s", (long long)p->desc.shape.dim[d],
                           p->desc.shape.rank == 1 ? "," : d + 1 < p->desc.shape.rank ? ", " : "");
  const int length = snprintf(header, sizeof header, "{'descr': '<f%zu', 'fortran_order': False, 'shape': (%s), }",
                              tct_dtype_bytes(p->desc.dtype), shape);
  const int padded = (10 + length + 1 + 63) / 64 * 64 - 10;
  const unsigned char lead[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)(padded & 255),
                                  (unsigned char)(padded >> 8)};
  fwrite(lead, 1, sizeof lead, to);
  fprintf(to, "%-*s\n", padded - 1, header);
  fwrite(p->values, tct_dtype_bytes(p->desc.dtype), (size_t)(p->n * p->size), to);
}

typedef struct format {
  const char *name, *extension;
  void (*write)(const prediction *p, FILE *to);
} format;
static const format formats[] = {
    {"csv", ".csv", write_csv}, {"jsonl", ".jsonl", write_jsonl}, {"npy", ".npy", write_npy}};
enum { N_FORMATS = sizeof formats / sizeof formats[0] };

static const format *choose_format(const tool_options *options) {
  const char *const wanted = options->json && !options->format ? "jsonl" : options->format;
  const char *names[N_FORMATS];
  for (size_t i = 0; i < N_FORMATS; i++) {
    names[i] = formats[i].name;
    if (wanted && strcmp(wanted, names[i]) == 0) return &formats[i];
  }
  if (wanted) {
    const char *const nearest = tool_nearest(wanted, names, N_FORMATS);
    (void)tool_usage("predict: --format is '%s', needs csv, jsonl or npy%s%s%s", wanted,
                     nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    return NULL;
  }
  const char *const dot = options->output ? strrchr(options->output, '.') : NULL;
  for (size_t i = 0; dot && i < N_FORMATS; i++)
    if (strcmp(dot, formats[i].extension) == 0) return &formats[i];
  if (!options->output || strcmp(options->output, "-") == 0) return &formats[0];
  (void)tool_usage("predict: '%s' says no format; name it .csv, .jsonl or .npy, or give --format", options->output);
  return NULL;
}

/* ---- running ------------------------------------------------------------------------------------------ */

typedef struct output {
  const format *format;
  const prediction *prediction;
} output;

static void write_output(const void *what, FILE *to) {
  const output *const out = what;
  out->format->write(out->prediction, to);
}

static int write_out(const tool_options *options, const format *f, const prediction *p) {
  const bool to_file = options->output && strcmp(options->output, "-") != 0;
  if (!to_file && f->write == write_npy && isatty(STDOUT_FILENO))
    return tool_usage("predict: .npy is not for a terminal; give -o FILE.npy");
  const output out = {f, p};
  const int code = tool_write_file(options->output, write_output, &out);
  if (code == TOOL_OK && to_file && !options->quiet)
    fprintf(stderr, "%lld predictions written to %s\n", (long long)p->n, options->output);
  return code;
}

static tct_status find_data(const tool_options *options, tct_job *job, tct_job_part part, tct_dataset **out) {
  return options->input ? tct_job_open_inputs(job, options->input, out) : tct_job_dataset(job, part, out);
}

static int predict(const tool_options *options, const format *f, tct_job *job) {
  tct_job_part part;
  tct_dataset *data = NULL;
  tct_job_info info;
  void *values = NULL;
  prediction p = {.job = job};
  if (options->input && options->part) return tool_usage("predict: give --input or --part, not both");
  if (!tool_part(options, job, &part)) return TOOL_USAGE;
  if (find_data(options, job, part, &data) != TCT_OK || tct_job_predict(job, data, &p.desc, &values) != TCT_OK)
    return tool_fail();
  tct_job_describe(job, &info);
  p.values = values;
  p.n = p.desc.shape.dim[0];
  p.size = p.n > 0 ? tct_shape_size(&p.desc.shape) / p.n : 0;
  p.classes = info.classifies && p.desc.shape.rank == 2 && p.size > 1;
  const int code = write_out(options, f, &p);
  tct_job_release(values);
  return code;
}

static int run_predict(const tool_options *options) {
  tct_job *job = NULL;
  const format *const f = choose_format(options);
  if (!f) return TOOL_USAGE;
  if (tool_open_job(options, &job) != TCT_OK) return tool_fail();
  const int code = predict(options, f, job);
  tct_job_free(job);
  return code;
}

const tool_command tool_predict = {
    .name = "predict",
    .letter = 'p',
    .argument = "MODEL",
    .summary = "write a trained model's outputs for every sample",
    .about = "MODEL is a model file (.safetensors). Writes one row per sample, in the order of the data: for classes the best one and every score, else the\n"
             "outputs. The data are the job's test data (--part names another part), or --input FILE. .npy has the\n"
             "outputs alone, [samples, ...], in the model's dtype.\n\n"
             "Examples:\n"
             "  tercet predict glyphs.safetensors | head\n"
             "  tercet predict glyphs.safetensors --input new-images-idx3-ubyte.gz -o scores.npy\n"
             "  tercet predict iris.safetensors --input flowers.csv --format jsonl\n",
    .run = run_predict};
