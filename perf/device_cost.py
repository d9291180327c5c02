#!/usr/bin/env python3
"""What a training step costs here on a simulated device against the CPU: processor time of a step, in paired rounds.

    TERCET_DATA=~/data python3 perf/device_cost.py --device tpu:v3 --most 1.5 -o perf/results/tpu-cost.json

Each round trains --short and --long steps on either device, one thread, the order turned round by round; a step is the difference divided
by the steps between, so that reading data and compiling fall out. The ratio is taken round by round; its median is given with the
least and the greatest. Exit code 1 when a median is above --most.
"""
import argparse, datetime, json, os, resource, statistics, subprocess, sys, tempfile

ROWS = [("examples/fashion-mnist-mlp.yaml", 128), ("examples/fashion-mnist-mlp.yaml", 512), ("examples/fashion-mnist-cnn.yaml", 128),
        ("examples/yardstick.yaml", 500)]


def seconds(args, job, batch, device, steps, folder):
    command = [os.path.join(args.build, "tercet"), "train", job, "--device", device, "--batch", str(batch), "--steps", str(steps),
               "--threads", "1", "--quiet", "--save", os.path.join(folder, "model.safetensors")]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.returncode != 0:
        sys.exit(run.stderr)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--device", default="tpu:v3")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--short", type=int, default=10)
    parser.add_argument("--long", type=int, default=60)
    parser.add_argument("--most", type=float, default=float("inf"))
    parser.add_argument("-o", "--output")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for job, batch in ROWS:
            steps = {"cpu": [], args.device: []}
            for r in range(args.rounds):
                for device in list(steps) if r % 2 == 0 else list(steps)[::-1]:
                    took = seconds(args, job, batch, device, args.long, folder) - seconds(args, job, batch, device, args.short, folder)
                    steps[device].append(1000 * took / (args.long - args.short))
            ratios = [t / c for t, c in zip(steps[args.device], steps["cpu"])]
            rows.append({"job": job, "batch": batch, "cpu_ms": round(statistics.median(steps["cpu"]), 3),
                         "device_ms": round(statistics.median(steps[args.device]), 3), "ratio": round(statistics.median(ratios), 3),
                         "least": round(min(ratios), 3), "greatest": round(max(ratios), 3)})
            print("{job} batch {batch}: cpu {cpu_ms} ms, device {device_ms} ms, ratio {ratio} [{least}, {greatest}]".format(**rows[-1]), flush=True)
    if args.output:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
        with open(args.output, "w") as file:
            json.dump({"what": "processor time of a training step on a simulated device against the CPU", "device": args.device,
                       "date": str(datetime.date.today()), "commit": commit, "rounds": args.rounds, "rows": rows}, file, indent=1)
            file.write("\n")
    sys.exit(any(row["ratio"] > args.most for row in rows))


if __name__ == "__main__":
    main()
