"""Measure what README.md tells under "Where ports go wrong silently".

    uv run python tests/traps.py

writes tests/records/traps.json. Each trap is an edit of main.py that raises no error: see TRAPS in
edits.py, where a new one goes. Everything runs on the CPU.
It takes up to four minutes on 2 cores with OpenBLAS.
"""

import multiprocessing
import os
import shutil
import sys
import tempfile
import time

import bench
import edits
import mlx.core as mx
import records
import scripts
from mlx.utils import tree_flatten

FIRST = 5  # steps whose losses are shown
SEEDS = (42, 43, 44, 45)
NUM_STEPS = 1000


def seeded(seed):
    """The edit that starts main.py from another seed."""
    old = "random.seed(42)\nmx.random.seed(42)\n"
    return [(old, old.replace("42", str(seed)))]


def train(edit, num_steps=NUM_STEPS, seed=42):
    """main.py with the edit and the seed, trained, and its printed losses, of each step."""
    lesson = scripts.load(scripts.MAIN, edits.EACH_STEP, edit, seeded(seed))
    return lesson, scripts.losses(scripts.train(lesson, range(num_steps)))


def end(losses):
    """The mean of the last ten losses that main.py prints."""
    return round(sum(losses[-91::10]) / 10, 4)


def unseen(lesson):
    """The right loss of a trained model on names not trained on: the rest of input.txt."""
    judge = scripts.load(scripts.MAIN)
    judge.model.update(lesson.model.parameters())
    batches = range(NUM_STEPS, len(judge.docs) // judge.batch_size)
    losses = [judge.loss_fn(judge.model, *judge.make_batch(judge.docs, i, 32)) for i in batches]
    return round(sum(loss.item() for loss in losses) / len(losses), 4)


def parameters(lesson):
    """How many parameters the model has."""
    return sum(p.size for _, p in tree_flatten(lesson.model.parameters()))


def nan_after_a_wholly_padded_row(*edit):
    """Train on one batch whose last row is all padding. Returns its loss, and how many of the
    gradients of main.py with the edits are NaN."""
    lesson = scripts.load(scripts.MAIN, *edit)
    input_ids, targets, pad_mask, target_mask = lesson.make_batch(lesson.docs, 0, 4)
    pad_mask[-1], target_mask[-1] = True, 0.0
    loss, grads = lesson.loss_and_grad(lesson.model, input_ids, targets, pad_mask, target_mask)
    return str(loss.item()), sum(mx.isnan(g).sum().item() for _, g in tree_flatten(grads))


def seconds_and_peak_memory(edit, num_steps):
    """Run the loop without its printing. Returns the seconds it took, and the MiB that this process
    has held at its peak."""
    import resource  # not on Windows

    mx.set_default_device(mx.cpu)
    lesson = scripts.load(scripts.MAIN, edits.NO_STEP, edit)
    start = time.perf_counter()
    scripts.train(lesson, range(num_steps))
    seconds = time.perf_counter() - start
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return round(seconds, 1), round(bench.peak_mebibytes(usage))


def in_a_fresh_process(function, *arguments):
    with multiprocessing.get_context("spawn").Pool(1) as process:
        return process.apply(function, arguments)


def can_compile():
    """Whether mx.compile does anything on this machine's CPU."""
    return shutil.which("g++") is not None


def compiled_without_a_compiler():
    """Train 20 steps of *Compile* with no g++ to be found. Returns the losses, and whether any
    kernel was built."""
    mx.set_default_device(mx.cpu)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PATH"], os.environ["TMPDIR"] = folder, folder
        lesson = scripts.load(scripts.MAIN, edits.COMPILE)
        losses = scripts.losses(scripts.train(lesson, range(20)))
        return losses, any(os.scandir(folder))


if __name__ == "__main__":
    mx.set_default_device(mx.cpu)
    # First: a process starts with the peak memory of the one that started it.
    figures = {}
    figures["no mx.eval"] = {
        name: in_a_fresh_process(seconds_and_peak_memory, edit, steps)
        for name, edit, steps in [
            ("with, 1000 steps", [], 1000),
            ("without, 250 steps", edits.NO_EVAL, 250),
            ("without, 1000 steps", edits.NO_EVAL, 1000),
        ]
    }
    figures |= {"losses": {}, "parameters": {}, "unseen": {}, "names": {}}
    for name, trap in edits.TRAPS.items():
        print(name, file=sys.stderr, flush=True)
        lesson, losses = train(trap.edits)
        figures["losses"][name] = [*losses[:FIRST], end(losses)]
        figures["parameters"][name] = parameters(lesson)
        if trap.edits in ([], edits.COUNTED):
            figures["unseen"][name] = unseen(lesson)
        figures["names"][name] = scripts.sample(lesson)[:3]
        if not trap.edits:
            lesson.inference = scripts.edited(lesson.inference, edits.PROBABILITIES)
            figures["names"]["probabilities"] = scripts.sample(lesson)[:3]
    correction = edits.TRAPS["no `bias_correction`"].edits
    figures["seeds"] = [
        round(end(train(correction, seed=seed)[1]) - end(train([], seed=seed)[1]), 4)
        for seed in SEEDS
    ]
    figures["wholly padded"] = {
        "-1e9": nan_after_a_wholly_padded_row(),
        "-inf": nan_after_a_wholly_padded_row(edits.MINUS_INF),
    }
    figures["no g++"] = in_a_fresh_process(compiled_without_a_compiler)
    records.write("traps", **figures)
