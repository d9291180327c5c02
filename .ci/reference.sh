#!/usr/bin/env bash
# The API reference by Doxygen, without a warning; and a look whether the headers' comments arrived: every function that the
# library exports by name in a header is there, and a description of each kind of comment. Usage: .ci/reference.sh [BUILD].
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/setup.sh
. .ci/setup.sh

folder=${1:-build}/reference
require_packages doxygen
rm -rf "$folder"
mkdir -p "$folder/include/tercet"
cp kernels/common/elementwise.def "$folder/include/tercet/"
version=$(sed -nE 's/^#define TCT_VERSION_(MAJOR|MINOR|PATCH) +//p' include/tercet/types.h | paste -sd .)
TERCET_VERSION=$version TERCET_REFERENCE=$folder doxygen docs/reference/Doxyfile || die "Doxygen warns (above)"

n=0
while read -r name; do
  grep -q "<name>$name</name>" "$folder"/xml/*_8h.xml || die "the reference lacks $name"
  n=$((n + 1))
done < <(sed -nE 's/^TCT_API [^(]*[ *](tct_[a-z0-9_]+)\(.*/\1/p' include/tercet/*.h)
[ "$n" -gt 100 ] || die "found only $n functions in the headers"

# says FILE TEXT: the rendered page holds the words.
says() {
  sed 's/<[^>]*>//g' "$folder/html/$1" | tr -s ' \n' '  ' | grep -qF "$2" || die "$1 does not say: $2"
}
says train_8h.html "Opens the device and fixes loss, optimizer and metrics"
says types_8h.html "The vocabulary of every other header"
says types_8h.html "may succeed when tried again"
says "$(basename "$(find "$folder/html" -name 'structtct__fit__options.html')")" "about ten times a second"
says backend_8h.html "For backend authors"
says version_8h.html "a program that was compiled elsewhere"
says system_8h.html "false at the end"
say "the reference holds $n functions: $folder/html/index.html"
