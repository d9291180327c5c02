#!/usr/bin/env bash
# Three bars, on a Release build: all own code that a run on the CPU maps, stripped, is at most 2 MB; `tercet --version`
# takes at most 20 ms; the first training step of an MLP comes at most 0.1 s after main. Usage: .ci/size.sh [BUILD].
# Times are the least of many runs, and the step's is processor time of all threads together, which is at least the time that
# an idle machine takes: what a busy one adds is not the program's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/setup.sh
. .ci/setup.sh

folder=${1:-build}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
over=0

# bar WHAT VALUE MOST UNIT
bar() {
  printf '%-52s %9s of at most %s %s\n' "$1" "$2" "$3" "$4"
  awk -v value="$2" -v most="$3" 'BEGIN { exit !(value <= most) }' || over=1
}

for file in tercet libtercet.so; do
  strip -o "$scratch/$file" "$(readlink -f "$folder/$file")"
done
bar "tercet and libtercet.so, stripped" "$(cat "$scratch/tercet" "$scratch/libtercet.so" | wc -c)" 2000000 bytes

least=1000000000
for _ in {1..30}; do
  begin=$(date +%s%N)
  "$folder/tercet" --version >/dev/null
  took=$(($(date +%s%N) - begin))
  if ((took < least)); then least=$took; fi
done
bar "tercet --version, with starting the process" "$(awk -v ns="$least" 'BEGIN { printf "%.1f", ns / 1e6 }')" 20 ms

for _ in {1..10}; do
  "$folder/first_step"
done >"$scratch/steps"
# least_of MEMBER: in milliseconds.
least_of() {
  sed "s/.*\"$1\": \([0-9.]*\).*/\1/" "$scratch/steps" | sort -g | head -n 1 | awk '{ printf "%.1f", 1000 * $1 }'
}
bar "first training step of the MLP, processor time" "$(least_of cpu_seconds)" 100 ms
say "on the clock it came $(least_of seconds) ms after main"

((over == 0)) || die "over a bar (above)"
