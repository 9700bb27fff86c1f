"""main.py computes what PyTorch computes, from the same weights."""

import json
from importlib.util import find_spec

import mlx.core as mx
import parity
import pytest
import record_pytorch
import records
import scripts

GPU = pytest.mark.skipif(not mx.is_available(mx.gpu), reason="there is no GPU")
TORCH = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")

# TF32 keeps 10 bits behind the point: each factor is off by up to 2**-11, or 4.9e-4 of itself,
# and the errors of a sum largely cancel. Measured on an H100: logits 4.1e-4 of the largest,
# losses 4.8e-3 within 8 steps, 6.0e-3 within 20, where Adam amplifies them as it does rounding.
TF32 = {"logits": 2e-3, "first 8 losses": 2e-2, "20 losses": 4e-2}


def too_far(differences, bounds):
    return {name: differences[name] for name in bounds if not differences[name] < bounds[name]}


def test_on_the_cpu():
    assert too_far(parity.differences(), record_pytorch.BOUNDS) == {}


def on_the_gpu(**variables):
    result = scripts.run([parity.__file__], scripts.ROOT, **variables)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@GPU
def test_on_the_gpu_in_full_float32():
    assert too_far(on_the_gpu(MLX_ENABLE_TF32="0"), record_pytorch.BOUNDS) == {}


@GPU
def test_on_the_gpu_as_it_comes():
    assert too_far(on_the_gpu(), TF32) == {}


def test_the_record_was_made_from_the_twin_as_it_is():
    assert records.read("pytorch")["twin"] == record_pytorch.digest(), (
        "the twin has changed since: run `python tests/record_pytorch.py` where PyTorch is"
    )


@TORCH
def test_the_recorded_figures_are_those_of_the_twin():
    live = record_pytorch.differences(record_pytorch.figures(), records.read("pytorch"))
    assert too_far(live, record_pytorch.BOUNDS) == {}


@TORCH
def test_both_scripts_end_at_the_same_loss(whole_run):
    mine, twins = scripts.losses(whole_run), record_pytorch.printed_losses()
    assert len(mine) == len(twins) == 101
    # The two draw other weights. Ten batches of 32 names still settle the average to about 0.01.
    assert abs(sum(mine[-10:]) - sum(twins[-10:])) / 10 < 0.03
