"""Time main.py, the PyTorch version, other batch sizes and the patches on this machine.

    uv run python -m tests.measure.bench [--steps 200] [--record]

prints two tables: whole runs, and single training steps. All variants take their steps in turns,
each in a process of its own that finds no kernels built before. PyTorch is timed where it is
installed. --record also writes a record under this device's name. Windows can't run it.
"""

import argparse
import contextlib
import datetime
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

from tests.tools import lesson, records, tables

MAIN, TWIN = str(lesson.MAIN), str(lesson.TWIN)
STAMP = """
import json
from tests.tools import lesson, records
print(json.dumps(records.stamp(lesson.MAIN)))
"""
ROUNDS = 20  # blocks of steps that each variant gets, in turns


def variants(on_gpu):
    """What is timed: script, patches and batch size, by name."""
    sizes = (1, 8, 128, 512, 2048) if on_gpu else (1, 8, 128)
    named = {
        "main.py": (MAIN, [], 32),
        "PyTorch": (TWIN, [], 32),
        **{f"batch size {n}": (MAIN, [], n) for n in sizes},
        **{patch: (MAIN, [patch], 32) for patch in ("compile", "fast", "vectorize")},
    }
    if not on_gpu and shutil.which("g++") is None:
        del named["compile"]
    if find_spec("torch") is None:
        del named["PyTorch"]
    return named


@contextlib.contextmanager
def process(path, *arguments):
    """Python for a script, nothing built before. It is killed in the end, with all it started."""
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"TMPDIR": cache, "CUDA_CACHE_PATH": cache}
        if path == TWIN:
            environment.pop("LD_PRELOAD", None)  # a BLAS is preloaded for MLX alone
        child = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=lesson.ROOT,
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


def time_whole_runs(scripts):
    """Time whole runs in turns. Returns seconds and peak memory of each script by name."""
    seconds, memory = ({name: [] for name in scripts} for _ in range(2))
    for i in range(3):
        for name, path in scripts.items():
            print(f"whole run {i + 1} of 3 of {name}", file=sys.stderr)
            start = time.perf_counter()
            with process(path, path) as child:
                child.stdout.read()
                _, status, usage = os.wait4(child.pid, 0)
                child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode != 0:
                sys.exit(f"{path} failed, see above")
            seconds[name].append(time.perf_counter() - start)
            memory[name].append(usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10))
    return {n: {"s": spread(seconds[n]), "peak MiB": round(max(memory[n]))} for n in scripts}


def time_steps(named, block):
    """Time blocks of so many steps of each variant, in turns. Returns their figures by name."""
    seconds, first = {name: [] for name in named}, {}

    def ask(child):
        print(block, file=child.stdin, flush=True)
        return float(child.stdout.readline() or sys.exit("a variant failed, see above"))

    with contextlib.ExitStack() as stack:
        children = {}
        for name, variant in named.items():
            print(f"the first steps of {name}", file=sys.stderr)
            start = time.perf_counter()
            arguments = ["-m", "tests.measure.steps", json.dumps(variant)]
            children[name] = stack.enter_context(process(variant[0], *arguments))
            ask(children[name])
            first[name] = round(time.perf_counter() - start, 1)
        for i in range(ROUNDS):
            print(f"round {i + 1} of {ROUNDS}", file=sys.stderr)
            for name, child in children.items():
                seconds[name].append(ask(child) / block)
                time.sleep(0.2)  # PyTorch's idle threads spin for a while
    return {
        name: {
            "ms": spread([1000 * s for s in seconds[name]]),
            "ratio": round(statistics.median(map(truediv, seconds[name], seconds["main.py"])), 3),
            "names/s": round(batch_size / statistics.median(seconds[name])),
            "first s": first[name],
        }
        for name, (_, _, batch_size) in named.items()
    }


def main():
    """Measure, print the tables, and record them where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="steps timed of each (200)")
    parser.add_argument("--record", action="store_true", help="also write a record")
    arguments = parser.parse_args()
    if arguments.record and arguments.steps < 200:
        parser.error("--record takes 200 steps or more: fewer are no measurement")
    stamp, _ = lesson.run(["-c", STAMP])  # in a process of its own, so that this one holds no GPU
    record = {"date": str(datetime.date.today()), **json.loads(stamp)}
    named = variants("gpu" in record["machine"])
    runs = {n: v[0] for n, v in named.items() if n in ("main.py", "PyTorch")}
    record["whole runs"] = time_whole_runs(runs)
    record["steps"] = time_steps(named, max(arguments.steps // ROUNDS, 1))
    device = records.device(record["machine"])
    print(f"\n{device}\n\n{tables.bench(record)}")
    if arguments.record:
        records.write(re.sub(r"[^a-z0-9]+", "-", f"bench {device}".lower()), record)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
