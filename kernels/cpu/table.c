/* The table of one instruction-set level. */
#include "kernels/cpu/kernels.h"

#define TCT_TEXT_(isa) #isa
#define TCT_TEXT(isa)  TCT_TEXT_(isa)

const tct_cpu_kernels TCT_LEVEL(tct_cpu_kernels) = {
    .isa = TCT_TEXT(TCT_ISA),
#define KERNEL(result, name, args) .name = TCT_CPU(name),
#include "kernels/cpu/kernels.def"
#undef KERNEL
};
