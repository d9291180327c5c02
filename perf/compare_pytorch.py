#!/usr/bin/env python3
"""Training-step time and memory against PyTorch, on the CPU or (--device gpu) a GPU: same model, weights, data, threads; paired rounds in one run.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install torch numpy
    /tmp/peers/bin/python perf/compare_pytorch.py --build build -o perf/results/pytorch-step.json

Every variant of PyTorch (perf/peer_pytorch.py) is tried for a few steps; one that fails is listed with its reason, and the
two fastest go on. Each round times K steps of Tercet and of these two, the order turned round by round; the peer of a row is
the variant with the lower median. The ratio is taken round by round (PyTorch's time / Tercet's: above 1 Tercet is faster),
and its median is given with an order-statistics 95 % interval. Losses of the first steps must agree before anything is timed.

A row is MODEL:BATCH[:PRECISION]: f32, tf32 (a GPU's: gpu:tf32 here, allow_tf32 there) or bf16 (mixed precision here, autocast there;
weights are f32 on both sides). Steps take --batches batches in turn, from host memory on both sides. On a GPU a round is timed from
idle to idle by the host's clock, copies included, and the losses on the way are not waited for; PyTorch's time between CUDA events
stands beside it. --bars: the rows and numbers that are asked of a GPU (perf/gpu_bars.py), with the time from the start of a process
to its first step (the second process counts) and the GPU's memory beside the plan. --check: only the losses of the first steps.

MFU: flops of the step's products (attention's masked half not counted) / time / the measured rate of a large product in that precision.

Floor: the longer of flops of the step's products / the machine's peak, and the least bytes (each variable read and written
once, the batch read) / its bandwidth; both measured by build/bench_ops. Memory: the highest resident set above the same
process before the model, code paged in; Tercet's planned number is known before the first step.

torch.compile needs a C++ compiler; its cache makes a second run of this script much shorter than the first.
"""
import argparse, datetime, gc, json, math, os, platform, signal, subprocess, sys, tempfile, time, typing

os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # no pool of idle compilers beside the measurement
import numpy as np
import torch

import gpu_bars
import peer_pytorch

DEVICE = "cpu"
DEFAULT_ROWS = "mlp:32,mlp:128,mlp:512,lenet5:32,lenet5:128,yardstick:500,resnet20:32,lstm:32,gpt:8"
# Of the first losses: sums in different orders drift apart, faster with batch norm, and roundings of 2^-11 and 2^-9 with them.
AGREEING_STEPS, AGREEMENT = 5, {"f32": 2e-3, "tf32": 1e-2, "bf16": 3e-2}
# The first update alone: on two images PyTorch's own f32 in two layouts then parts by 2 %, and each further step makes more of it.
UNSTEADY = {"resnet50": 0.05}
TORCH = {"cpu": "cpu", "gpu": "cuda"}


class Row(typing.NamedTuple):
    model: str
    batch: int
    precision: str

    def __str__(self):
        return ":".join(map(str, self))


def row_of(spec):
    model, batch, precision = (spec.split(":") + ["f32"])[:3]
    if model not in peer_pytorch.NETS or not batch.isdigit() or precision not in AGREEMENT or len(spec.split(":")) > 3:
        raise ValueError(f"row '{spec}': needs MODEL:BATCH[:PRECISION], models {', '.join(peer_pytorch.NETS)}, precisions {', '.join(AGREEMENT)}")
    if precision == "tf32" and DEVICE == "cpu":
        raise ValueError(f"row '{spec}': tf32 is a GPU's; take f32")
    return Row(model, int(batch), precision)


def device_of(precision):  # Tercet's name
    return DEVICE + ":tf32" if precision == "tf32" else DEVICE


