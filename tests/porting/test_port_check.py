"""Right ports come out right, and wrong ones don't."""

from math import inf, nan

import mlx.core as mx
import mlx.nn as nn
import pytest

from tests import edits, scripts

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from tests.porting import ports  # noqa: E402
from tests.porting.port_check import Side, check  # noqa: E402
from tests.porting.ports import ROUNDING, linear, pair, trained  # noqa: E402

BFLOAT16 = 2e-2  # it rounds at 4e-3
DTYPES = [  # of MLX, of PyTorch, the part of the largest gradient, what rounding reaches
    (mx.float32, torch.float32, 0.1, ROUNDING),
    (mx.bfloat16, torch.float32, 1, BFLOAT16),
    (mx.float32, torch.bfloat16, 1, BFLOAT16),
]

RIGHT = [linear, ports.gain_less_one, ports.weight_norm, ports.lstm, ports.shared, ports.tied]
RIGHT += [ports.hidden, ports.double, lambda: ports.convolution("Conv1d", 1)]
RIGHT += [lambda: ports.convolution("ConvTranspose1d", 0)]
FROZEN = {"fc": torch.nn.Linear(8, 8).requires_grad_(False)}, {"fc": nn.Linear(8, 8).freeze()}
SPARSE = {"fc": torch.nn.Embedding(8, 4, sparse=True)}, {"fc": nn.Embedding(8, 4)}
DIGIT = {"fc": torch.nn.ModuleDict({"0": torch.nn.Linear(8, 8)})}, {"fc": {"0": nn.Linear(8, 8)}}
RIGHT += [lambda: pair(*FROZEN), lambda: pair(*SPARSE, x=torch.tensor([3, 5, 3]))]
RIGHT += [lambda: pair(*DIGIT, lambda m, x: m.fc["0"](x))]  # keys of a dict
RIGHT += [lambda: linear(lambda m, x: 2e4 * m.fc(x), lambda m, x: 2e4 * m.fc(x) + 0.05)]
# Only rounding is left of a loss of 0, and of steps to a loss of almost 0:
RIGHT += [lambda: ports.level(0, error=1e-8), lambda: ports.steps(error=1e-9)]


@pytest.mark.parametrize("port", RIGHT)
def test_a_right_port_differs_by_rounding(port):
    assert max(check(*port()).values()) < ROUNDING


def counted(error):  # integers, in MLX less by 1, and a boolean
    theirs = {"id": torch.tensor([error, 5]), "mask": torch.tensor([False, error > 1])}
    ours = {"id": mx.array([error - 1, 5]), "mask": mx.array([False, True])}
    return [s._replace(logits=lambda t=t: t) for s, t in zip(linear(), (ours, theirs), strict=True)]


def filled(here, there):  # what a mask filled in
    mask = torch.arange(8) == 3
    run = lambda m, x: mx.where(mx.array(mask), here, m.fc(x))  # noqa: E731
    return linear(lambda m, x: m.fc(x).masked_fill(mask, there), run)


MEAN = "fc2.running_mean after the passes"
WRONG = [
    ("logits.a", lambda: ports.hidden(2)),
    ("logits", lambda: ports.convolution("ConvTranspose1d", 1)),
    ("logits", lambda: linear(lambda m, x: 1e9 * m.fc(x), lambda m, x: 2e9 * m.fc(x))),
    ("logits", lambda: linear(lambda m, x: 1j * m.fc(x), lambda m, x: -1j * m.fc(x))),
    ("logits.id", lambda: counted(128000)),
    ("logits.id", lambda: counted(20000001)),
    ("logits.mask", lambda: counted(1)),
    ("logits", lambda: filled(-1e4, -2e4)),
    ("logits", lambda: filled(-1e4, -1e9)),
    ("logits", lambda: filled(-1e9, -1e4)),
    ("logits", lambda: filled(1e9, -1e9)),
    (MEAN, lambda: ports.convolution("Conv1d", 1, momentum=0.9)),
    (f"{MEAN}, not in MLX", lambda: ports.convolution("Conv1d", 1, track_running_stats=False)),
    ("loss", lambda: ports.level(0, error=1)),
    ("loss", lambda: ports.level(1, error=1, slope=1e3)),  # large gradients, but it isn't almost 0
    ("gradient of fc.bias", lambda: linear(run_ours=lambda m, x: m.fc(x) - m.fc.bias / 3)),
    ("loss of step 1", lambda: ports.steps(error=0.1)),
    ("logits", lambda: linear(lambda m, x: nan * (x @ m.fc.weight))),  # on both sides
]


