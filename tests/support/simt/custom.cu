/* Kernels as users write them, plain CUDA C++ with parameters of their own, for the engine: the same texts that the tests have NVRTC
 * compile. */
#include "backends/custom_ops.cu"
#include "examples/row_rms.cu"
#include "support/simt/custom.h"

#include <utility>

namespace {
constexpr size_t padded(size_t bytes) {
  return (bytes + 15) / 16 * 16;
}

template <auto kernel> struct of;
template <class... P, void (*kernel)(P...)> struct of<kernel> {
  static constexpr size_t bytes[] = {sizeof(P)...};
  static constexpr size_t total = (padded(sizeof(P)) + ...);
  static constexpr size_t offset(size_t i) {
    size_t at = 0;
    for (size_t k = 0; k < i; k++) at += padded(bytes[k]);
    return at;
  }
  template <size_t... I> static void call(const char *args, std::index_sequence<I...>) {
    kernel(*reinterpret_cast<const P *>(args + offset(I))...);
  }
  static void run(const void *args) {
    call(static_cast<const char *>(args), std::index_sequence_for<P...>());
  }
};

const unsigned bounds[] = {1024};
}

#define CUSTOM(name) {#name, of<name>::total, bounds, of<name>::run, sizeof of<name>::bytes / sizeof(size_t), of<name>::bytes}
const tct_simt_kernel tct_simt_custom[] = {CUSTOM(row_rms),   CUSTOM(row_rms_grad), CUSTOM(custom_scale),
                                           CUSTOM(custom_scale_grad), CUSTOM(custom_columns), CUSTOM(custom_fill)};
const int tct_simt_n_custom = sizeof tct_simt_custom / sizeof tct_simt_custom[0];
