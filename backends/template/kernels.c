/* Which ops the device runs: none. A row is an op's name, the kernel's own name and four functions: `supports` looks at
 * dtypes, shapes and attributes and writes the reason of a refusal; `prepare` chooses the algorithm and sizes the workspace,
 * before memory is planned; `launch` only enqueues; `release` gives back what prepare made. Rows of one op are tried in
 * order, so the special ones come first. Yours: an array, and its length below. */
#include "backends/template/kernels.h"

const tct_kernel *const tct_template_kernels = NULL;
const size_t tct_template_n_kernels = 0;
