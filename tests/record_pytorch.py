"""Record what the PyTorch twin computes, for main.py to be tested against without PyTorch.

    python tests/record_pytorch.py

writes tests/pytorch_figures.json. It needs PyTorch (2.13.0 made the file that is here) and the
lesson's own input.txt. All is float32 on the CPU, from weights that scripts.recipe_weights gives;
only printed_losses are those of a whole run, from the twin's own random weights.
"""

import json
import platform
import subprocess
import sys
from pathlib import Path

import scripts

FIGURES = Path(__file__).with_name("pytorch_figures.json")
BATCH_SIZE = 4  # of the one batch whose logits and gradients are recorded
NUM_LOSSES = 20


def recorded():
    """What the JSON file holds: `versions` and the figures, by name."""
    return json.loads(FIGURES.read_text(encoding="utf-8"))


def figures():
    """Run the twin's own definitions and training loop. Returns what the JSON file holds."""
    import torch

    accelerator = "torch.accelerator.current_accelerator(check_available=True) or "
    source = scripts.TWIN.read_text(encoding="utf-8")
    twin = scripts.define(scripts.TWIN, scripts.replace_once(source, accelerator, ""))

    model = twin["model"]
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    weights = scripts.recipe_weights(shapes, twin["PAD"])
    model.load_state_dict(
        {name: torch.tensor(weights[name]).reshape(shape) for name, shape in shapes.items()}
    )

    input_ids, targets, pad_mask = twin["make_batch"](twin["docs"], 0, BATCH_SIZE)
    twin["loss_fn"](model, input_ids, targets, pad_mask).backward()
    return {
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "logits": model(input_ids, pad_mask).tolist(),
        "grad_norms": {name: p.grad.norm().item() for name, p in model.named_parameters()},
        "losses": scripts.first_losses(scripts.TWIN, twin, "loss_fn", NUM_LOSSES),
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
    new = {**figures(), "printed_losses": printed_losses()}
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in new.items()]
    FIGURES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"wrote {FIGURES}")
