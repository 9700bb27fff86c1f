"""What can't be compared is refused in one line, which says what may be wrong."""

import mlx.core as mx
import mlx.nn as nn
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from tests.porting.port_check import check  # noqa: E402
from tests.porting.ports import linear, pair, shared, trained  # noqa: E402

HERE, THERE = nn.Linear(8, 8), torch.nn.Linear(8, 8)
DEEP = "encoder_layer_with_a_long_name_for_its_attention"


def changed(side, change=None, **parts):
    """The linear port, one side of which has a changed model, or other parts."""
    sides = linear()
    change(sides[side].model) if change else None
    sides[side] = sides[side]._replace(**parts)
    return sides


def named(theirs, ours, names=None):
    """A linear layer under these names; they are compared before anybody calls it."""
    return *pair({theirs: THERE}, {ours: HERE}), names


def inside(ours, names=None):
    """torch.nn.Sequential, and in MLX what may seem to be the same."""
    return *pair({"fc": torch.nn.Sequential(THERE)}, {"fc": ours}), names


def idle(side):
    """The linear port, with steps that train one side only."""
    sides = trained(linear())
    sides[side] = sides[side]._replace(step=lambda i: 0.0)
    return sides


def unread():
    """A layer that is frozen in MLX and trained in PyTorch, but not by this batch."""
    parts = {"fc": torch.nn.Embedding(8, 4), "fc2": torch.nn.Embedding(8, 4)}
    ours = {"fc": nn.Embedding(8, 4), "fc2": nn.Embedding(8, 4).freeze()}
    return pair(parts, ours, lambda m, x: m.fc(x), x=torch.tensor([3, 5]))


def empty():
    """A parameter without entries."""
    ours, theirs = linear(extra=mx.zeros((0, 3)))
    theirs.model.extra = torch.nn.Parameter(torch.zeros(0, 3))
    return ours, theirs


def swapped():
    """Each side returns the other framework's output."""
    ours, theirs = linear()
    return ours._replace(logits=theirs.logits), theirs._replace(logits=ours.logits)


@torch.no_grad()
def no_grad():
    return linear()[1].loss()


POOLED = {"fc": THERE, "pooler": torch.nn.Linear(8, 8)}
FAILS = {"fc.bias": ("fc.bias", lambda a, b: a + b)}
REFUSED = [
    ("logits: give a function", lambda: changed(0, logits=mx.ones(3))),
    ("logits: give a function", lambda: [s._replace(logits=None) for s in linear()]),
    ("loss: give a function", lambda: changed(1, loss=torch.ones(3))),
    ("fc.bias: its function in names fails: TypeError: .* argument", lambda: (*linear(), FAILS)),
    ("has no values yet: call PyTorch's", lambda: changed(1, model=torch.nn.LazyLinear(8))),
    ("step: moves no weight in MLX: train", lambda: idle(0)),
    ("step: moves no weight in PyTorch: train", lambda: idle(1)),
    ("fc2.weight: is frozen in MLX only", unread),
    ("logits: is the other framework's", swapped),
    ("logits: is the other", lambda: [swapped()[0], linear()[1]]),
    ("logits: is the other", lambda: [linear()[0], swapped()[1]]),
    ("loss: is the other", lambda: changed(0, loss=linear()[1].loss)),
    ("loss: is the other", lambda: changed(1, loss=linear()[0].loss)),
    ("loss: has no gradient in PyTorch", lambda: changed(1, loss=no_grad)),
    ("extra: is empty: leave it out on both", empty),
    ("pooler.*: is not in MLX: .* or put Identity", lambda: pair(POOLED, {"fc": HERE})),
    ("^model: give MLX's .* as one module$", lambda: changed(1, model=[THERE, THERE])),
    ("^model: give MLX's", lambda: changed(0, model=[HERE, HERE])),
    ("step: .* on both sides", lambda: changed(1, step=lambda i: 0.0)),
    ("fc: is quantized", lambda: pair({"fc": THERE}, {"fc": nn.QuantizedLinear(64, 8)})),
    ("or is it fc.0.bias, fc.0.weight there", lambda: inside(nn.Sequential(HERE))),
    ("or is it module.bias, module.weight there", lambda: named("module", "fc")),
    (f"^{DEEP}.bias and 1 more: .* or is it {DEEP[:-1]}.bias", lambda: named(DEEP[:-1], DEEP)),
    (
        "^fc.wait: is a key of names.* it wait there",
        lambda: [*linear(wait=mx.ones(3)), {"fc.wait": "fc.bias"}],
    ),
    ("^net.bias: .* it fc.bias there", lambda: named("net", "fc", {"net.bias": "fc.bias"})),
    ("fc.0.bias: is a key of names.* tuples", lambda: inside((HERE,), {"fc.0.bias": "fc.0.bias"})),
    ("fc.0.weight: is not in MLX: .* tuples", lambda: inside((HERE,))),
    ("is not in MLX: .* begin with _", lambda: named("_fc", "_fc")),
    ("mask: is not in PyTorch: .* a constant's name with _$", lambda: linear(mask=mx.ones(3))),
    ("extra.bias: is .* out .bias=False", lambda: linear(extra={"bias": mx.ones(8)})),
    ("fc.bias: is not in MLX: add it", lambda: changed(0, lambda m: m.fc.pop("bias"))),
    (r"\(3,\) in MLX, \(8,\) in", lambda: changed(0, lambda m: m.fc.update({"bias": mx.ones(3)}))),
    ("fc.bias: .* frozen in MLX only", lambda: changed(0, lambda m: m.freeze(keys="bias"))),
    ("fc.bias, .* frozen in MLX only", lambda: changed(0, lambda m: m.freeze())),
    ("fc.bias, .* trained in MLX only", lambda: changed(1, lambda m: m.requires_grad_(False))),
    ("is shared in PyTorch only", lambda: shared(nn.Linear(8, 8))),
    ("logits: is empty", lambda: linear(lambda m, x: m.fc(x)[:0])),
    ("logits: is no array", lambda: [s._replace(logits=dict) for s in linear()]),  # of nothing
    (r"logits: \(8,\) in MLX, \(5, 8\) in", lambda: linear(run_ours=lambda m, x: m.fc(x)[0])),
    ("logits.*: is on one", lambda: linear(run_ours=lambda m, x: (x, x))),
    ("loss: .* no batch", lambda: changed(0, loss=lambda: mx.zeros(3))),
    ("loss: .* no .item", lambda: changed(1, loss=lambda: 3.0)),
    ("loss: .* no tuple", lambda: changed(0, loss=lambda: (mx.array(3.0), 0))),
]
BAD = [None, abs, ["fc.bias", abs], (), ("fc.bias", ""), ("fc.bias", torch.detach), ("fc.bias", id)]
REFUSED += [("^fc.bias: needs|MLX only", lambda b=b: [*linear(), {"fc.bias": b}]) for b in BAD]


@pytest.mark.parametrize(("message", "port"), REFUSED)
def test_it_is_refused_in_a_line(message, port):
    with pytest.raises(ValueError, match=message) as error:
        check(*port())
    assert len(str(error.value)) < 230 and "\n" not in str(error.value)
