/* A folder of checkpoints. Checkpoint N is a pair of files: checkpoint-N.safetensors, and checkpoint-N.json beside it,
 * which is written last, begins with its own checksum, and holds the length and checksum of the first. Numbers only grow
 * and no file is ever written a second time, so a crash at any call leaves the earlier checkpoints as they were. What the
 * JSON says of a run is its writer's business (train/saver.h). One process at a time uses a folder. */
#ifndef TCT_IO_CHECKPOINT_H
#define TCT_IO_CHECKPOINT_H

#include <jansson.h>
#include "base/text.h"
#include "io/safetensors.h"

typedef struct tct_checkpoint {
  int64_t number;
  int64_t newest; /* the largest number in the folder: what lies between was damaged and passed over */
  json_t *run;    /* owned: the object that the writer gave */
  tct_safetensors *tensors; /* owned */
} tct_checkpoint;

/* The largest number of a checkpoint in the folder; 0 when there is none, or no folder. */
tct_status tct_checkpoint_newest(const char *folder, int64_t *out) TCT_CHECKED;
/* Writes the next number; `run` is the text of a JSON object. On failure nothing of the new checkpoint stays, except where
 * only the folder could not be brought to disk. */
tct_status tct_checkpoint_write(const char *folder, const tct_named_array *arrays, size_t n_arrays, const char *run,
                                int64_t *out_number) TCT_CHECKED;
/* The newest whole one. A damaged one is passed over with a warning in the log that says why. Errors: TCT_NOT_FOUND when
 * the folder has none; TCT_BAD_DATA when all are damaged, with all reasons; TCT_IO when one cannot be read. */
tct_status tct_checkpoint_read(const char *folder, tct_checkpoint *out) TCT_CHECKED;
void tct_checkpoint_close(tct_checkpoint *checkpoint); /* leaves {0}; {0} is fine */
/* Removes all but the newest `keep` checkpoints, those with numbers in (damaged_after, damaged_until], and what interrupted
 * writes left. Failures are warnings in the log: a file too many harms nobody. */
void tct_checkpoint_prune(const char *folder, int32_t keep, int64_t damaged_after, int64_t damaged_until);
/* "checkpoint-00000012" */
enum { TCT_CHECKPOINT_NAME_BYTES = 48, TCT_CHECKPOINT_MOST_KEPT = 64 };
void tct_checkpoint_name(int64_t number, char out[TCT_CHECKPOINT_NAME_BYTES]);

#endif
