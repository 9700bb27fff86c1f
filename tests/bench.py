"""Time the lesson: whole runs, and training steps of main.py, of its variants and of its twin.

    uv run python tests/bench.py [--steps 200]

writes tests/records/bench-DEVICE.json: what tests/render.py makes the tables of. Every step that is
timed is the script's own training loop, run on the batches that it would train on. The variants
take turns, in blocks of steps; the clock starts and stops when the device has nothing left to do.
PyTorch, where it is installed, runs in processes of its own: a BLAS preloaded for MLX would slow it
down. The default takes about four minutes on 2 cores with OpenBLAS.
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from operator import truediv
from pathlib import Path

import edits
import records
import scripts

WARM_UP = 50  # steps; among them most batch lengths that *Compile* is traced for
ROUNDS = 10  # blocks of steps that each variant gets, in turns
WHOLE_RUNS = 3  # of each script, in turns


def device_name():
    """What figures differ by, for the name of a record: the GPU, or which BLAS."""
    machine = records.machine()
    return "gpu" if "gpu" in machine else machine["blas"].lower().replace("'s ", "-")


def wait(path):
    """Return when the device has done what the script asked of it so far."""
    if path == scripts.MAIN:
        import mlx.core as mx

        mx.synchronize()
    else:
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()


class Variant:
    """A script, edited, whose training loop can be run a few steps at a time."""

    def __init__(self, path, *changes):
        self.path = path
        self.module = scripts.load(path, *changes)
        self.loop = compile(self.module.loop, str(path), "exec")
        self.step = 0
        self.run(WARM_UP)

    def run(self, num_steps):
        """Run the next steps. Returns the seconds that one took, their mean."""
        self.module.steps = range(self.step, self.step + num_steps)
        self.step += num_steps
        wait(self.path)
        with contextlib.redirect_stdout(io.StringIO()):
            start = time.perf_counter()
            exec(self.loop, vars(self.module))
            wait(self.path)
            return (time.perf_counter() - start) / num_steps

    def shares(self, num_steps):
        """Run the next steps. Returns the seconds a step in make_batch, in mx.eval and in all."""
        import mlx.core as mx

        spent = {}

        def timed(function, name):
            def wrapper(*arguments):
                start = time.perf_counter()
                result = function(*arguments)
                spent[name] = spent.get(name, 0) + time.perf_counter() - start
                return result

            return wrapper

        make_batch, evaluate = self.module.make_batch, mx.eval
        self.module.make_batch, mx.eval = timed(make_batch, "batch"), timed(evaluate, "eval")
        total = self.run(num_steps)
        self.module.make_batch, mx.eval = make_batch, evaluate
        return spent["batch"] / num_steps, spent["eval"] / num_steps, total

    def real_tokens(self, num_steps):
        """Real targets in the last steps that were run, the mean of a step."""
        docs, size = self.module.docs, self.module.batch_size
        rows = range((self.step - num_steps) * size, self.step * size)
        cut = self.module.block_size
        return sum(min(len(docs[i % len(docs)]) + 1, cut) for i in rows) / num_steps


def serve(connection, changes):
    """In a process of its own: answer each number of steps with the seconds that one took."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    twin = Variant(scripts.TWIN, *changes)
    connection.send("warmed up")
    with contextlib.suppress(EOFError):  # the other end is gone
        while True:
            connection.send(twin.run(connection.recv()))


class Twin:
    """The steps of the PyTorch twin, edited, run by serve without a BLAS preloaded for MLX."""

    def __init__(self, *changes):
        self.connection, theirs = multiprocessing.Pipe()
        preload = os.environ.pop("LD_PRELOAD", None)
        context = multiprocessing.get_context("spawn")
        context.Process(target=serve, args=(theirs, changes), daemon=True).start()
        if preload is not None:
            os.environ["LD_PRELOAD"] = preload
        theirs.close()
        self.connection.recv()

    def run(self, num_steps):
        self.connection.send(num_steps)
        seconds = self.connection.recv()
        time.sleep(0.5)  # its idle threads spin for a while, at the cost of whoever runs next
        return seconds


def progress(text):
    print(text, file=sys.stderr, flush=True)


def spread(values, scale=1):
    """Median, least and largest."""
    return [round(scale * x, 2) for x in (statistics.median(values), min(values), max(values))]


def plans(on_gpu):
    """The variants to be timed: the script and its edits, by name."""
    main = {
        "main.py": [],
        "main.py, padded to 16": [edits.PADDED],
        "Compile": [edits.COMPILE],
        "Compile, padded to 16": [edits.COMPILE, edits.PADDED],
        "One array": [edits.ONE_ARRAY],
        "Compile and One array": [edits.COMPILE, edits.ONE_ARRAY],
        "Compile and One array, padded to 16": [edits.COMPILE, edits.ONE_ARRAY, edits.PADDED],
        "Vectorize": [edits.VECTORIZE],
        "mx.fast.scaled_dot_product_attention": [edits.FAST_ATTENTION],
        "mx.fast.rms_norm": [edits.FAST_NORM],
        "optim.linear_schedule": [edits.SCHEDULE],
    }
    if not on_gpu and shutil.which("g++") is None:
        main = {name: value for name, value in main.items() if "Compile" not in name}
    twin = {
        "PyTorch": [],
        "PyTorch, fused Adam": [edits.FUSED],
        "PyTorch, compiled, fused Adam": [edits.FUSED, edits.TORCH_COMPILE],
    }
    if on_gpu:
        graphs = [edits.FUSED, edits.TORCH_GRAPHS, edits.PADDED]
        twin["PyTorch, compiled with CUDA graphs, padded to 16, fused Adam"] = graphs
    plan = {name: (scripts.MAIN, edit) for name, edit in main.items()}
    if find_spec("torch"):
        plan |= {name: (scripts.TWIN, edit) for name, edit in twin.items()}
    return plan


