"""Compare a port to MLX with its original in PyTorch. README.md says how to read the output."""

from collections.abc import Callable
from difflib import get_close_matches
from typing import NamedTuple

import mlx.core as mx
import mlx.nn as nn
import torch
from mlx.utils import tree_flatten, tree_map_with_path


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
    kinds = isinstance(ours.model, nn.Module), isinstance(theirs.model, torch.nn.Module)
    refuse(["model"] * (not all(kinds)), "give MLX's Side first, and several models as one module")
    refuse(["step"] * (bool(ours.step) != bool(theirs.step)), "is on one side only: give both one")
    buffers = dict(theirs.model.named_buffers(remove_duplicate=False))
    tensors = buffers | dict(theirs.model.named_parameters(remove_duplicate=False))
    recipes, given = matched(ours.model, tensors, names or {})

    # MLX's parameters become what is made of PyTorch's.
    made = {n: make(*(tensors[s] for s in sources)) for n, (sources, make) in recipes.items()}
    trained = dict(tree_flatten(ours.model.trainable_parameters()))
    bad = [n for n in trained if not getattr(made[n], "requires_grad", False)]
    refuse(bad, "is trained in MLX only: freeze it, name a constant _..., or don't detach")
    new = lambda n, p: arrays(n, p, made[n])[1].astype(p.dtype)  # noqa: E731
    ours.model.update(tree_map_with_path(new, ours.model.parameters()))
    own = dict(tree_flatten(ours.model.parameters()))
    last = {id(made[n]): own[n] for n in trained}  # MLX's array for each tensor
    bad = [n for n in trained if own[n] is not last[id(made[n])]]
    refuse(bad, "is shared in PyTorch only: in MLX, use one module twice, or as_linear")

    # Buffers that PyTorch saves and MLX isn't given: running averages, or constants.
    left = sorted(buffers.keys() & theirs.model.state_dict().keys() - given)
    left = {n: buffers[n].clone() for n in left if buffers[n].is_floating_point()}
    shares = {}
    theirs.model.zero_grad()  # as a step may begin with backward()
    outputs, others = (dict(tree_flatten(side.logits(), ".logits")) for side in (ours, theirs))
    refuse(outputs.keys() ^ others.keys(), "is on one side only: return the same from both")
    for name in outputs or ["logits"]:  # of nothing, arrays() says that it is no array
        compare(shares, name, outputs.get(name), others.get(name))
    losses = ours.loss(), theirs.loss()
    bad = any(getattr(loss, "shape", "none") for loss in losses)
    refuse(["loss"] * bad, "must be one scalar array on each side: no .item(), no tuple, no batch")
    unique = {n: p for n, p in theirs.model.named_parameters() if p.requires_grad}
    grads = gradients(ours, theirs, made, trained, unique) if unique else {}

    # What is 0 but for rounding is divided by the largest gradient instead of itself.
    largest = max([g.abs().nan_to_num(0, 0, 0).max().item() for _, g in grads.values()], default=0)
    least = largest if abs(losses[1].item()) < largest / 1e4 else 0
    scale = compare(shares, "loss", *losses, least)
    half = any(p.itemsize == 2 for p in (*trained.values(), *unique.values()))
    for name, (mine, other) in grads.items():
        small = half or other.abs().max().item() < largest / 1e4
        compare(shares, f"gradient of {name}", mine, other, largest if small else largest / 10)

    tensors |= dict(theirs.model.named_buffers(remove_duplicate=False))
    for name, mine in tree_flatten(ours.model.parameters()):
        if name not in trained:  # such as running averages
            sources, make = recipes[name]
            compare(shares, f"{name} after the passes", mine, make(*map(tensors.get, sources)))
    for name, old in left.items():
        compare(shares, f"{name} after the passes, not in MLX", old.cpu(), tensors[name])
    for i in range(num_steps if ours.step else 0):
        compare(shares, f"loss of step {i + 1}", ours.step(i), theirs.step(i), scale)
    return shares


