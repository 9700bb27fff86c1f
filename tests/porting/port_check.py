"""Compare a port to MLX with its original in PyTorch. README.md says how to read the output."""

from collections.abc import Callable
from difflib import get_close_matches
from math import inf, isnan
from typing import NamedTuple

import mlx.core as mx
import mlx.nn as nn
import torch
from mlx.utils import tree_flatten, tree_map_with_path

# What rounding reaches in a right port of a small model, in float32 and in 16 bits.
FLOAT32, BOUNDS = 1e-5, {"float16": 5e-3, "bfloat16": 2e-2}
WHERE = "MLX looks into lists and dicts, not into tuples or names that begin with _"


class Side(NamedTuple):
    """A model of either framework, and what it computes from one batch, the same for both."""

    model: object  # one module
    logits: Callable  # of no arguments: the model's output, or a tuple, list or dict of several
    loss: Callable  # of no arguments: the loss, a scalar array with a gradient
    step: Callable = None  # of a step's number, from 0: its loss, a float, or a tuple of several


def check(ours, theirs, names=None, num_steps=10):
    """Print how far ours, a Side of MLX, is from theirs, one of PyTorch, and where to look first.

    names: for a parameter in MLX, its name in PyTorch, or a tuple of names and a function of them.
    Returns a dict of floats, what each line begins with. It changes both models' weights,
    gradients and running averages. ValueError: they can't be compared; it says what to do.
    """
    refuse_sides(ours, theirs)
    recipes, left = matched(ours.model, theirs.model, names or {})
    copy_weights(ours.model, made_of(theirs.model, recipes))
    own = dict(tree_flatten(ours.model.parameters()))
    dtypes = [p.dtype for p in (*theirs.model.parameters(), *own.values())]
    bound = max(BOUNDS.get(str(dtype).split(".")[-1], FLOAT32) for dtype in dtypes)
    shares = {}

    theirs.model.zero_grad()  # as a step may begin with backward()
    compare_all(shares, "logits", ours.logits(), theirs.logits())
    losses, slopes, grads = gradients(ours, theirs, made_of(theirs.model, recipes))
    scale, largest = compare_gradients(shares, losses, grads, half=bound > FLOAT32)
    made = made_of(theirs.model, recipes)
    for name, mine in tree_flatten(ours.model.parameters()):
        if name not in slopes:  # such as running averages
            compare(shares, f"{name} after the passes", *as_tensors(name, mine, made[name]))
    for name, before in left.items():
        after = theirs.model.get_buffer(name)
        compare(shares, f"{name} after the passes, not in MLX", before, after)
    if ours.step and num_steps:
        slopes = slopes if largest else {}  # without a gradient, nothing need move
        weights = compare_steps(shares, ours, theirs, recipes, slopes, scale, num_steps)
        if bound == FLOAT32:  # in 16 bits rounding moves a weight as far as a step does
            compare_weights(shares, *weights, num_steps)
    print(verdict(shares, bound))
    return shares


def refuse_sides(ours, theirs):
    if not isinstance(ours.model, nn.Module) or not isinstance(theirs.model, torch.nn.Module):
        raise refusal("model", "give MLX's Side first, and several models as one module")
    for name in ("logits", "loss", "step"):
        mine, other = getattr(ours, name), getattr(theirs, name)
        left_out = name == "step" and mine is None and other is None
        if not left_out and not (callable(mine) and callable(other)):
            raise refusal(name, "give a function on both sides, such as lambda: model(x)")
    if lazy := [n for n, p in theirs.model.named_parameters() if torch.nn.parameter.is_lazy(p)]:
        raise refusal(lazy, "has no values yet: call PyTorch's model once before check")


def tensors_of(model):  # under all of their names
    buffers = dict(model.named_buffers(remove_duplicate=False))
    return buffers | dict(model.named_parameters(remove_duplicate=False))


