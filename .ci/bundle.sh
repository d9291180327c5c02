#!/usr/bin/env bash
# The bundle for a bare host with a GPU, unpacked elsewhere and run without this machine's library paths; the driver is the tests'
# stand-in, so the stages are those that an emulator can answer. Usage: .ci/bundle.sh [BUILD].
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=.ci/setup.sh
. .ci/setup.sh

folder=${1:-build}
if [ ! -e "$folder/standin/libcuda.so.1" ]; then
  say "skipped: $folder has no module for the device gpu, or no emulator"
  exit 0
fi
require_packages "${BUILD_PACKAGES[@]}" patchelf xz-utils
build "$folder" tercet_tests_plain
XZ_OPT="-T0 -1" perf/gpu/bundle.sh "$folder" # the default takes a minute
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
tar -C "$scratch" -xJf "$folder/bundle/tercet-gpu.tar.xz"
for library in "$scratch"/tercet-gpu/bin/* "$scratch"/tercet-gpu/lib/*.so*; do
  outside=$(ldd "$library" 2>/dev/null | awk '$2 == "=>" { print $3 }' | grep -v -e "^$scratch/" -e '^$' | grep -v -E '/(libc|libm|libdl|librt|libpthread|libresolv)\.so' || true)
  [ -z "$outside" ] || die "$library takes from this machine: $outside"
done
cat >"$scratch/job.yaml" <<'Y'
data: {type: glyphs, samples: 1200}
model: {layers: [Flatten, {Dense: {units: 16, activation: relu}}, {Dense: {units: 10, activation: softmax}}]}
loss: sparse_categorical_crossentropy
train: {epochs: 1, batch_size: 16}
Y
stages=(doctor conformance gradients determinism parity)
[ ! -e "$folder/standin/libnvrtc.so.13" ] || stages+=(custom)
env -u TERCET_BACKEND_PATH TERCET_CUDA_LIBRARY_PATH="$PWD/$folder/standin" TERCET_STAGE_JOB="$scratch/job.yaml" \
  "$scratch/tercet-gpu/perf/gpu/run.sh" "$scratch/out" "${stages[@]}" pytorch bars ||
  { tail -n 20 "$scratch"/out/*.log; die "a stage fails"; }
python3 -c "
import json
stages = {s['stage']: s for s in json.load(open('$scratch/out/gpu.json'))['stages']}
assert all(stages[s]['result'] == 'passed' for s in '${stages[*]}'.split()), stages
assert stages['pytorch']['result'] == stages['bars']['result'] == 'not run' and stages['parity']['facts']['steps'] == 50"
# A stage that fails is told as failed, and the others go on.
if TERCET_CUDA_LIBRARY_PATH="$scratch" "$scratch/tercet-gpu/perf/gpu/run.sh" "$scratch/none" conformance doctor >"$scratch/none.log"; then
  die "without a driver the stages pass"
fi
for line in '^conformance *failed' '^doctor *passed'; do
  grep -q "$line" "$scratch/none.log" || { cat "$scratch/none.log"; die "what failed is not told: $line"; }
done
