"""Compare an MLX model with the PyTorch model that it is a port of, from the same weights.

It needs nothing else of this repository: copy it to where your port is. README.md says how to read
what it prints, port_example.py shows a call.
"""

from collections.abc import Callable
from typing import NamedTuple

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten


class Side(NamedTuple):
    """A model of either framework, and what it computes from one batch, the same for both."""

    model: object
    logits: Callable  # of no arguments: the model's output
    loss: Callable  # of no arguments: the loss, a scalar
    step: Callable = None  # of the number of a training step: its loss, a float


def check(ours, theirs, names=None, num_steps=10):
    """Give the MLX side PyTorch's weights, then print how far logits, gradients and losses differ.

    ours, theirs: a Side of MLX and one of PyTorch. names: for an MLX parameter, by its name, the
    name in PyTorch where that differs; or names and a function that makes one tensor of theirs,
    such as ("conv.weight", lambda weight: weight.movedim(1, -1)). Each difference is the largest,
    relative to PyTorch's largest entry. Raises ValueError where a parameter is missing or has
    another shape.
    """
    own = dict(tree_flatten(ours.model.parameters()))
    parameters = dict(theirs.model.named_parameters())
    tensors = dict(theirs.model.named_buffers()) | parameters
    sources = {name: (names or {}).get(name, name) for name in own}
    sources = {n: (s, lambda p: p) if isinstance(s, str) else s for n, s in sources.items()}
    needed = {source for *found, _ in sources.values() for source in found}
    if not parameters.keys() <= needed <= tensors.keys():
        lacks = sorted(needed - tensors.keys()), sorted(parameters.keys() - needed)
        raise ValueError("PyTorch lacks {}, MLX lacks {}: see names".format(*lacks))

    def converted(name, values):
        *found, function = sources[name]
        return mx.array(function(*(values[source].detach().cpu() for source in found)).tolist())

    def compare(what, mine, other):
        difference = mx.abs(mine - other).max() / mx.maximum(mx.abs(other).max(), 1e-30)
        print(f"{difference.item():.0e}  {what}")

    weights = {name: converted(name, tensors) for name in own}
    for name, weight in weights.items():
        if weight.shape != own[name].shape:
            raise ValueError(f"{name}: {own[name].shape} in MLX, {weight.shape} in PyTorch")
    ours.model.load_weights(list(weights.items()))

    compare("logits", ours.logits(), mx.array(theirs.logits().tolist()))
    _, grads = nn.value_and_grad(ours.model, ours.loss)()
    theirs.model.zero_grad()
    theirs.loss().backward()
    theirs_grads = {n: p * 0 if p.grad is None else p.grad for n, p in tensors.items()}
    for name, grad in tree_flatten(grads):
        compare(f"gradient of {name}", grad, converted(name, theirs_grads))
    for i in range(num_steps if ours.step else 0):
        compare(f"loss of step {i + 1}", mx.array(ours.step(i)), mx.array(theirs.step(i)))
