#!/usr/bin/env python3
"""Training-step time and memory against PyTorch, on the CPU or (--device gpu) a GPU: same model, weights, data, threads; paired rounds in one run.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install torch numpy
    /tmp/peers/bin/python perf/compare_pytorch.py --build build -o perf/results/pytorch-step.json

Every variant of PyTorch (perf/peer_pytorch.py) is tried for a few steps; one that fails is listed with its reason, and the
two fastest go on. Each round times K steps of Tercet and of these two, the order turned round by round; the peer of a row is
the variant with the lower median. The ratio is taken round by round (PyTorch's time / Tercet's: above 1 Tercet is faster),
and its median is given with an order-statistics 95 % interval. Losses of the first steps must agree before anything is timed.

Floor: the longer of flops of the step's products / the machine's peak, and the least bytes (each variable read and written
once, the batch read) / its bandwidth; both measured by build/bench_ops. Memory: the highest resident set above the same
process before the model, code paged in; Tercet's planned number is known before the first step.

torch.compile needs a C++ compiler; its cache makes a second run of this script much shorter than the first.
"""
import argparse, datetime, json, math, os, platform, subprocess, sys, tempfile, time

os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # no pool of idle compilers beside the measurement
import numpy as np
import torch

import peer_pytorch

DEVICE = "cpu"  # Tercet's name
DEFAULT_ROWS = "mlp:32,mlp:128,mlp:512,lenet5:32,lenet5:128,yardstick:500,resnet20:32,lstm:32,gpt:8"
AGREEING_STEPS, AGREEMENT = 5, 2e-3  # f32 sums in different orders drift apart, faster with batch norm


TORCH = {"cpu": "cpu", "gpu": "cuda"}