def bench_steps(num_steps, plan):
    """Time the variants in turns. Returns their figures by name, and the shares of a step."""
    variants, build = {}, {}
    for name, (path, edit) in plan.items():
        progress(f"warming up {name}")
        start = time.perf_counter()
        variants[name] = Variant(path, *edit) if path == scripts.MAIN else Twin(*edit)
        build[name] = time.perf_counter() - start
    seconds = {name: [] for name in variants}
    block = max(num_steps // ROUNDS, 1)
    for i in range(ROUNDS):
        progress(f"steps, round {i + 1} of {ROUNDS}")
        for name, variant in variants.items():
            seconds[name].append(variant.run(block))
    plain, plain_seconds = variants["main.py"], seconds["main.py"]
    steps = {
        name: {
            "ms": spread(values, 1000),
            # Within a round: a machine that others share is slower in one round than in the next.
            "ratio": round(statistics.median(map(truediv, values, plain_seconds)), 3),
            "real tokens/s": round(plain.real_tokens(ROUNDS * block) / statistics.median(values)),
            "build s": round(build[name], 1),
        }
        for name, values in seconds.items()
    }
    batch, evaluation, total = plain.shares(num_steps)
    shares = {"make_batch": batch / total, "mx.eval": evaluation / total}
    return steps, {name: round(share, 3) for name, share in shares.items()}


def bench_growth(num_steps, on_gpu):
    """Time main.py at other sizes. Returns a list of figures, one for each size."""
    if on_gpu:
        sizes = [(b, n) for n in (64, 512) for b in (32, 128, 512, 2048, 8192)]
    else:
        sizes = [(b, 64) for b in (8, 32, 128, 512)] + [(32, n) for n in (32, 128)]
    grown = []
    for batch_size, n_embd in sizes:
        progress(f"batch_size {batch_size}, n_embd {n_embd}")
        size = edits.setting(batch_size=batch_size, n_embd=n_embd)
        variant = Variant(scripts.MAIN, size)
        values = [variant.run(max(num_steps // 5, 1)) for _ in range(5)]
        batch, _, total = variant.shares(max(num_steps // 5, 1))
        grown.append(
            {
                "batch_size": batch_size,
                "n_embd": n_embd,
                "ms": spread(values, 1000),
                "real tokens/s": round(variant.real_tokens(num_steps) / statistics.median(values)),
                "make_batch": round(batch / total, 3),
            }
        )
    return grown


def peak_mebibytes(usage):
    """The peak memory in what the resource module tells of a process, in MiB."""
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def run_whole(script, environment):
    """Run a script. Returns the seconds of its start, training and sampling, and its peak MiB."""
    command = [sys.executable, "-u", str(script)]
    times = [time.perf_counter()]
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # on Ctrl-C it would print its traceback
        encoding="utf-8",
    ) as process:
        for line in process.stdout:
            if line.startswith(("device:", "--- inference")):
                times.append(time.perf_counter())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    times.append(time.perf_counter())
    if status != 0:
        sys.exit(f"{script} failed, run it by itself to see why")
    parts = [after - before for before, after in zip(times[:-1], times[1:], strict=True)]
    return parts, peak_mebibytes(usage)


def bench_whole(num_steps):
    """Time whole runs in turns. Returns figures of each script by name.

    To be called while this process is small: a process starts with the peak memory of its parent.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = scripts.install(Path(folder), num_steps=num_steps)
        whole = {"main.py": (script, dict(os.environ))}
        if find_spec("torch"):
            twin = Path(folder, "tests", scripts.TWIN.name)
            twin.parent.mkdir()
            text = scripts.source(scripts.TWIN, edits.setting(num_steps=num_steps))
            twin.write_text(text, encoding="utf-8")
            whole["PyTorch"] = (twin, scripts.environment_without("LD_PRELOAD"))
        runs = {name: [] for name in whole}
        for i in range(WHOLE_RUNS):
            for name, (script, environment) in whole.items():
                progress(f"whole run {i + 1} of {WHOLE_RUNS}: {name}")
                runs[name].append(run_whole(script, environment))
    return {
        name: {
            "s": spread([sum(run) for run, _ in values]),
            "parts": [
                statistics.median(part) for part in zip(*(p for p, _ in values), strict=True)
            ],
            "peak MiB": statistics.median(peak for _, peak in values),
        }
        for name, values in runs.items()
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="steps that are timed (200)")
    num_steps = parser.parse_args().steps
    device, on_gpu = device_name(), device_name() == "gpu"
    with contextlib.suppress(KeyboardInterrupt), tempfile.TemporaryDirectory() as folder:
        os.environ["TMPDIR"] = folder  # where kernels are built: here, each for the first time
        figures = {"whole": bench_whole(min(20 * num_steps, 1000))}
        records.write(f"bench-{device}", **figures)
        figures["steps"], figures["shares"] = bench_steps(num_steps, plans(on_gpu))
        records.write(f"bench-{device}", **figures)
        figures["growth"] = bench_growth(max(num_steps // 4, 5), on_gpu)
        records.write(f"bench-{device}", **figures)
