/* The repository's files as text, for tests that read the source. */
#ifndef TCT_TESTS_LINT_TREE_H
#define TCT_TESTS_LINT_TREE_H

#include <stdbool.h>
#include <stddef.h>

/* path is relative to the repository's root; text ends in NUL and may be changed. */
typedef void (*tree_fn)(void *user, const char *path, char *text);

/* Calls fn for every file below `folder` whose name ends in one of the space-separated endings; in the order of names.
 * Returns how many there were; a folder that is not there has none. */
int tree_walk(const char *folder, const char *endings, tree_fn fn, void *user);

/* The file's whole text, to be freed; fails the test when it cannot be read. */
char *tree_read(const char *path);

/* Overwrites comments, and the insides of string and character literals, with spaces; keeps line breaks. `#include`
 * lines keep their file names. */
void tree_blank(char *text);

/* The line that `at` stands on, from 1. */
int tree_line(const char *text, const char *at);

#endif
