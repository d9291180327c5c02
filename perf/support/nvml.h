/* What an NVIDIA GPU has drawn, as its management library tells: libnvidia-ml.so.1, opened when it is asked, needed by nothing. Looked for
 * in the folders of TERCET_CUDA_LIBRARY_PATH, then where the dynamic linker looks. */
#ifndef TERCET_PERF_NVML_H
#define TERCET_PERF_NVML_H

#include <stddef.h>

/* Joules that the GPU at this PCI bus id ("0000:01:00.0") has drawn since its driver was loaded (Volta and later). NaN: cannot be read,
 * and `why` says why. */
double perf_gpu_joules(const char *pci, char *why, size_t why_bytes);

#endif
