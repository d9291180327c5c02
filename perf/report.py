#!/usr/bin/env python3
"""Writes the tables of the documentation from the committed results: what stands between <!-- NAME --> and <!-- /NAME -->.

    python3 perf/report.py     after perf/compare_pytorch.py -o perf/results/pytorch-step.json
                               or build/bench_ops --deepbench … --json perf/results/bench-ops.json
"""
import json, os, re

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, r)) + " |" for r in rows])


def steps(result):
    rows = [(r["model"], r["batch"], r["threads"], f"{r['tercet_ms']:.2f} ms", f"{r['peer_ms']:.2f} ms", r["peer"],
             f"{r['ratio_median']:.2f} [{r['ratio_low']:.2f}, {r['ratio_high']:.2f}]",
             f"{r['floor_ms']:.2f} ms, {100 * r['share_of_floor']:.0f} %",
             f"{r['tercet_peak_bytes'] / 1e6:.1f} / {r['planned_bytes'] / 1e6:.1f} MB", f"{r['memory_ratio']:.2f}")
            for r in result["rows"]]
    text = table(("model", "batch", "threads", "Tercet", "PyTorch", "its variant", "ratio", "floor, share",
                  "peak / planned", "of PyTorch's memory"), rows)
    text += (f"\n\nGeometric mean {result['geometric_mean_ratio']:.2f}; rows whose interval lies below 1: "
             f"{', '.join(result['rows_slower']) or 'none'}. {result['date']}, {result['machine']}, load average "
             f"{result['load_average']:.1f}, PyTorch {result['pytorch']}.")
    reasons = sorted({f"`{v}`: {t}" for r in result["rows"] for v, t in r["all_peers_best_ms"].items() if isinstance(t, str)})
    failed = [f"{row}: {why}" for row, why in result["failed"].items()]
    return text + "".join(f"\n- {line}" for line in reasons + failed)


def ops(result):
    head = (f"{result['threads']} thread, {result['fma_gflops']:.0f} GFLOP/s in the FMA loop, {result['product_gflops']:.0f} in "
            f"the 1024³ product, triad {result['gbs']:.1f} GB/s in memory and {result['cache_gbs']:.1f} in cache.\n\n")
    rows = [(r["op"], r["label"], r["kernel"], f"{r['ms']:.3f}", f"{r['gflops']:.1f}", f"{r['gbs']:.1f}",
             f"{100 * r['share']:.0f} %", r["bound"]) for r in result["rows"] if "why" not in r]
    return head + table(("op", "of", "kernel", "ms", "GFLOP/s", "GB/s", "share", "bound by"), rows)


def replace(path, name, text):
    path = os.path.join(ROOT, path)
    with open(path) as file:
        old = file.read()
    new, n = re.subn(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", lambda m: m.group(1) + text + "\n" + m.group(2), old,
                     flags=re.S)
    if n != 1:
        raise SystemExit(f"{path}: the marks of {name} are not there once")
    with open(path, "w") as file:
        file.write(new)


def main():
    for path, name, result, make in (("docs/measured.md", "pytorch-step", "pytorch-step.json", steps),
                                     ("docs/bench-ops.md", "bench-ops", "bench-ops.json", ops)):
        source = os.path.join(ROOT, "perf/results", result)
        if os.path.exists(source):
            with open(source) as file:
                replace(path, name, make(json.load(file)))
            print(f"{path}: {name}")


if __name__ == "__main__":
    main()
