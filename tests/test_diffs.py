"""The two diffs: main.py computes what PyTorch does, and what it does with one name at a time."""

import json

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten

from tests import lesson, page, parity, records

GPU = pytest.mark.skipif(not mx.is_available(mx.gpu), reason="there is no GPU")
SETS = [[], *([name] for name in lesson.PATCH_NAMES), lesson.PATCH_NAMES]
EACH = pytest.mark.parametrize("names", SETS, ids=" ".join)

# TF32 keeps 10 bits behind the point, so each factor is off by up to 4.9e-4 of itself. Measured on
# an H200: logits 4.8e-4 of the largest, losses 4.8e-3 in 8 steps, 5.9e-3 in 20, as Adam amplifies.
TF32 = {"logits": 2e-3, "first 8 losses": 2e-2, "20 losses": 4e-2}
# float32 rounds at 6e-8, and a batch sums in another order. Measured: losses 3e-7, gradients 7e-7.
ROUNDING = 1e-5


@EACH
def test_main_computes_what_pytorch_does(names):
    apart = parity.differences(parity.of_main(*names), records.read("pytorch"))
    assert parity.too_far(apart) == {}


@GPU
@EACH
@pytest.mark.parametrize(("tf32", "bounds"), [("0", parity.BOUNDS), ("1", TF32)])
def test_on_the_gpu_too(names, tf32, bounds):
    output, _ = lesson.run(["-m", "tests.parity", *names], MLX_ENABLE_TF32=tf32)
    assert parity.too_far(json.loads(output), bounds) == {}


def test_a_nan_is_never_close():
    recorded = records.read("pytorch")
    for name in ("logits", "losses"):
        broken = recorded | {name: [*recorded[name][:-1], float("nan")]}
        assert parity.too_far(parity.differences(broken, recorded))
        assert parity.too_far(parity.differences(recorded, broken))


@pytest.fixture
def one(trained):
    """one_at_a_time.py with the trained weights of main.py, but for PAD's."""
    module = lesson.load(lesson.ONE)
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
    main = lesson.load(lesson.MAIN)
    wte = mx.concatenate([weights["wte.weight"], mx.zeros((1, main.n_embd))])  # and PAD's row
    main.model.load_weights(list((weights | {"wte.weight": wte}).items()))
    main.batch_size = 1
    main.docs = one.docs = ["emma", "x" * 15, "y" * 16, "maximilianachristina", "bo"]
    losses = lesson.train(one, range(8))
    assert losses == pytest.approx(lesson.train(main, range(8)), abs=1e-5)  # rounding, amplified
    main.step = one.step = 900
    assert lesson.train(one, [900]) == pytest.approx(lesson.train(main, [900]), abs=1e-4)
    mx.random.seed(0)
    names = lesson.sample(one)
    mx.random.seed(0)
    assert names == lesson.sample(main)


CHANGED = {"pytorch_batched": (41, 41), "one_at_a_time": (64, 30)}


@pytest.mark.parametrize("name", CHANGED)
def test_a_comment_that_is_changed_is_changed_in_all_scripts(name):
    """Else a diff has more lines, though not what they say differs."""
    here, there = ([line for line in page.diff(name) if line[0] == sign] for sign in "+-")
    same_code = [page.code(line)[1:] for line in there]
    alike = [line for line in here if page.code(line)[1:] in same_code]
    hint = f"the diff from {name}.py to main.py has other lines, such as these:"
    assert (len(here), len(there)) == CHANGED[name], "\n".join([hint, *(alike or here)])
