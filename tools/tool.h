/* What the subcommands share: options, exit codes, messages, JSON, progress. Results go to stdout, all else to stderr. */
#ifndef TERCET_TOOL_H
#define TERCET_TOOL_H

#include <jansson.h>
#include <stdio.h>
#include <tercet/tercet.h>

#define TOOL_MOST_SETS 128
#define TOOL_MOST_MORE 9
#define TOOL_MOST_ITEMS 4

/* 1–127: trying again changes nothing; from 128 on: it may. 130 and 143 are the shell's codes for SIGINT and SIGTERM. */
typedef enum tool_exit {
  TOOL_OK = 0,
  TOOL_INTERNAL = 1,
  TOOL_USAGE = 2,
  TOOL_INVALID = 3,
  TOOL_NOT_FOUND = 4,
  TOOL_BAD_DATA = 5,
  TOOL_UNSUPPORTED = 6,
  TOOL_UNAVAILABLE = 7,
  TOOL_NUMERIC = 8,
  TOOL_INTERRUPTED = 130,
  TOOL_TERMINATED = 143,
  TOOL_IO = 160,
  TOOL_OUT_OF_MEMORY = 161
} tool_exit;

/* What an option that may be repeated was given. */
typedef struct tool_items {
  const char *item[TOOL_MOST_ITEMS + 1]; /* NULL behind the last */
  int32_t n;
} tool_items;

typedef struct tool_options {
  const char *positional; /* the job, the model file, "glyphs"; NULL: none */
  const char *more[TOOL_MOST_MORE]; /* those behind it */
  int32_t n_more;
  const char *set[TOOL_MOST_SETS]; /* owned */
  int32_t n_set;
  const char *init, *save, *log_steps, *part, *input, *output, *format, *job_dir, *batch;
  const char *array, *dataflow, *sram, *simulator, *walks, *csv, *trace, *by, *plot;
  const char *devices, *mode, *target, *prices, *claims, *html, *dawnbench;
  const char *goal, *max_cost, *deadline, *max_latency, *max_energy, *needs, *now, *verify;
  tool_items sweep, with;
  int64_t n_train, n_test, seed, bandwidth, runs, steps, warmup, time_limit;
  bool json, quiet, verbose, help, resume, forward, list, tpu, accuracy, all, analytic;
} tool_options;

typedef struct tool_command {
  const char *name;
  char letter;          /* in options.def */
  const char *argument; /* the positional's name, in brackets when it may be left out; "" for none */
  bool many;            /* more than one of it may be given */
  const char *word;     /* instead of it, with up to TOOL_MOST_MORE positionals behind; NULL: none */
  const char *summary;  /* one line */
  const char *about;    /* paragraphs of --help, with an example */
  int (*run)(const tool_options *options);
} tool_command;

#define COMMAND(name) extern const tool_command tool_##name;
#define PERF(name)                                                                                                     \
  extern const tool_command tool_##name;                                                                               \
  int perf_##name(const tool_options *options);
#include "commands.def"
#undef COMMAND
#undef PERF
/* In the table's order; NULL at the end. */
extern const tool_command *const tool_commands[];

typedef struct tool_option {
  const char *name;
  int letter;           /* 0: none */
  const char *argument; /* its name, or the words to choose from: "f32|f64"; "" for a flag */
  const char *help;
} tool_option;

/* The program's own argv, for a program that takes over. */
extern char **tool_arguments;

/* ---- options.c ---- */

/* Reads argv[1…]; argv[0] is the subcommand. Returns -1 to go on, else the exit code (help was printed, or a usage error);
 * tool_options_free in any case. */
int tool_parse(const tool_command *command, int argc, char **argv, tool_options *out);
void tool_options_free(tool_options *options);
void tool_print_help(const tool_command *command, FILE *to);
extern const char tool_exit_codes[]; /* a paragraph for help and manual */
/* The command's option after `after` (NULL: the first); NULL at the end. */
const tool_option *tool_option_next(const tool_command *command, const tool_option *after);
/* The nearest of `candidates` to a mistyped word; NULL: none is near. */
const char *tool_nearest(const char *word, const char *const *candidates, size_t n);
int tool_usage(const char *format, ...) TCT_PRINTF(1, 2); /* prints with the code of usage errors; returns TOOL_USAGE */

