"""Run a script's own training steps, and time them. bench.py starts it as a process of its own:

    python -m tests.measure.steps '["main.py", ["compile"], 32]'

with path, edits and batch size. It answers each line of input, a number of steps, with the seconds
that a step took, and its real tokens.
"""

import contextlib
import io
import json
import statistics
import sys
import time
from operator import truediv
from pathlib import Path

from tests import scripts

ROUNDS = 20  # blocks of steps that each variant gets, in turns


class Steps:
    """A script, edited, whose training loop can be run a few steps at a time."""

    def __init__(self, path, edits, batch_size):
        pairs = [edit if isinstance(edit, str) else tuple(edit) for edit in edits]
        self.module = scripts.load(Path(path), *pairs)
        self.module.batch_size = batch_size

    def wait(self):
        """Return when the device has done what the script asked of it so far."""
        if hasattr(self.module, "mx"):
            self.module.mx.synchronize()
        elif self.module.device.type != "cpu":
            self.module.torch.accelerator.synchronize()

    def run(self, num_steps):
        """Run the loop's first steps. Returns the seconds and the real tokens of one, the means."""
        m = self.module
        self.wait()
        with contextlib.redirect_stdout(io.StringIO()):
            start = time.perf_counter()
            for m.step in range(num_steps):
                exec(m.step_code, vars(m))
            self.wait()
            seconds = time.perf_counter() - start
        docs = [m.docs[i % len(m.docs)] for i in range(num_steps * m.batch_size)]
        tokens = sum(min(len(doc) + 1, m.block_size) for doc in docs)
        return seconds / num_steps, tokens / num_steps


def spread(values):
    """Median, least and largest."""
    return [round(x, 3) for x in (statistics.median(values), min(values), max(values))]


def figures(seconds, plain_seconds, tokens):
    """What is told of a variant's seconds a step, beside main.py's in the same turns."""
    return {
        "ms": spread([1000 * s for s in seconds]),
        "ratio": round(statistics.median(map(truediv, seconds, plain_seconds)), 3),
        "tokens/s": round(tokens / statistics.median(seconds)),
    }


def time_many(block):
    """Time many-machines on all processes, in turns with main.py on the first, which gets figures.

    Returns how many processes there are, and the figures by name.
    """
    import mlx.core as mx

    found, world = {}, mx.distributed.init()
    for size in (32, 512, 4096, 16384):
        turns = {}
        for script, patches in (("main.py", []), ("many-machines", ["many-machines"])):
            name = f"{script}, batch size {size}"
            alone = f"{name}: make_batch alone"
            turns |= {n: Steps(scripts.MAIN, patches, size) for n in (name, alone)}
            turns[alone].module.step_code = "make_batch(docs, step, batch_size)"
        seconds = {name: [] for name in turns}
        for _ in range(1 + ROUNDS):  # the first is not timed
            for name, steps in turns.items():
                mx.eval(mx.distributed.all_sum(mx.array(1.0)))  # wait for each other
                if world.rank() == 0 or name.startswith("many-machines"):
                    mean, tokens = steps.run(block)
                    seconds[name].append(mean)
        if world.rank() == 0:
            plain = seconds[f"main.py, batch size {size}"][1:]
            found |= {name: figures(s[1:], plain, tokens) for name, s in seconds.items()}
    return world.size(), found


if __name__ == "__main__":
    steps = Steps(*json.loads(sys.argv[1]))
    for line in sys.stdin:
        print(json.dumps(steps.run(int(line))), flush=True)
