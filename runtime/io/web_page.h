/* The commonest broken download: the page around a file in place of the file. */
#ifndef TCT_IO_WEB_PAGE_H
#define TCT_IO_WEB_PAGE_H

#include <tercet/types.h>

/* TCT_BAD_DATA when the content begins like HTML or XML; `needs` names what the file should be: "an IDX file of
 * images". */
tct_status tct_refuse_web_page(const char *path, const void *data, size_t bytes, const char *needs) TCT_CHECKED;

#endif
