"""Run a script's own training steps, and time them. bench.py starts it as a process of its own:

    python -m tests.measure.steps '["main.py", ["compile"], 32]'

with path, edits and batch size. It answers each line of input, a number of steps, with the seconds
that they took.
"""

import contextlib
import io
import json
import sys
import time
from pathlib import Path

from tests.tools import lesson


def wait(module):
    """Return when the device has done what the script asked of it so far."""
    if hasattr(module, "mx"):
        module.mx.synchronize()
    elif module.device.type != "cpu":
        module.torch.accelerator.synchronize()


if __name__ == "__main__":
    path, patches, batch_size = json.loads(sys.argv[1])
    module = lesson.load(Path(path), *patches)
    module.batch_size = batch_size
    for line in sys.stdin:
        wait(module)
        with contextlib.redirect_stdout(io.StringIO()):
            start = time.perf_counter()
            for module.step in range(int(line)):
                exec(module.step_code, vars(module))
            wait(module)
            seconds = time.perf_counter() - start
        print(seconds, flush=True)
