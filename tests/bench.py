"""Time the lesson: a training step of main.py, of README.md's patches and of the PyTorch twin.

    uv run python tests/bench.py [--steps 200]

Every step that is timed is the script's own training loop, run on the batches that it would train
on. The variants take turns, in blocks of steps, after a warm-up. PyTorch, where it is installed,
runs in a process of its own: a BLAS preloaded for MLX would slow it down. Prints Markdown; on
Ctrl-C, what it has. The default takes about two minutes on 2 cores with OpenBLAS.
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import scripts

WARM_UP = 50  # steps; among them most batch lengths that *Compile* is traced for
ROUNDS = 10  # blocks of steps that each variant gets, in turns
WHOLE_RUNS = 3  # of each script, in turns
PADDED = ("max_len = max(len(s) for s in sequences)", "max_len = block_size + 1")


class Variant:
    """A script whose training loop can be run a few steps at a time.

    edits: pairs of what stands once in its source and its stand-in.
    """

    def __init__(self, source, path, *edits):
        source = scripts.edited(source, *edits)
        self.namespace = scripts.define(path, source)
        self.loop = compile(scripts.training_loop(source, "_steps"), str(path), "exec")
        self.step = 0
        self.run(WARM_UP)

    def run(self, num_steps):
        """Run the next steps. Returns the seconds each took."""
        seconds = []
        for step in range(self.step, self.step + num_steps):
            self.namespace["_steps"] = [step]
            with contextlib.redirect_stdout(io.StringIO()):
                start = time.perf_counter()
                exec(self.loop, self.namespace)
                seconds.append(time.perf_counter() - start)
        self.step += num_steps
        return seconds

    def shares(self, num_steps):
        """Run the next steps. Returns the seconds in make_batch, in mx.eval and in all."""
        import mlx.core as mx

        spent = {}

        def timed(function, name):
            def wrapper(*arguments):
                start = time.perf_counter()
                result = function(*arguments)
                spent[name] = spent.get(name, 0) + time.perf_counter() - start
                return result

            return wrapper

        original = {"make_batch": self.namespace["make_batch"], "mx.eval": mx.eval}
        self.namespace["make_batch"] = timed(original["make_batch"], "make_batch")
        mx.eval = timed(original["mx.eval"], "mx.eval")
        total = sum(self.run(num_steps))
        self.namespace["make_batch"], mx.eval = original["make_batch"], original["mx.eval"]
        return spent["make_batch"], spent["mx.eval"], total

    def real_tokens(self, num_steps):
        """Real targets in the last steps that were run."""
        docs, size = self.namespace["docs"], self.namespace["batch_size"]
        rows = range((self.step - num_steps) * size, self.step * size)
        block_size = self.namespace["block_size"]
        return sum(min(len(docs[i % len(docs)]) + 1, block_size) for i in rows)


def serve_twin(connection):
    """In a process of its own: answer each number of steps with the seconds that each took."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    twin = Variant(scripts.TWIN.read_text(encoding="utf-8"), scripts.TWIN)
    with contextlib.suppress(EOFError):  # the other end is gone
        while True:
            connection.send(twin.run(connection.recv()))


class Twin:
    """The PyTorch twin's steps, run by serve_twin, without a BLAS preloaded for MLX."""

    def __init__(self):
        self.connection, theirs = multiprocessing.Pipe()
        preload = os.environ.pop("LD_PRELOAD", None)
        context = multiprocessing.get_context("spawn")
        context.Process(target=serve_twin, args=(theirs,), daemon=True).start()
        if preload is not None:
            os.environ["LD_PRELOAD"] = preload

    def run(self, num_steps):
        self.connection.send(num_steps)
        seconds = self.connection.recv()
        time.sleep(0.5)  # its idle threads spin for a while, at the cost of whoever runs next
        return seconds


def progress(text):
    print(text, file=sys.stderr, flush=True)


