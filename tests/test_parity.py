"""main.py computes what PyTorch does, with patches, too."""

import json

import mlx.core as mx
import pytest

from tests.tools import lesson, parity, records

GPU = pytest.mark.skipif(not mx.is_available(mx.gpu), reason="there is no GPU")
EACH = pytest.mark.parametrize("names", [[], *lesson.PATCH_SETS], ids=" ".join)

# TF32 keeps 10 bits behind the point, so each factor is off by up to 4.9e-4 of itself. Measured on
# an H200: logits 4.8e-4 of the largest, losses 4.8e-3 in 8 steps, 5.9e-3 in 20, as Adam amplifies.
TF32 = {"logits": 2e-3, "first 8 losses": 2e-2, "20 losses": 4e-2}


@EACH
def test_on_the_cpu(names):
    apart = parity.differences(parity.of_main(*names), records.read("pytorch"))
    assert parity.too_far(apart) == {}


@GPU
@EACH
@pytest.mark.parametrize(("tf32", "bounds"), [("0", parity.BOUNDS), ("1", TF32)])
def test_on_the_gpu(names, tf32, bounds):
    output, _ = lesson.run(["-m", "tests.tools.parity", *names], MLX_ENABLE_TF32=tf32)
    assert parity.too_far(json.loads(output), bounds) == {}


def test_both_scripts_end_at_the_same_loss(whole_run):
    printed = lesson.losses(whole_run)
    twins = records.read("pytorch")["losses of a whole run"][9::10]
    # The two draw other weights. Ten batches of 32 names still settle the average to about 0.01.
    assert abs(sum(printed[-10:]) - sum(twins[-10:])) / 10 < 0.03


def test_a_nan_is_never_close():
    recorded = records.read("pytorch")
    for name in ("logits", "losses"):
        broken = recorded | {name: [*recorded[name][:-1], float("nan")]}
        assert parity.too_far(parity.differences(broken, recorded))
        assert parity.too_far(parity.differences(recorded, broken))
