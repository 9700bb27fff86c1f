"""Compare a port to MLX with its original in PyTorch. README.md says how to read the output."""

from collections.abc import Callable
from typing import NamedTuple

import mlx.core as mx
import mlx.nn as nn
import torch
from mlx.utils import tree_flatten


class Side(NamedTuple):
    """A model of either framework, and what it computes from one batch, the same for both."""

    model: object
    logits: Callable  # of no arguments: the model's output, or a tuple, list or dict of several
    loss: Callable  # of no arguments: the loss, a scalar
    step: Callable = None  # of the number of a training step: its loss, a float


def check(ours, theirs, names=None, num_steps=10):
    """Print and return, in a dict, how far ours, a Side of MLX, is from theirs, one of PyTorch.

    Each is the largest difference, divided by what is printed behind "of". names: for a parameter
    in MLX, its name in PyTorch, where that differs; or names and a function that makes one tensor
    of theirs: ("conv.weight", lambda weight: weight.movedim(1, -1)). ValueError: they don't fit.
    It changes both: MLX gets PyTorch's weights, PyTorch's gradients go, running averages see three
    batches, and the steps train.
    """
    own, trained = ours.model.parameters(), ours.model.trainable_parameters()
    own, trained = dict(tree_flatten(own)), dict(tree_flatten(trained))
    parameters = dict(theirs.model.named_parameters(remove_duplicate=False))
    tensors = dict(theirs.model.named_buffers(remove_duplicate=False)) | parameters
    given = {n: n for n in own} | (names or {})
    refuse(given.keys() - own, "is in names, but no parameter in MLX: mind the spelling")
    makers = {n: (g, lambda p: p) if isinstance(g, str) else g for n, g in given.items()}
    refuse([n for n in makers if not callable(makers[n][-1])], "needs a function in names")
    bad = {source for *found, _ in makers.values() for source in found} - tensors.keys()
    refuse(bad, "is not in PyTorch: see names, or begin a constant's name in MLX with _")
    parts = {n: [tensors[source] for source in maker[:-1]] for n, maker in makers.items()}
    ids = {id(p) for n in own for p in parts[n]}  # by which a tensor with two names is one
    bad = [n for n, p in parameters.items() if id(p) not in ids]
    refuse(bad, "is not in MLX: see names, and keep modules in lists or dicts")
    bad = [n for n in trained if not any(p.requires_grad for p in parts[n])]
    refuse(bad, "is trained in MLX only: freeze it, or begin a constant's name with _")
    ids = {id(p) for n in trained for p in parts[n]}
    bad = [n for n, p in parameters.items() if p.requires_grad and id(p) not in ids]
    refuse(bad, "is trained in PyTorch only: freeze it there, or unfreeze it in MLX")
    refuse(["step"] * (bool(ours.step) != bool(theirs.step)), "is on one side only: give both one")
    made = {n: maker[-1](*parts[n]) for n, maker in makers.items()}
    weights = [(n, arrays(n, p, made[n])[1].astype(p.dtype)) for n, p in own.items()]
    own, first, shares = dict(tree_flatten(ours.model.load_weights(weights).parameters())), {}, {}
    twins = {n: first.setdefault(id(parts[n][0]), n) for n in trained if isinstance(given[n], str)}
    bad = [n for n, twin in twins.items() if own[n] is not own[twin]]
    refuse(bad, "is shared in PyTorch only: in MLX, use one module twice, or as_linear")

    def compare(what, mine, other, least=0):
        mine, other = arrays(what, mine, other)
        masked, size = (mine < -1e8) & (other < -1e8), mx.abs(other)
        scale = max(mx.where(masked | ~mx.isfinite(size), 0, size).max().item(), least)
        share = mx.abs(mine * 1.0 - other) / mx.where(masked, size, scale)  # 1.0: no integers
        share = mx.where(mine == other, 0, mx.where(mx.isnan(share), mx.inf, share))
        shares[what] = share.max().item()
        print(f"{shares[what]:.0e} of {scale:.0e}  {what}")

    theirs.model.zero_grad()  # as a step may begin with backward()
    outputs, others = (dict(tree_flatten(side.logits(), ".logits")) for side in (ours, theirs))
    refuse(outputs.keys() ^ others.keys(), "is on one side only: return the same from both")
    for name in outputs:
        compare(name, outputs[name], others[name])
    losses = ours.loss(), theirs.loss()
    refuse(["loss"] * any(getattr(x, "shape", "no") for x in losses), "is no scalar: take its mean")
    compare("loss", *losses)
    unique = {n: p for n, p in theirs.model.named_parameters() if p.requires_grad}
    if unique:  # by the chain rule, MLX's gradients become gradients of PyTorch's parameters
        grads = dict(tree_flatten(nn.value_and_grad(ours.model, ours.loss)()[1]))
        flat = [memoryview(mx.contiguous(g.astype(mx.float32).flatten())) for g in grads.values()]
        flat = [torch.frombuffer(grad, dtype=torch.float32) for grad in flat]
        flat = [grad.to(made[n]).view_as(made[n]) for n, grad in zip(grads, flat, strict=True)]
        to = {"inputs": [*unique.values()], "materialize_grads": True}
        grads = torch.autograd.grad([made[n] for n in grads], grad_outputs=flat, **to)
        theirs_grads = torch.autograd.grad(theirs.loss(), **to)
        largest = max(g.abs().nan_to_num(0, 0, 0).max().item() for g in theirs_grads)
        half = any(p.itemsize == 2 for p in (*own.values(), *unique.values()))
        for name, mine, other in zip(unique, grads, theirs_grads, strict=True):
            small = half or other.abs().max().item() < largest / 1e4  # a 0, but for rounding
            compare(f"gradient of {name}", mine, other, largest if small else largest / 10)
    tensors.update(theirs.model.named_buffers(remove_duplicate=False))
    for name in [n for n in own if n not in trained]:  # such as running averages
        *found, function = makers[name]
        mine = dict(tree_flatten(ours.model.parameters()))[name]
        compare(f"{name} after three passes", mine, function(*map(tensors.get, found)))
    for i in range(num_steps if ours.step else 0):
        compare(f"loss of step {i + 1}", ours.step(i), theirs.step(i))
    theirs.model.zero_grad()
    return shares


def refuse(names, problem):
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise ValueError(f"{', '.join(sorted(names)[:3])}{more}: {problem}")


def arrays(what, *both):
    bad = [what] * any(not hasattr(x, "shape") and not isinstance(x, float) for x in both)
    refuse(bad, "is no array or float on one side: return some, in tuples, lists or dicts")
    a, b = (mx.array(x.detach().cpu() if isinstance(x, torch.Tensor) else x) for x in both)
    refuse([what] * (a.shape != b.shape), f"{a.shape} in MLX, {b.shape} in PyTorch: move its axes")
    return a, b
