/* Folders as a search path sees them: the names in one, and whether strangers could have put them there. */
#ifndef TCT_BASE_FOLDER_H
#define TCT_BASE_FOLDER_H

#include <tercet/types.h>

enum { TCT_FOLDER_NAME_BYTES = 128 };
typedef struct tct_folder {
  char names[32][TCT_FOLDER_NAME_BYTES]; /* sorted */
  int32_t n, n_left_out;                 /* left out: no room, or a longer name */
} tct_folder;

/* The entries whose names begin and end so. TCT_NOT_FOUND when it is not there or no folder, TCT_IO when it cannot be
 * read. */
tct_status tct_folder_list(const char *path, const char *prefix, const char *suffix, tct_folder *out) TCT_CHECKED;
/* Whether any user of the machine may write to the file or folder; false when it is not there. */
bool tct_world_writable(const char *path);

#endif
