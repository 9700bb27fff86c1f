"""main.py computes what PyTorch does, with patches, too; and the tool that compares ports."""

import json
from importlib.util import find_spec
from types import SimpleNamespace

import mlx.core as mx
import mlx.nn as nn
import pytest

from tests import parity, scripts
from tests.measure import records
from tests.port_check import Side, check

GPU = pytest.mark.skipif(not mx.is_available(mx.gpu), reason="there is no GPU")
TORCH = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
EACH = pytest.mark.parametrize("names", [[], *scripts.PATCH_SETS], ids=" ".join)

# TF32 keeps 10 bits behind the point, so each factor is off by up to 4.9e-4 of itself. Measured on
# an H200: logits 4.8e-4 of the largest, losses 4.8e-3 in 8 steps, 5.9e-3 in 20, as Adam amplifies.
TF32 = {"logits": 2e-3, "first 8 losses": 2e-2, "20 losses": 4e-2}


def too_far(differences, bounds):
    return {name: differences[name] for name in bounds if not differences[name] < bounds[name]}


@EACH
def test_on_the_cpu(names):
    apart = parity.differences(parity.of_main(*names), records.read("pytorch"))
    assert too_far(apart, parity.BOUNDS) == {}


@GPU
@EACH
@pytest.mark.parametrize(("tf32", "bounds"), [("0", parity.BOUNDS), ("1", TF32)])
def test_on_the_gpu(names, tf32, bounds):
    result = scripts.run(["-m", "tests.parity", *names], scripts.ROOT, MLX_ENABLE_TF32=tf32)
    assert result.returncode == 0, result.stderr
    assert too_far(json.loads(result.stdout), bounds) == {}


def test_the_record_was_made_from_the_twin_as_it_is():
    assert records.read("pytorch")["code"] == parity.digest(), (
        "the twin's code has changed: where PyTorch is, run `python -m tests.measure.pytorch`"
    )


def test_both_scripts_end_at_the_same_loss(whole_run):
    printed = scripts.losses(whole_run)
    twins = records.read("pytorch")["losses of a whole run"][9::10]
    # The two draw other weights. Ten batches of 32 names still settle the average to about 0.01.
    assert abs(sum(printed[-10:]) - sum(twins[-10:])) / 10 < 0.03


@TORCH
def test_this_port_differs_by_nothing_but_rounding():
    result = scripts.run(["-m", "tests.port_example"], scripts.ROOT, MLX_ENABLE_TF32="0")
    assert result.returncode == 0, result.stderr
    found = [line.split("  ") for line in result.stdout.splitlines()]
    assert len(found) == 1 + 15 + 10
    assert [what for difference, what in found if float(difference) > 1e-5] == []


TENSOR = SimpleNamespace(tolist=lambda: [[1.0], [2.0]])  # as much of PyTorch's as it takes
TENSOR.detach = TENSOR.cpu = lambda: TENSOR


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        ({"bias": TENSOR}, r"PyTorch lacks \['weight'\], MLX lacks \['bias'\]"),
        ({"weight": TENSOR}, r"weight: \(1, 2\) in MLX, \(2, 1\) in PyTorch"),
    ],
)
def test_a_weight_that_does_not_fit_is_an_error_that_names_it(theirs, message):
    original = SimpleNamespace(named_parameters=theirs.items, named_buffers=dict)
    with pytest.raises(ValueError, match=message):
        check(Side(nn.Linear(2, 1, bias=False), None, None), Side(original, None, None))
