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

    names: for a parameter in MLX, its name in PyTorch, or a tuple of names and a function of them.
    ValueError: they don't fit. It changes both models' weights, gradients and running averages.
    """
    own = dict(tree_flatten(ours.model.parameters()))
    trained = dict(tree_flatten(ours.model.trainable_parameters()))
    parameters = dict(theirs.model.named_parameters(remove_duplicate=False))
    tensors = dict(theirs.model.named_buffers(remove_duplicate=False)) | parameters
    given = {n: n for n in own} | (names or {})
    refuse(given.keys() - own, "is in names, but no parameter in MLX: mind the spelling")
    makers = {n: g if isinstance(g, tuple) else (g, lambda p: p) for n, g in given.items()}
    bad = [n for n, m in makers.items() if {*map(type, m[:-1])} != {str} or not callable(m[-1])]
    refuse(bad, "needs PyTorch's name in names, or a tuple of names and, last, a function")
    bad = {source for m in makers.values() for source in m[:-1]} - tensors.keys()
    refuse(bad, "is not in PyTorch: see names, or begin a constant's name in MLX with _")
    parts = {n: [tensors[source] for source in m[:-1]] for n, m in makers.items()}
    made = {n: m[-1](*parts[n]) for n, m in makers.items()}
    bad = [n for n in trained if not getattr(made[n], "requires_grad", False)]
    refuse(bad, "is trained in MLX only: freeze it, name a constant _..., or don't detach")
    used = {id(p) for n in own for p in parts[n] if n in trained or not p.requires_grad}
    bad = [n for n, p in parameters.items() if id(p) not in used]  # p may have several names
    refuse(bad, "is not in MLX, or frozen there: see names, and keep modules in lists or dicts")
    refuse(["step"] * (bool(ours.step) != bool(theirs.step)), "is on one side only: give both one")
    weights = [(n, arrays(n, p, made[n])[1].astype(p.dtype)) for n, p in own.items()]
    own, shares = dict(tree_flatten(ours.model.load_weights(weights).parameters())), {}
    last = {id(made[n]): own[n] for n in trained}  # MLX's array for each tensor
    bad = [n for n in trained if own[n] is not last[id(made[n])]]
    refuse(bad, "is shared in PyTorch only: in MLX, use one module twice, or as_linear")

    def compare(what, mine, other, least=0):
        mine, other = arrays(what, mine, other)
        size, higher = mx.abs(other), mx.maximum(mine, other)
        masked = (higher < -1e3) & (higher.max() > -1e3)  # where all are, none is
        scale = max(mx.where(masked | ~mx.isfinite(size), 0, size).max().item(), least)
        share = mx.abs(mine * 1.0 - other) / mx.where(masked, size, scale)  # uint8 would wrap
        share = mx.nan_to_num(share, nan=mx.inf, posinf=mx.inf)
        same = (mine == other) | (higher < -1e8)  # a mask may be -1e9 here and -inf there
        shares[what] = mx.where(same, 0, share).max().item()
        print(f"{shares[what]:.0e} of {scale:.0e}  {what}")

    theirs.model.zero_grad()  # as a step may begin with backward()
    outputs, others = (dict(tree_flatten(side.logits(), ".logits")) for side in (ours, theirs))
    refuse(outputs.keys() ^ others.keys(), "is on one side only: return the same from both")
    for name in outputs or ["logits"]:  # of nothing, arrays() says that it is no array
        compare(name, outputs.get(name), others.get(name))
    losses = ours.loss(), theirs.loss()
    refuse(["loss"] * any(getattr(x, "shape", "no") for x in losses), "is no scalar: take its mean")
    compare("loss", *losses)
    unique = {n: p for n, p in theirs.model.named_parameters() if p.requires_grad}
    if unique:  # by the chain rule, MLX's gradients become gradients of PyTorch's parameters
        grads = dict(tree_flatten(nn.value_and_grad(ours.model, ours.loss)()[1]))
        for n, grad in grads.items():
            flat = memoryview(mx.contiguous(grad.astype(mx.complex64).flatten()))
            grad = torch.frombuffer(flat, dtype=torch.complex64).view(grad.shape)
            grads[n] = (grad if made[n].is_complex() else grad.real).to(made[n])
        to = {"inputs": [*unique.values()], "materialize_grads": True}
        grads = torch.autograd.grad([made[n] for n in grads], grad_outputs=[*grads.values()], **to)
        theirs_grads = [grad.to_dense() for grad in torch.autograd.grad(theirs.loss(), **to)]
        largest = max(g.abs().nan_to_num(0, 0, 0).max().item() for g in theirs_grads)
        half = any(p.itemsize == 2 for p in (*trained.values(), *unique.values()))
        for name, mine, other in zip(unique, grads, theirs_grads, strict=True):
            small = half or other.abs().max().item() < largest / 1e4  # a 0, but for rounding
            compare(f"gradient of {name}", mine, other, largest if small else largest / 10)
    tensors.update(theirs.model.named_buffers(remove_duplicate=False))
    for name, mine in tree_flatten(ours.model.parameters()):
        if name not in trained:  # such as running averages
            *found, function = makers[name]
            compare(f"{name} after the passes", mine, function(*map(tensors.get, found)))
    for i in range(num_steps if ours.step else 0):
        compare(f"loss of step {i + 1}", ours.step(i), theirs.step(i), abs(losses[1].item()))
    theirs.model.zero_grad()
    return shares


def refuse(names, problem):
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise ValueError(f"{', '.join(sorted(names)[:3])}{more}: {problem}")


def arrays(what, mine, other):
    bad = [what] * any(not hasattr(x, "shape") and not isinstance(x, float) for x in (mine, other))
    refuse(bad, "is no array or float on one side: return some, in tuples, lists or dicts")
    other = torch.as_tensor(other).detach().cpu().resolve_conj().resolve_neg()
    a, b = mx.array(mine), mx.array(other)
    refuse([what] * (a.shape != b.shape), f"{a.shape} in MLX, {b.shape} in PyTorch: move its axes")
    refuse([what] * (not a.size), "is empty: leave it out")
    return a, b
