#!/usr/bin/env bash
# Strangers' programs against an installed copy: C17 and C++17, gcc and clang, through pkg-config and through find_package,
# shared and static, and an op of a program's own; then all of it again after the copy was moved. Usage:
# .ci/consumers.sh [BUILD]; default: build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/setup.sh
. .ci/setup.sh

folder=${1:-build}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
runs=0

# runs_here NAME PROGRAM shared|static: the program works, and needs libtercet.so or does not, as its name promises.
runs_here() {
  local needed=shared
  readelf -d "$2" | grep -q 'NEEDED.*libtercet' || needed=static
  [ "$needed" = "$3" ] || die "$1 is linked with the $needed library, not the $3 one"
  "$2" >"$scratch/said" || die "$1 failed"
  grep -q '2 x 3 = 6' "$scratch/said" || die "$1 said: $(cat "$scratch/said")"
  runs=$((runs + 1))
}

with_pkg_config() {
  local prefix=$1 library compiler kind
  library=$(dirname "$(find "$prefix" -name libtercet.so)")
  local strict=(-Wall -Wextra -Wpedantic -Werror .ci/consumer/consumer.c)
  local -A flags=([shared]=$(PKG_CONFIG_PATH=$library/pkgconfig pkg-config --cflags --libs tercet)
    [static]=$(PKG_CONFIG_PATH=$library/pkgconfig pkg-config --static --cflags --libs tercet | sed 's/-ltercet/-l:libtercet.a/'))
  for kind in shared static; do
    read -ra link <<<"${flags[$kind]}"
    for compiler in gcc clang; do
      "$compiler" -std=c17 "${strict[@]}" -o "$scratch/program" "${link[@]}"
      LD_LIBRARY_PATH=$library runs_here "$compiler, $kind, pkg-config" "$scratch/program" "$kind"
    done
    for compiler in g++ clang++; do
      "$compiler" -x c++ -std=c++17 "${strict[@]}" -x none -o "$scratch/program" "${link[@]}"
      LD_LIBRARY_PATH=$library runs_here "$compiler, $kind, pkg-config" "$scratch/program" "$kind"
    done
  done
}

with_cmake() {
  local prefix=$1 pair language
  for pair in "gcc g++" "clang clang++"; do
    cmake -S .ci/consumer -B "$scratch/cmake" -G Ninja --fresh -DCMAKE_PREFIX_PATH="$prefix" \
      -DCMAKE_C_COMPILER="${pair% *}" -DCMAKE_CXX_COMPILER="${pair#* }" >"$scratch/log" 2>&1 || { cat "$scratch/log"; die "cmake"; }
    cmake --build "$scratch/cmake" --clean-first >"$scratch/log" 2>&1 || { cat "$scratch/log"; die "cmake --build"; }
    for language in c cxx; do
      runs_here "$pair, shared, find_package" "$scratch/cmake/${language}_tercet" shared
      runs_here "$pair, static, find_package" "$scratch/cmake/${language}_tercet_static" static
    done
  done
}

# An op from outside, by the installed headers alone.
own_op() {
  local prefix=$1 library
  library=$(dirname "$(find "$prefix" -name libtercet.so)")
  read -ra link <<<"$(PKG_CONFIG_PATH=$library/pkgconfig pkg-config --cflags --libs tercet)"
  gcc -std=c17 -Wall -Wextra -Wpedantic -Werror -o "$scratch/program" examples/custom_op.c "${link[@]}" -lm
  LD_LIBRARY_PATH=$library "$scratch/program" >"$scratch/said" || die "custom_op failed: $(cat "$scratch/said")"
  runs=$((runs + 1))
}

all_of() {
  local prefix=$1 page
  with_pkg_config "$prefix"
  with_cmake "$prefix"
  own_op "$prefix"
  "$prefix/bin/tercet" devices | grep -q '^cpu  *1' || die "the installed command sees no CPU"
  if grep -rlI "$prefix" "$prefix"; then die "the files above hold the prefix"; fi
  for page in tercet.1 tercet-train.1; do
    [ -s "$prefix/share/man/man1/$page" ] || die "no man page $page"
  done
  [ -s "$prefix/share/man/man3/libtercet.3" ] || die "no man page libtercet.3"
  bash -c "PATH=$prefix/bin:\$PATH; . $prefix/share/bash-completion/completions/tercet && complete -p tercet" >/dev/null ||
    die "the installed completion does not load"
}

cmake --install "$folder" --prefix "$scratch/prefix" >/dev/null
all_of "$scratch/prefix"
mv "$scratch/prefix" "$scratch/elsewhere"
all_of "$scratch/elsewhere"
say "$runs programs of strangers ran"
