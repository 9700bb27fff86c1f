"""What only training shows: the losses of the steps, the weights after them, and the last line."""

from math import inf, nan

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from tests.porting import ports  # noqa: E402
from tests.porting.port_check import check, compare_weights, verdict  # noqa: E402
from tests.porting.ports import ROUNDING, linear, pair, trained  # noqa: E402


def attention(packed=False):
    """Attention, whose bias of the keys has a gradient of 0 but for rounding."""

    def run(m, x):
        return torch.nn.functional.scaled_dot_product_attention(*m.fc(x).chunk(3, -1))

    def run_ours(m, x):
        queries, keys, values = mx.split(m.fc(x), 3, -1) if packed else [fc(x) for fc in m.fc]
        return mx.softmax(queries @ keys.swapaxes(1, 2) / 8**0.5, -1) @ values

    ours, names = nn.Linear(8, 24), {}
    if not packed:
        ours = [nn.Linear(8, 8) for _ in range(3)]
        for i in range(3):
            names[f"fc.{i}.weight"] = ("fc.weight", lambda weight, i=i: weight.chunk(3)[i])
            names[f"fc.{i}.bias"] = ("fc.bias", lambda bias, i=i: bias.chunk(3)[i])
    theirs, x = {"fc": torch.nn.Linear(8, 24)}, torch.randn(3, 5, 8)
    return *pair(theirs, {"fc": ours}, run, run_ours, x), names


def sgd(sides, ours=0.0, theirs=0.0):
    """Steps of SGD, with these weight decays."""
    other = torch.optim.SGD(sides[1].model.parameters(), 0.01, weight_decay=theirs)
    return trained(sides, optim.SGD(0.01, weight_decay=ours), other)


def adamw(sides, ours=0.1, theirs=0.1, eps=1e-8):
    """Steps of AdamW, with these weight decays, and this eps in MLX."""
    own = optim.AdamW(0.01, weight_decay=ours, bias_correction=True, eps=eps)
    other = torch.optim.AdamW(sides[1].model.parameters(), 0.01, weight_decay=theirs)
    return trained(sides, own, other)


