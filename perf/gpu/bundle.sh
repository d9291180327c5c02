#!/usr/bin/env bash
# A folder that runs on a bare host with an NVIDIA GPU and no network: BUILD/bundle/tercet-gpu.tar.xz. Ours (the command, the module
# for the GPU, the test runners, the benchmarks), OpenBLAS, Criterion and what they need; NVIDIA's libraries and libc are the host's.
# Everything finds its libraries from where it lies. Usage: perf/gpu/bundle.sh BUILD [MODULE], as cmake --build BUILD --target bundle does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build=${1:?usage: perf/gpu/bundle.sh BUILD [MODULE]}
module=${2:-$build/modules/cuda/libtercet-cuda.so}
die() { printf '%s\n' "bundle: $*" >&2; exit 1; }
command -v patchelf >/dev/null || die "needs patchelf (Debian: patchelf), which writes into a program where its libraries lie"
[ -e "$module" ] || die "needs the module $module; build it where nvcc is (cmake -DTERCET_CUDA=ON)"
most=$((40 << 20))

folder=$build/bundle/tercet-gpu
rm -rf "$build/bundle"
mkdir -p "$folder/bin" "$folder/lib/tercet" "$folder/perf"
for program in tercet tercet-perf tercet-measure tercet_tests tercet_tests_plain bench_ops step_server example_custom_op_gpu; do
  [ -e "$build/$program" ] || die "needs $build/$program; cmake --build $build --target $program"
  cp "$build/$program" "$folder/bin/"
done
cp -L "$build/libtercet.so.0" "$folder/lib/"
cp "$module" "$folder/lib/tercet/"
cp tests/conformance/*.list "$folder/lib/tercet/"
cp -r examples perf/gpu perf/*.py "$folder/perf/"

# What they need, but the C library and what comes with it. OpenBLAS is opened by name.
blas=$(pkg-config --variable=libdir openblas)/libopenblas.so.0
[ -e "$blas" ] || blas=$(ldconfig -p | awk '$1 == "libopenblas.so.0" { print $NF; exit }')
[ -e "$blas" ] || die "needs libopenblas.so.0 (Debian: libopenblas0-pthread)"
cp -L "$blas" "$folder/lib/libopenblas.so.0"
ldd "$folder"/bin/* "$folder"/lib/*.so* | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u |
  grep -v -E '/(libc|libm|libdl|librt|libpthread|libresolv|ld-linux[^/]*|libtercet)\.so' | while read -r library; do
  cp -L -n "$library" "$folder/lib/"
done
strip --strip-unneeded "$folder"/bin/* "$folder"/lib/*.so* 2>/dev/null || true
# The older tag, which counts for the libraries of a library too.
for program in "$folder"/bin/*; do patchelf --force-rpath --set-rpath "\$ORIGIN/../lib" "$program"; done
for library in "$folder"/lib/*.so*; do patchelf --force-rpath --set-rpath "\$ORIGIN" "$library"; done
(git rev-parse HEAD 2>/dev/null || echo unknown) >"$folder/commit"

XZ_OPT=${XZ_OPT:--T0} tar -C "$build/bundle" -cJf "$build/bundle/tercet-gpu.tar.xz" tercet-gpu
size=$(stat -c %s "$build/bundle/tercet-gpu.tar.xz")
[ "$size" -le "$most" ] || die "the bundle has $size bytes, more than $most"
printf '%s\n' "$build/bundle/tercet-gpu.tar.xz: $((size >> 10)) KiB; unpack it on the host, then tercet-gpu/perf/gpu/run.sh OUT"
