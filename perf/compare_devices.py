#!/usr/bin/env python3
"""Test accuracy and loss curves of one job on two devices, seed by seed; a plot of both.

    TERCET_DATA=~/data python3 perf/compare_devices.py examples/fashion-mnist-cnn.yaml --devices cpu,tpu:v3 --within 0.005 \\
        -o perf/results/tpu-accuracy.json --plot docs/tpu-loss.svg -- --epochs 4

Options behind -- go to `tercet train`. Exit code 1 when the means differ by more than --within. The plot (needs gnuplot) shows the
loss of each step, the mean over 50 steps and all seeds.
"""
import argparse, datetime, json, os, platform, statistics, subprocess, sys, tempfile, time

WINDOW = 50


def machine():
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def train(args, device, seed):
    with tempfile.TemporaryDirectory() as folder:
        steps = os.path.join(folder, "steps.jsonl")
        command = [os.path.join(args.build, "tercet"), "train", args.job, "--json", "--quiet", "--seed", str(seed), "--device", device,
                   "--save", os.path.join(folder, "model.safetensors"), "--log-steps", steps] + args.extra
        begin = time.monotonic()
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode != 0:
            sys.exit(run.stderr)
        seconds = time.monotonic() - begin
        with open(steps) as lines:
            losses = [json.loads(line)["loss"] for line in lines]
        result = json.loads(run.stdout)
        return {"seed": seed, "seconds": round(seconds, 1), "test_accuracy": result["test"]["accuracy"],
                "test_loss": result["test"]["loss"], "steps": len(losses),
                "loss": [round(statistics.mean(losses[i:i + WINDOW]), 5) for i in range(0, len(losses), WINDOW)],
                "modelled": result.get("modelled")}


def plot(args, runs):
    title = {d: d.replace("_", "\\_") for d in runs}
    curves = {d: [statistics.mean(r["loss"][i] for r in runs[d]) for i in range(min(len(r["loss"]) for r in runs[d]))] for d in runs}
    script = [f"set terminal svg size 720,400 font 'sans-serif,13' background rgb 'white'", f"set output '{args.plot}'",
              "set xlabel 'training step'", "set ylabel 'loss'", "set logscale y", "set grid",
              "plot " + ", ".join(f"'-' using 1:2 with lines linewidth 2 dashtype {i + 1} title '{title[d]}'" for i, d in enumerate(curves))]
    for curve in curves.values():
        script += [f"{(i + 0.5) * WINDOW} {y}" for i, y in enumerate(curve)] + ["e"]
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job")
    parser.add_argument("--build", default="build")
    parser.add_argument("--devices", default="cpu,tpu:v3")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--within", type=float, default=1.0)
    parser.add_argument("--plot")
    parser.add_argument("-o", "--output")
    args, args.extra = parser.parse_known_args()
    args.extra = [word for word in args.extra if word != "--"]
    devices = args.devices.split(",")
    runs = {device: [] for device in devices}
    for seed in (int(s) for s in args.seeds.split(",")):
        for device in devices:
            runs[device].append(train(args, device, seed))
            last = runs[device][-1]
            print(f"seed {seed} on {device}: test accuracy {last['test_accuracy']:.4f}, {last['seconds']} s", flush=True)
    means = {device: statistics.mean(r["test_accuracy"] for r in runs[device]) for device in devices}
    apart = max(means.values()) - min(means.values())
    print(f"means {', '.join(f'{d} {m:.4f}' for d, m in means.items())}: {100 * apart:.2f} points apart")
    if args.output:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
        with open(args.output, "w") as file:
            json.dump({"what": "one job on several devices", "job": args.job, "options": args.extra, "date": str(datetime.date.today()),
                       "commit": commit, "machine": machine(), "window": WINDOW, "means": means, "points_apart": round(100 * apart, 3),
                       "runs": runs}, file, indent=1)
            file.write("\n")
    if args.plot:
        plot(args, runs)
    sys.exit(1 if apart > args.within else 0)


if __name__ == "__main__":
    main()
