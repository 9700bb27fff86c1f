"""Right ports come out right, and wrong ones don't."""

from math import inf, nan

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import pytest

from tests import lesson

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from tests.porting.port_check import Side, check  # noqa: E402

ROUNDING = 1e-5  # float32 rounds at 6e-8, and sums add that up
BFLOAT16 = 2e-2  # it rounds at 4e-3
DTYPES = [  # of MLX, of PyTorch, the part of the largest gradient, what rounding reaches
    (mx.float32, torch.float32, 0.1, ROUNDING),
    (mx.bfloat16, torch.float32, 1, BFLOAT16),
    (mx.float32, torch.bfloat16, 1, BFLOAT16),
]
OURS = [optim.SGD(0.01), optim.AdamW(0.01, weight_decay=0.01, bias_correction=True)]
CPU = ("torch.accelerator.current_accelerator(check_available=True) or ", "")  # the twin on it
DOUBLE = torch.randn(5, 8, dtype=torch.float64)
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


def gain_less_one():  # of complex numbers
    theirs, ours = torch.nn.Parameter(torch.zeros(8) + 0j), mx.ones(8, mx.complex64)
    runs = lambda m, x: (x + x * m.g).conj(), lambda m, x: mx.conjugate(x * m.g)
    return *pair({"g": theirs}, {"g": ours}, *runs), {"g": ("g", lambda g: g + 1)}


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
    return *pair(theirs, ours, *runs, torch.randn(3, 8, 10) / 20), names


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
    sides = pair({"fc": torch.nn.Linear(8, 8).double()}, {"fc": nn.Linear(8, 8)}, x=DOUBLE)
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


RIGHT = [linear, gain_less_one, weight_norm, lstm, shared, tied, hidden]
RIGHT += [double, lambda: convolution("Conv1d", 1), lambda: convolution("ConvTranspose1d", 0)]
FROZEN = {"fc": torch.nn.Linear(8, 8).requires_grad_(False)}, {"fc": nn.Linear(8, 8).freeze()}
SPARSE = {"fc": torch.nn.Embedding(8, 4, sparse=True)}, {"fc": nn.Embedding(8, 4)}
DIGIT = {"fc": torch.nn.ModuleDict({"0": torch.nn.Linear(8, 8)})}, {"fc": {"0": nn.Linear(8, 8)}}
RIGHT += [lambda: pair(*FROZEN), lambda: pair(*SPARSE, x=torch.tensor([3, 5, 3]))]
RIGHT += [lambda: pair(*DIGIT, lambda m, x: m.fc["0"](x))]  # keys of a dict
RIGHT += [lambda: linear(lambda m, x: 2e4 * m.fc(x), lambda m, x: 2e4 * m.fc(x) + 0.05)]
# Only rounding is left of a loss of 0, and of steps to a loss of almost 0:
RIGHT += [lambda: level(0, error=1e-8), lambda: steps(error=1e-9)]


@pytest.mark.parametrize("port", RIGHT)
def test_a_right_port_differs_by_rounding(port):
    assert max(check(*port()).values()) < ROUNDING


def counted(error):  # integers, in MLX less by 1, and a boolean
    theirs = {"id": torch.tensor([error, 5]), "mask": torch.tensor([False, error > 1])}
    ours = {"id": mx.array([error - 1, 5]), "mask": mx.array([False, True])}
    return [s._replace(logits=lambda t=t: t) for s, t in zip(linear(), (ours, theirs), strict=True)]


def twice_as_low(m, x):
    return m.fc(x) - mx.array(2e-5 * FILL)


FILL = torch.tensor([1e9] + [0] * 7)  # it should have the same sign on both sides
MEAN = "fc2.running_mean after the passes"
WRONG = [
    ("logits.a", lambda: hidden(2)),
    ("logits", lambda: convolution("ConvTranspose1d", 1)),
    ("logits", lambda: linear(lambda m, x: 1e9 * m.fc(x), lambda m, x: 2e9 * m.fc(x))),
    ("logits", lambda: linear(lambda m, x: m.fc(x) - 1e-5 * FILL, twice_as_low)),
    ("logits.id", lambda: counted(128000)),
    ("logits.id", lambda: counted(20000001)),
    ("logits.mask", lambda: counted(1)),
    ("logits", lambda: linear(lambda m, x: m.fc(x) - FILL, lambda m, x: m.fc(x) + mx.array(FILL))),
    (MEAN, lambda: convolution("Conv1d", 1, momentum=0.9)),
    (f"{MEAN}, not in MLX", lambda: convolution("Conv1d", 1, track_running_stats=False)),
    ("loss", lambda: level(0, error=1)),
    ("loss", lambda: level(1, error=1, slope=1e3)),  # with large gradients, but it isn't almost 0
    ("gradient of fc.bias", lambda: linear(run_ours=lambda m, x: m.fc(x) - m.fc.bias / 3)),
    ("loss of step 1", lambda: steps(error=0.1)),
    ("logits", lambda: linear(lambda m, x: nan * (x @ m.fc.weight))),  # on both sides
]