/* ---- manual.c ---- */

void tool_print_man(const tool_command *command); /* to stdout, in man's macros */
void tool_print_bash(void);                       /* the completion function of all commands, to stdout */

/* ---- report.c ---- */

int tool_exit_code(tct_status status);
/* Prints the error record; returns its exit code. */
int tool_fail(void);
/* The command's own memory is out; returns the exit code. */
int tool_out_of_memory(void);
/* Prints that the file cannot be opened, written …, with errno's reason; returns the exit code of that. */
int tool_file_fail(const char *doing, const char *path);
/* The job of a job file or a model file (".safetensors"), with the options' overrides and --init applied. */
tct_status tool_open_job(const tool_options *options, tct_job **out);
/* --part, or test where the job has it, else train. false after printing a usage error. */
bool tool_part(const tool_options *options, const tct_job *job, tct_job_part *out);
const char *tool_part_name(tct_job_part part);
void tool_print_json(json_t *object); /* one line; takes the reference */
json_t *tool_number(double value);    /* null when not finite */
json_t *tool_evaluation_json(const tct_evaluation *evaluation);
/* "loss 0.3121  accuracy 0.9213", and the confusion matrix. */
void tool_print_evaluation(const char *what, const tct_job *job, const tct_evaluation *evaluation);
json_t *tool_kind_json(const tct_device_kind *kind); /* a line of `tercet devices` */
/* What a result tells of its device, which may be NULL. "modelled": what a device with a modelled clock counted, its time, where the
 * cycles went, energy and cost. "refused": the sentences of what libraries did not take and the device's own kernels ran. */
void tool_add_device_json(json_t *object, tct_device *device);
/* The former, as text; nothing for a device whose time is measured. */
void tool_print_modelled(tct_device *device, const char *what); /* "training and evaluation" */
/* "  modelled 0.31 s  8.3% useful  12.1 J  0.0002 USD", since the device was opened; "" for a device whose time is measured. */
void tool_modelled_line(tct_device *device, char *text, size_t size);
/* Has `write` write to the file, or to stdout for NULL and "-"; a file that fails is removed, for half of it is worse than
 * none. Returns the exit code. */
int tool_write_file(const char *path, void (*write)(const void *what, FILE *to), const void *what);
void tool_print_csv_text(FILE *to, const char *text); /* quoted where a reader of CSV needs it */
/* Flushes stdout: a full disk or a closed pipe is an error, not a success. */
int tool_finish(void);

/* ---- machine.c ---- */

/* The processor, its caches and features, the CPUs that may be used, memory, system. Members that cannot be told are null. */
json_t *tool_machine_json(void);

/* ---- signals.c ---- */

/* Which of SIGINT and SIGTERM asked to end since they are caught; 0: none. */
extern volatile int tool_stop_signal;
/* The first of them ends what runs, between two steps; the second kills: the program is where it was wanted to be no more. What was
 * ignored when the program began (nohup, `&` in a script) stays ignored. */
void tool_catch_signals(void);
void tool_release_signals(void);

/* ---- progress.c ---- */

typedef struct tool_progress {
  bool quiet, live; /* live: one line, rewritten; else a line per epoch and every ten seconds */
  bool colour;
  double last_line_seconds;
  int64_t last_epoch;
  tct_device *device; /* whose modelled time is shown; NULL: none */
  int64_t first_epoch, first_step; /* where the run began: the epoch's steps before are of another run, and took none of its time */
} tool_progress;
void tool_progress_begin(tool_progress *progress, bool quiet);
void tool_progress_show(tool_progress *progress, const tct_progress *p);
void tool_progress_end(tool_progress *progress); /* leaves the line */

#endif