@pytest.mark.parametrize(("what", "port"), WRONG)
def test_a_wrong_port_differs_by_more(what, port):
    found = check(*port())
    assert found[what] > 0.1 and all(share >= 0 for share in found.values())


def test_outputs_are_compared_in_their_order():
    sides = [s._replace(logits=lambda s=s: {"z": s.loss(), "a": s.loss()}) for s in linear()]
    assert list(check(*sides))[:2] == ["logits.z", "logits.a"]


def test_beside_a_gradient_of_nan_the_others_are_measured_against_the_largest():
    run = lambda m, x: torch.softmax(m.fc(x), 0) + (0 * m.g).sqrt()  # noqa: E731
    run_ours = lambda m, x: mx.softmax(m.fc(x), 0) + mx.sqrt(0 * m.g)  # noqa: E731
    theirs = {"fc": torch.nn.Linear(8, 8), "g": torch.nn.Parameter(torch.ones(8))}
    found = check(*pair(theirs, {"fc": nn.Linear(8, 8), "g": mx.ones(8)}, run, run_ours))
    assert found["gradient of g"] == inf
    assert found["gradient of fc.bias"] < ROUNDING  # it is 0 but for rounding


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


def test_a_loop_may_zero_its_gradients_at_the_end():
    ours, theirs = linear()
    theirs.loss().backward()  # what was there before must not count
    assert max(check(*trained((ours, theirs))).values()) < ROUNDING


def test_the_lesson_is_a_right_port(monkeypatch, tmp_path):
    def side(module):
        model, batch = module.model, module.make_batch(module.docs, 0, 32)
        loss, step = module.loss_fn, lambda i: scripts.train(module, [i])[0]
        return Side(model, lambda: model(batch[0], batch[2]), lambda: loss(model, *batch), step)

    monkeypatch.chdir(tmp_path)  # input.txt is found from anywhere
    found = check(
        side(scripts.load(scripts.MAIN)), side(scripts.load(scripts.TWIN, edits.TWIN_ON_THE_CPU))
    )
    assert len(found) == 2 + 15 + 10 + 1 and max(found.values()) < ROUNDING


HIDDEN = """
ours_too = Side(ours, lambda: {"conv": ours.conv(X).swapaxes(1, 2), "head": ours(X)}, ours_loss)
check(ours_too, original._replace(step=None), names)
"""


def test_hook(tmp_path):
    """The example runs as a copy, and a hook returns its states."""
    folder = scripts.ROOT / "tests" / "porting"
    tool, example, page = (
        (folder / name).read_text(encoding="utf-8").replace("tests.porting.", "")
        for name in ("port_check.py", "example.py", "README.md")
    )
    hook = page.split("```python hook\n")[1].split("```")[0]
    (tmp_path / "port_check.py").write_text(tool, encoding="utf-8")
    (tmp_path / "example.py").write_text(example + hook + HIDDEN, encoding="utf-8")
    lines = scripts.run(["example.py"], tmp_path)[0].splitlines()
    assert len(lines) == 2 + 4 + 10 + 1 + 1 + 3 + 4 + 1  # with the hook, logits.head and .conv
    assert lines[17] == lines[-1] == "nothing is above 1e-05"
