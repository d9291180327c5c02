#!/usr/bin/env bash
# The claim of docs/adding-an-op.md, done: a unary op is two rows in two files. Adds "cube" to a copy of the tree, builds the
# tests there, and runs the cases, the coverage proofs and the shape rules on every device. Usage: .ci/add-op.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/setup.sh
. .ci/setup.sh

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
tree=$scratch/tree
mkdir "$tree"
git ls-files -z | tar --null -T - -cf - | tar -xf - -C "$tree"
cp -r "$tree" "$scratch/before"

# after FILE LINE ROW: the row behind the line that begins so.
after() {
  [ "$(grep -c "^$2" "$tree/$1")" = 1 ] || die "$1: not one line begins with $2"
  sed -i "/^$2/a $3" "$tree/$1"
}
after kernels/common/elementwise.def 'UNARY(square,' 'UNARY(cube, NUMBERS, "x³", x * x * x, dy * R(3) * x * x, X, 3)'
after tests/ops/op_cases.def 'CASE_UNARY(square,' 'CASE_UNARY(cube, -2, 2)'
for row in 'UNARY(cube, NUMBERS' 'CASE_UNARY(cube, -2, 2)'; do
  grep -qF "$row" docs/adding-an-op.md || die "docs/adding-an-op.md does not show the row $row"
done

diff -r "$scratch/before" "$tree" >"$scratch/diff" || true # 1: they differ, as they should
changed=$(grep -c '^diff ' "$scratch/diff")
rows=$(grep -c '^[<>]' "$scratch/diff")
[ "$changed $rows" = "2 2" ] || die "$rows rows in $changed files, not 2 in 2"

cmake -S "$tree" -B "$scratch/build" -G Ninja -DTERCET_WERROR=ON >"$scratch/log" 2>&1 || { cat "$scratch/log"; die "cmake"; }
cmake --build "$scratch/build" --target tercet_tests >"$scratch/log" 2>&1 || { tail -n 30 "$scratch/log"; die "build"; }
"$scratch/build/tercet_tests" --filter 'op_*/*' >"$scratch/log" 2>&1 || { tail -n 30 "$scratch/log"; die "the cases of cube"; }
grep -aq '^cube ' "$scratch/log" || die "the op × device matrix has no row for cube"
grep -a '^cube' "$scratch/log"
say "a unary op: $rows rows in $changed files"
