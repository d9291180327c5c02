/* The page's style: one sheet, light and dark by the reader's preference, for windows and paper. */
#ifndef TERCET_PERF_REPORT_STYLE_H
#define TERCET_PERF_REPORT_STYLE_H

extern const char *const page_style[]; /* its lines; NULL at the end */

#endif