def matched(model, original, names):
    """For each of MLX's parameters, its names in PyTorch and a function; the buffers left over."""
    own, tensors, recipes = dict(tree_flatten(model.parameters())), tensors_of(original), {}
    for name, entry in ({n: n for n in own} | names).items():
        *sources, make = entry if type(entry) is tuple and entry else (entry, lambda p: p)
        if {*map(type, sources)} != {str} or not callable(make):
            raise refusal(name, "needs PyTorch's name in names, or a tuple of names and a function")
        recipes[name] = sources, make
    given = {source for sources, _ in recipes.values() for source in sources}
    ids = {id(tensors[source]) for source in given & tensors.keys()}

    if unknown := names.keys() - own.keys():
        hint = f"is a key of names, but no name in MLX: {WHERE}"
        raise refusal(unknown, hint, own.keys() - names.keys() - tensors.keys())
    if quantized := [n for n, m in model.named_modules() if type(m).__name__[:9] == "Quantized"]:
        raise refusal(quantized, "is quantized: compare the port before nn.quantize")
    if unknown := given - tensors.keys():
        hint = "is not in PyTorch: leave it out (bias=False), or begin a constant's name with _"
        raise refusal(unknown, hint, tensors.keys() - given)
    parameters = original.named_parameters(remove_duplicate=False)
    if missing := [n for n, p in parameters if id(p) not in ids]:
        raise refusal(missing, f"is not in MLX: add it, or put Identity() into PyTorch; {WHERE}")
    # Left over is what PyTorch saves and MLX isn't given: running averages, or constants.
    saved = original.state_dict().keys() - given
    left = {n: b for n, b in tensors.items() if n in saved and id(b) not in ids}
    return recipes, {n: b.clone() for n, b in left.items() if b.is_floating_point()}


def made_of(original, recipes):
    """For each of MLX's parameters, what it should be, of PyTorch's tensors as they are now."""
    tensors, made = tensors_of(original), {}
    for name, (sources, make) in recipes.items():
        try:
            made[name] = make(*(tensors[source] for source in sources))
        except Exception as error:
            problem = f"{type(error).__name__}: {error}".splitlines()[0][:99]
            raise refusal(name, f"its function in names fails: {problem}") from error
    return made


def copy_weights(model, made):
    """Give MLX's model PyTorch's values, in its own dtypes."""

    def new(name, array):
        value = as_tensors(name, array, made[name])[1].resolve_conj().resolve_neg()
        return mx.array(value).astype(array.dtype)

    trained = [n for n, _ in tree_flatten(model.trainable_parameters())]
    if bad := [n for n in trained if not getattr(made[n], "requires_grad", False)]:
        raise refusal(bad, "is trained in MLX only: freeze it, name a constant _, or don't detach")
    model.update(tree_map_with_path(new, model.parameters()))
    own = dict(tree_flatten(model.parameters()))
    last = {id(made[n]): own[n] for n in trained}  # MLX's array for each tensor
    if bad := [n for n in trained if own[n] is not last[id(made[n])]]:
        raise refusal(bad, "is shared in PyTorch only: in MLX, use one module twice, or as_linear")


def gradients(ours, theirs, made):
    """Both losses; MLX's gradients; by PyTorch's names, both gradients, by the chain rule."""
    losses = ours.loss(), theirs.loss()
    if any(getattr(loss, "shape", "none") for loss in losses):
        raise refusal("loss", "is one scalar array on each side: no .item(), no tuple, no batch")
    pair = as_tensors("loss", *losses)
    to = {n: p for n, p in theirs.model.named_parameters() if p.requires_grad}
    if not to:
        return pair, {}, {}
    if not losses[1].requires_grad:
        raise refusal("loss", "has no gradient in PyTorch: leave out no_grad() and detach()")
    trained = tree_flatten(ours.model.trainable_parameters())
    slopes = nn.value_and_grad(ours.model, ours.loss)()[1] if trained else {}
    slopes = {n: tensor(grad) for n, grad in tree_flatten(slopes)}
    chain = [made[n] for n in slopes], [*to.values()], [g.to(made[n]) for n, g in slopes.items()]
    mine = torch.autograd.grad(*chain, allow_unused=True)
    if frozen := [n for n, grad in zip(to, mine, strict=True) if grad is None]:
        raise refusal(frozen, "is frozen in MLX only: unfreeze it, or freeze PyTorch's, too")
    other = torch.autograd.grad(theirs.loss(), [*to.values()], materialize_grads=True)
    pairs = zip(mine, [grad.to_dense() for grad in other], strict=True)
    return pair, slopes, dict(zip(to, pairs, strict=True))


