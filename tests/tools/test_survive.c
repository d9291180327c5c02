/* A run that survives: signals leave a checkpoint from which the run goes on to the same model file, and so does kill -9,
 * at any time and inside the writing of a checkpoint. TERCET_KILL_POINTS kills so many times (default: a few; .ci/kill.sh:
 * 50), TERCET_KILL_SEED elsewhere. */
#define _GNU_SOURCE /* F_SETPIPE_SZ */
#include "tools/command.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <tercet/tercet.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/status.h"

static const char job[] = "seed: 9\n"
                          "data: {type: glyphs, samples: 60, validation_split: 0.2}\n"
                          "model:\n"
                          "  layers:\n"
                          "    - Conv2D: {filters: 4, kernel_size: 5, strides: 3, activation: relu}\n"
                          "    - BatchNormalization\n"
                          "    - Flatten\n"
                          "    - Dropout: {rate: 0.2}\n"
                          "    - Dense: {units: 10, activation: softmax}\n"
                          "loss: sparse_categorical_crossentropy\n"
                          "schedule: {type: cosine, warmup_steps: 2}\n"
                          "metrics: [accuracy]\n"
                          "train: {epochs: 3, batch_size: 10}\n"; /* 15 steps */

static void begin(void) {
  default_signals();
  scratch_make(folder);
  write_text("job.yaml", job);
}

#define CHECKPOINTED "--checkpoint-dir", in_folder("run"), "--checkpoint-every", "1", "--resume"

/* ---- signals ----------------------------------------------------------------------------------------- */

TEST(survive, a_signal_leaves_a_checkpoint_and_the_run_goes_on) {
  static const struct {
    int number, code;
    const char *name;
  } rows[] = {{SIGINT, 130, "SIGINT"}, {SIGTERM, 143, "SIGTERM"}};
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    char part[128];
    begin();
    pid_t pid = start((const char *const[]){"train", in_folder("job.yaml"), "--epochs", "100000", "--set", "schedule=constant",
                                            "--checkpoint-dir", in_folder("run"), "--save", in_folder("model.safetensors"),
                                            "--log-steps", in_folder("steps.jsonl"), "--json", NULL});
    CHECK(wait_for("stderr.txt", "epoch 2/100000"), "training did not begin");
    CHECK(kill(pid, rows[i].number) == 0);
    finish(pid);
    EXITS(rows[i].code);
    (void)snprintf(part, sizeof part, "stopped by %s after step ", rows[i].name);
    SHOWS(err, part);
    SHOWS(err, "--resume goes on from it");
    SHOWS(out, "\"interrupted\":true");
    SHOWS(out, "\"saved\":null");
    CHECK(access(in_folder("model.safetensors"), F_OK) != 0, "an unfinished model was saved");
    const long long step = strtoll(strstr(result.err, part) + strlen(part), NULL, 10);
    char epochs[32];
    (void)snprintf(epochs, sizeof epochs, "%lld", step / 5 + 2);
    RUN("train", in_folder("job.yaml"), "--epochs", epochs, "--set", "schedule=constant", "--checkpoint-dir", in_folder("run"),
        "--save", in_folder("model.safetensors"), "--log-steps", in_folder("steps.jsonl"), "--resume");
    EXITS(0);
    (void)snprintf(part, sizeof part, "after step %lld\n", step);
    SHOWS(err, "resumed from '");
    SHOWS(err, part);
    RUN("train", in_folder("job.yaml"), "--epochs", epochs, "--set", "schedule=constant", "--save", in_folder("whole.safetensors"),
        "--log-steps", in_folder("whole.jsonl"), "--quiet");
    EXITS(0);
    check_same_files("model.safetensors", "whole.safetensors");
    check_same_files("steps.jsonl", "whole.jsonl");
    RUN("train", in_folder("job.yaml"), "--checkpoint-dir", in_folder("run"));
    EXITS(3);
    SHOWS(err, "holds checkpoints of an earlier run");
    scratch_remove(folder);
  }
}