@pytest.mark.parametrize(("what", "port"), WRONG)
def test_a_wrong_port_differs_by_more(what, port):
    found = check(*port())
    assert found[what] > 0.1 and all(share >= 0 for share in found.values())


def test_a_saved_buffer_that_is_not_in_mlx_is_named():
    ours, theirs = linear()
    model = theirs.model
    model.register_buffer("mean", torch.ones(8))
    model.register_buffer("cache", torch.ones(8), persistent=False)
    model.fc.register_forward_hook(lambda *_: setattr(model, "mean", model.mean + 1))
    named = {what: share for what, share in check(ours, theirs).items() if "not in MLX" in what}
    assert named == {"mean after the passes, not in MLX": 0.75}  # 1 before, 4 after three passes


@pytest.mark.parametrize(("here", "there", "part", "rounding"), DTYPES)
def test_a_small_gradient_is_divided_by_the_largest_or_a_tenth_of_it(here, there, part, rounding):
    def twice_the_bias(m, x):  # its gradient is twice what it should be
        bias = 2 * m.fc.bias - mx.stop_gradient(m.fc.bias)
        return x.astype(here) @ m.fc.weight.T + 0.01 * bias

    def right(m, x):
        return x.to(there) @ m.fc.weight.T + 0.01 * m.fc.bias

    constant = mx.ones(3, mx.int16)  # of 16 bits, but no rounding
    ours, theirs = linear(right, twice_the_bias, c=constant)
    theirs.model.register_buffer("c", torch.ones(3)), ours.model.freeze(keys="c", recurse=False)
    ours.model.set_dtype(here), theirs.model.to(there)
    grads = torch.autograd.grad(theirs.loss(), theirs.model.parameters())
    weight, bias = (abs(grad).max().item() for grad in grads)
    found = check(ours, theirs)
    assert found.pop("gradient of fc.bias") == pytest.approx(bias / (part * weight), rel=0.1)
    assert max(found.values()) < rounding and ours.model.fc.weight.dtype == here


@pytest.mark.parametrize("own", OURS)
def test_a_loop_may_zero_its_gradients_at_the_end(own):
    ours, theirs = linear()
    optimizer = getattr(torch.optim, type(own).__name__)(theirs.model.parameters(), 0.01)
    theirs.loss().backward()  # what was there before must not count
    found = check(*trained((ours, theirs), own, optimizer))
    assert max(found.values()) < ROUNDING and "loss of step 10" in found


def test_the_lesson_is_a_right_port(monkeypatch, tmp_path):
    def side(module):
        model, batch = module.model, module.make_batch(module.docs, 0, 32)
        loss, step = module.loss_fn, lambda i: lesson.train(module, [i])[0]
        return Side(model, lambda: model(batch[0], batch[2]), lambda: loss(model, *batch), step)

    monkeypatch.chdir(tmp_path)  # input.txt is found from anywhere
    found = check(side(lesson.load(lesson.MAIN)), side(lesson.load(lesson.TWIN, CPU)))
    assert len(found) == 2 + 15 + 10 + 1 and max(found.values()) < ROUNDING


HIDDEN = """
ours_too = Side(ours, lambda: {"head": ours(X), "conv": ours.conv(X).swapaxes(1, 2)}, ours_loss)
check(ours_too, original._replace(step=None), names)
"""


def test_the_example_runs_as_a_copy_and_a_hook_returns_its_states(tmp_path):
    folder = lesson.ROOT / "tests" / "porting"
    tool, example, page = (
        (folder / name).read_text(encoding="utf-8").replace("tests.porting.", "")
        for name in ("port_check.py", "example.py", "README.md")
    )
    hook = page.split("```python hook\n")[1].split("```")[0]
    (tmp_path / "port_check.py").write_text(tool, encoding="utf-8")
    (tmp_path / "example.py").write_text(example + hook + HIDDEN, encoding="utf-8")
    lines = lesson.run(["example.py"], tmp_path)[0].splitlines()
    assert len(lines) == 2 + 4 + 10 + 1 + 1 + 3 + 4 + 1  # with the hook, logits.head and .conv
    assert lines[17] == lines[-1] == "nothing is above 1e-05"
