#!/usr/bin/env python3
"""Test accuracy of a job after its last epoch, over several seeds; and the time of its epochs.

    TERCET_DATA=~/data python3 perf/accuracy.py examples/fashion-mnist-mlp.yaml --least 0.888 -o perf/results/mlp.json
    TERCET_DATA=~/data python3 perf/accuracy.py examples/fashion-mnist-cnn.yaml --least 0.920 -o perf/results/cnn.json

Runs `tercet train JOB --seed S` for each seed, with the options behind -- as well; the accuracy is that of the last epoch's weights on the job's test data.
Exit code 1 when the mean is below --least. Needs nothing but Python's standard library.
"""
import argparse, datetime, json, os, platform, statistics, subprocess, sys, tempfile, time


def train(args, seed):
    with tempfile.TemporaryDirectory() as folder:
        command = [os.path.join(args.build, "tercet"), "train", args.job, "--json", "--quiet", "--seed", str(seed),
                   "--save", os.path.join(folder, "model.safetensors")] + args.extra
        begin = time.monotonic()
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode != 0:
            sys.exit(run.stderr)
        return json.loads(run.stdout), time.monotonic() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job")
    parser.add_argument("--build", default="build")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--least", type=float, default=0.0)
    parser.add_argument("-o", "--output")
    args, args.extra = parser.parse_known_args()  # what is left goes to tercet train
    args.extra = [word for word in args.extra if word != "--"]
    runs = []
    for seed in (int(s) for s in args.seeds.split(",")):
        result, seconds = train(args, seed)
        runs.append({"seed": seed, "seconds": round(seconds, 2), "result": result})
        print(f"seed {seed}: test accuracy {result['test']['accuracy']:.4f}, loss {result['test']['loss']:.4f}, "
              f"{seconds:.1f} s", flush=True)
    mean = statistics.mean(r["result"]["test"]["accuracy"] for r in runs)
    print(f"mean {mean:.4f} over {len(runs)} seeds, at least {args.least} wanted")
    if args.output:
        cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
        json.dump({"what": "test accuracy after the last epoch", "job": args.job, "date": str(datetime.date.today()),
                   "commit": commit, "machine": cpu, "cores": os.cpu_count(), "least": args.least,
                   "mean_test_accuracy": mean, "runs": runs}, open(args.output, "w"), indent=1)
    sys.exit(mean < args.least)


if __name__ == "__main__":
    main()