/* A full pipe holds the command back inside a step, so that both signals meet it there. */
TEST(survive, a_second_signal_kills) {
  begin();
  CHECK(mkfifo(in_folder("steps"), 0600) == 0);
  const int reader = open(in_folder("steps"), O_RDONLY | O_NONBLOCK);
  const int room = fcntl(reader, F_SETPIPE_SZ, 4096);
  CHECK(reader >= 0 && room > 0);
  const pid_t pid = start((const char *const[]){"train", in_folder("job.yaml"), "--epochs", "1000000", "--quiet", "--save",
                                                in_folder("model.safetensors"), "--log-steps", in_folder("steps"), NULL});
  int waiting = 0;
  for (int i = 0; i < 800 && waiting < room; i++) {
    nanosleep(&(struct timespec){.tv_nsec = 25000000}, NULL);
    CHECK(ioctl(reader, FIONREAD, &waiting) == 0);
  }
  nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL); /* the command fills its own buffer, and waits */
  CHECK(waiting == room && kill(pid, SIGTERM) == 0);
  nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
  CHECK(waitpid(pid, &(int){0}, WNOHANG) == 0, "the first signal ended it before its step did");
  CHECK(kill(pid, SIGINT) == 0);
  finish(pid);
  EXITS(-SIGINT);
  CHECK(access(in_folder("model.safetensors"), F_OK) != 0);
  (void)close(reader);
  scratch_remove(folder);
}

TEST(survive, an_ignored_signal_stays_ignored) {
  begin();
  const struct sigaction ignore = {.sa_handler = SIG_IGN};
  struct sigaction old;
  CHECK(sigaction(SIGINT, &ignore, &old) == 0);
  const pid_t pid = start((const char *const[]){"train", in_folder("job.yaml"), "--epochs", "100000", "--set",
                                                "schedule=constant", "--save", in_folder("model.safetensors"), NULL});
  CHECK(sigaction(SIGINT, &old, NULL) == 0);
  CHECK(wait_for("stderr.txt", "epoch 2/100000"), "training did not begin");
  CHECK(kill(pid, SIGINT) == 0);
  nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
  CHECK(waitpid(pid, &(int){0}, WNOHANG) == 0, "a signal that the caller ignores ended it");
  CHECK(kill(pid, SIGTERM) == 0);
  finish(pid);
  EXITS(143);
  scratch_remove(folder);
}

/* The model is saved, and the test data takes a minute: nothing is left for the first signal to end cleanly. */
TEST(survive, a_signal_behind_the_training_kills) {
  begin();
  const pid_t pid = start((const char *const[]){"train", in_folder("job.yaml"), "--epochs", "1", "--set",
                                                "data.test={samples: 1000000}", "--save", in_folder("model.safetensors"), NULL});
  for (int i = 0; i < 800 && access(in_folder("model.safetensors"), F_OK) != 0; i++)
    nanosleep(&(struct timespec){.tv_nsec = 25000000}, NULL);
  CHECK(access(in_folder("model.safetensors"), F_OK) == 0 && kill(pid, SIGINT) == 0);
  finish(pid);
  EXITS(-SIGINT);
  scratch_remove(folder);
}

/* ---- kill -9 ----------------------------------------------------------------------------------------- */

