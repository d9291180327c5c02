#!/usr/bin/env python3
"""Training-step time against PyTorch on the CPU: same model, weights, data, threads; paired rounds in one run.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install torch numpy
    /tmp/peers/bin/python perf/compare_pytorch.py --build build -o perf/results/pytorch-step.json

Each round times K steps of Tercet and K steps of every PyTorch variant (eager with foreach and with fused Adam), the order
turned round by round; the peer of a row is the variant with the lowest median. The ratio is taken round by round
(PyTorch's time / Tercet's: above 1 Tercet is faster) and its median is given with an order-statistics 95 % interval.
Losses of the first 20 steps must agree before anything is timed.
"""
import argparse, datetime, json, os, platform, subprocess, sys, tempfile, time

import numpy as np
import torch

MODELS = {
    "mlp": ["fc1", "fc2", "fc3"],
    "lenet5": ["c1", "c2", "fc1", "fc2", "fc3"],
    "yardstick": ["c1", "c2", "fc"],
}
DEFAULT_ROWS = "mlp:32,mlp:128,mlp:512"


class Server:
    def __init__(self, build, model, batch, threads):
        self.process = subprocess.Popen([os.path.join(build, "step_server"), model, str(batch), str(threads)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit("step_server ended; its message stands above")
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Net(torch.nn.Module):
    """The same network over NCHW, with weights copied from Tercet's layouts."""

    def __init__(self, name, load):
        super().__init__()
        self.names = MODELS[name]
        self.pads = {"lenet5": {"c1": 2, "c2": 0}, "yardstick": {"c1": 1, "c2": 1}}.get(name, {})
        layers = {}
        channels_last = None
        for n in self.names:
            kernel, bias = load(n + ".kernel"), load(n + ".bias")
            if kernel.ndim == 4:
                layer = torch.nn.Conv2d(kernel.shape[2], kernel.shape[3], kernel.shape[0], padding=self.pads[n])
                layer.weight.data = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
                channels_last = kernel.shape[3]
            else:
                layer = torch.nn.Linear(kernel.shape[0], kernel.shape[1])
                weight = kernel.T.copy()
                if channels_last and weight.shape[1] != 784:  # flattened HWC there, CHW here
                    side = int(round((weight.shape[1] / channels_last) ** 0.5))
                    weight = weight.reshape(-1, side, side, channels_last).transpose(0, 3, 1, 2).reshape(weight.shape[0], -1)
                    channels_last = None
                elif channels_last:
                    side = int(round((784 / channels_last) ** 0.5))
                    weight = weight.reshape(-1, side, side, channels_last).transpose(0, 3, 1, 2).reshape(weight.shape[0], -1)
                    channels_last = None
                layer.weight.data = torch.from_numpy(np.ascontiguousarray(weight))
            layer.bias.data = torch.from_numpy(bias.copy())
            layers[n] = layer
        self.layers = torch.nn.ModuleDict(layers)

    def forward(self, x):
        for i, n in enumerate(self.names):
            layer = self.layers[n]
            if isinstance(layer, torch.nn.Conv2d):
                x = torch.nn.functional.max_pool2d(torch.relu(layer(x)), 2)
            else:
                x = layer(x.flatten(1))
                if i + 1 < len(self.names):
                    x = torch.relu(x)
        return x


class Peer:
    def __init__(self, name, load, adam, channels_last):
        self.net = Net(name, load)
        x = load("x").transpose(0, 3, 1, 2).copy()
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(load("y").astype(np.int64))
        if channels_last:
            self.net = self.net.to(memory_format=torch.channels_last)
            self.x = self.x.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.net.parameters(), 1e-3, eps=1e-30, **adam)
        self.loss = torch.nn.CrossEntropyLoss()

    def step(self):
        self.optimizer.zero_grad()
        loss = self.loss(self.net(self.x), self.y)
        loss.backward()
        self.optimizer.step()
        return loss

    def run(self, n):
        begin = time.perf_counter()
        for _ in range(n):
            loss = self.step()
        return time.perf_counter() - begin, float(loss.detach())


def variants(name, load):
    layouts = [False] if name == "mlp" else [False, True]
    for last in layouts:
        for adam in ("foreach", "fused"):
            yield adam + (" channels_last" if last else ""), Peer(name, load, {adam: True}, last)


def flops(name, batch):
    """Multiply-adds × 2 of the products, forward and both gradients (none for the first layer's input)."""
    if name == "mlp":
        macs = [784 * 512, 512 * 256, 256 * 10]
    elif name == "lenet5":
        macs = [784 * 25 * 6, 100 * 150 * 16, 400 * 120, 120 * 84, 84 * 10]
    else:
        macs = [784 * 9 * 8, 196 * 72 * 16, 784 * 10]
    return 2 * batch * (3 * sum(macs) - macs[0])


def interval(ratios):
    """Median and the order-statistics interval that holds it with at least 95 % (binomial)."""
    from math import comb
    r = sorted(ratios)
    n, k, tail = len(r), 0, 0.0
    while tail + comb(n, k) / 2 ** n <= 0.025:
        tail += comb(n, k) / 2 ** n
        k += 1
    return float(np.median(r)), r[max(k - 1, 0)], r[min(n - k, n - 1)]


def gemm_peak(threads):
    """GFLOP/s of a large product in PyTorch, and of Tercet's yardstick of the machine: the best of both is the floor's peak."""
    a, b = torch.rand(1024, 1024), torch.rand(1024, 1024)
    best = 0.0
    for _ in range(15):
        begin = time.perf_counter()
        for _ in range(3):
            a @ b
        best = max(best, 3 * 2 * 1024 ** 3 / (time.perf_counter() - begin))
    return best


def measure(args, name, batch, threads):
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # Tercet's CPU device does it always; moments that decay to nothing cost both dearly
    with tempfile.TemporaryDirectory() as folder:
        prefix = os.path.join(folder, "w")
        server = Server(args.build, name, batch, threads)
        server.ask("export " + prefix)
        load = lambda n: np.load(f"{prefix}-{n}.npy")
        peers = dict(variants(name, load))
        for step in range(20):
            ours = server.ask("run 1")["loss"]
            theirs = {k: p.run(1)[1] for k, p in peers.items()}
            for k, loss in theirs.items():
                # Adam's epsilon stands before the bias correction here (Keras) and behind it there, which moves the weights
                # whose gradients are near it: equal to rounding at first, alike after 20 steps.
                if abs(loss - ours) > (2e-4 if step < 3 else 2e-2) * max(1.0, abs(ours)):
                    sys.exit(f"{name} batch {batch} step {step}: loss {ours} here, {loss} in PyTorch ({k})")
    once = server.ask("run 5")["seconds"] / 5
    k = max(2, int(args.round_seconds / once))
    for p in peers.values():
        p.run(5)
    rounds = []
    for r in range(args.rounds):
        order = ["tercet"] + list(peers)
        order = order[r % len(order):] + order[:r % len(order)]
        rounds.append({who: (server.ask(f"run {k}")["seconds"] if who == "tercet" else peers[who].run(k)[0]) / k
                       for who in order})
    server.close()
    medians = {who: float(np.median([x[who] for x in rounds])) for who in rounds[0]}
    best = min(peers, key=lambda who: medians[who])
    ratio, low, high = interval([x[best] / x["tercet"] for x in rounds])
    floor = flops(name, batch) / gemm_peak(threads)
    row = {"model": name, "batch": batch, "threads": threads, "rounds": args.rounds, "steps_per_round": k,
           "tercet_ms": medians["tercet"] * 1e3, "peer": best, "peer_ms": medians[best] * 1e3,
           "all_peers_ms": {w: medians[w] * 1e3 for w in peers}, "ratio_median": ratio, "ratio_low": low,
           "ratio_high": high, "floor_ms": floor * 1e3, "share_of_floor": floor / medians["tercet"]}
    print(f"{name:9} batch {batch:4} threads {threads}: tercet {row['tercet_ms']:.3f} ms, PyTorch {row['peer_ms']:.3f} ms "
          f"({best}), ratio {ratio:.2f} [{low:.2f}, {high:.2f}], floor {row['floor_ms']:.3f} ms", flush=True)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--rows", default=DEFAULT_ROWS, help="model:batch, comma-separated")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--round-seconds", type=float, default=0.3)
    parser.add_argument("-o", "--output", help="JSON file")
    args = parser.parse_args()
    rows = [measure(args, r.split(":")[0], int(r.split(":")[1]), int(t)) for t in args.threads.split(",")
            for r in args.rows.split(",")]
    if args.output:
        cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
        json.dump({"what": "training step, Tercet against PyTorch on the CPU", "date": str(datetime.date.today()),
                   "commit": commit, "machine": cpu, "cores": os.cpu_count(), "load_average": os.getloadavg()[0],
                   "pytorch": torch.__version__, "command": "perf/compare_pytorch.py " + " ".join(sys.argv[1:]),
                   "rows": rows}, open(args.output, "w"), indent=1)


if __name__ == "__main__":
    main()
