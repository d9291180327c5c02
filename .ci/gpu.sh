#!/usr/bin/env bash
# The op cases on the device gpu, over the tests' stand-in for NVIDIA's driver, whose kernels run in the emulator: with queues that
# run as late as they may, and with one queue ahead of the other, so that a missing order shows. Usage: .ci/gpu.sh [BUILD].
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/setup.sh
. .ci/setup.sh

folder=${1:-build}
if [ ! -e "$folder/standin/libcuda.so.1" ]; then
  say "skipped: $folder has no module for the device gpu, or no emulator"
  exit 0
fi
export TERCET_BACKEND_PATH=$PWD/$folder/modules/cuda TERCET_CUDA_LIBRARY_PATH=$PWD/$folder/standin TEST_DEVICE=gpu
cases() {
  STANDIN_CUDA=$1 "$folder/tercet_tests" --filter "$2" 2>&1 | tee "$folder/gpu.log" | grep -a -E '^\[(FAIL|CRASH|====)' || true
  grep -a -q 'Failing: 0 | Crashing: 0' "$folder/gpu.log" || { cat "$folder/gpu.log"; die "$2 fails on gpu with '$1'"; }
}
cases queues=lazy 'op_support/is_what_the_lists_say'
cases queues=lazy 'op_cases/forward*'
cases queues=lazy 'op_cases/gradient*'
cases queues=ahead 'op_cases/forward'
cases queues=behind 'op_cases/forward'
