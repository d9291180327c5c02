#!/usr/bin/env bash
# Branch coverage of runtime/: the suite in a build that counts, a table by folder, and bars under which it fails
# (.ci/coverage_table.py); and where there is the module for NVIDIA GPUs, its host code's lines over the stand-in driver. Tests run in the in-process runner, since a child that ends by _exit or a signal counts nothing.
#   coverage.sh [BUILD FOLDER (build-coverage)]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/setup.sh
. .ci/setup.sh

folder=${1:-build-coverage}
require_packages "${BUILD_PACKAGES[@]}" gcovr
configure "$folder" -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER=gcc -DTERCET_COVERAGE=ON
targets=(tercet_tests_plain)
if grep -q "libtercet-cuda.so" "$folder/build.ninja"; then targets+=(tercet_cuda); fi
build "$folder" "${targets[@]}"

# Several runners at once, each with some dozen tests; they add up in the same files of counts.
find "$folder" -name '*.gcda' -delete
# What compares devices starts programs for seconds each; its own readers are not runtime/.
"$folder/tercet_tests_plain" --list | grep -Ev '^(advise|bench|claims|compare|report)/' | xargs -P "$(nproc)" -n 24 "$folder/tercet_tests_plain" >"$folder/tests.log" 2>&1 || {
  grep -a -B 3 '^FAILED' "$folder/tests.log" >&2 || tail -n 20 "$folder/tests.log" >&2
  die "a test fails in $folder/"
}

gcovr --root . --filter runtime/ --exclude-throw-branches --exclude-unreachable-branches --json "$folder/coverage.json" \
  "$folder/CMakeFiles/tercet_runtime.dir"
.ci/coverage_table.py "$folder/coverage.json"

module=$folder/CMakeFiles/tercet_cuda.dir
if [ ! -d "$module" ]; then
  say "skipped: $folder has no module for the device gpu"
  exit 0
fi
gcovr --root . --filter backends/cuda/ --fail-under-line 90 "$module" || die "less than 90 % of the lines of backends/cuda/ ran"
