#!/usr/bin/env bash
# Compares the shared library's ABI, as the public headers show it, with that of the last release (tag v*), or before the
# first one with the committed docs/libtercet.abi. Additions pass; what breaks a compiled program fails (docs/abi.md).
# Usage: .ci/abi.sh [--update]; --update writes docs/libtercet.abi anew.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/setup.sh
. .ci/setup.sh

require_packages "${BUILD_PACKAGES[@]}" abigail-tools git
scratch=$(mktemp -d)
leave() {
  git worktree remove --force "$scratch/release" 2>/dev/null || true
  rm -rf "$scratch"
}
trap leave EXIT

# describe SOURCES BUILD OUT: the ABI of those sources' library, without paths and line numbers. runtime/ defines all that the
# headers declare, so that kernels and backends need not be compiled.
describe() {
  (cd "$1" && configure "$2" -DCMAKE_BUILD_TYPE=Debug -DTERCET_TESTS=OFF && build "$2" tercet_runtime)
  find "$2/CMakeFiles/tercet_runtime.dir" -name '*.o' -print0 |
    xargs -0 cc -shared -Wl,-soname,libtercet.so -Wl,--version-script="$1/cmake/tercet.map" -o "$2/libtercet.so"
  abidw --headers-dir "$1/include" --drop-private-types --no-show-locs --no-corpus-path --no-comp-dir-path \
    --type-id-style hash "$2/libtercet.so" | sed "s|path='$2/|path='build/|; s|path='$(cd "$1" && pwd)/|path='|" >"$3"
}

describe . "$PWD/build-abi" "$scratch/now.abi"
if [ "${1-}" = --update ]; then
  cp "$scratch/now.abi" docs/libtercet.abi
  say "docs/libtercet.abi is written: commit it, with a line in CHANGELOG.md for what changed"
  exit
fi

base=docs/libtercet.abi
if tag=$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null); then
  git worktree add --detach --force "$scratch/release" "$tag" >/dev/null 2>&1
  base=$scratch/release.abi
  describe "$scratch/release" "$scratch/build" "$base"
fi
say "compared with ${tag:-$base}"
abidiff --no-added-syms "$base" "$scratch/now.abi" ||
  die "the ABI changed: see docs/abi.md for what that asks of the version; .ci/abi.sh --update accepts it before a release"
say "no compiled program breaks"
