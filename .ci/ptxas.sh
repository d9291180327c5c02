#!/usr/bin/env bash
# Registers, stack, spills and shared memory of every CUDA kernel for sm_90, as ptxas reports them, against .ci/ptxas.txt, so that a
# spill is seen the day it is made. Nothing runs on a GPU.
#   ptxas.sh            fails on a spill or a stack that the table does not have, and, with the table's nvcc, on any difference
#   ptxas.sh --update   writes the table
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/setup.sh
. .ci/setup.sh

table=.ci/ptxas.txt
nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
if [ ! -x "$nvcc" ]; then
  say "skipped: nvcc is not here"
  exit 0
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/include/tercet"
cp kernels/common/elementwise.def "$scratch/include/tercet/"
export nvcc scratch

# shellcheck disable=SC2016 # the shell that xargs starts expands it
printf '%s\n' kernels/cuda/*.cu | xargs -P "$(nproc)" -I{} bash -euo pipefail -c '
  name=$(basename {} .cu)
  "$nvcc" -arch=sm_90 -std=c++17 --fmad=false -I. -Iinclude -I"$scratch/include" -cubin -Xptxas -v -o "$scratch/$name.cubin" {} \
    >"$scratch/$name.log" 2>&1 || { cat "$scratch/$name.log"; exit 255; }'

version=$("$nvcc" --version | sed -n 's/.*, V\([0-9.]*\)$/\1/p')
{
  echo "# nvcc $version, sm_90; written by .ci/ptxas.sh --update"
  echo "# kernel registers stack spilled-stores spilled-loads shared"
  awk '/Compiling entry function/ { split($0, part, "\047"); kernel = part[2] }
       /bytes stack frame/ { stack = $1; stores = $5; loads = $9 }
       /Used [0-9]+ registers/ {
         shared = 0
         for (i = 1; i < NF; i++) if ($(i + 1) == "bytes" && $(i + 2) ~ /^smem/) shared = $i
         for (i = 1; i < NF; i++) if ($i == "Used") registers = $(i + 1)
         print kernel, registers, stack, stores, loads, shared
       }' "$scratch"/*.log | LC_ALL=C sort
} >"$scratch/table"
[ "$(grep -c '^KERNEL(' kernels/cuda/kernels.def)" = "$(grep -c '^tct_cu_' "$scratch/table")" ] ||
  die "kernels/cuda/kernels.def and the kernels that nvcc compiled differ in number"

if [ "${1-}" = --update ]; then
  cp "$scratch/table" "$table"
  say "wrote $table"
  exit 0
fi
awk 'FNR == NR { if ($1 ~ /^tct_cu_/) { stack[$1] = $3; spilled[$1] = $4 + $5 } next }
     $1 ~ /^tct_cu_/ && ($3 > stack[$1] + 0 || $4 + $5 > spilled[$1] + 0) { print "  " $0; bad = 1 }
     END { exit bad }' "$table" "$scratch/table" || die "these kernels spill, or have a stack, that $table does not have (columns as there)"
if [ "$(head -n 1 "$table")" = "$(head -n 1 "$scratch/table")" ]; then
  diff "$table" "$scratch/table" || die "$table is not what nvcc reports (above): .ci/ptxas.sh --update"
fi
say "$(grep -c '^tct_cu_' "$table") kernels, $(awk '/^tct_cu_/ && $4 + $5 > 0' "$scratch/table" | wc -l) with spills"
