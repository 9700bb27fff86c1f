"""How fast is this machine, what do other batch sizes cost, and does a patch pay?

    uv run python -m tests.measure.bench

answers with two tables in Markdown, in a quarter of an hour: whole runs, and single training steps.
PyTorch is timed where it is installed (`uv run --with torch ...`). A step's time is the median of
rounds, in each of which every variant gets a process of its own, one after the other.
"""

import argparse
import json
import sys
import tempfile
import time
from importlib.util import find_spec
from itertools import pairwise
from statistics import median

import mlx.core as mx

from tests import edits, records, scripts

MAIN, TWIN = "main.py", "tests/pytorch_batched.py"
ROUNDS = 5
STEPS = range(20, 120)  # are timed in each round, ten at a time, after 20 first ones


def variants():
    """What is timed: script and edits, by name."""
    named = {"`main.py`": (MAIN, [])}
    if find_spec("torch"):
        named["PyTorch"] = (TWIN, [])
    if mx.default_device() == mx.gpu:  # the README has a table of a CPU's
        for size in (1, 8, 128, 512, 2048):
            named[f"batch size {size}"] = (MAIN, [edits.batch_size(size)])
    for patch in ("compile", "fast", "vectorize"):
        named[f"`{patch}`"] = (MAIN, [f"patches/{patch}"])
    named["rows of 16"] = (MAIN, [edits.ALWAYS_16])
    named["`compile`, rows of 16"] = (MAIN, ["patches/compile", edits.ALWAYS_16])
    return named


def time_one(path, changes):
    """In this process: seconds until step 20 is done, and of a later step, the median of tens."""
    start, seconds = time.perf_counter(), []
    module = scripts.load(scripts.ROOT / path, *changes)
    for module.step in range(STEPS.stop):
        scripts.run_in(module, module.step_code)
        if module.step % 10 == 9 and module.step >= STEPS.start - 1:
            module.loss_val.item()  # PyTorch has only queued it on a GPU
            seconds.append(time.perf_counter() - start)
    return seconds[0], median(b - a for a, b in pairwise(seconds)) / 10


def run(path, *arguments, **variables):
    """What Python prints, and how many seconds it takes. A BLAS is preloaded for MLX alone."""
    preload = {"LD_PRELOAD": ""} if path == TWIN else {}
    start = time.perf_counter()
    output, _ = scripts.run(arguments, timeout=600, **(preload | variables))
    return output, time.perf_counter() - start


def time_steps(named, cache):
    """Of each variant, seconds of the first steps, and of a later step in each round."""
    first, later = {}, {name: [] for name in named}
    for i in range(ROUNDS):
        for name, variant in named.items():
            print(f"round {i + 1} of {ROUNDS}: {name}", file=sys.stderr, flush=True)
            call = "-m", "tests.measure.bench", "--one", json.dumps(variant)
            begun, step = json.loads(run(variant[0], *call, TMPDIR=cache, CUDA_CACHE_PATH=cache)[0])
            first.setdefault(name, begun)
            later[name].append(step)
    return first, later


def spread(values):
    return f"{median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def print_tables():
    named, about = variants(), records.measured()
    print(*(f"{key} {about[key]}" for key in about if key != "settings"), sep=", ", end="\n\n")
    print("| a whole run | seconds (least to most) |\n| --- | --- |")
    for name in [name for name in ("`main.py`", "PyTorch") if name in named]:
        path = named[name][0]
        print(f"| {name} | {spread([run(path, path)[1] for _ in range(3)])} |", flush=True)
    with tempfile.TemporaryDirectory() as cache:  # nothing is built there yet
        first, later = time_steps(named, cache)
    print("\n| a step | of `main.py`'s | first 20 steps, s |\n| --- | --- | --- |")
    for name, seconds in later.items():
        ratio = median(a / b for a, b in zip(seconds, later["`main.py`"], strict=True))
        print(f"| {name} | {ratio:.2f} | {first[name]:.1f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", help=argparse.SUPPRESS)  # a variant, as JSON
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(time_one(*json.loads(arguments.one))))
    else:
        print_tables()
