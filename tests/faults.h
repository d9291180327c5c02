/* What tests of failure share: an allocator and a file table whose n-th call fails, and a folder to write in. */
#ifndef TCT_TESTS_FAULTS_H
#define TCT_TESTS_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

/* The n-th allocation from here on (1: the next) fails, and only it; 0 ends the injection. Returns whether the fault of
 * the previous call has struck. */
bool fault_alloc(int64_t nth);
/* The same, and so do all that follow. */
bool fault_alloc_from(int64_t nth);
/* While on, what the library takes from its arenas is allocated piece by piece, so that each piece can fail. */
void fault_pieces(bool on);

/* The n-th call of the file seam from here on fails with `error` (an errno), and only it; FAULT_SHORT makes a read or write
 * move one byte instead. nth 0 ends the injection. Returns whether the fault of the previous call has struck. */
enum { FAULT_SHORT = -1 };
bool fault_file(int64_t nth, int error);
const char *fault_file_call(void); /* the name of the call that the fault struck: "open", "fsync" …; "" before */

/* Files without waiting for the disk: its syncs do nothing, until the next fault_file or tct_set_file_calls. */
void spare_disk(void);

/* A fresh folder under the build folder, and its removal with the plain files in it. */
enum { SCRATCH_BYTES = 512 };
void scratch_make(char path[SCRATCH_BYTES]);
void scratch_remove(const char *path);
/* Entries in a folder, without "." and "..". */
int count_entries(const char *folder);

#endif
