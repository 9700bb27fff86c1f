"""Record what a GPU changes: TF32, and that two runs differ.

    python tests/record_gpu.py

writes tests/records/gpu.json, on a machine with a GPU.
"""

import json
import tempfile
from pathlib import Path

import edits
import mlx.core as mx
import parity
import records
import scripts
from mlx.utils import tree_flatten

RUNS = 3
SETTINGS = {"as it comes": {}, "MLX_ENABLE_TF32=0": {"MLX_ENABLE_TF32": "0"}}


def repeated(folder, num_steps, *edits, **variables):
    """The losses that main.py, edited, prints in each of RUNS runs."""
    script = scripts.install(folder, *edits, num_steps=num_steps)
    runs = [scripts.run([script], folder, **variables).stdout for _ in range(RUNS)]
    return [scripts.losses(output) for output in runs]


def varying_gradients():
    """The parameters whose gradients are not the same in ten calls with the same arguments."""
    lesson = scripts.load(scripts.MAIN)
    batch = lesson.make_batch(lesson.docs, 0, lesson.batch_size)

    def gradients():
        return dict(tree_flatten(lesson.loss_and_grad(lesson.model, *batch)[1]))

    first, varying = gradients(), set()
    for _ in range(9):
        varying |= {n for n, g in gradients().items() if not mx.array_equal(g, first[n])}
    return sorted(varying)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        folder, figures = Path(name), {}
        for setting, variables in SETTINGS.items():
            result = scripts.run([parity.__file__], scripts.ROOT, **variables)
            figures[setting] = {
                "differences": json.loads(result.stdout),
                "losses": repeated(folder, 1000, **variables),
                "one-hot": repeated(folder, 100, edits.ONE_HOT, **variables),
            }
        records.write("gpu", **figures, varying_gradients=varying_gradients())
