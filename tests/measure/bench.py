"""How fast is this machine, what do other batch sizes cost, and does a patch pay?

    uv run python -m tests.measure.bench

answers with two tables in Markdown, in a quarter of an hour: whole runs, and single training steps.
PyTorch is timed where it is installed (`uv run --with torch ...`). A step's time is the median of
rounds, in each of which every variant gets a process of its own, one after the other.
"""

import json
import sys
import tempfile
import time
from importlib.util import find_spec
from itertools import pairwise
from statistics import median

import mlx.core as mx

from tests import lesson, records

MAIN, TWIN = "main.py", "tests/pytorch_batched.py"
ROUNDS = 5
ON_GPU = mx.default_device() == mx.gpu
STEPS = range(20, 120)  # are timed in each round, ten at a time, after 20 first ones


def variants():
    """What is timed: script, patches and batch size, by name."""
    named = {"`main.py`": (MAIN, [], 32)}
    if find_spec("torch"):
        named["PyTorch"] = (TWIN, [], 32)
    sizes = (1, 8, 128, 512, 2048) if ON_GPU else (1, 8, 128)
    named |= {f"batch size {n}": (MAIN, [], n) for n in sizes}
    patches = ("compile", "fast", "vectorize")
    return named | {f"`{patch}`": (MAIN, [patch], 32) for patch in patches}


def time_one(path, patches, batch_size):
    """In this process: seconds until step 20 is done, and of a later step, the median of tens."""
    start, seconds = time.perf_counter(), []
    module = lesson.load(lesson.ROOT / path, *patches)
    module.batch_size = batch_size
    for module.step in range(STEPS.stop):
        lesson.run_in(module, module.step_code)
        if module.step % 10 == 9 and module.step >= STEPS.start - 1:
            module.loss_val.item()  # PyTorch has only queued it on a GPU
            seconds.append(time.perf_counter() - start)
    return seconds[0], median(b - a for a, b in pairwise(seconds)) / 10


def run(path, *arguments, **variables):
    """What Python prints, and how many seconds it takes. A BLAS is preloaded for MLX alone."""
    preload = {"LD_PRELOAD": ""} if path == TWIN else {}
    start = time.perf_counter()
    output, _ = lesson.run(arguments, timeout=600, **(preload | variables))
    return output, time.perf_counter() - start


def time_steps(named, cache):
    """Seconds of first steps, and milliseconds of a later one in each round, of each variant."""
    first, later = {}, {name: [] for name in named}
    for i in range(ROUNDS):
        for name, variant in named.items():
            print(f"round {i + 1} of {ROUNDS}: {name}", file=sys.stderr, flush=True)
            call = "-m", "tests.measure.bench", json.dumps(variant)
            begun, step = json.loads(run(variant[0], *call, TMPDIR=cache, CUDA_CACHE_PATH=cache)[0])
            first.setdefault(name, begun)
            later[name].append(1000 * step)
    return first, later


def spread(values):
    return f"{median(values):,.1f} ({min(values):,.1f} to {max(values):,.1f})"


def print_tables():
    named = variants()
    about = ", ".join(f"{key} {value}" for key, value in records.measured().items())
    print(f"{about}\n\n| a whole run | seconds (least to most) |\n| --- | --- |")
    for name, (path, patches, size) in named.items():
        if (patches, size) == ([], 32):
            print(f"| {name} | {spread([run(path, path)[1] for _ in range(3)])} |", flush=True)
    with tempfile.TemporaryDirectory() as cache:  # nothing is built there yet
        first, later = time_steps(named, cache)
    print("\n| a step | ms (least to most) | of `main.py`'s | names a second | first 20 steps, s |")
    print("| --- | --- | --- | --- | --- |")
    for name, ms in later.items():
        ratio = median(a / b for a, b in zip(ms, later["`main.py`"], strict=True))
        speed = 1000 * named[name][2] / median(ms)
        print(f"| {name} | {spread(ms)} | {ratio:.2f} | {speed:,.0f} | {first[name]:.1f} |")


if __name__ == "__main__":
    if arguments := sys.argv[1:]:
        print(json.dumps(time_one(*json.loads(arguments[0]))))
    else:
        print_tables()