static uint64_t number_from(const char *variable, uint64_t otherwise) {
  const char *const text = getenv(variable);
  return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t next_random(uint64_t *state) { /* splitmix64 */
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

/* The calls of the file seam, counted; the process ends at the one that is to be its last. */
static struct counter {
  int64_t n;
} *counter; /* shared with the parent */
static int64_t last_call;

static void count_call(void) {
  if (++counter->n == last_call) (void)kill(getpid(), SIGKILL);
}
static int counted_open(const char *path, int flags, unsigned mode) { return count_call(), tct_file_system.open(path, flags, mode); }
static ssize_t counted_write(int fd, const void *data, size_t n) { return count_call(), tct_file_system.write(fd, data, n); }
static int counted_fsync(int fd) { return count_call(), tct_file_system.fsync(fd); }
static int counted_close(int fd) { return count_call(), tct_file_system.close(fd); }
static int counted_rename(const char *from, const char *to) { return count_call(), tct_file_system.rename(from, to); }
static int counted_unlink(const char *path) { return count_call(), tct_file_system.unlink(path); }

/* The command's work in a process of its own, killed at its nth file call (0: never). Returns whether it was. */
static bool train_in_child(int64_t nth) {
  counter->n = 0;
  const pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    tct_file_calls calls = tct_file_system;
    calls.open = counted_open;
    calls.write = counted_write;
    calls.fsync = counted_fsync;
    calls.close = counted_close;
    calls.rename = counted_rename;
    calls.unlink = counted_unlink;
    last_call = nth;
    tct_set_file_calls(&calls);
    char set[SCRATCH_BYTES + 64];
    (void)snprintf(set, sizeof set, "checkpoint={folder: %s, every_steps: 1}", in_folder("run"));
    const char *const sets[] = {set};
    tct_job *loaded = NULL;
    tct_status status = tct_job_load(in_folder("job.yaml"), &(tct_job_options){.set = sets, .n_set = 1}, &loaded);
    if (status == TCT_OK) status = tct_job_train(loaded, &(tct_fit_options){.resume = true});
    if (status == TCT_OK) status = tct_job_save(loaded, in_folder("model.safetensors"));
    _exit(status == TCT_OK ? 0 : 1);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) == 0, "the training failed by itself");
  return WIFSIGNALED(status);
}

/* The command, killed after some time. */
static bool train_until(int64_t ns) {
  const pid_t pid = start((const char *const[]){"train", in_folder("job.yaml"), CHECKPOINTED, "--quiet", "--save",
                                                in_folder("model.safetensors"), NULL});
  nanosleep(&(struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000}, NULL);
  (void)kill(pid, SIGKILL);
  finish(pid);
  return result.code == -SIGKILL;
}

static void remove_run(void) {
  scratch_remove(in_folder("run"));
  (void)unlink(in_folder("model.safetensors"));
}

TEST(survive, kill_9_at_random_points) {
  const uint64_t n_points = number_from("TERCET_KILL_POINTS", 5);
  uint64_t random = number_from("TERCET_KILL_SEED", 20261122);
  begin();
  counter = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(counter != MAP_FAILED);
  const int64_t began = tct_clock_ns();
  RUN("train", in_folder("job.yaml"), CHECKPOINTED, "--quiet", "--save", in_folder("whole.safetensors"));
  const int64_t whole_ns = tct_clock_ns() - began;
  EXITS(0);
  scratch_remove(in_folder("run"));
  CHECK(!train_in_child(0));
  const int64_t n_calls = counter->n;
  CHECK(n_calls > 15 * 20, "only %d file calls", (int)n_calls);
  check_same_files("model.safetensors", "whole.safetensors");
  uint64_t n_killed = 0;
  for (uint64_t tries = 0; n_killed < n_points; tries++) {
    CHECK(tries < 20 * n_points, "%d of %d kills came in time", (int)n_killed, (int)n_points);
    remove_run();
    const bool at_call = tries % 2 == 0;
    const uint64_t draw = next_random(&random);
    const bool killed = at_call ? train_in_child((int64_t)(draw % (uint64_t)n_calls) + 1)
                                : train_until((int64_t)(draw % (uint64_t)whole_ns));
    if (!killed) continue;
    n_killed++;
    RUN("train", in_folder("job.yaml"), CHECKPOINTED, "--quiet", "--save", in_folder("model.safetensors"));
    EXITS(0);
    CHECK(result.err[0] == '\0', "a killed run leaves damage: %s", result.err);
    check_same_files("model.safetensors", "whole.safetensors");
    CHECK(count_entries(in_folder("run")) == 4, "%d files in the folder of checkpoints", count_entries(in_folder("run")));
  }
  scratch_remove(folder);
}
