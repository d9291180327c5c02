#!/usr/bin/env python3
"""Numbers and speed of SCALE-Sim 3.0.0 beside Tercet's: random layers must agree in every number, then the walks are timed.

    python3 -m venv /tmp/scalesim && /tmp/scalesim/bin/pip install scalesim==3.0.0 numpy==1.26.4
    /tmp/scalesim/bin/python perf/compare_scalesim.py --library build/libtercet.so -o perf/results/scalesim.json

Every layer goes through SCALE-Sim's own single_layer_sim, unmodified. Compared are cycles, stalls, the three utilisations, and the
words of the three SRAMs and of the three memories; whole numbers exactly, utilisations to 1e-9. Draws are the same for a seed.

Times are CPU seconds (both sides run on one thread), so that a shared machine does not stretch one more than the other; walls stand
beside them. SCALE-Sim's are those of its memory walk alone (service_memory_requests; building the demand matrices, which it
needs for that, is given apart); Tercet's are those of the whole call, the order of the demand included, the median of several. With
--table (a table like those of `tercet sim --batch`) the closed forms of its layers are timed on 5 arrays in 3 dataflows, with
the calls out of Python."""
import argparse, contextlib, csv, ctypes, datetime, io, json, math, platform, random, statistics, subprocess, sys, time
from importlib.metadata import version

import numpy
from scalesim.memory.double_buffered_scratchpad_mem import double_buffered_scratchpad
from scalesim.scale_config import scale_config
from scalesim.single_layer_sim import single_layer_sim
from scalesim.topology_utils import topologies

DATAFLOWS = ["ws", "os", "is"]
WALKS = {"all": 0, "none": 2}
LAYER = ["ifmap_h", "ifmap_w", "filter_h", "filter_w", "channels", "n_filters", "stride_h", "stride_w"]
WHOLE = ["total_cycles", "stall_cycles", "sram_ifmap_reads", "sram_filter_reads", "sram_ofmap_writes", "dram_ifmap_reads",
         "dram_filter_reads", "dram_ofmap_writes"]
REAL = ["overall_util", "mapping_efficiency", "compute_util"]

# What the published walls are of: name, dataflow, array, layer, SRAM in KiB, words per cycle (0: calc mode).
WALLS = [
    ("AlexNet conv1, calc", "ws", (128, 128), (227, 227, 11, 11, 3, 96, 4, 4), (64, 64, 64), 0),
    ("AlexNet conv1, user", "ws", (128, 128), (227, 227, 11, 11, 3, 96, 4, 4), (64, 64, 64), 10),
    ("ResNet 3x3 of 14x14x128, calc", "os", (32, 32), (16, 16, 3, 3, 128, 128, 1, 1), (64, 64, 64), 0),
    ("product 256x256x128, user", "is", (32, 32), (256, 256, 1, 256, 1, 128, 1, 1), (64, 64, 64), 10),
]


class Clock:
    def __init__(self):
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def elapsed(self):
        """CPU seconds, wall seconds."""
        return time.process_time() - self.cpu, time.perf_counter() - self.wall


class Config(ctypes.Structure):
    _fields_ = [("rows", ctypes.c_int64), ("cols", ctypes.c_int64), ("dataflow", ctypes.c_int), ("ifmap_kb", ctypes.c_int64),
                ("filter_kb", ctypes.c_int64), ("ofmap_kb", ctypes.c_int64), ("bandwidth", ctypes.c_int64),
                ("version", ctypes.c_int32), ("walks", ctypes.c_int), ("reserved", ctypes.c_uint64 * 4)]


class Layer(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in LAYER]


class Report(ctypes.Structure):
    _fields_ = ([(name, ctypes.c_int64) for name in ["m", "k", "n"] + WHOLE[:2]] + [(name, ctypes.c_double) for name in REAL]
                + [(name, ctypes.c_int64) for name in WHOLE[2:]])


