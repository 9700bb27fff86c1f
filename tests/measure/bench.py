"""Time whole runs and training steps of main.py, of its variants and of the PyTorch version.

    uv run python -m tests.measure.bench [--steps 200] [--record]

prints a table; --record also puts it into tests/records, under this device's name. The variants
take turns, each in a process of its own that finds no kernels built before. PyTorch is timed where
it is installed. Windows can't run it. Started on several processes,

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
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec

from tests import edits, scripts
from tests.measure import records
from tests.measure.steps import ROUNDS, figures, spread, time_many

MAIN, TWIN = str(scripts.MAIN), str(scripts.TWIN)


def variants(on_gpu):
    """What is timed: script, edits and batch size, by name."""
    named = {
        "main.py": (MAIN, [], 32),
        "compile": (MAIN, ["compile"], 32),
        "fast": (MAIN, ["fast"], 32),
        "compile and fast": (MAIN, ["compile", "fast"], 32),
        "compile and fast, padded to 16": (MAIN, ["compile", "fast", edits.PADDED_TO_16], 32),
        "vectorize": (MAIN, ["vectorize"], 32),
        **{f"main.py, batch size {n}": (MAIN, [], n) for n in (128, 512, 2048)[: 1 + 2 * on_gpu]},
        "PyTorch": (TWIN, [], 32),
        "PyTorch, fused Adam": (TWIN, [edits.FUSED], 32),
        "PyTorch, fused Adam, compiled": (TWIN, [edits.FUSED, edits.COMPILED], 32),
    }
    if on_gpu:
        graphs = "PyTorch, fused Adam, compiled with CUDA graphs, padded to 16"
        named[graphs] = (TWIN, [edits.FUSED, edits.CUDA_GRAPHS, edits.PADDED_TO_16], 32)
    elif shutil.which("g++") is None:
        named = {name: variant for name, variant in named.items() if "compile" not in name}
    return {name: v for name, v in named.items() if v[0] == MAIN or find_spec("torch")}


@contextlib.contextmanager
def process(path, arguments):
    """Python for a script, nothing built before. It is killed in the end, with all it started."""
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"TMPDIR": cache, "CUDA_CACHE_PATH": cache}
        if path == TWIN:
            environment.pop("LD_PRELOAD", None)  # a BLAS is preloaded for MLX alone
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


def time_whole_runs(num_steps):
    """Time whole runs in turns. Returns seconds and peak memory of each script by name."""
    both = {"main.py": (MAIN, [], []), "PyTorch": (TWIN, [], [])}
    runs = {name: run for name, run in both.items() if run[0] == MAIN or find_spec("torch")}
    for _ in range(3):
        for name, (path, seconds, memory) in runs.items():
            print(f"a run of {num_steps} steps of {name}", file=sys.stderr)
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
    if arguments.record and arguments.steps < 200:
        parser.error("--record takes 200 steps or more: its whole runs are whole then")
    block = max(arguments.steps // ROUNDS, 1)
    machine = json.loads(scripts.run(["-m", "tests.measure.records"], scripts.ROOT).stdout)
    device = machine.get("gpu") or "{cores} cores of {cpu}, {blas}".format(**machine)
    if "MLX_RANK" in os.environ:  # mlx.launch sets it
        machine["backend"] = "nccl" if "NCCL_HOST_IP" in os.environ else "ring"
        num_processes, steps = time_many(block)
        device = f"{num_processes} processes on {device}"
        record = {"device": device, "machine": machine, "steps": steps}
    else:
        whole_runs = time_whole_runs(min(20 * arguments.steps, 1000))
        steps = time_steps(variants("gpu" in machine), block)
        record = {"device": device, "machine": machine, "whole runs": whole_runs, "steps": steps}
    if steps:  # of several processes, the first tells
        print(table(record))
        if arguments.record:
            records.write(re.sub(r"[^a-z0-9]+", "-", f"bench {device}".lower()), record)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
