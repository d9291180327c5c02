#!/usr/bin/env bash
# TensorBoard's own reader finds in our event files what the CSV log says. Installs the package into a folder that it removes.
#   .ci/tensorboard.sh [path of the tercet command] [python that has tensorboard]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tercet=$(realpath "${1:-build/tercet}")
python=${2:-}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if [ -z "$python" ]; then
  python3 -m venv "$scratch/venv"
  "$scratch/venv/bin/pip" --quiet install 'tensorboard>=2.15,<3'
  python=$scratch/venv/bin/python
fi

cat >"$scratch/job.yaml" <<'YAML'
data: {type: glyphs, samples: 200, validation_split: 0.2}
model: {layers: [Flatten, {Dense: {units: 10, activation: softmax}}]}
loss: sparse_categorical_crossentropy
metrics: [accuracy]
train: {epochs: 3, batch_size: 32}
callbacks:
  - CSVLogger: {filename: log.csv}
  - TensorBoard: {log_dir: board, update_freq: 2}
YAML
(cd "$scratch" && "$tercet" train job.yaml --quiet)

"$python" - "$scratch" <<'PYTHON'
import csv, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

folder = sys.argv[1]
rows = list(csv.DictReader(open(f"{folder}/log.csv")))
seen = {}
for part in ("train", "validation"):
    reader = EventAccumulator(f"{folder}/board/{part}")
    reader.Reload()
    for tag in reader.Tags()["scalars"]:
        seen[part, tag] = [(event.step, event.value) for event in reader.Scalars(tag)]
for name in rows[0]:
    if name == "epoch":
        continue
    part, tag = ("validation", name[4:]) if name.startswith("val_") else ("train", name)
    got = seen[part, "epoch_" + tag]
    assert [step for step, _ in got] == [int(row["epoch"]) for row in rows], (name, got)
    for (_, value), row in zip(got, rows):
        assert abs(value - float(row[name])) <= 1e-6 * max(1, abs(value)), (name, value, row)
assert [step for step, _ in seen["train", "batch_loss"]] == list(range(2, 16, 2)), seen["train", "batch_loss"]
assert len(seen["train", "epoch_learning_rate"]) == 3
print(f"TensorBoard reads {len(seen)} scalars as the CSV log has them")
PYTHON
