"""Record what the PyTorch twin computes, for main.py to be held to it where PyTorch is not.

    python tests/record_pytorch.py

writes tests/records/pytorch.json. It needs PyTorch (`pip install torch`), not MLX. All is float32
on the CPU, from weights that recipe_weights gives; only printed_losses are those of a whole run,
from the twin's own random weights. With --check it compares instead of writing, and exits with 1
where the twin computes something else.
"""

import hashlib
import math
import random
import subprocess
import sys

import records
import scripts

BATCH_SIZE = 4  # of the one batch whose logits and gradients are recorded
NUM_LOSSES = 20
NUM_ENTRIES = 8  # recorded of each gradient, evenly spaced
ON_THE_CPU = [("torch.accelerator.current_accelerator(check_available=True) or ", "")]

# How far two correct computations in float32 lie apart, whose step is 1.2e-7 of a value: each
# rounds at a few dozen operations, and each BLAS sums in its own order. Measured: 5e-7 of the
# largest logit, 2.5e-6 of a gradient's norm. 1e-5 leaves room for another BLAS; the smallest
# mistake tried (the eps of RMSNorm) makes it 1e-3.
ROUNDING = 1e-5
# Adam's first steps divide each gradient by about its own size, small ones too, and so amplify
# rounding, at each step again. With one BLAS the losses agree to 2e-6 for 20 steps, with another
# to 3e-6 for 8 steps and to 3e-3 at step 20: tight at first, loose later.
FIRST_8, ALL_20 = 1e-4, 2e-2


def digest():
    """Of the twin, line endings aside: figures are those of just this text."""
    return hashlib.sha256(scripts.source(scripts.TWIN).encode()).hexdigest()


def recipe_weights(shapes, pad):
    """Weights that no framework's random numbers enter: N(0, 0.08), row `pad` of wte zero.

    shapes: the shape of each parameter by name. Returns a flat list of floats by name.
    """
    rng = random.Random(0)
    weights = {}
    for name in sorted(shapes):
        weights[name] = [rng.gauss(0, 0.08) for _ in range(math.prod(shapes[name]))]
    width = shapes["wte.weight"][1]
    weights["wte.weight"][pad * width : (pad + 1) * width] = [0.0] * width
    return weights


def spaced(values):
    """NUM_ENTRIES of a flat list, evenly spaced."""
    return [values[i * len(values) // NUM_ENTRIES] for i in range(NUM_ENTRIES)]


def losses_in_full(module, function):
    """Run the module's own training loop for NUM_LOSSES steps. Returns its losses, not rounded.

    function: the name of what the loop calls for its loss.
    """
    original, values = getattr(module, function), []

    def recording(*arguments):
        result = original(*arguments)
        values.append((result[0] if isinstance(result, tuple) else result).item())
        return result

    setattr(module, function, recording)
    scripts.train(module, range(NUM_LOSSES))
    setattr(module, function, original)
    return values


def figures():
    """Run the twin's own definitions and training loop. Returns its figures by name."""
    import torch

    twin = scripts.load(scripts.TWIN, ON_THE_CPU)
    shapes = {name: tuple(p.shape) for name, p in twin.model.named_parameters()}
    weights = recipe_weights(shapes, twin.PAD)
    twin.model.load_state_dict(
        {name: torch.tensor(weights[name]).reshape(shape) for name, shape in shapes.items()}
    )
    input_ids, targets, pad_mask = twin.make_batch(twin.docs, 0, BATCH_SIZE)
    twin.loss_fn(twin.model, input_ids, targets, pad_mask).backward()
    grads = {name: p.grad for name, p in twin.model.named_parameters()}
    return {
        "logits": twin.model(input_ids, pad_mask).flatten().tolist(),
        "grad_norms": {name: g.norm().item() for name, g in grads.items()},
        "grad_entries": {name: spaced(g.flatten().tolist()) for name, g in grads.items()},
        "losses": losses_in_full(twin, "loss_fn"),
    }


def differences(ours, theirs):
    """How far two sets of figures lie apart: logits and gradients in parts of their largest."""

    def furthest(a, b):
        return max(abs(x - y) for x, y in zip(a, b, strict=True))

    norms, entries = theirs["grad_norms"], theirs["grad_entries"]
    assert norms.keys() == ours["grad_norms"].keys()
    return {
        "logits": furthest(ours["logits"], theirs["logits"]) / max(map(abs, theirs["logits"])),
        "gradient norms": max(abs(ours["grad_norms"][k] - n) / n for k, n in norms.items()),
        "gradients": max(
            furthest(ours["grad_entries"][k], e) / max(map(abs, e)) for k, e in entries.items()
        ),
        "first 8 losses": furthest(ours["losses"][:8], theirs["losses"][:8]),
        "20 losses": furthest(ours["losses"], theirs["losses"]),
    }


BOUNDS = {
    "logits": ROUNDING,
    "gradient norms": ROUNDING,
    "gradients": ROUNDING,
    "first 8 losses": FIRST_8,
    "20 losses": ALL_20,
}


def printed_losses():
    """Run the twin whole, as a reader would. Returns the 101 losses that it prints."""
    # Without a BLAS that MLX was given: PyTorch brings its own, and slows down with another.
    twin = subprocess.run(
        [sys.executable, str(scripts.TWIN)],
        env=scripts.environment_without("LD_PRELOAD"),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert len(scripts.samples(twin.stdout)) == 20
    return scripts.losses(twin.stdout)


if __name__ == "__main__":
    if "--check" in sys.argv:
        apart = differences(figures(), records.read("pytorch"))
        print("the twin, live, beside its record:", apart)
        checks = [apart[name] < bound for name, bound in BOUNDS.items()]
        checks.append(records.read("pytorch")["twin"] == digest())
        print(f"{sum(checks)} passed, {len(checks) - sum(checks)} failed")
        sys.exit(not all(checks))
    records.write("pytorch", twin=digest(), **figures(), printed_losses=printed_losses())
