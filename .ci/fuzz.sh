#!/usr/bin/env bash
# Fuzzes every reader of foreign bytes under ASan and UBSan, two at a time: .ci/fuzz.sh [SECONDS] [TARGET…], default 60 s
# each. New inputs are kept in build-fuzz/corpus; what fails is left in build-fuzz/found and belongs into tests/fuzz/seeds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/setup.sh
. .ci/setup.sh

seconds=${1:-60}
shift $(($# > 0 ? 1 : 0))
require_packages "${BUILD_PACKAGES[@]}" clang
configure build-fuzz -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_COMPILER=clang -DTERCET_SANITIZE=ON -DTERCET_FUZZ=ON \
  -DTERCET_TESTS=OFF
build build-fuzz
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(sed -n 's/^TARGET(\([a-z_]*\)).*/\1/p' tests/fuzz/targets.def; echo options)

export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
mkdir -p build-fuzz/found build-fuzz/log

# One target; the log's end says what was found.
fuzz() {
  local target=$1 log=build-fuzz/log/$1
  mkdir -p "build-fuzz/corpus/$target"
  touch "build-fuzz/found/.$target"
  local words=()
  if [ -e "tests/fuzz/$target.dict" ]; then words=("-dict=tests/fuzz/$target.dict"); fi
  if nice -n 10 "build-fuzz/fuzz_$target" "build-fuzz/corpus/$target" "tests/fuzz/seeds/$target" "${words[@]}" \
    -max_total_time="$seconds" -timeout=20 -rss_limit_mb=3072 -malloc_limit_mb=0 -max_len=4096 -close_fd_mask=1 \
    -artifact_prefix="build-fuzz/found/$target-" -print_final_stats=1 >"$log" 2>&1; then
    say "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs, $(find "build-fuzz/corpus/$target" -type f | wc -l) kept"
  else
    tail -n 40 "$log"
    # The machine may be gone when somebody reads this.
    find build-fuzz/found -name "$target-*" -newer "build-fuzz/found/.$target" -not -name '*-slow-unit-*' -size -9 \
      -exec sh -c 'echo "base64 -d >tests/fuzz/seeds/$1/found-$(basename "$2" | tail -c 9):"; base64 "$2"' sh "$target" {} ';'
    die "$target: see build-fuzz/found and build-fuzz/log/$target"
  fi
}

failed=0
for target in "${targets[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n || failed=1; done
  fuzz "$target" &
done
while [ "$(jobs -p | wc -l)" -gt 0 ]; do wait -n || failed=1; [ "$(jobs -rp | wc -l)" -gt 0 ] || break; done
exit "$failed"
