"""Record whole runs of the four steps, and of what they begin with: what the README shows.

    uv run python -m tests.measure.steps

writes steps.json, from the CPU, in about a minute with OpenBLAS.
"""

import mlx.core as mx
import mlx.nn as nn

from tests import records, scripts


def run(step):
    """The script that a step leaves, after a whole run on the CPU."""
    module = scripts.load(scripts.ONE, *scripts.STEPS[:step])
    scripts.train(module, range(module.num_steps))
    scripts.sample(module)
    return module


def costs(steps):
    """What letters, padding and both cost in these steps of step 2's script, on average."""
    module, right = scripts.load(scripts.ONE, *scripts.STEPS[:2]), scripts.load(scripts.MAIN)
    found = []
    for step in range(module.num_steps):
        if step in steps:
            *batch, _, real = right.make_batch(module.docs, step, module.batch_size)
            each = nn.losses.cross_entropy(module.model(batch[0]), batch[1])
            masks = real, 1 - real, mx.ones_like(real)
            found.append([((each * mask).sum() / mask.sum()).item() for mask in masks])
        scripts.train(module, [step])
    return [sum(values) / len(values) for values in zip(*found, strict=True)]


if __name__ == "__main__":
    mx.set_default_device(mx.cpu)
    record = {
        "measured": records.measured(),
        "printed": {step: run(step).printed.splitlines() for step in range(5)},
        "costs in step 2": {"first batch": costs([0]), "last 100 batches": costs(range(900, 1000))},
    }
    records.write("steps", record)
