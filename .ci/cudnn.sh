#!/usr/bin/env bash
# The graphs that the module for GPUs hands to cuDNN, planned by the real library for an H200 that is described to it: no device and no
# driver are needed, and nothing runs. Usage: .ci/cudnn.sh [BUILD].
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/setup.sh
. .ci/setup.sh

folder=${1:-build}
if [ ! -e "$folder/standin/libcuda.so.1" ]; then
  say "skipped: $folder has no module for the device gpu"
  exit 0
fi
build "$folder" cudnn_plans
status=0
# Engines that are compiled at run time load their kernels while they plan: a driver that takes everything stands in for NVIDIA's.
LD_LIBRARY_PATH=$folder/planning "$folder/cudnn_plans" >"$folder/cudnn.log" || status=$?
if ((status == 77)); then
  say "skipped: $(head -n 1 "$folder/cudnn.log")"
  exit 0
fi
((status == 0)) || { cat "$folder/cudnn.log"; die "cuDNN has no plan for a graph (above)"; }
say "$(head -n 1 "$folder/cudnn.log"): $(($(wc -l <"$folder/cudnn.log") - 1)) graphs have plans"
