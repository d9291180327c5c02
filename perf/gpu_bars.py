"""What is asked of a GPU, row by row of compare_pytorch.py, and what a measured row says to it.

A bar is a field of the row and the least or the most that it may be. Ratios are PyTorch's time over Tercet's: steps that wait for
launches by the median of the rounds, those that a library's products fill by the lower end of the interval.
"""
LAUNCHES = {"ratio_median": (">=", 1.3)}
LIBRARIES = {"ratio_low": (">=", 0.97)}
# In the order of a run: what takes long to compile comes last.
ROWS = {
    "mlp:128:f32": {**LAUNCHES, "tercet_us": ("<=", 80)},
    "mlp:128:tf32": {**LAUNCHES, "tercet_us": ("<=", 60)},
    "lstm:32:f32": LAUNCHES,
    "mlp:8192:f32": LIBRARIES,
    "mlp:8192:tf32": LIBRARIES,
    "lstm1024:64:f32": LIBRARIES,
    "lstm1024:64:tf32": LIBRARIES,
    "yardstick:500:f32": LAUNCHES,
    "gpt2:16:bf16": {"ratio_median": (">=", 1.1), "mfu": (">=", 0.5)},
    "resnet50:256:bf16": LIBRARIES,
}
EVERY_ROW = {"startup_seconds": ("<=", 3), "peak_off_plan": ("<=", 0.02)}
READABLE_BYTES = 256 << 20  # the driver hands out whole pages of 2 MiB: a smaller plan cannot be told to 2 %


def judge(spec, row):
    """[{bar, wanted, measured, met}]; met None, with a reason, where nothing was measured."""
    bars = []
    for field, (sign, wanted) in {**ROWS.get(spec, {}), **EVERY_ROW}.items():
        measured = row.get(field)
        bar = {"bar": field, "wanted": f"{sign} {wanted}", "measured": measured,
               "met": None if measured is None else measured >= wanted if sign == ">=" else measured <= wanted}
        if measured is None:
            bar["why"] = row.get("not_measured", {}).get(field, "not asked for: --bars measures it")
        bars.append(bar)
    return bars
