#!/usr/bin/env python3
"""The table of branches that ran, by folder of runtime/, from gcovr's JSON (format 0.5); fails under the bars below.

Branches that no test can reach stand in .ci/coverage-exclusions.txt, a line each: file | branches | the source line |
reason. A line there that excludes nothing, or another number of branches, is an error: the list cannot outlive its code.
  coverage_table.py COVERAGE.json [FILE…]    with files: also their source lines with branches that never ran
"""
import collections
import fnmatch
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXCLUSIONS = ROOT / ".ci/coverage-exclusions.txt"

# What reads foreign bytes, and what a run that was killed must be found again by.
READERS = ("runtime/io/*", "runtime/data/csv*.c", "runtime/data/idx.c", "runtime/data/npy.c", "runtime/data/text.c",
           "runtime/train/saver.c", "runtime/train/save.c")
BAR_RUNTIME = 91.0  # percent
BAR_READERS = 100.0
MOST_EXCLUDED = 1.0  # percent of the readers' branches, and of the runtime's


class Count:
    def __init__(self):
        self.branches = self.ran = self.excluded = 0

    def percent(self):
        return 100.0 * (self.ran + self.excluded) / max(1, self.branches)

    def row(self, name):
        return f"{name:<24} {self.branches:9d} {self.ran:9d} {self.excluded:9d} {self.percent():8.1f}"


def exclusions():
    rows = {}
    for number, line in enumerate(EXCLUSIONS.read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split(" | ")]
        if len(parts) != 4 or not parts[1].isdigit() or not parts[3]:
            sys.exit(f"{EXCLUSIONS}:{number}: needs file | branches | source line | reason")
        rows[parts[0], parts[2]] = int(parts[1])
    return rows


def main():
    excluded, found = exclusions(), collections.Counter()
    counts = collections.defaultdict(Count)
    missing = []
    for file in json.load(open(sys.argv[1]))["files"]:
        path = file["file"]
        source = (ROOT / path).read_text().splitlines()
        groups = [path.split("/")[1], "runtime/"]
        if any(fnmatch.fnmatch(path, pattern) for pattern in READERS):
            groups.append("readers and checkpoints")
        for line in file["lines"]:
            ran = [branch["count"] > 0 for branch in line["branches"]]
            text = source[line["line_number"] - 1].strip()
            n_missing = len(ran) - sum(ran)
            is_excluded = n_missing > 0 and (path, text) in excluded
            found[path, text] += n_missing if is_excluded else 0
            for group in groups:
                counts[group].branches += len(ran)
                counts[group].ran += sum(ran)
                counts[group].excluded += n_missing if is_excluded else 0
            if n_missing > 0 and not is_excluded and any(name in path for name in sys.argv[2:]):
                missing.append(f"{path}:{line['line_number']}: {''.join('.x'[not b] for b in ran):6} {text}")

    print("\n".join(missing + [""] if missing else []), end="")
    print(f"{'':24} {'branches':>9} {'ran':>9} {'excluded':>9} {'percent':>8}")
    bars = {"readers and checkpoints": BAR_READERS, "runtime/": BAR_RUNTIME}
    for name in sorted(set(counts) - set(bars), key=lambda name: counts[name].percent()) + list(bars):
        print(counts[name].row(name))

    problems = [f"{path}: '{text}' excludes {n} branches, but {found[path, text]} never ran there"
                for (path, text), n in excluded.items() if found[path, text] != n]
    for name, bar in bars.items():
        if counts[name].percent() < bar:
            problems.append(f"{name}: {counts[name].percent():.2f} % of the branches ran, needs {bar} %")
        if counts[name].excluded > counts[name].branches * MOST_EXCLUDED / 100:
            problems.append(f"{name}: {counts[name].excluded} branches are excluded, at most {MOST_EXCLUDED} % may be")
    sys.exit("\n".join(problems) if problems else 0)


main()