class Tercet:
    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        self.library.tct_error_message.restype = self.library.tct_version.restype = ctypes.c_char_p

    def run(self, dataflow, array, layer, sram, bandwidth, walks="all"):
        config = Config(*array, DATAFLOWS.index(dataflow), *sram, bandwidth, 3, WALKS[walks])
        report, made = Report(), Layer(*layer)
        begin = Clock()
        status = self.library.tct_scale_run(ctypes.byref(config), ctypes.byref(made), ctypes.byref(report))
        seconds = begin.elapsed()
        if status != 0:
            raise RuntimeError(self.library.tct_error_message().decode())
        return report, seconds


class TimedMemory(double_buffered_scratchpad):
    seconds = (0.0, 0.0)

    def service_memory_requests(self, *demand):
        begin = Clock()
        super().service_memory_requests(*demand)
        TimedMemory.seconds = begin.elapsed()


def scale_sim(dataflow, array, layer, sram, bandwidth):
    """The numbers, and seconds as of Clock: of the memory walk, of the whole layer."""
    config = scale_config()
    config.valid_conf_flag = True
    config.array_rows, config.array_cols = array
    config.ifmap_sz_kb, config.filter_sz_kb, config.ofmap_sz_kb = sram
    config.df = dataflow
    config.use_user_bandwidth = bandwidth > 0
    config.bandwidths = [bandwidth]
    config.ifmap_sram_bank_bandwidth = config.filter_sram_bank_bandwidth = bandwidth  # version 3 reads the operands' here
    config.ifmap_sram_bank_num = config.filter_sram_bank_num = 1 # must divide the bandwidth; layouts are off
    topology = topologies()
    topology.load_layer_params_from_list("layer", ["layer", *layer, 1, 1])
    topology.topo_calc_hyperparams()
    sim = single_layer_sim()
    begin = Clock()
    with contextlib.redirect_stdout(io.StringIO()):
        sim.set_params(layer_id=0, config_obj=config, topology_obj=topology, verbose=False)
        sim.memory_system = TimedMemory()
        sim.run()
        total, stall, *utils = sim.get_compute_report_items()[1:]
        detail = sim.get_detail_report_items()
    whole = [int(x) for x in [total, stall] + detail[2::3]]
    return whole, utils, TimedMemory.seconds, begin.elapsed()


def draw(rng):
    """A product or a convolution, windows that stick out and unequal strides included."""
    array = (rng.randint(2, 9), rng.randint(2, 9))
    if rng.random() < 0.5:
        m, k, n = rng.randint(1, 40), rng.randint(1, 60), rng.randint(1, 40)
        layer = (m, k, 1, k, 1, n, 1, 1)
    else:
        h, w = rng.randint(3, 12), rng.randint(3, 12)
        layer = (h, w, rng.randint(1, 3), rng.randint(1, 3), rng.randint(1, 8), rng.randint(1, 20), rng.randint(1, 3),
                 rng.randint(1, 3))
    sram = tuple(rng.choice([1, 2, 3]) for _ in range(3))
    return rng.choice(DATAFLOWS), array, layer, sram, rng.choice([0, 0, 1, 3, 7, 16])


def check(what, case, tercet):
    """Ends the program when a number differs; else the times of SCALE-Sim's walk and of its layer."""
    whole, real, walk, layer = scale_sim(*case)
    report, _ = tercet.run(*case)
    wrong = [name for name, x in zip(WHOLE, whole) if getattr(report, name) != x]
    wrong += [name for name, x in zip(REAL, real) if not math.isclose(getattr(report, name), x, rel_tol=1e-9)]
    if wrong:
        theirs = dict(zip(WHOLE + REAL, whole + real))
        sys.exit(f"{what}, {case}: " + "; ".join(f"{name}: {getattr(report, name)}, SCALE-Sim {theirs[name]}" for name in wrong))
    return walk, layer


def compare(tercet, n, seed):
    rng, modes = random.Random(seed), {"calc": 0, "user": 0}
    for i in range(n):
        case = draw(rng)
        check(f"layer {i} of seed {seed}", case, tercet)
        modes["user" if case[4] else "calc"] += 1
    return modes


