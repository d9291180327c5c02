#!/usr/bin/env bash
# What there is to know about a GPU, on a bare host, from the unpacked bundle: tercet-gpu/perf/gpu/run.sh OUT [STAGE…]. A stage takes at
# most ten minutes and leaves OUT/STAGE.log and OUT/STAGE.json (stage, rc, seconds, and what it found); OUT/gpu.json joins them with the
# device, the driver, the versions, the date and the commit. Nothing is taken from a network. Without a stage all run, in this order:
#   doctor        what is found where
#   conformance   every op case on the GPU against the double reference, forward, in f32, bf16 and f16
#   gradients     the same backward
#   custom        an op whose kernels are CUDA C++, compiled by NVRTC, against its reference
#   sanitizer     memcheck, racecheck and initcheck over the forward cases, where compute-sanitizer is
#   determinism   one training twice, recorded and launched op by op: the same bits
#   parity        the losses of 50 steps beside the CPU's
#   ops           bench_ops on the GPU against its measured peaks
#   pytorch       training steps of small networks beside PyTorch eager, torch.compile(max-autotune) and a hand-captured graph, in turn
#   bars          the same of GPT-2 124M, ResNet-50, LSTM 2x1024 and the MLP at 128 and 8192, each number that is asked of a GPU beside
#                 what is wanted (perf/gpu_bars.py)
# A stage beside PyTorch writes each row as it ends and keeps what PyTorch compiled and Tercet chose in OUT/cache: run again, it gets further.
# TERCET_CUDA_LIBRARY_PATH says where NVIDIA's libraries are, if not where the system has them; TERCET_STAGE_JOB is what is trained;
# TERCET_STAGE_ROWS names other rows beside PyTorch.
# shellcheck disable=SC2317 # the stages are called by their names
set -uo pipefail
home=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
out=${1:?usage: run.sh OUT [STAGE…]}
shift
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$home" || exit 1
export TERCET_BACKEND_PATH=$home/lib/tercet PATH=$home/bin:$PATH TERCET_CACHE=$out/cache
limit=${TERCET_STAGE_SECONDS:-600}
python=${PYTHON:-python3}
job=${TERCET_STAGE_JOB:-$home/perf/examples/glyphs.yaml}
stages=("$@")
[ ${#stages[@]} -gt 0 ] || stages=(doctor conformance gradients custom sanitizer determinism parity ops pytorch bars)

stage_doctor() { tercet doctor && tercet doctor --json >"$out/doctor.facts"; }

# Criterion's closing line must be there and count no failure.
suite() {
  TEST_DEVICE=gpu tercet_tests --filter "$1" 2>&1 | tee -a "$out/$stage.tests"
  tail -n 3 "$out/$stage.tests" | grep -a -q 'Failing: 0 | Crashing: 0'
}
stage_conformance() { suite 'op_support/is_what_the_lists_say' && suite 'op_cases/forward*'; }
stage_gradients() { suite 'op_cases/gradient*'; }
stage_custom() { example_custom_op_gpu gpu "$home/perf/examples/row_rms.cu"; }

stage_sanitizer() {
  local tool failed=0
  command -v compute-sanitizer >/dev/null || { echo "no compute-sanitizer here: not run"; return 77; }
  for tool in memcheck racecheck initcheck; do
    echo "== $tool"
    TEST_DEVICE=gpu timeout $((limit / 3 - 5)) compute-sanitizer --tool "$tool" --error-exitcode 9 tercet_tests_plain op_cases/forward || failed=1
  done
  return "$failed"
}

train() { # NAME, options…
  local name=$1
  shift
  tercet train "$job" --epochs 1 --save "$out/$name.safetensors" "$@" >"$out/$name.out" 2>&1 || { cat "$out/$name.out"; return 1; }
}
stage_determinism() {
  train first --device gpu && train second --device gpu && TERCET_CUDA_GRAPHS=0 train launched --device gpu || return 1
  cmp "$out/first.safetensors" "$out/second.safetensors" && cmp "$out/first.safetensors" "$out/launched.safetensors" && echo "the same bits three times"
}

stage_parity() {
  train cpu --device cpu --steps 50 --log-steps "$out/cpu.steps" && train gpu --device gpu --steps 50 --log-steps "$out/gpu.steps" || return 1
  "$python" - "$out" <<'P'
import json, sys
out = sys.argv[1]
a, b = ([json.loads(line)["loss"] for line in open(f"{out}/{who}.steps")] for who in ("cpu", "gpu"))
worst = max(abs(x - y) / max(abs(x), 1e-3) for x, y in zip(a, b))
json.dump({"steps": len(a), "worst_relative_difference": worst, "bound": 0.01}, open(f"{out}/parity.facts", "w"))
print(f"{len(a)} steps, the losses part by at most {worst:.2g}")
sys.exit(0 if len(a) == len(b) == 50 and worst <= 0.01 else 1)
P
}

stage_ops() { bench_ops --device gpu --seconds 0.05 --json "$out/ops.facts"; }

# Both sides may time their kernels and keep the quickest: TERCET_CUDA_TUNE here, max-autotune there.
beside_pytorch() {
  "$python" -c 'import torch; assert torch.cuda.is_available()' || { echo "no PyTorch that sees a GPU: not run"; return 77; }
  TERCET_CUDA_TUNE=1 TORCHINDUCTOR_CACHE_DIR=$out/cache/inductor TORCHINDUCTOR_COMPILE_THREADS=$(nproc) \
    "$python" perf/compare_pytorch.py --build "$home/bin" --device gpu --seconds $((limit > 60 ? limit - 45 : limit)) -o "$out/$stage.facts" \
    ${TERCET_STAGE_ROWS:+--rows "$TERCET_STAGE_ROWS"} "$@"
}
stage_pytorch() { beside_pytorch --rounds 9; }
stage_bars() { beside_pytorch --bars; }

for stage in "${stages[@]}"; do
  declare -F "stage_$stage" >/dev/null || { echo "run.sh: there is no stage '$stage'; they are named at the head of this file" >&2; exit 2; }
done
failed=0
for stage in "${stages[@]}"; do
  began=$SECONDS
  rm -f "$out/$stage.facts" "$out/$stage.tests"
  export -f suite train beside_pytorch "stage_$stage"
  export out stage home limit python job
  timeout "$limit" bash -o pipefail -c "stage_$stage" >"$out/$stage.log" 2>&1
  rc=$?
  case $rc in 0) word=passed ;; 77) word="not run" ;; 124) word="timed out" ;; *) word=failed ;; esac
  [ $rc -eq 0 ] || [ $rc -eq 77 ] || failed=1
  "$python" - "$out" "$stage" "$word" $rc $((SECONDS - began)) <<'P'
