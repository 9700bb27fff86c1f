"""What main.py computes from the weights that PyTorch's figures were recorded from.

    python tests/parity.py

prints how far main.py, on this machine's default device, lies from the recorded figures, as JSON.
"""

import json

import mlx.core as mx
import record_pytorch
import records
import scripts
from mlx.utils import tree_flatten


def figures(*edits):
    """The figures of main.py, edited, as record_pytorch.figures gives those of the twin."""
    lesson = scripts.load(scripts.MAIN, *edits)
    shapes = {name: p.shape for name, p in tree_flatten(lesson.model.parameters())}
    weights = record_pytorch.recipe_weights(shapes, lesson.PAD)
    lesson.model.load_weights(
        [(name, mx.array(weights[name]).reshape(shape)) for name, shape in shapes.items()]
    )
    batch = lesson.make_batch(lesson.docs, 0, record_pytorch.BATCH_SIZE)
    grads = dict(tree_flatten(lesson.loss_and_grad(lesson.model, *batch)[1]))
    return {
        "logits": lesson.model(batch[0], batch[2]).flatten().tolist(),
        "grad_norms": {name: mx.linalg.norm(g).item() for name, g in grads.items()},
        "grad_entries": {
            name: record_pytorch.spaced(g.flatten().tolist()) for name, g in grads.items()
        },
        "losses": record_pytorch.losses_in_full(lesson, "loss_and_grad"),
    }


def differences(*edits):
    """How far main.py, edited, lies from PyTorch, by what is compared."""
    return record_pytorch.differences(figures(*edits), records.read("pytorch"))


if __name__ == "__main__":
    print(json.dumps(differences()))
