"""What main.py computes from weights that PyTorch had, too, and how far the two are apart.

    python -m tests.parity [PATCH ...]

prints, as JSON, how far main.py, with patches, on the default device, is from recorded PyTorch.
"""

import json
import math
import random
import sys

from tests import records, scripts

# float32 is exact to 1.2e-7 of a value, each side rounds at a few dozen operations, and each BLAS
# sums in its own order. Measured: 5e-7 of the largest logit, 2.5e-6 of a gradient's norm. 1e-5
# leaves room for another BLAS; the smallest mistake tried (the eps of RMSNorm) makes it 3e-4.
ROUNDING = 1e-5
# Adam divides each gradient by about its own size, and so amplifies rounding at each step. With one
# BLAS the losses agree to 2e-6 for 20 steps, with another to 3e-6 for 8 and to 3e-3 at step 20.
BOUNDS = {"logits": ROUNDING, "gradients": ROUNDING, "first 8 losses": 1e-4, "20 losses": 2e-2}


def weights(name, size):
    """The weights of a parameter, N(0, 0.08), that no framework's random numbers enter."""
    rng = random.Random(name)
    return [rng.gauss(0, 0.08) for _ in range(size)]


def summary(logits, gradients, losses):
    """What is compared: logits, the norm and 8 entries of each gradient, and 20 losses."""
    flat = {name: gradient.flatten().tolist() for name, gradient in gradients}
    spaced = {name: [g[i * len(g) // 8] for i in range(8)] for name, g in flat.items()}
    norms = {name: [math.hypot(*g), *spaced[name]] for name, g in flat.items()}
    return {"logits": logits.flatten().tolist(), "gradients": norms, "losses": losses}


def of_main(*edits):
    """The summary of main.py, edited, on MLX's default device."""
    import mlx.core as mx
    from mlx.utils import tree_flatten

    main = scripts.load(scripts.MAIN, *edits)
    shapes = {name: p.shape for name, p in tree_flatten(main.model.parameters())}
    arrays = [(n, mx.array(weights(n, math.prod(s))).reshape(s)) for n, s in shapes.items()]
    main.model.load_weights(arrays)
    batch = main.make_batch(main.docs, 0, 4)
    logits = main.model(batch[0], batch[2])
    gradients = tree_flatten(main.loss_and_grad(main.model, *batch)[1])
    return summary(logits, gradients, scripts.train(main, range(20)))


def differences(ours, theirs):
    """How far two summaries are apart: logits relative to the largest, gradients to their norm."""

    def furthest(a, b):  # max() alone would pass over a NaN
        apart = [abs(x - y) for x, y in zip(a, b, strict=True)]
        return max(apart) if all(map(math.isfinite, apart)) else math.inf

    assert ours["gradients"].keys() == theirs["gradients"].keys(), "other parameters"
    gradients = ((ours["gradients"][name], g) for name, g in theirs["gradients"].items())
    return {
        "logits": furthest(ours["logits"], theirs["logits"]) / max(map(abs, theirs["logits"])),
        "gradients": max(furthest(g, other) / other[0] for g, other in gradients),
        "first 8 losses": furthest(ours["losses"][:8], theirs["losses"][:8]),
        "20 losses": furthest(ours["losses"], theirs["losses"]),
    }


def too_far(apart, bounds=BOUNDS):
    """The differences that are not below their bounds; NaN is below none."""
    return {name: apart[name] for name in bounds if not apart[name] < bounds[name]}


if __name__ == "__main__":
    print(json.dumps(differences(of_main(*sys.argv[1:]), records.read("pytorch"))))