import json, os, re, sys
out, stage, word, rc, seconds = sys.argv[1:]
path = f"{out}/{stage}.facts"
facts = json.load(open(path)) if os.path.exists(path) and os.path.getsize(path) else None
log = open(f"{out}/{stage}.log", errors="replace").read()
tests = re.findall(r"Tested: (\d+) \| Passing: (\d+) \| Failing: (\d+) \| Crashing: (\d+)", log)
json.dump({"stage": stage, "result": word, "rc": int(rc), "seconds": int(seconds), "tests": tests, "facts": facts,
           "last_lines": log.splitlines()[-5:]}, open(f"{out}/{stage}.json", "w"), indent=1)
P
  printf '%-12s %s (%d s)\n' "$stage" "$word" $((SECONDS - began))
done
"$python" - "$out" "$home" <<'P'
import datetime, glob, json, subprocess, sys
out, home = sys.argv[1:]
def says(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip()
    except OSError:
        return None
stages = [json.load(open(p)) for p in sorted(glob.glob(f"{out}/*.json")) if not p.endswith("/gpu.json")]
smi = says("nvidia-smi", "--query-gpu=name,driver_version,memory.total,clocks.max.sm", "--format=csv,noheader")
json.dump({"what": "Tercet on a GPU", "date": str(datetime.date.today()), "commit": open(f"{home}/commit").read().strip(), "nvidia_smi": smi,
           "tercet": says(f"{home}/bin/tercet", "--version"), "stages": stages}, open(f"{out}/gpu.json", "w"), indent=1)
P
exit "$failed"
