"""Time whole runs and training steps of main.py, of its variants and of the PyTorch version.

    uv run python -m tests.measure.bench [--steps 200] [--record]

prints a table; --record also puts it into tests/records, under this device's name. The variants
take turns, each in a process of its own that finds no kernels built before. PyTorch is timed where
it is installed. Started on several processes (Windows can't),

    uv run mlx.launch -n 2 python -m tests.measure.bench

times the patch many-machines, in turns with one process.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from operator import truediv

from tests import edits, scripts
from tests.measure import records
from tests.measure.steps import Steps

MAIN, TWIN = str(scripts.MAIN), str(scripts.TWIN)
ROUNDS = 20  # blocks of steps that each variant gets, in turns
WHOLE_RUNS = 3  # of each script, in turns
MANY_SIZES = 32, 512, 4096, 16384  # batch sizes of several processes


def variants(on_gpu):
    """What is timed: script, edits and batch size, by name."""
    fused, padded = edits.FUSED, edits.PADDED_TO_16
    named = {
        "main.py": (MAIN, [], 32),
        "compile": (MAIN, ["compile"], 32),
        "fast": (MAIN, ["fast"], 32),
        "compile and fast": (MAIN, ["compile", "fast"], 32),
        "compile and fast, padded to 16": (MAIN, ["compile", "fast", padded], 32),
        "vectorize": (MAIN, ["vectorize"], 32),
        **{f"main.py, batch size {n}": (MAIN, [], n) for n in (128, 512, 2048)[: 1 + 2 * on_gpu]},
        "PyTorch": (TWIN, [], 32),
        "PyTorch, fused Adam": (TWIN, [fused], 32),
        "PyTorch, fused Adam, compiled": (TWIN, [fused, edits.COMPILED], 32),
    }
    if on_gpu:
        graphs = "PyTorch, fused Adam, compiled with CUDA graphs, padded to 16"
        named[graphs] = (TWIN, [fused, edits.CUDA_GRAPHS, padded], 32)
    elif shutil.which("g++") is None:
        named = {name: variant for name, variant in named.items() if "compile" not in name}
    return {name: v for name, v in named.items() if v[0] == MAIN or find_spec("torch")}


@contextlib.contextmanager
def process(path, arguments):
    """Python for a script, with no kernels built and, for PyTorch, no BLAS preloaded for MLX.

    In the end it is killed, with all that it has started.
    """
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"TMPDIR": cache, "CUDA_CACHE_PATH": cache}
        if path == TWIN:
            environment.pop("LD_PRELOAD", None)
        child = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=scripts.ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C goes to this process alone
        )
        try:
            yield child
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.communicate()


def spread(values):
    """Median, least and largest."""
    return [round(x, 3) for x in (statistics.median(values), min(values), max(values))]


def time_whole_runs(num_steps):
    """Time whole runs in turns. Returns seconds and peak memory of each script by name."""
    runs = {"main.py": (MAIN, [], []), "PyTorch": (TWIN, [], [])}
    if not find_spec("torch"):
        del runs["PyTorch"]
    for _ in range(WHOLE_RUNS):
        for name, (path, seconds, memory) in runs.items():
            print(f"a whole run of {name}", file=sys.stderr)
            text = scripts.source(scripts.Path(path), edits.num_steps(num_steps))
            code = f"exec({text!r}, {{'__name__': '__main__', '__file__': {path!r}}})"
            start = time.perf_counter()
            with process(path, ["-c", code]) as child:
                child.stdout.read()
                _, status, usage = os.wait4(child.pid, 0)
                child.returncode = os.waitstatus_to_exitcode(status)
            if status != 0:
                sys.exit(f"{path} failed, see above")
            seconds.append(time.perf_counter() - start)
            memory.append(usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10))
    return {name: {"s": spread(s), "peak MiB": round(max(m))} for name, (_, s, m) in runs.items()}


def figures(seconds, plain_seconds, tokens):
    """What is told of a variant's seconds a step, beside main.py's in the same turns."""
    return {
        "ms": spread([1000 * s for s in seconds]),
        "ratio": round(statistics.median(map(truediv, seconds, plain_seconds)), 3),
        "tokens/s": round(tokens / statistics.median(seconds)),
    }


def time_steps(named, block):
    """Time blocks of so many steps of each variant, in turns. Returns their figures by name."""
    seconds, tokens, first = {name: [] for name in named}, {}, {}

    def ask(child):
        print(block, file=child.stdin, flush=True)
        return json.loads(child.stdout.readline() or sys.exit("a variant failed, see above"))

    with contextlib.ExitStack() as stack:
        children = {}
        for name, variant in named.items():
            print(f"the first steps of {name}", file=sys.stderr)
            start = time.perf_counter()
            arguments = ["-m", "tests.measure.steps", json.dumps(variant)]
            children[name] = stack.enter_context(process(variant[0], arguments))
            _, tokens[name] = ask(children[name])
            first[name] = round(time.perf_counter() - start, 1)
        for i in range(ROUNDS):
            print(f"round {i + 1} of {ROUNDS}", file=sys.stderr)
            for name, child in children.items():
                seconds[name].append(ask(child)[0])
                time.sleep(0.2)  # PyTorch's idle threads spin for a while
    plain = seconds["main.py"]
    return {n: figures(seconds[n], plain, tokens[n]) | {"first s": first[n]} for n in named}


def time_many(block):
    """Time many-machines on all processes in turns with main.py on one, by batch size."""
    import mlx.core as mx

    found, world = {}, mx.distributed.init()
    for size in MANY_SIZES:
        one, several = Steps(MAIN, [], size), Steps(MAIN, ["many-machines"], size)
        turns = {one: [], several: []}
        for _ in range(1 + ROUNDS):  # the first is not timed
            for steps, answers in turns.items():
                mx.eval(mx.distributed.all_sum(mx.array(1.0)))  # wait for each other
                if steps is several or world.rank() == 0:
                    answers.append(steps.run(block))
        for name, steps in (("1 process", one), (f"{world.size()} processes", several)):
            if world.rank() == 0:
                seconds, plain = ([s for s, _ in turns[x][1:]] for x in (steps, one))
                found[f"{name}, batch size {size}"] = figures(seconds, plain, turns[one][0][1])
    return found


def table(record):
    """A record as text in Markdown."""

    def cell(values, digits):
        return "{:,.{d}f} ({:,.{d}f} to {:,.{d}f})".format(*values, d=digits)

    lines = [", ".join(f"{key} {value}" for key, value in record["machine"].items()), ""]
    if "whole runs" in record:
        lines += ["| whole run | s, median (min to max) | peak MiB |", "| --- | --- | --- |"]
        for name, row in record["whole runs"].items():
            lines.append(f"| {name} | {cell(row['s'], 1)} | {row['peak MiB']:,} |")
        lines.append("")
    lines.append("| step | ms, median (min to max) | ratio | real tokens / s | first steps, s |")
    lines.append("| --- | --- | --- | --- | --- |")
    for name, row in record["steps"].items():
        cells = name, cell(row["ms"], 2), f"{row['ratio']:.2f}", f"{row['tokens/s']:,}"
        lines.append(f"| {' | '.join(cells)} | {row.get('first s', '')} |")
    return "\n".join(lines)


def main():
    """Measure, print the table, and record it where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="steps timed of each (200)")
    parser.add_argument("--record", action="store_true", help="also write into tests/records")
    arguments = parser.parse_args()
    block = max(arguments.steps // ROUNDS, 1)
    machine = json.loads(scripts.run(["-m", "tests.measure.records"], scripts.ROOT).stdout)
    device = machine.get("gpu") or "{cores} cores of {cpu}, {blas}".format(**machine)
    record = {"device": device, "machine": machine}
    kind = "many" if "MLX_RANK" in os.environ else "bench"  # mlx.launch sets it
    if kind == "many":
        record["steps"] = time_many(block)
    else:
        record["whole runs"] = time_whole_runs(min(20 * arguments.steps, 1000))
        record["steps"] = time_steps(variants("gpu" in machine), block)
    if record["steps"]:  # of several processes, the first tells
        print(table(record))
        if arguments.record:
            records.write(re.sub(r"[^a-z0-9]+", "-", f"{kind} {device}".lower()), record)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