def compare_gradients(shares, losses, grads, half):
    """Compare losses and gradients. Returns the loss's divisor, and the largest gradient."""
    tops = {n: abs(grad).nan_to_num(0, 0, 0).max().item() for n, (_, grad) in grads.items()}
    largest = max(tops.values(), default=0)
    # What is 0 but for rounding is divided by the largest gradient instead of itself.
    least = largest if abs(losses[1].item()) < largest / 1e4 else 0
    scale = compare(shares, "loss", *losses, least)
    for name, (mine, other) in grads.items():
        small = half or tops[name] < largest / 1e4
        compare(shares, f"gradient of {name}", mine, other, largest if small else largest / 10)
    return scale, largest


def compare_steps(shares, ours, theirs, recipes, slopes, scale, num_steps):
    """Train both and compare the losses.

    Returns dicts by MLX's names: both weights before and after, which entries are quiet (have a
    gradient of 0 but for rounding), and how far at most PyTorch moved those, over all steps.
    """

    def weights():  # of both
        own, made = dict(tree_flatten(ours.model.parameters())), made_of(theirs.model, recipes)
        return {n: [t.clone() for t in as_tensors(n, own[n], made[n])] for n in slopes}

    largest = max([abs(slope).max().item() for slope in slopes.values()], default=0)
    quiet = {n: abs(slope) <= largest / 1e4 for n, slope in slopes.items()}
    way = dict.fromkeys(slopes, 0)
    before = now = weights()
    for i in range(num_steps):
        compare_all(shares, f"loss of step {i + 1}", ours.step(i), theirs.step(i), scale)
        last, now = now, weights()
        for n in slopes:
            way[n] += torch.where(quiet[n], abs(now[n][1] - last[n][1]), 0).max().item()
    for side, framework in enumerate(("MLX", "PyTorch")):
        if largest and all(torch.equal(before[n][side], now[n][side]) for n in slopes):
            raise refusal("step", f"moves no weight in {framework}: train the model of its Side")
    return before, now, quiet, way


def compare_weights(shares, before, after, quiet, way, num_steps):
    """Compare the weights: a line for the worst tensor, and for each that is above the bound."""
    moves = {n: abs(after[n][1] - before[n][1]) for n in after}
    farthest = max([moved.max().item() for moved in moves.values()], default=0)
    found = {}
    for name, (mine, other) in after.items():
        # Adam moves quiet entries with their rounding; right ports were 2.6 ways apart at most.
        excess = (abs(mine - other) - 4 * way[name] - 1e-5 * farthest).clamp(min=0)
        error = torch.where(quiet[name], excess, abs(mine - other)).norm().item()
        # A move below a hundredth of the weights is too near to their rounding, of 1e-7.
        scale = max(moves[name][~quiet[name]].norm().item(), 1e-2 * other.norm().item())
        share = error / num_steps / (scale or error or 1)  # rounding grows with each step
        found[name] = inf if isnan(share) else share, scale
    for name, (share, scale) in found.items():
        if share >= FLOAT32 or name == max(found, key=found.get):
            keep(shares, f"{name} after the steps", share, scale)


