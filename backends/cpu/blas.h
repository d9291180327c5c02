/* OpenBLAS, opened by name at run time: loading it takes longer than all else that a short command does, and a program
 * that trains nothing on the CPU never pays for it. */
#ifndef TCT_BACKENDS_CPU_BLAS_H
#define TCT_BACKENDS_CPU_BLAS_H

#include <cblas.h>
#include <tercet/backend.h>

typedef struct tct_cpu_blas {
#define BLAS(member, symbol) __typeof__(symbol) *member;
#include "backends/cpu/blas.def"
#undef BLAS
} tct_cpu_blas;

/* Opens TERCET_BLAS, else the names that distributions give OpenBLAS. false: `why` says what failed and what to install.
 * The library stays until the process ends; calling again costs nothing. Any thread. */
bool tct_cpu_blas_open(const tct_host *host, tct_cpu_blas *out, char *why, size_t why_bytes);
/* The file that it came from; "" when that cannot be told. Process lifetime. */
const char *tct_cpu_blas_file(const tct_cpu_blas *blas);

#endif
