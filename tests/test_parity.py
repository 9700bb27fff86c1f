"""main.py computes what PyTorch computes, from the same weights, on the CPU of any machine."""

from importlib.util import find_spec

import mlx.core as mx
import pytest
import record_pytorch
import scripts
from mlx.utils import tree_flatten

RECORDED = record_pytorch.recorded()

# Both round to float32, whose step is 1.2e-7 of the value, at each of a few dozen operations, and
# each BLAS sums in its own order. Norms came out within 2e-7, logits within 3e-7 of the largest.
# 1e-5 leaves room for another BLAS; the smallest mistake tried (RMSNorm's eps) makes it 1e-3.
ROUNDING = 1e-5
# Adam's first steps divide each gradient by about its own size, small ones too, and so amplify
# rounding, at each step again. With one BLAS the losses agree to 2e-6 for 20 steps, with another
# to 3e-6 for 8 steps and to 3e-3 at step 20: tight at first, loose later.
FIRST_8, ALL_20 = 1e-4, 2e-2


@pytest.fixture
def recipe():
    """main.py's globals, on the CPU, with the weights that the figures were recorded from."""
    device = mx.default_device()
    mx.set_default_device(mx.cpu)
    lesson = scripts.define(scripts.MAIN)
    shapes = {name: p.shape for name, p in tree_flatten(lesson["model"].parameters())}
    weights = scripts.recipe_weights(shapes, lesson["PAD"])
    lesson["model"].load_weights(
        [(name, mx.array(weights[name]).reshape(shape)) for name, shape in shapes.items()]
    )
    yield lesson
    mx.set_default_device(device)


def batch(lesson):
    return lesson["make_batch"](lesson["docs"], 0, record_pytorch.BATCH_SIZE)


def test_logits(recipe):
    input_ids, _, pad_mask, _ = batch(recipe)
    assert pad_mask.any().item()
    expected = mx.array(RECORDED["logits"])
    difference = mx.abs(recipe["model"](input_ids, pad_mask) - expected)
    assert difference.max().item() < ROUNDING * mx.abs(expected).max().item()


def test_gradients(recipe):
    _, grads = recipe["loss_and_grad"](recipe["model"], *batch(recipe))
    norms = {name: mx.linalg.norm(g).item() for name, g in tree_flatten(grads)}
    assert norms == pytest.approx(RECORDED["grad_norms"], rel=ROUNDING)


def test_losses_of_the_first_steps(recipe):
    losses = scripts.first_losses(scripts.MAIN, recipe, "loss_and_grad", record_pytorch.NUM_LOSSES)
    assert losses[:8] == pytest.approx(RECORDED["losses"][:8], abs=FIRST_8)
    assert losses == pytest.approx(RECORDED["losses"], abs=ALL_20)


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
def test_the_recorded_figures_are_those_of_the_twin():
    live = record_pytorch.figures()
    assert mx.allclose(mx.array(live["logits"]), mx.array(RECORDED["logits"]), atol=ROUNDING)
    assert live["grad_norms"] == pytest.approx(RECORDED["grad_norms"], rel=ROUNDING)
    assert live["losses"][:8] == pytest.approx(RECORDED["losses"][:8], abs=FIRST_8)
    assert live["losses"] == pytest.approx(RECORDED["losses"], abs=ALL_20)


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
def test_both_scripts_end_at_the_same_loss(whole_run):
    mine, twins = scripts.losses(whole_run.output), record_pytorch.printed_losses()
    assert len(mine) == len(twins) == 101
    # The two draw other weights. Ten batches of 32 names still settle the average to about 0.01.
    assert abs(sum(mine[-10:]) - sum(twins[-10:])) / 10 < 0.03
