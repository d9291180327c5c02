#!/usr/bin/env bash
# Static analysis. Any finding fails; what is wrong about one stands beside it in the code, or in .clang-tidy.
#   cppcheck and clang-tidy's plain checks: everything. cppcheck's portability checks stay off: workspaces are aligned bytes
#   and tables hold functions, both of which it takes for mistakes.
#   clang's analyzer and gcc's -fanalyzer, which follow paths: the library and the command; clang's, which is ten times as slow,
#   not the makers of graphs (ops, nn, passes). Kernels and backends are loops over shapes that the library has checked, which
#   an analyzer does not know.
# TCT_STATIC_ANALYSIS tells them that a failing function fails (base/status.h); assertions are on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/setup.sh
. .ci/setup.sh

folder=${1:-build} # configured: its compile_commands.json and its generated header are read
require_packages "${BUILD_PACKAGES[@]}" cppcheck clang-tidy
[ -e "$folder/compile_commands.json" ] || configure "$folder"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export folder scratch
each() { xargs -P "$(nproc)" "$@"; }

# Its preprocessor fails on the tables of elementwise ops, and does not read jansson's header.
say "cppcheck"
cat >"$scratch/macros.h" <<'END'
#define json_object_foreach(object, key, value) for (key = key_of(object), value = value_of(object); key; key = key_of(object))
#define json_array_foreach(array, i, value) for (i = 0, value = value_of(array); value; i++)
END
cppcheck --quiet --std=c11 --enable=warning,performance --inline-suppr --error-exitcode=1 -D__GNUC__=12 -DTCT_ISA=generic \
  -DTCT_STATIC_ANALYSIS --include="$scratch/macros.h" -Iinclude -I"$folder/include" -I"$folder/perf" -I. -Iruntime -Itools \
  -i kernels/ref/elementwise.c -i kernels/cpu/elementwise_f32.c -i kernels/cpu/elementwise_int.c -j "$(nproc)" \
  runtime tools backends kernels

tidy=(clang-tidy --quiet -p "$folder" --extra-arg=-DTCT_STATIC_ANALYSIS --extra-arg=-UNDEBUG)
say "clang-tidy"
# Without CUDA's headers the module for GPUs cannot be read.
leave_out=()
grep -q /backends/cuda/ "$folder/compile_commands.json" || leave_out=(-not -path 'backends/cuda/*')
find backends kernels runtime/{ops,nn,passes} -name '*.c' "${leave_out[@]}" | each -n 4 "${tidy[@]}" '--checks=-clang-analyzer-*' 2>"$scratch/tidy"
find runtime tools -name '*.c' -not -path 'runtime/ops/*' -not -path 'runtime/nn/*' -not -path 'runtime/passes/*' |
  each -n 1 "${tidy[@]}" 2>>"$scratch/tidy"

say "gcc -fanalyzer"
# rows.c: gcc 12 takes a pointer that a list keeps, behind two pointers, for lost.
# shellcheck disable=SC2016 # the shell that xargs starts expands it
find runtime tools perf -name '*.c' -not -path perf/bench/rows.c | each -n 1 sh -c 'gcc -std=c17 -O1 -fanalyzer -Werror -S -o "$scratch/$$.s" \
  -DTCT_STATIC_ANALYSIS -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -Iinclude -I"$folder/include" -I"$folder/perf" -I. -Iruntime -Itools "$1"' gcc
