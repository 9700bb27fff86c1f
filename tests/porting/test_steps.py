"""What only training shows: the losses of the steps, the weights after them, and the last line."""

from math import inf

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from tests.porting.port_check import check, verdict  # noqa: E402
from tests.porting.test_port_check import (  # noqa: E402
    ROUNDING,
    convolution,
    gain_less_one,
    linear,
    pair,
    tied,
    trained,
)


def attention(packed):
    """Attention, whose bias of the keys has a gradient of 0 but for rounding."""

    def split(m, x):
        return m.fc(x).chunk(3, -1)

    def split_ours(m, x):
        return mx.split(m.fc(x), 3, -1) if packed else [m.fc[i](x) for i in range(3)]

    def run(m, x):
        return torch.nn.functional.scaled_dot_product_attention(*split(m, x))

    def run_ours(m, x):
        queries, keys, values = split_ours(m, x)
        return mx.softmax(queries @ keys.swapaxes(1, 2) / 8**0.5, -1) @ values

    ours = nn.Linear(8, 24) if packed else [nn.Linear(8, 8) for _ in range(3)]
    names = {}
    for i in range(0 if packed else 3):
        for kind in ("weight", "bias"):
            names[f"fc.{i}.{kind}"] = (f"fc.{kind}", lambda p, i=i: p.chunk(3)[i])
    theirs = {"fc": torch.nn.Linear(8, 24)}
    return *pair(theirs, {"fc": ours}, run, run_ours, torch.randn(3, 5, 8)), names


def adam(sides, rate=0.01, **options):
    """Steps of Adam on both sides; options of MLX's only are a mistake."""
    own = optim.Adam(**{"learning_rate": rate, "bias_correction": True, **options})
    return trained(sides, own, torch.optim.Adam(sides[1].model.parameters(), rate))


def adamw(sides, ours=0.1, theirs=0.1):
    own = optim.AdamW(0.01, weight_decay=ours, bias_correction=True)
    other = torch.optim.AdamW(sides[1].model.parameters(), 0.01, weight_decay=theirs)
    return trained(sides, own, other)


def sgd(sides, own=0.0, other=0.0):
    """Steps of SGD, whose weights decay on each side by so much."""
    theirs = torch.optim.SGD(sides[1].model.parameters(), 0.01, weight_decay=other)
    return trained(sides, optim.SGD(0.01, weight_decay=own), theirs)


def warmed(sides):
    """Adam, whose rate begins with 0: the first step moves nothing."""
    own = optim.Adam(lambda step: 0.01 * mx.minimum(step / 4, 1), bias_correction=True)
    other = torch.optim.Adam(sides[1].model.parameters(), 0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(other, lambda step: min(step / 4, 1))
    ours, theirs, *names = trained(sides, own, other)
    return ours, theirs._replace(step=lambda i: [theirs.step(i), schedule.step()][0]), *names


def packed():
    return attention(True)


def unpacked():
    return attention(False)


def conv():
    return convolution("Conv1d", 1)


@pytest.mark.parametrize("train", [sgd, adam, adamw, warmed])
@pytest.mark.parametrize("port", [packed, unpacked, conv, linear, tied])
def test_right_weights_end_where_pytorchs_do(capsys, train, port):
    found = check(*train(port()))
    assert sum("after the steps" in what for what in found) == 1  # the worst tensor's
    assert max(found.values()) < ROUNDING
    assert capsys.readouterr().out.splitlines()[-1] == "nothing is above 1e-05"


def decayed(rate=0.99):  # the bias of the keys, in MLX only: no loss depends on it
    ours, theirs, names = sgd(unpacked())

    def step(i):
        ours.model.fc[1].bias *= rate
        return ours.step(i)

    return ours._replace(step=step), theirs, names


WRONG = [
    ("g", lambda: adam(gain_less_one())),  # MLX's Adam leaves imaginary parts where they are
    ("fc.1.bias", decayed),
    ("fc.weight", lambda: adam(linear(), eps=1e-5)),
    ("fc.weight", lambda: adamw(linear(), 0.1, 0.11)),
    ("fc.weight", lambda: sgd(linear(), 0.01, 0.0)),
    ("fc.weight", lambda: sgd(linear(), 0.0, 0.01)),
]


@pytest.mark.parametrize(("name", "port"), WRONG)
def test_wrong_weights_end_elsewhere(name, port):
    assert check(*port())[f"{name} after the steps"] > 3 * ROUNDING


def test_only_the_weights_tell_of_what_no_loss_depends_on(capsys):
    found = check(*decayed())
    assert [what for what, share in found.items() if share > ROUNDING] == [
        "fc.1.bias after the steps"
    ]
    assert capsys.readouterr().out.splitlines()[-1] == "look first at: fc.1.bias after the steps"


def test_steps_count_from_0_and_may_return_several_losses():
    ours, theirs = trained(linear(), loss=lambda loss: (loss, {"ema": 3.0}))
    seen = []
    wrong = theirs._replace(step=lambda i: (seen.append(i), theirs.step(i)[0], {"ema": 4.0})[1:])
    found = check(ours._replace(step=lambda i: (seen.append(i), ours.step(i))[1]), wrong)
    assert seen == [i for i in range(10) for _ in range(2)]
    assert found["loss of step 10.1.ema"] == 0.25 and found["loss of step 10.0"] < ROUNDING


def test_a_loss_of_0_trains_nothing_and_is_not_refused():
    sides = [s._replace(loss=lambda s=s: 0 * s.logits().sum()) for s in linear()]
    assert max(check(*trained(sides)).values()) == 0


def test_weights_of_16_bits_are_not_compared(capsys):
    ours, theirs = trained(linear(lambda m, x: m.fc(x), lambda m, x: m.fc(x.astype(mx.float16))))
    ours.model.set_dtype(mx.float16)
    assert not any("after the steps" in what for what in check(ours, theirs))
    assert capsys.readouterr().out.splitlines()[-1] == "nothing is above 5e-03"


LINES = [
    ("nothing is above 1e-05", {"logits": 1e-7, "loss": 9e-6}),
    ("look first at: loss", {"logits": 1e-7, "loss": 2e-5, "loss of step 1": 1}),
    ("look first at: loss of step 2", {"loss": 9e-6, "loss of step 1": 3e-5, "loss of step 2": 1}),
    ("look first at: loss of step 1", {"loss": 9e-6, "loss of step 1": 3e-5}),
    ("look first at: logits", {"logits": inf, "loss": inf}),
]


@pytest.mark.parametrize(("line", "shares"), LINES)
def test_the_last_line_says_where_to_look_first(line, shares):
    assert verdict(shares, ROUNDING) == line