class Server:
    def __init__(self, args, row, threads, *words, batches=1):
        words = [f"batches={batches}", *words] + (["bfloat16"] if row.precision == "bf16" else [])
        self.process = subprocess.Popen([os.path.join(args.build, "step_server"), row.model, str(row.batch), str(threads),
                                         device_of(row.precision), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("step_server ended; its message stands above")
        return json.loads(answer)

    def run(self, n):
        answer = self.ask(f"{'run' if DEVICE == 'cpu' else 'stream'} {n}")
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


def machine_peaks(args, threads, precision):
    """FLOP/s and bytes/s of this machine: the best of bench_ops' and of PyTorch's own large product."""
    if (threads, precision) in args.peaks:
        return args.peaks[threads, precision]
    command = [os.path.join(args.build, "bench_ops"), "--peaks", "--threads", str(threads), "--device", device_of(precision)]
    command += ["--dtype", "bf16"] if precision == "bf16" else []
    peaks = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    if DEVICE != "cpu":
        best = peer_pytorch.product_rate(precision)
    else:
        dtype, best = torch.bfloat16 if precision == "bf16" else torch.float32, 0.0
        a, b = torch.rand(1024, 1024, dtype=dtype), torch.rand(1024, 1024, dtype=dtype)
        for _ in range(15):
            begin = time.perf_counter()
            a @ b
            best = max(best, 2 * 1024 ** 3 / (time.perf_counter() - begin))
    args.peaks[threads, precision] = max(best, peaks["gflops"] * 1e9), peaks["gbs"] * 1e9
    return args.peaks[threads, precision]


def check_losses(row, load, ours):
    """The worst relative difference over the first steps; the reference is PyTorch's plainest variant. A loss that has all but
    vanished is compared with a tenth of the first."""
    peer = peer_pytorch.Peer(row.model, load, peer_pytorch.variants(row.model)[0], row.batch, row.precision, TORCH[DEVICE])
    theirs, worst = [], 0.0
    for step, loss in enumerate(ours):
        theirs.append(peer.run(1)[1])
        worst = max(worst, abs(loss - theirs[-1]) / max(abs(theirs[-1]), 0.1 * theirs[0], 1e-3))
        if worst > AGREEMENT[row.precision] + (UNSTEADY.get(row.model, 0) if step > 0 else 0):
            raise RuntimeError(f"{row}: at step {step} the losses are {ours[:step + 1]} here, {theirs} in PyTorch")
    return worst


class OutOfTime(BaseException):  # no Exception: a compiler may catch those on the way
    pass


def within(seconds, do):
    """do(), unless it takes longer: then OutOfTime, at the next line of Python and again each second until it is heard."""
    def stop(*_):
        raise OutOfTime(f"not done within {seconds:.0f} s")
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.1), 1)
    try:
        return do()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def try_variants(row, load, seconds, most_seconds):
    """The two fastest, warmed up, and every variant's best time or reason. What takes longer than most_seconds to begin is given up."""
    peers, seen = {}, {}
    n = 1 if DEVICE == "cpu" else 5
    for variant in peer_pytorch.variants(row.model, TORCH[DEVICE]):
        def begin():
            peer = peer_pytorch.Peer(row.model, load, variant, row.batch, row.precision, TORCH[DEVICE])
            peer.run(3)
            return peer
        try:
            peer = within(most_seconds, begin) if most_seconds else begin()
            best, end = math.inf, time.perf_counter() + seconds
            while time.perf_counter() < end:
                best = min(best, peer.run(n)[0] / n)
            peers[variant], seen[variant] = peer, best * 1e3
        except (Exception, OutOfTime) as error:  # a compiler that is missing, an op that it cannot take: the others go on
            seen[variant] = f"failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            torch._dynamo.reset()
        fastest = sorted(peers, key=lambda v: seen[v])[:2]
        peers, peer = {v: peers[v] for v in fastest}, None  # the others' memory is needed
    if not peers:
        raise RuntimeError(f"no variant of PyTorch runs: {seen}")
    return peers, seen


def tercet_memory(args, row, threads):
    """What 5 steps take in a process that does nothing else beside the plan: of a GPU what the driver has less of, measured around the
    session, and the plan with the buffers that uploads have on the device."""
    server = Server(args, row, threads, "warm")
    server.ask("ready")
    free = torch.cuda.mem_get_info()[0] if DEVICE != "cpu" else 0
    plan = server.ask("describe")
    server.run(5)
    memory = server.ask("memory")
    peak, planned = memory["peak_bytes"], plan["planned_bytes"]
    if DEVICE != "cpu":
        peak = free - torch.cuda.mem_get_info()[0]
        planned = plan["arena_bytes"] + plan["variables_bytes"] + memory["staging_bytes"]
    server.close()
    return peak, planned


def forget():
    """What PyTorch keeps of freed memory is given back: the other process needs it."""
    gc.collect()
    if DEVICE != "cpu":
        torch.cuda.empty_cache()


def startup_seconds(args, row, threads):
    """From the start of a process to the end of its first step; of two the second, which finds what the first left in caches."""
    for _ in range(2):
        begin = time.perf_counter()
        server = Server(args, row, threads)
        server.run(1)
        seconds = time.perf_counter() - begin
        server.close()
    return seconds


