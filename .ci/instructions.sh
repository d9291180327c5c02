#!/usr/bin/env bash
# How many instructions a training step takes, on one thread at the level avx2, against perf/instructions.txt: a guard on
# speed that a busy machine cannot fool. Fails when a row is more than 3 % off, in either direction: a gain belongs in the
# table too. `.ci/instructions.sh --update` measures and writes the table anew; say in the commit what changed it.
#   instructions.sh [--update] [BUILD FOLDER (build)]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/setup.sh
. .ci/setup.sh

table=perf/instructions.txt
update=false
[ "${1:-}" != --update ] || { update=true; shift; }
server=${1:-build}/step_server
[ -x "$server" ] || die "needs $server: build the project first"
command -v valgrind >/dev/null || die "needs valgrind"

# A compiler of another version makes other code: its counts say nothing about a change of ours.
compiler=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "${1:-build}/CMakeCache.txt")
compiler=$("$compiler" -dumpfullversion -dumpversion 2>/dev/null | head -n 1)
openblas=$(dpkg-query -W -f '${Version}' libopenblas0-pthread 2>/dev/null || echo unknown)
made_by="gcc $compiler, OpenBLAS $openblas"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Instructions of one step: those of three steps less those of one, so that what only the first does is left out.
collected() {
  printf 'run %s\n' "$3" |
    TERCET_ISA=avx2 OPENBLAS_CORETYPE=Haswell valgrind --tool=callgrind --toggle-collect=tct_program_run \
      --callgrind-out-file="$scratch/out" "$server" "$1" "$2" 1 2>"$scratch/log" >/dev/null || { cat "$scratch/log" >&2; return 1; }
  sed -n 's/.*Collected *: *\([0-9]*\).*/\1/p' "$scratch/log"
}
step() { echo $((($(collected "$1" "$2" 3) - $(collected "$1" "$2" 1)) / 2)); }

if $update; then
  {
    echo "# Instructions of a training step, one thread, TERCET_ISA=avx2; made by .ci/instructions.sh --update"
    echo "# $made_by"
    sed -n 's/^\([a-z0-9]\+ [0-9]\+\) .*/\1/p' "$table" | while read -r model batch; do
      printf '%s %s %s\n' "$model" "$batch" "$(step "$model" "$batch")"
    done
  } >"$scratch/table"
  cp "$scratch/table" "$table"
  cat "$table"
  exit
fi

if ! grep -qxF "# $made_by" "$table"; then
  say "instructions: the table is for $(sed -n '2s/^# //p' "$table"), this is $made_by: not compared"
  exit
fi
bad=0
while read -r model batch want; do
  [ "$model" != "#" ] || continue
  got=$(step "$model" "$batch")
  off=$(awk -v g="$got" -v w="$want" 'BEGIN {printf "%+.1f", 100 * (g - w) / w}')
  say "$model at batch $batch: $got instructions, table $want ($off %)"
  awk -v o="$off" 'BEGIN {exit !(o > 3 || o < -3)}' && bad=1
done <"$table"
[ "$bad" -eq 0 ] || die "more than 3 % off: find out why, or .ci/instructions.sh --update and say why in the commit"
