/* A fit that was interrupted, at every step and in every way, and resumed ends with the bits of one that was not. */
#include <tercet/tercet.h>

#include <errno.h>

#include "base/status.h"
#include "faults.h"
#include "io/checkpoint.h"
#include "test.h"
#include "train/resume.h"

TEST(resume, after_every_step_the_bits_are_those_of_an_uninterrupted_fit) {
  static const recipe rows[] = {{.device = "cpu"}, {.device = "cpu", .prefetch = -1}, {.device = "ref"},
                                {.device = "cpu", .precision = "float16"}}; /* with its loss scale */
  for (size_t r = 0; r < TCT_COUNT_OF(rows); r++) {
    const uint64_t whole = uninterrupted(&rows[r]);
    for (int64_t after = 0; after < STEPS; after++) {
      begin();
      interruption i = {.after = after, .answer = TCT_CANCELLED, .by_flag = after % 2 == 0};
      tct_fit_options o = options_of(&rows[r]);
      o.on_step = interrupt;
      o.user = &i;
      o.cancel = &i.flag;
      /* The flag is looked at before a step: behind the last one, the validation sees it. */
      (void)run_fit(&rows[r], &o, TCT_CANCELLED);
      CHECK(strstr(tct_error_message(), "can be resumed") != NULL, "%s", tct_error_message());
      o = options_of(&rows[r]);
      o.resume = true;
      const uint64_t hash = run_fit(&rows[r], &o, TCT_OK);
      CHECK(hash == whole, "row %zu, after step %d: %016llx, uninterrupted %016llx", r, (int)after,
            (unsigned long long)hash, (unsigned long long)whole);
      CHECK(run_fit(&rows[r], &o, TCT_OK) == whole, "a finished fit, resumed, is another");
      CHECK(resume_log()[0] == '\0', "%s", resume_log());
      scratch_remove(resume_folder());
    }
  }
}

/* Ends at once, as a crash does: only what was saved on the way is there. */
TEST(resume, from_checkpoints_on_the_way) {
  static const recipe r = {.device = "ref"};
  static const struct {
    int64_t every, after, resumed_at;
    double seconds;
  } rows[] = {{1, 7, 7, 0}, {3, 7, 6, 0}, {0, 7, 5, 0}, {0, 3, 0, 0}, {0, 11, 11, 1e-9}, {100, 9, 0, 0}};
  const uint64_t whole = uninterrupted(&r);
  for (size_t i = 0; i < TCT_COUNT_OF(rows); i++) {
    begin();
    interruption crash = {.after = rows[i].after, .answer = TCT_IO};
    tct_fit_options o = options_of(&r);
    o.checkpoint.every_steps = rows[i].every;
    o.checkpoint.every_seconds = rows[i].seconds;
    o.on_step = interrupt;
    o.user = &crash;
    (void)run_fit(&r, &o, TCT_IO);
    tct_checkpoint c = {0};
    if (rows[i].resumed_at > 0) {
      OK(tct_checkpoint_read(resume_folder(), &c));
    } else {
      FAILS(tct_checkpoint_read(resume_folder(), &c), TCT_NOT_FOUND, "holds no checkpoint");
    }
    CHECK(json_integer_value(json_object_get(c.run, "step")) == rows[i].resumed_at, "row %zu: a checkpoint after step %d", i,
          (int)json_integer_value(json_object_get(c.run, "step")));
    tct_checkpoint_close(&c);
    o.on_step = NULL;
    o.resume = true;
    CHECK(run_fit(&r, &o, TCT_OK) == whole, "row %zu: other bits", i);
    CHECK(count_entries(resume_folder()) <= 4, "%d files stay", count_entries(resume_folder()));
    scratch_remove(resume_folder());
  }
}

TEST(resume, a_damaged_checkpoint_costs_the_steps_since_the_one_before) {
  static const recipe r = {.device = "ref"};
  const uint64_t whole = uninterrupted(&r);
  char path[SCRATCH_BYTES + 64];
  begin();
  interruption crash = {.after = 9, .answer = TCT_IO};
  tct_fit_options o = options_of(&r);
  o.checkpoint.every_steps = 2;
  o.on_step = interrupt;
  o.user = &crash;
  (void)run_fit(&r, &o, TCT_IO); /* checkpoints 3 and 4, after steps 6 and 8 */
  (void)snprintf(path, sizeof path, "%s/checkpoint-00000004.safetensors", resume_folder());
  FILE *const file = fopen(path, "r+b");
  CHECK(file != NULL && fseek(file, 700, SEEK_SET) == 0 && fputs("?", file) >= 0 && fclose(file) == 0);
  o.on_step = NULL;
  o.resume = true;
  CHECK(run_fit(&r, &o, TCT_OK) == whole, "other bits");
  CHECK(strstr(resume_log(), "'checkpoint-00000004' cannot be used") != NULL &&
            strstr(resume_log(), "checkpoint-00000003' is used") != NULL, "%s", resume_log());
  scratch_remove(resume_folder());
}

/* Steps that end in the middle of an epoch, and then more of them. */
TEST(resume, a_longer_run_goes_on_where_a_shorter_one_ended) {
  for (int64_t first = 1; first < STEPS; first += 2) {
    recipe r = {.device = "ref", .constant = true};
    const uint64_t whole = uninterrupted(&r);
    begin();
    r.steps = first;
    tct_fit_options o = options_of(&r);
    (void)run_fit(&r, &o, TCT_OK);
    r.steps = 0;
    o = options_of(&r);
    o.resume = true;
    CHECK(run_fit(&r, &o, TCT_OK) == whole, "%d steps and the rest", (int)first);
    scratch_remove(resume_folder());
  }
}

/* ---- a disk that is full ----------------------------------------------------------------------------- */

static tct_status fill_disk(void *user, int64_t step, double loss) {
  (void)user, (void)loss;
  (void)fault_file(step == 3 || step == STEPS - 1 ? 4 : 0, ENOSPC); /* a write of the next save */
  return TCT_OK;
}

TEST(resume, a_failed_save_is_said_and_tried_again_and_the_last_one_counts) {
  static const recipe r = {.device = "ref"};
  begin();
  tct_fit_options o = options_of(&r);
  o.checkpoint.every_steps = 4;
  o.on_step = fill_disk;
  (void)run_fit(&r, &o, TCT_IO);
  CHECK(strstr(tct_error_message(), "No space left") != NULL && strstr(tct_error_message(), "after step 15") != NULL, "%s",
        tct_error_message());
  (void)fault_file(0, 0);
  CHECK(strstr(resume_log(), "No space left") != NULL && strstr(resume_log(), "goes on without this checkpoint") != NULL,
        "%s", resume_log());
  o.on_step = NULL;
  o.resume = true;
  CHECK(run_fit(&r, &o, TCT_OK) == uninterrupted(&r), "other bits");
  scratch_remove(resume_folder());
}