def peer_memory(row, threads, prefix, variant):
    """In a process of its own, as its peak would hold the other variants' too."""
    done = subprocess.run([sys.executable, os.path.abspath(__file__), "--device", DEVICE, "--peer-memory", str(row), str(threads), prefix, variant],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError("PyTorch's memory: " + (done.stderr.strip().splitlines() or ["it was killed"])[-1])
    return int(done.stdout)


def time_rounds(args, server, peers):
    """Seconds of a step of each, round by round, the order turned; how many steps a round has."""
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
    return rounds, k


def measure(args, row, threads, most_seconds):
    peer_pytorch.prepare(threads, row.precision)
    torch._dynamo.reset()
    server = Server(args, row, threads, batches=args.batches)
    try:
        return measure_beside(args, row, threads, most_seconds, server)
    finally:
        server.close()


def measure_beside(args, row, threads, most_seconds, server):
    with tempfile.TemporaryDirectory() as folder:
        prefix = os.path.join(folder, "w")
        load, plan = loader(prefix), server.ask("describe")
        server.ask("export " + prefix)
        ours = [server.run(1)[1] for _ in range(min(args.steps, 2) if row.model in UNSTEADY else args.steps)]
        worst = check_losses(row, load, ours)
        forget()
        if args.check:
            print(f"{row}: {len(ours)} losses part by at most {worst:.2g}: {', '.join(f'{x:.6g}' for x in ours)}", flush=True)
            return {"model": row.model, "batch": row.batch, "precision": row.precision, "threads": threads, "losses": ours, "loss_difference": worst}
        memory, planned = tercet_memory(args, row, threads)
        peers, seen = try_variants(row, load, 0.1 if args.quick else 0.4, most_seconds)
        eager = min((v for v in seen if v.startswith("eager") and not isinstance(seen[v], str)), key=lambda v: seen[v])
        memory_peer = peer_memory(row, threads, prefix, eager)
    rounds, k = time_rounds(args, server, peers)
    medians = {who: float(np.median([x[who] for x in rounds])) for who in rounds[0]}
    best = min(peers, key=lambda who: medians[who])
    ratio, low, high = interval([x[best] / x["tercet"] for x in rounds])
    flops_peak, bandwidth = machine_peaks(args, threads, row.precision)
    floor = max(plan["product_flops"] / flops_peak, plan["least_bytes"] / bandwidth)
    result = {"model": row.model, "batch": row.batch, "precision": row.precision, "threads": threads, "rounds": args.rounds, "steps_per_round": k,
              "tercet_ms": medians["tercet"] * 1e3, "tercet_us": medians["tercet"] * 1e6, "peer": best, "peer_ms": medians[best] * 1e3,
              "peer_events_ms": peers[best].event_seconds / k * 1e3 if DEVICE != "cpu" else None,
              "all_peers_best_ms": seen, "ratio_median": ratio, "ratio_low": low, "ratio_high": high,
              "mfu": plan["product_flops"] / medians["tercet"] / flops_peak, "product_gflop": plan["product_flops"] / 1e9, "peak_gflops": flops_peak / 1e9,
              "floor_ms": floor * 1e3, "share_of_floor": floor / medians["tercet"], "loss_difference": worst,
              "planned_bytes": planned, "tercet_peak_bytes": memory, "peak_over_plan": memory / planned,
              "peer_peak_bytes": memory_peer, "peer_memory_of": eager, "memory_ratio": memory / memory_peer}
    if args.bars:
        del peers
        forget()
        result["startup_seconds"] = startup_seconds(args, row, threads)
        if planned >= gpu_bars.READABLE_BYTES:
            result["peak_off_plan"] = abs(memory / planned - 1)
        else:
            result["not_measured"] = {"peak_off_plan": f"a plan of {planned} bytes is too small to be told from the driver's pages"}
        result["bars"] = gpu_bars.judge(str(row), result)
    show(row, result)
    return result


def show(row, r):
    print(f"{row} threads {r['threads']}: tercet {r['tercet_ms']:.3f} ms, PyTorch {r['peer_ms']:.3f} ms ({r['peer']}), "
          f"ratio {r['ratio_median']:.2f} [{r['ratio_low']:.2f}, {r['ratio_high']:.2f}], floor {r['floor_ms']:.3f} ms = "
          f"{100 * r['share_of_floor']:.0f} %, MFU {100 * r['mfu']:.0f} %; memory {r['tercet_peak_bytes'] / 1e6:.1f} MB "
          f"(plan {r['planned_bytes'] / 1e6:.1f}), PyTorch {r['peer_peak_bytes'] / 1e6:.1f}: {r['memory_ratio']:.2f}", flush=True)
    for bar in r.get("bars", []):
        word = {True: "met", False: "not met", None: "not known"}[bar["met"]]
        print(f"    {bar['bar']} {bar['wanted']}: {bar.get('why') or format(bar['measured'], '.4g')}: {word}", flush=True)


def report(args, rows, failed):
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    ratios = [r["ratio_median"] for r in rows if "ratio_median" in r]
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None
    return {"what": f"training step, Tercet against PyTorch on the {DEVICE.upper()}", "date": str(datetime.date.today()),
            "commit": commit, "device": torch.cuda.get_device_name() if DEVICE != "cpu" else "cpu", "machine": cpu, "cores": os.cpu_count(), "load_average": os.getloadavg()[0],
            "pytorch": torch.__version__, "command": "perf/compare_pytorch.py " + " ".join(sys.argv[1:]), "batches": args.batches,
            "peak_gflops": {name_of_peak(k): p[0] / 1e9 for k, p in args.peaks.items()},
            "bandwidth_gbs": {name_of_peak(k): p[1] / 1e9 for k, p in args.peaks.items()},
            "geometric_mean_ratio": mean, "rows_slower": [f"{r['model']}:{r['batch']}:{r['threads']}" for r in rows
                                                          if r.get("ratio_high", 1.0) < 1.0],
            "bars_not_met": [f"{r['model']}:{r['batch']}:{r['precision']} {b['bar']}" for r in rows for b in r.get("bars", []) if b["met"] is False],
            "failed": failed, "rows": rows}


def name_of_peak(key):
    return str(key[0]) if key[1] == "f32" else f"{key[0]}:{key[1]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--rows", help="model:batch[:precision], comma-separated")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--round-seconds", type=float, default=0.25)
    parser.add_argument("--quick", action="store_true", help="5 short rounds: a look, not a measurement")
    parser.add_argument("--device", choices=sorted(TORCH), default="cpu")
    parser.add_argument("--batches", type=int, help="that steps take in turn; 1, on a GPU 4")
    parser.add_argument("--bars", action="store_true", help="the rows that have a bar, and all that is asked of them")
    parser.add_argument("--check", action="store_true", help="losses alone")
    parser.add_argument("--steps", type=int, default=AGREEING_STEPS, help="of the check")
    parser.add_argument("--seconds", type=float, help="for all rows: compilers get their share of it, rows that would begin after it do not run")
    parser.add_argument("--peer-memory", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", help="JSON file, written anew after each row")
    args = parser.parse_args()
    global DEVICE
    DEVICE = args.device
    args.batches = args.batches or (1 if DEVICE == "cpu" else 4)
    if DEVICE != "cpu":
        args.threads = "1"
    if args.peer_memory:
        spec, threads, prefix, variant = args.peer_memory
        row = row_of(spec)
        peer_pytorch.prepare(int(threads), row.precision)
        print(peer_pytorch.peak_bytes(row.model, loader(prefix), variant, row.batch, row.precision, TORCH[DEVICE]))
        return 0
    if args.quick:
        args.rounds, args.round_seconds = 5, 0.1
    specs = (args.rows or (",".join(gpu_bars.ROWS) if args.bars else DEFAULT_ROWS)).split(",")
    todo = [(spec, int(t)) for t in args.threads.split(",") for spec in specs]
    end, rows, failed, args.peaks = time.perf_counter() + (args.seconds or math.inf), [], {}, {}
    for i, (spec, t) in enumerate(todo):
        try:
            left = end - time.perf_counter()
            if left <= 0:
                raise RuntimeError(f"no time was left of {args.seconds:.0f} s")
            # Half of what is left is the compilers'; a row's share is twice the others', as most need less than theirs.
            most = left / 2 * min(1, 2 / (len(todo) - i)) if args.seconds else None
            rows.append(measure(args, row_of(spec), t, most))
        except Exception as error:  # one row's trouble is its own
            failed[f"{spec}:{t}"] = f"{type(error).__name__}: {error}"
            print(f"{spec} threads {t}: {failed[f'{spec}:{t}']}", file=sys.stderr, flush=True)
        if args.output:
            with open(args.output + ".new", "w") as file:
                json.dump(report(args, rows, failed), file, indent=1)
            os.replace(args.output + ".new", args.output)
    summary = report(args, rows, failed)
    if rows and not args.check:
        print(f"geometric mean {summary['geometric_mean_ratio']:.2f}; slower rows: {summary['rows_slower'] or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
