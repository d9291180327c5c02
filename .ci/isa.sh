#!/usr/bin/env bash
# The suite at every instruction-set level that this machine runs, but for the one that it chooses itself: ./check ran that.
# Usage: .ci/isa.sh [BUILD].
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/setup.sh
. .ci/setup.sh

folder=${1:-build}
levels=$("$folder/tercet" doctor | sed -n 's/^ *isa\.runs *//p' | tr -d ,)
[ -n "$levels" ] || die "the CPU device does not say which levels it runs"
chosen=$("$folder/tercet" doctor | sed -n 's/^ *isa  *//p')
for level in $levels; do
  [ "$level" != "$chosen" ] || continue
  say "TERCET_ISA=$level"
  # What compares devices starts programs for seconds each; the GPU's emulator, the TPU's clock and texts know no such level.
  TERCET_ISA=$level "$folder/tercet_tests" --filter '!(advise|bench|chip|claims|compare|cuda|gpu*|lint|manual|modelled|report|shadow|systolic*)/*' 2>&1 | tee "$folder/isa-$level.log" | grep -a -E '^\[(FAIL|CRASH|====)' ||
    { tail -n 40 "$folder/isa-$level.log"; die "the suite did not end at level $level"; }
  grep -a -q 'Failing: 0 | Crashing: 0' "$folder/isa-$level.log" || die "the suite fails at level $level: $folder/isa-$level.log"
done
