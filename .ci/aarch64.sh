#!/usr/bin/env bash
# Cross-builds for 64-bit ARM, warnings as errors, and runs the unit tier of the suite (what starts no other program) under
# qemu's user emulation. The libraries come from Debian's arm64 packages, unpacked into BUILD/sysroot; nothing is installed.
# Usage: .ci/aarch64.sh [BUILD]; default: build-aarch64.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/setup.sh
. .ci/setup.sh

folder=${1:-build-aarch64}
libraries=(zlib1g zlib1g-dev libyaml-0-2 libyaml-dev libjansson4 libjansson-dev libopenblas0-pthread libopenblas-pthread-dev
  libgfortran5)
require_packages "${BUILD_PACKAGES[@]}" gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static dpkg-dev
mkdir -p "$folder"
sysroot=$(cd "$folder" && pwd)/sysroot

# A package list of its own, so that the machine's own packages and architectures stay as they are.
make_sysroot() {
  local apt=${sysroot%/*}/apt options package
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$sysroot"
  : >"$apt/status"
  options=(-qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::status="$apt/status"
    -o APT::Sandbox::User= -o Dir::State::Lists="$apt/lists" -o Dir::Cache="$apt/cache")
  apt-get "${options[@]}" update
  (cd "$apt" && apt-get "${options[@]}" download "${libraries[@]}")
  for package in "$apt"/*.deb; do
    dpkg-deb -x "$package" "$sysroot"
  done
  # As Debian's alternatives and merged /usr have it.
  cp -a "$sysroot/lib/." "$sysroot/usr/lib/"
  rm -r "${sysroot:?}/lib"
  (cd "$sysroot/usr/lib/aarch64-linux-gnu" && ln -sf openblas-pthread/libopenblas.so.0 . &&
    ln -sf ../openblas-pthread/pkgconfig/openblas.pc pkgconfig/ && ln -sf libz.so.1 libz.so)
  touch "$sysroot/complete"
}

[ -e "$sysroot/complete" ] || make_sysroot
configure "$folder" -DCMAKE_BUILD_TYPE=Release -DTERCET_WERROR=ON -DCMAKE_TOOLCHAIN_FILE="$PWD/cmake/toolchains/aarch64.cmake" \
  -DTERCET_SYSROOT="$sysroot"
build "$folder"
build "$folder" tercet_tests_plain

emulator=(qemu-aarch64-static -L /usr/aarch64-linux-gnu -E "LD_LIBRARY_PATH=$sysroot/usr/lib/aarch64-linux-gnu")
"${emulator[@]}" "$folder/tercet" doctor
# The unit tier: no suite that starts programs of this architecture, which have no emulator, none that trains for long, and none
# of arithmetic on whole numbers alone.
left_out='^(cli|modelled|sequences|train_faults|job_faults|op_faults|data_faults|op_rules|resume|doctor|manual|modules|template_backend|examples|lint|survive|error_codes|error_texts|job|process_malloc|goldens|golden_optimizers|optima|fit|pool|systolic|systolic_errors|chip|compare|advise|shadow|claims|report|bench)/'
mapfile -t tests < <("${emulator[@]}" "$folder/tercet_tests_plain" --list | grep -Ev "$left_out")
say "${#tests[@]} tests under emulation"
[ "${#tests[@]}" -gt 200 ] || die "only ${#tests[@]} tests are in the unit tier"
# As many runners at once as there are processors, each with a share of the tests.
printf '%s\n' "${tests[@]}" |
  xargs -P "$(nproc)" -n "$(((${#tests[@]} + 4 * $(nproc) - 1) / (4 * $(nproc))))" "${emulator[@]}" "$folder/tercet_tests_plain" \
    >"$folder/tests.log" 2>&1 ||
  { grep -a -B 5 '^FAILED' "$folder/tests.log" || tail "$folder/tests.log"; die "the unit tier fails: $folder/tests.log"; }
grep -a ' passed, ' "$folder/tests.log"
