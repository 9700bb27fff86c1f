"""main.py computes what PyTorch does, and a batch what its names compute one at a time."""

import json

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten

from tests import parity, records, scripts
from tests.test_pages import diff_from

GPU = pytest.mark.skipif(not mx.is_available(mx.gpu), reason="there is no GPU")
# The patches that change no result; others are not compared.
SAME = ["patches/compile", "patches/fast", "patches/vectorize"]
EACH = pytest.mark.parametrize("patch", [[], *([name] for name in SAME)], ids=" ".join)

# TF32 keeps 10 bits behind the point, so each factor is off by up to 4.9e-4 of itself. Measured on
# an H200: logits 4.8e-4 of the largest, losses 4.8e-3 in 8 steps, 5.9e-3 in 20, as Adam amplifies.
TF32 = {"logits": 2e-3, "first 8 losses": 2e-2, "20 losses": 4e-2}
# float32 rounds at 6e-8, and a batch sums in another order. Measured: losses 3e-7, gradients 7e-7.
ROUNDING = 1e-5


@EACH
def test_main_computes_what_pytorch_does(patch):
    apart = parity.differences(parity.of_main(*patch), records.read("pytorch"))
    assert parity.too_far(apart) == {}


@GPU
@EACH
@pytest.mark.parametrize(("tf32", "bounds"), [("0", parity.BOUNDS), ("1", TF32)])
def test_on_the_gpu_too(patch, tf32, bounds):
    output, _ = scripts.run(["-m", "tests.parity", *patch], MLX_ENABLE_TF32=tf32)
    assert parity.too_far(json.loads(output), bounds) == {}


@pytest.fixture
def one(trained):
    """one_at_a_time.py with the trained weights of main.py, but for PAD's."""
    module = scripts.load(scripts.ONE)
    weights = dict(tree_flatten(trained.model.parameters()))
    weights["wte.weight"] = weights["wte.weight"][: trained.PAD]
    module.model.load_weights(list(weights.items()))  # it is strict: nothing more, nothing less
    return module


@pytest.mark.parametrize("step", [0, 1, 500])
def test_a_batch_is_its_names_one_by_one(trained, one, step):
    batch = trained.make_batch(trained.docs, step, 32)
    together, batch_grads = trained.loss_and_grad(trained.model, *batch)
    count, total, sums = 0, 0.0, {}
    for name in trained.docs[32 * step : 32 * step + 32]:
        inputs, targets, _, _ = trained.make_batch([name], 0, 1)
        loss, grads = one.loss_and_grad(one.model, inputs[0], targets[0])
        n = targets.size
        count, total = count + n, total + n * loss.item()
        for key, grad in tree_flatten(grads):
            sums[key] = sums.get(key, 0) + n * grad
    assert together.item() == pytest.approx(total / count, rel=ROUNDING)
    for key, grad in tree_flatten(batch_grads):
        grad = grad[: trained.PAD] if key == "wte.weight" else grad
        assert mx.abs(grad - sums[key] / count).max() < ROUNDING * mx.abs(grad).max(), key


def test_a_batch_of_one_trains_as_one_at_a_time(one):
    """Loop and optimizer are the same, also after the last doc and for one that is too long."""
    weights = dict(tree_flatten(one.model.parameters()))
    main = scripts.load(scripts.MAIN)
    wte = mx.concatenate([weights["wte.weight"], mx.zeros((1, main.n_embd))])  # and PAD's row
    main.model.load_weights(list((weights | {"wte.weight": wte}).items()))
    main.batch_size = 1
    main.docs = one.docs = ["emma", "x" * 15, "y" * 16, "maximilianachristina", "bo"]
    losses = scripts.train(one, range(8))
    assert losses == pytest.approx(scripts.train(main, range(8)), abs=1e-5)  # rounding, amplified
    main.step = one.step = 900
    assert scripts.train(one, [900]) == pytest.approx(scripts.train(main, [900]), abs=1e-4)
    mx.random.seed(0)
    names = scripts.sample(one)
    mx.random.seed(0)
    assert names == scripts.sample(main)


def test_a_comment_that_is_changed_is_changed_in_both_scripts():
    """Else a reader's diff to PyTorch has more lines, though not what they say differs."""
    found = diff_from(scripts.TWIN)
    here, there = ([line for line in found if line[0] == sign] for sign in "+-")
    assert (len(here), len(there)) == (41, 41), "\n".join(["one of these is new:", *here, *there])
