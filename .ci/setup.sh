# Shared by ./demo, ./check and .ci/run, which source it: finds which Debian packages are missing, installs only those,
# and configures and builds the project. Sourced from the repository's root under `set -euo pipefail`.
# shellcheck shell=bash

say() { printf '%s\n' "== $*"; }
die() { printf '%s\n' "$0: $*" >&2; exit 1; }

# What a package is needed for is looked for itself, so that a tool or library from elsewhere counts as well.
package_present() {
  case $1 in
    build-essential) command -v cc >/dev/null && command -v c++ >/dev/null && [ -e /usr/include/stdio.h ] ;;
    cmake) command -v cmake >/dev/null ;;
    ninja-build) command -v ninja >/dev/null ;;
    pkg-config) command -v pkg-config >/dev/null ;;
    libopenblas-dev) pkg-config --exists openblas ;;
    libyaml-dev) pkg-config --exists yaml-0.1 ;;
    libjansson-dev) pkg-config --exists jansson ;;
    zlib1g-dev) pkg-config --exists zlib ;;
    libcriterion-dev) pkg-config --exists criterion ;;
    clang) command -v clang >/dev/null ;;
    valgrind | cppcheck | clang-tidy | gcovr) command -v "$1" >/dev/null ;;
    shellcheck) command -v shellcheck >/dev/null ;;
    *) dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed' ;;
  esac 2>/dev/null
}

missing_packages() {
  local package
  for package in "$@"; do
    package_present "$package" || printf '%s\n' "$package"
  done
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# require_packages PACKAGE…: leaves with all of them present, or dies saying what to install.
require_packages() {
  local missing
  mapfile -t missing < <(missing_packages "$@")
  if [ "${#missing[@]}" -eq 0 ]; then
    say "packages: everything needed is here"
    return
  fi
  say "packages: missing ${missing[*]}"
  command -v apt-get >/dev/null ||
    die "needs these Debian packages (or what your system calls them): ${missing[*]}"
  [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
    die "not root and no sudo here; as root run: apt-get install ${missing[*]}"
  say "installing them with apt-get$([ "$(id -u)" -eq 0 ] || echo ' through sudo')"
  as_root apt-get update -qq || say "apt-get update failed; going on with the package lists that are here"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" ||
    die "apt-get could not install: ${missing[*]}"
  mapfile -t missing < <(missing_packages "$@")
  [ "${#missing[@]}" -eq 0 ] || die "still missing after the installation: ${missing[*]}"
}

# shellcheck disable=SC2034 # read by the scripts that source this file
BUILD_PACKAGES=(build-essential cmake ninja-build pkg-config libopenblas-dev libyaml-dev libjansson-dev zlib1g-dev)

# configure FOLDER [-D…]: an existing build keeps its generator; one of another source tree is made anew.
configure() {
  local folder=$1 cache=$1/CMakeCache.txt
  shift
  local options=("$@")
  if [ ! -e "$cache" ]; then
    options+=(-G Ninja)
  elif ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" "$cache"; then
    options+=(--fresh -G Ninja)
  fi
  say "configuring $folder/"
  mkdir -p "$folder"
  cmake -S . -B "$folder" "${options[@]}" >"$folder/configure.log" 2>&1 || {
    cat "$folder/configure.log" >&2
    die "cmake could not configure $folder/ (rm -r $folder starts afresh)"
  }
}

# build FOLDER [TARGET…]: default: all targets.
build() {
  local folder=$1
  shift
  say "building $folder/ on $(nproc) processors"
  cmake --build "$folder" --parallel "$(nproc)" ${1:+--target "$@"}
}

# run_tests FOLDER [OPTION OF THE RUNNER]…: what ctest knows beside the suite, then the suite, whose lines come last.
run_tests() {
  local folder=$1
  shift
  say "running the tests of $folder/"
  ctest --test-dir "$folder" --output-on-failure --no-tests=ignore --exclude-regex '^suite$' --quiet ||
    die "a test beside the suite failed: ctest --test-dir $folder --output-on-failure"
  "$folder/tercet_tests" "$@"
}