def walls(tercet, repeats):
    rows = []
    for name, *case in WALLS:
        walk, layer = check(name, case, tercet)
        runs = [tercet.run(*case) for _ in range(repeats)]
        ours, wall = (statistics.median(seconds[i] for _, seconds in runs) for i in (0, 1))
        accesses = sum(getattr(runs[0][0], word) for word in WHOLE[2:5])
        rows.append({"layer": name, "dataflow": case[0], "array": case[1], "sram_accesses": accesses, "scalesim_walk_s": walk[0],
                     "scalesim_walk_wall_s": walk[1], "scalesim_layer_s": layer[0], "tercet_s": ours, "tercet_wall_s": wall,
                     "ratio": walk[0] / ours})
        print(f"{name:32s} SCALE-Sim {walk[0]:7.2f} s ({layer[0]:.2f} the layer)   Tercet {ours * 1e3:8.3f} ms   "
              f"{walk[0] / ours:6.0f} x", flush=True)
    return rows


def closed_forms(tercet, table, repeats):
    with open(table, newline="") as file:
        layers = [tuple(int(row[name]) for name in LAYER[:5] + ["num_filters"] + LAYER[6:]) for row in csv.DictReader(file)]
    cases = [(dataflow, (side, side), layer, (64, 64, 64), 0, "none")
             for layer in layers for side in (8, 16, 32, 64, 128) for dataflow in DATAFLOWS]
    seconds = statistics.median(sum(tercet.run(*case)[1][0] for case in cases) for _ in range(repeats))
    print(f"closed forms: {len(layers)} layers x 15 in {seconds * 1e3:.1f} ms of CPU")
    return {"layers": len(layers), "runs": len(cases), "seconds": seconds}


def write_rows(tercet, seed, path):
    """Drawn layers with SCALE-Sim's numbers, for the tests: a few of any kind, and then those that stall."""
    rng, rows, drawn = random.Random(seed), [], 0
    while len(rows) < 50:
        dataflow, array, layer, sram, bandwidth = case = draw(rng)
        check(f"layer {drawn} of seed {seed}", case, tercet)
        drawn += 1
        report, _ = tercet.run(*case)
        if len(rows) < 10 or report.stall_cycles != 0:
            numbers = [getattr(report, name) for name in WHOLE]  # checked: they are SCALE-Sim's
            rows.append('ROW("%s", %d, %d, (%s), (%s), %d, (%s))\n' % (dataflow, *array, ", ".join(map(str, layer)), ", ".join(
                map(str, sram)), bandwidth, ", ".join(map(str, numbers))))
    with open(path, "w") as file:
        file.write("/* Layers with the numbers of SCALE-Sim " + version("scalesim") + ", drawn by perf/compare_scalesim.py --rows.\n"
                   " * ROW(dataflow, array's rows, columns, (ifmap_h … stride_w), (KiB of SRAM), words per cycle,\n"
                   " *     (total cycles, stall cycles, SRAM reads of ifmap and filter, writes of ofmap, the same of DRAM)) */\n")
        file.writelines(rows)


def cpu_model():
    with open("/proc/cpuinfo") as file:
        return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", default="build/libtercet.so")
    parser.add_argument("--layers", type=int, default=400, help="random layers to compare")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--no-walls", action="store_true", help="compare the random layers only")
    parser.add_argument("--table", help="time the closed forms of this table's layers")
    parser.add_argument("--rows", help="write tests/systolic/scalesim_rows.def: layers with SCALE-Sim's numbers")
    parser.add_argument("-o", "--output")
    options = parser.parse_args()
    tercet = Tercet(options.library)
    if options.rows:
        return write_rows(tercet, options.seed, options.rows)
    modes = compare(tercet, options.layers, options.seed)
    print(f"{options.layers} random layers, {modes['calc']} in calc and {modes['user']} in user mode: all numbers equal", flush=True)
    result = {"what": "SCALE-Sim's numbers and speed beside Tercet's", "date": datetime.date.today().isoformat(),
              "commit": subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip(),
              "machine": cpu_model(),
              "versions": {"scalesim": version("scalesim"), "numpy": numpy.__version__, "python": platform.python_version(),
                           "tercet": tercet.library.tct_version().decode()},
              "equal": {"layers": options.layers, "seed": options.seed, **modes}}
    if not options.no_walls:
        result["walls"] = walls(tercet, options.repeats)
    if options.table:
        result["closed_forms"] = closed_forms(tercet, options.table, options.repeats)
    if options.output:
        with open(options.output, "w") as file:
            json.dump(result, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