def matched(model, tensors, names):
    """For each of MLX's parameters, its names in PyTorch and a function of them; and all names."""
    own = dict(tree_flatten(model.parameters()))
    recipes = {}
    for name, entry in ({n: n for n in own} | names).items():
        *sources, make = entry if type(entry) is tuple and entry else (entry, lambda p: p)
        bad = {*map(type, sources)} != {str} or not callable(make)
        refuse([name] * bad, "needs PyTorch's name in names, or a tuple of names and a function")
        recipes[name] = sources, make

    unknown, free = names.keys() - own.keys(), own.keys() - names.keys() - tensors.keys()
    swapped = [n for n in unknown & tensors.keys() if own.keys() >= {*recipes[n][0]}]
    refuse(swapped, "is PyTorch's name: in names, MLX's is the key and PyTorch's the value")
    where = "it looks into lists and dicts, not into tuples or names that begin with _"
    refuse(unknown, f"is in names, but MLX finds none: {where}", free)
    bad = [n for n, m in model.named_modules() if type(m).__name__.startswith("Quantized")]
    refuse(bad, "is quantized: compare the port before nn.quantize")

    given = {source for sources, _ in recipes.values() for source in sources}
    hint = "leave it out (bias=False), or begin a constant's name with _"
    refuse(given - tensors.keys(), f"is not in PyTorch: {hint}", tensors.keys() - given)
    ids = {id(tensors[source]) for source in given}  # a tensor may have several names
    bad = [n for n, t in tensors.items() if id(t) not in ids and isinstance(t, torch.nn.Parameter)]
    refuse(bad, f"is not in MLX: add it, or let MLX find it: {where}")
    return recipes, given


def gradients(ours, theirs, made, trained, unique):
    """For each of PyTorch's parameters MLX's gradient, by the chain rule, and PyTorch's."""
    grads = dict(tree_flatten(nn.value_and_grad(ours.model, ours.loss)()[1] if trained else {}))
    for n, grad in grads.items():
        flat = memoryview(mx.contiguous(grad.astype(mx.complex64).flatten()))
        grad = torch.frombuffer(flat, dtype=torch.complex64).view(grad.shape)
        grads[n] = (grad if made[n].is_complex() else grad.real).to(made[n])
    chain, to = [made[n] for n in grads], [*unique.values()]
    mine = torch.autograd.grad(chain, to, [*grads.values()], allow_unused=True)
    other = torch.autograd.grad(theirs.loss(), to, materialize_grads=True)
    found = [*zip(unique, mine, [grad.to_dense() for grad in other], strict=True)]
    bad = [n for n, a, b in found if a is None and b.any()]
    refuse(bad, "is frozen in MLX only: unfreeze it, or freeze PyTorch's, too")
    return {n: (b * 0 if a is None else a, b) for n, a, b in found}


def compare(shares, what, mine, other, least=0):
    """Print and keep the largest difference, as a share of the largest entry of other."""
    mine, other = arrays(what, mine, other)
    size = mx.abs(other).astype(mx.float32)
    both = mx.nan_to_num(mx.minimum(mx.abs(mine), size), posinf=mx.inf)
    order = mx.sort(both.flatten())
    # What a mask filled in lies far above the rest, on both sides, and is divided by itself.
    gaps = (order > 1e3) & (order > 100 * mx.roll(order, 1))
    fill = both >= mx.where(gaps, order, mx.inf).min()
    scale = max(mx.where(fill | ~mx.isfinite(size), 0, size).max().item(), least)
    share = mx.abs(mine * 1.0 - other) / mx.where(fill, size, scale)  # uint8 would wrap
    alike = mx.real(mine) * 1.0 * mx.real(other) > 0
    same = (mine == other) | (fill & alike & (both > 1e8))  # -1e9 here may be -inf there
    shares[what] = mx.where(same, 0, mx.nan_to_num(share, mx.inf, mx.inf)).max().item()
    print(f"{shares[what]:.0e} of {scale:.0e}  {what}")
    return scale


def arrays(what, mine, other):
    bad = any(not hasattr(x, "shape") and not isinstance(x, float) for x in (mine, other))
    refuse([what] * bad, "is no array or float on one side: return some, in tuples, lists or dicts")
    other = torch.as_tensor(other).detach().cpu().resolve_conj().resolve_neg()
    a, b = mx.array(mine), mx.array(other)
    refuse([what] * (a.shape != b.shape), f"{a.shape} in MLX, {b.shape} in PyTorch: move its axes")
    refuse([what] * (not a.size), "is empty: leave it out")
    return a, b


def refuse(names, problem, others=()):
    if names:
        shown = sorted(names)[: 1 if max(map(len, names)) > 30 else 2]
        more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
        near = [match for n in shown for match in get_close_matches(n, others, 1, 0.3)]
        hint = f"; or is it {', '.join(near)} there? see names" if near else ""
        raise ValueError(f"{', '.join(shown)}{more}: {problem}{hint}")
