"""Pairs of Sides, one of MLX and one of PyTorch, that the tests compare."""

from math import inf

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from tests.porting.port_check import Side  # noqa: E402

ROUNDING = 1e-5  # float32 rounds at 6e-8, and sums add that up
fc, twice = lambda m, x: m.fc(x), lambda m, x: m.fc2(m.fc(x))


def side(model, parts, run, x):
    for name, part in parts.items():
        setattr(model, name, part)
    return Side(model, lambda: run(model, x), lambda: abs(run(model, x)).square().mean())


def pair(theirs, ours, run=fc, run_ours=None, x=None):
    """A Side of MLX and one of PyTorch: what run computes from models of these parts."""
    torch.manual_seed(0)
    x = torch.randn(5, 8) if x is None else x
    theirs = side(torch.nn.Module(), theirs, run, x)
    with torch.no_grad():
        for p in theirs.model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return [side(nn.Module(), ours, run_ours or run, mx.array(x)), theirs]


def linear(run=fc, run_ours=None, **more):
    theirs, ours = torch.nn.Linear(8, 8), nn.Linear(8, 8)
    return pair({"fc": theirs}, {"fc": ours} | more, run, run_ours)


def gain_less_one():  # of complex numbers, conjugate in MLX
    theirs, ours = torch.nn.Parameter(torch.zeros(8) + 0j), mx.ones(8, mx.complex64)
    runs = lambda m, x: (x + x * m.g).conj(), lambda m, x: x * m.g
    return *pair({"g": theirs}, {"g": ours}, *runs), {"g": ("g", lambda g: (g + 1).conj())}


def weight_norm():
    theirs = {"fc": torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(8, 8))}
    found = [f"fc.parametrizations.weight.original{i}" for i in (0, 1)]
    names = {"fc.weight": (*found, lambda g, v: g * v / v.norm(dim=1, keepdim=True))}
    return *pair(theirs, {"fc": nn.Linear(8, 8)}), names


def lstm():
    names = {"fc.Wx": "fc.weight_ih_l0", "fc.Wh": "fc.weight_hh_l0"}
    names["fc.bias"] = ("fc.bias_ih_l0", "fc.bias_hh_l0", lambda a, b: a + b)
    theirs, ours = {"fc": torch.nn.LSTM(8, 4, batch_first=True)}, {"fc": nn.LSTM(8, 4)}
    return *pair(theirs, ours, lambda m, x: m.fc(x)[0], x=torch.randn(3, 5, 8)), names


def convolution(kind, axis, **norm):  # its bias has no effect before that norm
    theirs = {"fc": getattr(torch.nn, kind)(8, 8, 3), "fc2": torch.nn.BatchNorm1d(8)}
    ours = {"fc": getattr(nn, kind)(8, 8, 3), "fc2": nn.BatchNorm(8, **norm)}
    names = {"fc.weight": ("fc.weight", lambda weight: weight.movedim(axis, -1))}
    move = lambda x: x.swapaxes(1, 2)  # noqa: E731
    runs = lambda m, x: twice(m, x) ** 3, lambda m, x: move(twice(m, move(x))) ** 3
    torch.manual_seed(0)
    return *pair(theirs, ours, *runs, torch.randn(3, 8, 10) / 2), names


def shared(ours=None):
    once, our_once = torch.nn.Linear(8, 8), nn.Linear(8, 8)
    return pair({"fc": once, "fc2": once}, {"fc": our_once, "fc2": ours or our_once}, twice)


def tied():
    head, wte = torch.nn.Linear(4, 8, bias=False), torch.nn.Embedding(8, 4)
    head.weight, x = wte.weight, torch.randint(8, (3, 5))
    run_ours = lambda m, x: m.fc.as_linear(m.fc(x))  # noqa: E731
    return pair({"fc": wte, "fc2": head}, {"fc": nn.Embedding(8, 4)}, twice, run_ours, x)


def hidden(factor=1):  # one of several outputs, and masks put other entries far from the rest
    ours = [[-1e4, -inf, -inf, -3e38, inf, 1e9, 1e9]] * 5
    theirs = [[-1e4, -1e9, -65504, -1e9, inf, 1e9, inf]] * 5  # float16 ends with 65504
    sides = linear(
        lambda m, x: {"a": torch.cat([m.fc(x), torch.tensor(theirs)], 1), "b": (x, [x])},
        lambda m, x: {"a": mx.concatenate([factor * m.fc(x), mx.array(ours)], 1), "b": (x, [x])},
    )
    return [s._replace(loss=lambda s=s: s.logits()["a"][:, :8].square().mean()) for s in sides]


def level(size, error=0, slope=1):
    """Ports whose loss is always of that size, with an error in MLX; it does have gradients."""
    ours, theirs = linear()
    our_loss = lambda: slope * (ours.loss() - mx.stop_gradient(ours.loss())) + size  # noqa: E731
    loss = lambda: slope * (theirs.loss() - theirs.loss().detach()) + size  # noqa: E731
    return ours._replace(loss=lambda: our_loss() + error), theirs._replace(loss=loss)


def double():  # float64
    x = torch.randn(5, 8, dtype=torch.float64)
    sides = pair({"fc": torch.nn.Linear(8, 8).double()}, {"fc": nn.Linear(8, 8)}, x=x)
    sides[0].model.set_dtype(mx.float64)
    return trained(sides)


def trained(sides, own=None, other=None, loss=lambda loss: loss):
    """The same with a step on each side, by these optimizers; it returns what loss makes of it."""
    ours, theirs = sides[:2]
    own = own or optim.SGD(0.01)
    other = other or torch.optim.SGD(theirs.model.parameters(), 0.01)

    def our_step(i):
        value, grads = nn.value_and_grad(ours.model, ours.loss)()
        own.update(ours.model, grads)
        return loss(value.item())

    def step(i):
        (value := theirs.loss()).backward()
        other.step()
        other.zero_grad()
        return loss(value.item())

    return [ours._replace(step=our_step), theirs._replace(step=step), *sides[2:]]


def steps(error):  # to a loss of 0, with an error in PyTorch
    ours, theirs = trained(linear(), loss=lambda loss: 0.0)
    return ours, theirs._replace(step=lambda i: theirs.step(i) + error)