class Server:
    def __init__(self, build, model, batch, threads, *more):
        self.process = subprocess.Popen([os.path.join(build, "step_server"), model, str(batch), str(threads), DEVICE, *more],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("step_server ended; its message stands above")
        return json.loads(answer)

    def run(self, n):
        answer = self.ask(f"run {n}")
        return answer["seconds"], answer["loss"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def loader(prefix):
    def load(name):
        path = f"{prefix}-{name}.npy"
        return np.load(path) if os.path.exists(path) else None
    return load


def interval(ratios):
    """Median and the order-statistics interval that holds it with at least 95 % (binomial)."""
    r = sorted(ratios)
    n, k, tail = len(r), 0, 0.0
    while tail + math.comb(n, k) / 2 ** n <= 0.025:
        tail += math.comb(n, k) / 2 ** n
        k += 1
    return float(np.median(r)), r[max(k - 1, 0)], r[min(n - k, n - 1)]


def machine_peaks(build, threads):
    """GFLOP/s and GB/s of this machine: the best of bench_ops' and of PyTorch's own large product."""
    peaks = json.loads(subprocess.run([os.path.join(build, "bench_ops"), "--peaks", "--threads", str(threads), "--device", DEVICE],
                                      capture_output=True, text=True, check=True).stdout)
    if DEVICE != "cpu":
        return peaks["gflops"] * 1e9, peaks["gbs"] * 1e9
    a, b, best = torch.rand(1024, 1024), torch.rand(1024, 1024), 0.0
    for _ in range(15):
        begin = time.perf_counter()
        a @ b
        best = max(best, 2 * 1024 ** 3 / (time.perf_counter() - begin))
    return max(best, peaks["gflops"] * 1e9), peaks["gbs"] * 1e9


def check_losses(name, load, ours):
    """The worst relative difference over the first steps; the reference is PyTorch's plainest variant."""
    peer = peer_pytorch.Peer(name, load, peer_pytorch.variants(name)[0], device=TORCH[DEVICE])
    worst = 0.0
    for step, loss in enumerate(ours):
        theirs = peer.run(1)[1]
        worst = max(worst, abs(loss - theirs) / max(abs(theirs), 1e-3))
        if worst > AGREEMENT:
            raise RuntimeError(f"{name}: at step {step} the loss is {loss} here, {theirs} in PyTorch")
    return worst


def try_variants(name, load, seconds):
    """The two fastest, warmed up, and every variant's best time or reason."""
    peers, seen = {}, {}
    for variant in peer_pytorch.variants(name, TORCH[DEVICE]):
        try:
            peer = peer_pytorch.Peer(name, load, variant, device=TORCH[DEVICE])
            peer.run(3)
            best, end = math.inf, time.perf_counter() + seconds
            while time.perf_counter() < end:
                best = min(best, peer.run(1)[0])
            peers[variant], seen[variant] = peer, best * 1e3
        except Exception as error:  # a compiler that is missing, an op that it cannot take: the others go on
            seen[variant] = f"failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            torch._dynamo.reset()
    fastest = sorted(peers, key=lambda v: seen[v])[:2]
    return {v: peers[v] for v in fastest}, seen


def tercet_memory(args, name, batch, threads):
    """Peak and planned bytes of 5 steps, in a process that does nothing else; of a GPU what the plan asks of it, its peak unknown."""
    server = Server(args.build, name, batch, threads, "warm")
    plan = server.ask("describe")
    if DEVICE != "cpu":
        server.close()
        return None, plan["arena_bytes"] + plan["variables_bytes"]
    planned = plan["planned_bytes"]
    server.run(5)
    peak = server.ask("memory")["peak_bytes"]
    server.close()
    return peak, planned


def peer_memory(name, threads, prefix, variant):
    """In a process of its own, as its peak would hold the other variants' too."""
    done = subprocess.run([sys.executable, os.path.abspath(__file__), "--device", DEVICE, "--peer-memory", name, str(threads), prefix, variant],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError("PyTorch's memory: " + done.stderr.strip().splitlines()[-1])
    return int(done.stdout)


def measure(args, name, batch, threads):
    peer_pytorch.prepare(threads)
    torch._dynamo.reset()
    with tempfile.TemporaryDirectory() as folder:
        prefix = os.path.join(folder, "w")
        server = Server(args.build, name, batch, threads)
        load, plan = loader(prefix), server.ask("describe")
        server.ask("export " + prefix)
        ours = [server.run(1)[1] for _ in range(AGREEING_STEPS)]
        memory, planned = tercet_memory(args, name, batch, threads)
        worst = check_losses(name, load, ours)
        peers, seen = try_variants(name, load, 0.1 if args.quick else 0.4)
        eager = min((v for v in seen if v.startswith("eager") and not isinstance(seen[v], str)), key=lambda v: seen[v])
        memory_peer = peer_memory(name, threads, prefix, eager)
    k = max(1, round(args.round_seconds * 3 / server.run(3)[0]))
    rounds = []
    for r in range(args.rounds):
        order = ["tercet"] + list(peers)
        order = order[r % len(order):] + order[:r % len(order)]
        times = {}
        for who in order:
            time.sleep(0.002)  # the other side's threads go to sleep
            times[who] = (server if who == "tercet" else peers[who]).run(k)[0] / k
        rounds.append(times)
    server.close()
    medians = {who: float(np.median([x[who] for x in rounds])) for who in rounds[0]}
    best = min(peers, key=lambda who: medians[who])
    ratio, low, high = interval([x[best] / x["tercet"] for x in rounds])
    flops_peak, bandwidth = args.peaks[threads]
    floor = max(plan["product_flops"] / flops_peak, plan["least_bytes"] / bandwidth)
    row = {"model": name, "batch": batch, "threads": threads, "rounds": args.rounds, "steps_per_round": k,
           "tercet_ms": medians["tercet"] * 1e3, "peer": best, "peer_ms": medians[best] * 1e3,
           "all_peers_best_ms": seen, "ratio_median": ratio, "ratio_low": low, "ratio_high": high,
           "floor_ms": floor * 1e3, "share_of_floor": floor / medians["tercet"], "loss_difference": worst,
           "planned_bytes": planned, "tercet_peak_bytes": memory, "peak_over_plan": memory / planned if memory else None,
           "peer_peak_bytes": memory_peer, "peer_memory_of": eager, "memory_ratio": (memory or planned) / memory_peer}
    print(f"{name:9} batch {batch:4} threads {threads}: tercet {row['tercet_ms']:.3f} ms, PyTorch {row['peer_ms']:.3f} ms "
          f"({best}), ratio {ratio:.2f} [{low:.2f}, {high:.2f}], floor {row['floor_ms']:.3f} ms = "
          f"{100 * row['share_of_floor']:.0f} %; memory {(memory or planned) / 1e6:.1f} MB (plan {planned / 1e6:.1f}), "
          f"PyTorch {memory_peer / 1e6:.1f}: {row['memory_ratio']:.2f}", flush=True)
    return row


def report(args, rows, failed):
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    mean = math.exp(sum(math.log(r["ratio_median"]) for r in rows) / len(rows)) if rows else None
    return {"what": "training step, Tercet against PyTorch on the CPU", "date": str(datetime.date.today()),
            "commit": commit, "device": torch.cuda.get_device_name() if DEVICE != "cpu" else "cpu", "machine": cpu, "cores": os.cpu_count(), "load_average": os.getloadavg()[0],
            "pytorch": torch.__version__, "command": "perf/compare_pytorch.py " + " ".join(sys.argv[1:]),
            "peak_gflops": {t: p[0] / 1e9 for t, p in args.peaks.items()},
            "bandwidth_gbs": {t: p[1] / 1e9 for t, p in args.peaks.items()},
            "geometric_mean_ratio": mean, "rows_slower": [f"{r['model']}:{r['batch']}:{r['threads']}" for r in rows
                                                          if r["ratio_high"] < 1.0],
            "failed": failed, "rows": rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--rows", default=DEFAULT_ROWS, help="model:batch, comma-separated")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--round-seconds", type=float, default=0.25)
    parser.add_argument("--quick", action="store_true", help="5 short rounds: a look, not a measurement")
    parser.add_argument("--device", choices=sorted(TORCH), default="cpu")
    parser.add_argument("--peer-memory", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", help="JSON file, written anew after each row")
    args = parser.parse_args()
    global DEVICE
    DEVICE = args.device
    if DEVICE != "cpu":
        args.threads = "1"
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # f32 on both sides
    if args.peer_memory:
        name, threads, prefix, variant = args.peer_memory
        peer_pytorch.prepare(int(threads))
        print(peer_pytorch.peak_bytes(name, loader(prefix), variant, TORCH[DEVICE]))
        return 0
    if args.quick:
        args.rounds, args.round_seconds = 5, 0.1
    threads = [int(t) for t in args.threads.split(",")]
    args.peaks = {}
    for t in threads:
        torch.set_num_threads(t)
        args.peaks[t] = machine_peaks(args.build, t)
    rows, failed = [], {}
    for t in threads:
        for spec in args.rows.split(","):
            try:
                rows.append(measure(args, spec.split(":")[0], int(spec.split(":")[1]), t))
            except Exception as error:  # one row's trouble is its own
                failed[f"{spec}:{t}"] = f"{type(error).__name__}: {error}"
                print(f"{spec} threads {t}: {failed[f'{spec}:{t}']}", file=sys.stderr, flush=True)
            if args.output:
                with open(args.output, "w") as file:
                    json.dump(report(args, rows, failed), file, indent=1)
    summary = report(args, rows, failed)
    if rows:
        print(f"geometric mean {summary['geometric_mean_ratio']:.2f}; slower rows: {summary['rows_slower'] or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
