/* A disk that loses power, behind the file seam: what was written but not synced may be gone, in part or whole, and so may
 * every name that was made, moved or removed in a folder that was not synced since. It holds a few small files below
 * "/disk", in memory. */
#ifndef TCT_TESTS_DISK_H
#define TCT_TESTS_DISK_H

#include <stdbool.h>
#include <stdint.h>

/* Ways in which a protocol can be wrong: the calls that the library makes are changed on their way to the disk. */
typedef enum disk_mutant {
  DISK_FAITHFUL,
  DISK_NO_FILE_SYNC,   /* a file is renamed without having been synced */
  DISK_NO_FOLDER_SYNC, /* a rename is not brought to disk */
  DISK_RENAME_FIRST,   /* the file is synced after its rename */
  DISK_IN_PLACE,       /* the target (disk_begin) is overwritten where it is */
  DISK_SYNC_RETRIED,   /* a sync that failed is tried again, which then says that all is well */
  DISK_N_MUTANTS
} disk_mutant;

/* An empty disk with the folder "/disk", in force for every file call of the library until disk_end. */
void disk_begin(disk_mutant mutant, const char *target);
void disk_end(void);
/* The nth call from here on (1: the next) and all that follow fail, as after a loss of power; 0: none. Returns whether the
 * last such fault has struck. */
bool disk_crash_at(int64_t nth);
/* The nth sync of a file from here on fails with EIO, and its data is dropped as Linux does; 0: none. Returns as above. */
bool disk_fail_sync(int64_t nth);
/* Power is lost and comes back. luck 0: nothing survives but what was synced; 1: everything does; else by chance. */
void disk_lose_power(uint64_t luck);

#endif
