"""Run a script's own training steps, and time them. bench.py starts it as a process of its own:

    python -m tests.measure.steps '["main.py", ["compile"], 32]'

with path, edits and batch size. It answers each line of input, a number of steps, with the seconds
that a step took, and its real tokens.
"""

import contextlib
import io
import json
import sys
import time
from pathlib import Path

from tests import scripts


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


if __name__ == "__main__":
    steps = Steps(*json.loads(sys.argv[1]))
    for line in sys.stdin:
        print(json.dumps(steps.run(int(line))), flush=True)