def spread(values, digits):
    """Median, minimum and maximum, as text."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def machine():
    """One line: what the figures were measured on."""
    import mlx.core as mx

    name, blas = platform.processor() or platform.machine(), "MLX's own BLAS"
    with contextlib.suppress(OSError):  # only Linux has these
        cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((x.split(": ")[1] for x in cpuinfo if x.startswith("model name")), name)
        if "openblas" in Path("/proc/self/maps").read_text():
            blas = "OpenBLAS"
    with_torch = f", PyTorch {version('torch')}" if find_spec("torch") else ""
    return (
        f"{name}, {os.cpu_count()} cores, {platform.system()}, {mx.default_device()}, "
        f"MLX {version('mlx')} with {blas}{with_torch}, Python {platform.python_version()}"
    )


def bench_steps(num_steps):
    """Print the table of variants, and the shares of a step."""
    main = scripts.MAIN.read_text(encoding="utf-8")
    plain = Variant(main, scripts.MAIN)
    variants = {"`main.py`": plain, "`main.py`, padded to 16": Variant(main, scripts.MAIN, PADDED)}
    if shutil.which("g++"):
        progress("building the kernels of Compile")
        compiled = scripts.patched("Compile")
        variants["*Compile*"] = Variant(compiled, scripts.MAIN)
        variants["*Compile*, padded to 16"] = Variant(compiled, scripts.MAIN, PADDED)
    variants["*Vectorize*"] = Variant(scripts.patched("Vectorize"), scripts.MAIN)
    if find_spec("torch"):
        variants["`tests/pytorch_batched.py`"] = Twin()
    seconds = {name: [] for name in variants}
    try:
        for i in range(ROUNDS):
            progress(f"steps, round {i + 1} of {ROUNDS}")
            for name, variant in variants.items():
                seconds[name] += variant.run(max(num_steps // ROUNDS, 1))
    finally:
        print(
            "| a training step | ms, median (min to max) | time to `main.py`'s | real tokens / s |"
        )
        print("| --- | --- | --- | --- |")
        for name, values in seconds.items():
            if values:
                middle = statistics.median(values)
                ratio = middle / statistics.median(seconds["`main.py`"])
                rate = plain.real_tokens(len(values)) / len(values) / middle
                ms = spread([1000 * value for value in values], 1)
                print(f"| {name} | {ms} | {ratio:.2f} | {rate:,.0f} |")
    batch, evaluation, total = plain.shares(num_steps)
    building = total - batch - evaluation
    print(
        f"\nOf a step of `main.py`, `make_batch` takes {batch / total:.0%}, building the graph "
        f"{building / total:.0%}, `mx.eval` {evaluation / total:.0%}."
    )


def bench_growth(num_steps):
    """Print the table of sizes."""
    sizes = [(n, 64) for n in (8, 32, 128, 512)] + [(32, n) for n in (32, 128)]
    print("| `batch_size` | `n_embd` | ms per step, median (min to max) | real tokens / s |")
    print("| --- | --- | --- | --- |")
    for batch_size, n_embd in sizes:
        progress(f"batch_size {batch_size}, n_embd {n_embd}")
        variant = Variant(
            scripts.MAIN.read_text(encoding="utf-8"),
            scripts.MAIN,
            ("batch_size = 32\n", f"batch_size = {batch_size}\n"),
            ("n_embd = 64\n", f"n_embd = {n_embd}\n"),
        )
        values = variant.run(num_steps)
        rate = variant.real_tokens(num_steps) / num_steps / statistics.median(values)
        ms = spread([1000 * value for value in values], 1)
        print(f"| {batch_size} | {n_embd} | {ms} | {rate:,.0f} |", flush=True)


def run_whole(script, environment):
    """Run a script. Returns the seconds of its start, training and sampling, and its peak MiB."""
    command = [sys.executable, "-u", str(script)]
    times = [time.perf_counter()]
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # on Ctrl-C it would print its traceback over the table
        encoding="utf-8",
    ) as process:
        for line in process.stdout:
            if line.startswith(("device:", "--- inference")):
                times.append(time.perf_counter())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{script} failed, run it by itself to see why")
    times.append(time.perf_counter())
    parts = [after - before for before, after in zip(times[:-1], times[1:], strict=True)]
    return parts, scripts.peak_mebibytes(usage)


def bench_whole(num_steps):
    """Print the table of whole runs.

    To be called while this process is small: a child's peak memory counts what it was forked from.
    """
    with tempfile.TemporaryDirectory() as folder:
        whole = {"`main.py`": (scripts.install(Path(folder), num_steps), dict(os.environ))}
        if find_spec("torch"):
            twin = Path(folder, "tests", scripts.TWIN.name)
            twin.parent.mkdir()
            source = scripts.shortened(scripts.TWIN.read_text(encoding="utf-8"), num_steps)
            twin.write_text(source, encoding="utf-8")
            theirs = scripts.environment_without("LD_PRELOAD")
            whole["`tests/pytorch_batched.py`"] = (twin, theirs)
        results = {name: [] for name in whole}
        try:
            for i in range(WHOLE_RUNS):
                for name, (script, environment) in whole.items():
                    progress(f"whole run {i + 1} of {WHOLE_RUNS}: {name}")
                    results[name].append(run_whole(script, environment))
        finally:
            print(
                f"| a whole run, {num_steps} steps | s, median (min to max) "
                "| start + training + sampling | peak MiB |"
            )
            print("| --- | --- | --- | --- |")
            for name, runs in results.items():
                if runs:
                    parts = zip(*(run[0] for run in runs), strict=True)
                    split = " + ".join(f"{statistics.median(part):.1f}" for part in parts)
                    seconds = spread([sum(run[0]) for run in runs], 1)
                    peak = statistics.median(run[1] for run in runs)
                    print(f"| {name} | {seconds} | {split} | {peak:.0f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="steps that are timed (200)")
    steps = parser.parse_args().steps
    try:
        print(machine() + "\n", flush=True)
        bench_whole(5 * steps)
        print()
        bench_steps(steps)
        print()
        bench_growth(max(steps // 10, 1))
    except KeyboardInterrupt:
        sys.exit(130)