def warmed(sides):
    """Steps of Adam, the first of which moves nothing."""
    own = optim.Adam(lambda step: 0.01 * mx.minimum(step / 4, 1), bias_correction=True)
    other = torch.optim.Adam(sides[1].model.parameters(), 0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(other, lambda step: min(step / 4, 1))
    ours, theirs, *names = trained(sides, own, other)
    return ours, theirs._replace(step=lambda i: [theirs.step(i), schedule.step()][0]), *names


PORTS = [attention, lambda: attention(packed=True), linear, ports.tied]
PORTS += [lambda: ports.convolution("Conv1d", 1)]


@pytest.mark.parametrize("train", [sgd, adamw, warmed])
@pytest.mark.parametrize("port", PORTS)
def test_right_weights_end_where_pytorchs_do(capsys, train, port):
    found = check(*train(port()))
    assert sum("after the steps" in what for what in found) == 1  # the worst tensor's
    assert max(found.values()) < ROUNDING
    assert capsys.readouterr().out.splitlines()[-1] == "nothing is above 1e-05"


def keys_move(train, far):
    """In MLX, a bias moves that no loss depends on."""
    ours, theirs, names = train(attention())

    def step(i):
        ours.model.fc[1].bias += far
        return ours.step(i)

    return ours._replace(step=step), theirs, names


WRONG = [
    ("g", lambda: adamw(ports.gain_less_one(), 0, 0)),  # MLX's leaves imaginary parts as they are
    ("fc.weight", lambda: adamw(linear(), eps=1e-5)),
    ("fc.weight", lambda: adamw(linear(), theirs=0.11)),
    ("fc.weight", lambda: sgd(linear(), ours=0.01)),
    ("fc.weight", lambda: sgd(linear(), theirs=0.01)),
]


@pytest.mark.parametrize(("name", "port"), WRONG)
def test_wrong_weights_end_elsewhere(name, port):
    assert check(*port())[f"{name} after the steps"] > 3 * ROUNDING


def test_an_error_is_divided_by_pytorchs_way_and_by_the_steps():
    ours, theirs = linear()
    other = torch.optim.SGD(theirs.model.parameters(), 0.1)
    found = check(*trained((ours, theirs), optim.SGD(0.2), other), num_steps=2)
    for name in ("fc.weight", "fc.bias"):  # each of them, not only the worst
        assert found[f"{name} after the steps"] == pytest.approx(1 / 2, rel=0.1)


def ends(here, there, quiet, way=0):
    """The share of a weight that was 1 and is now 1 + here, beside one that moved by 1."""
    one, shares = torch.ones(2), {}
    before = {"other": (0 * one, 0 * one), "w": (one, one)}
    after = {"other": (one, one), "w": (one + here, one + there)}
    still = {"other": one < 0, "w": (one > 0) == quiet}
    compare_weights(shares, before, after, still, {"other": 0, "w": way}, num_steps=10)
    return max(shares.values())


@pytest.mark.parametrize("way", [0, 0.1])
def test_quiet_entries_may_differ_by_four_ways_and_rounding(way):
    assert ends(4 * way + 0.9e-5, 0, quiet=True, way=way) == 0
    assert ends(4 * way + 1e-4, 0, quiet=True, way=way) > ROUNDING
    assert ends(nan, 0, quiet=True, way=way) == inf


def test_a_small_move_is_divided_by_the_weights():
    rounding = 2**-23  # of 1
    assert ends(1e-5 + rounding, 1e-5, quiet=False) < ROUNDING
    assert ends(1e-5 + 1e-4, 1e-5, quiet=False) > ROUNDING


@pytest.mark.parametrize(("train", "far"), [(sgd, 1e-5), (adamw, 1)])
def test_what_no_loss_depends_on_is_seen_in_the_weights(capsys, train, far):
    found, line = check(*keys_move(train, far)), "fc.1.bias after the steps"
    assert [what for what, share in found.items() if share > ROUNDING] == [line]
    assert capsys.readouterr().out.splitlines()[-1] == f"look first at: {line}"


def test_steps_count_from_0_and_may_return_several_losses():
    ours, theirs = trained(linear(), loss=lambda loss: (loss, {"average": 3.0}))
    seen = []

    def step(i):
        seen.append(i)
        return theirs.step(i)[0], {"average": 4.0}

    right = ours._replace(step=lambda i: (seen.append(i), ours.step(i))[1])
    found = check(right, theirs._replace(step=step))
    assert seen == [i for i in range(10) for _ in range(2)]  # MLX's and PyTorch's
    assert found["loss of step 1.0"] < ROUNDING and found["loss of step 1.1.average"] == 0.25


@pytest.mark.parametrize(("slope", "share"), [(0, 0), (1, inf)])
def test_a_loss_of_0_trains_nothing_and_is_not_refused(slope, share):
    ours, theirs = linear()
    ours = ours._replace(loss=lambda: slope * ours.logits().sum())
    theirs = theirs._replace(loss=lambda: 0 * theirs.logits().sum())
    found = max(check(*trained((ours, theirs))).values())
    assert found == pytest.approx(share, abs=ROUNDING)  # the outputs may differ by that


def test_weights_of_16_bits_are_not_compared(capsys):
    ours, theirs = trained(linear(run_ours=lambda m, x: m.fc(x.astype(mx.float16))))
    ours.model.set_dtype(mx.float16)
    assert not any("after the steps" in what for what in check(ours, theirs))
    assert capsys.readouterr().out.splitlines()[-1] == "nothing is above 5e-03"


LINES = [
    ("nothing is above 1e-05", {"logits": 1e-7, "loss": 9e-6}),
    ("look first at: loss", {"logits": 1e-7, "loss": 2e-5, "loss of step 1": 1}),
    ("look first at: loss of step 2", {"loss": 9e-6, "loss of step 1": 3e-5, "loss of step 2": 1}),
    ("look first at: loss of step 1", {"loss": 9e-6, "loss of step 1": 3e-5, "a": 2e-5}),
    ("look first at: a", {"logits": 9e-6, "loss": 1e-7, "loss of step 1": 3e-5, "a": 1}),
    ("look first at: logits", {"logits": inf, "loss": inf}),
]


@pytest.mark.parametrize(("line", "shares"), LINES)
def test_the_last_line_says_where_to_look_first(line, shares):
    assert verdict(shares, ROUNDING) == line