def verdict(shares, bound):
    """Where to look first: at the first line that is above the bound, and far above all before."""
    if max(shares.values()) < bound:
        return f"nothing is above {bound:.0e}"
    above, before = [what for what, share in shares.items() if share >= bound], 0
    for what, share in shares.items():
        if share >= max(bound, 10 * before):
            return f"look first at: {what}"
        before = max(before, share)
    return f"look first at: {above[0]}"


def compare_all(shares, what, mine, other, least=0):
    """Compare what two functions return, each in tuples, lists or dicts."""
    mine, other = dict(tree_flatten(mine, f".{what}")), dict(tree_flatten(other, f".{what}"))
    if mine.keys() != other.keys():
        raise refusal(mine.keys() ^ other.keys(), "is on one side only: return the same from both")
    for name in mine or [what]:  # of nothing, as_tensors() says that it is no array
        compare(shares, name, *as_tensors(name, mine.get(name), other.get(name)), least)


def compare(shares, what, mine, other, least=0):
    """Print and keep the largest difference, as a share of other's largest entry or of least.

    Integers and booleans are equal, or 1 apart. Returns what the difference is divided by.
    """
    if not any(t.is_floating_point() or t.is_complex() for t in (mine, other)):
        mine, other = mine.long(), other.long()
        return keep(shares, what, float(not mine.equal(other)), abs(other).max().item())
    mine, other = mine.cpu().to(torch.complex128), other.cpu().to(torch.complex128)
    size = abs(other)
    both = torch.minimum(abs(mine), size).nan_to_num(0, inf)
    order = both.flatten().sort().values
    # What a mask filled in lies far above the rest, on both sides, and is divided by itself.
    gaps = order[(order > 1e3) & (order > 100 * order.roll(1))]
    fill = both >= (gaps.min() if len(gaps) else inf)
    scale = max(torch.where(fill | ~size.isfinite(), 0, size).max().item(), least)
    share = abs(mine - other) / torch.where(fill, size, scale)
    # -1e9 here may be -inf there, or the smallest of float16
    far = [(abs(t) > 1e8) | (abs(t) == 65504) for t in (mine, other)]
    same = (mine == other) | (fill & far[0] & far[1] & (mine.real * other.real > 0))
    return keep(shares, what, share.masked_fill(same, 0).nan_to_num(inf, inf).max().item(), scale)


def keep(shares, what, share, scale):
    shares[what] = share
    print(f"{share:.0e} of {scale:.0e}  {what}")
    return scale


def as_tensors(what, mine, other):
    """An array of MLX and a tensor of PyTorch, as tensors on the CPU."""
    if isinstance(mine, torch.Tensor) or isinstance(other, mx.array):
        raise refusal(what, "is the other framework's on one side: compute it with its own model")
    if any(not hasattr(x, "shape") and not isinstance(x, float) for x in (mine, other)):
        raise refusal(what, "is no array or float on one side: return some, in tuples or dicts")
    mine, other = mx.array(mine), torch.as_tensor(other).detach().cpu()
    if mine.shape != other.shape:
        there = tuple(other.shape)
        raise refusal(what, f"{mine.shape} in MLX, {there} in PyTorch: move its axes")
    if not mine.size:
        raise refusal(what, "is empty: leave it out on both sides")
    return tensor(mine), other


def tensor(array):
    """A copy of MLX's array, a tensor of the same dtype."""
    values = bytearray(memoryview(array.flatten().view(mx.uint8)))
    dtype = getattr(torch, str(array.dtype).split(".")[-1])
    return torch.frombuffer(values, dtype=dtype).view(array.shape)


def refusal(names, problem, others=()):
    """An error that names some of names, what is wrong with them, and the nearest of others."""
    names = [names] if isinstance(names, str) else sorted(names)
    shown = names[: 1 if max(map(len, names)) > 30 else 2]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    near = [match for n in shown for match in get_close_matches(n, others, 1, 0.3)]
    hint = f"; or is it {', '.join(near)} there? see names" if near else ""
    return ValueError(f"{', '.join(shown)}{more}: {problem}{hint}")
