"""The model and its loss: what attention may see, what padding may change (nothing)."""

import math
from collections import Counter
from itertools import pairwise

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten

from tests import pages

# float32 keeps about 7 digits. The same sums over another shape run in another order, on logits
# below 20 in size: a difference of a few 1e-6.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
NAMES = ["emma", "bo", "christopher", "ava"]


@pytest.fixture
def batch(fresh):
    return fresh.make_batch(NAMES, 0, len(NAMES))


def test_initial_weights_are_normal_with_std_008(fresh):
    for name, p in tree_flatten(fresh.model.parameters()):
        p = p[: fresh.PAD] if name == "wte.weight" else p
        # The standard error of the std of N draws is std / sqrt(2N), of the mean std / sqrt(N).
        assert abs(p.std().item() - 0.08) < 5 * 0.08 / math.sqrt(2 * p.size), name
        assert abs(p.mean().item()) < 5 * 0.08 / math.sqrt(p.size), name
    assert mx.any(fresh.model.wte.weight != 0, axis=1).tolist() == [True] * fresh.PAD + [False]


@pytest.mark.parametrize("t", range(1, 12))
def test_a_later_token_changes_no_earlier_logits(trained, t):
    idx = mx.random.randint(0, trained.vocab_size, (8, 12), key=mx.random.key(t))
    other = mx.array(idx)
    other[:, t:] = (other[:, t:] + 1) % trained.vocab_size
    before, after = trained.model(idx), trained.model(other)
    assert mx.array_equal(before[:, :t], after[:, :t])  # exactly: a masked key weighs 0.0
    assert not mx.any(mx.all(before[:, t:] == after[:, t:], axis=-1)).item()


def test_a_masked_key_is_read_by_no_other_position(trained):
    # In the middle, where the causal mask hides nothing from later positions.
    idx = mx.array([[trained.BOS, 4, 12, 12, 0]])
    other = mx.array([[trained.BOS, 4, 25, 12, 0]])
    pad_mask = mx.array([[False, False, True, False, False]])
    before, after = trained.model(idx, pad_mask), trained.model(other, pad_mask)
    for t in (0, 1, 3, 4):
        assert mx.array_equal(before[:, t], after[:, t])
    assert not mx.array_equal(trained.model(idx)[:, 3:], trained.model(other)[:, 3:])


def test_the_loss_is_the_mean_over_real_targets(trained, batch):
    costs = []
    for name in NAMES:
        input_ids, target_ids, _, _ = trained.make_batch([name], 0, 1)
        probs = mx.softmax(trained.model(input_ids)[0], axis=-1).tolist()
        costs += [-math.log(p[i]) for p, i in zip(probs, target_ids[0].tolist(), strict=True)]
    assert len(costs) == sum(len(name) + 1 for name in NAMES)
    loss = trained.loss_fn(trained.model, *batch).item()
    assert loss == pytest.approx(sum(costs) / len(costs), rel=1e-5)  # float32, see CLOSE


def test_with_padding_on_the_right_the_loss_needs_no_padding_mask(trained, batch):
    input_ids, target_ids, _, target_mask = batch
    unmasked = trained.loss_fn(trained.model, input_ids, target_ids, None, target_mask)
    assert mx.array_equal(unmasked, trained.loss_fn(trained.model, *batch))
    other = trained.loss_fn(trained.model, *batch[:2], mx.ones_like(batch[2]), target_mask)
    assert not mx.array_equal(unmasked, other)  # the loss hands on the mask that it is given


def test_a_wholly_padded_row_stays_finite(trained, batch):
    nothing = [
        mx.concatenate([array, mx.full((1, array.shape[1]), value, array.dtype)])
        for array, value in zip(batch, (trained.PAD, 0, True, 0.0), strict=True)
    ]
    assert mx.all(mx.isfinite(trained.model(nothing[0], nothing[2]))).item()
    loss, grads = trained.loss_and_grad(trained.model, *nothing)
    assert all(mx.all(mx.isfinite(g)).item() for _, g in tree_flatten(grads))
    assert mx.allclose(loss, trained.loss_fn(trained.model, *batch), **CLOSE)


def test_what_it_costs_to_guess_by_counting(fresh):
    """Blindly, by how often each token comes, and by how often it comes after another."""
    pairs = Counter(pair for doc in fresh.docs for pair in pairwise(["BOS", *doc, "BOS"]))
    before, after = (Counter(pair[i] for pair in pairs.elements()) for i in (0, 1))
    single = [n * math.log(after.total() / n) for n in after.values()]
    double = [n * math.log(before[token] / n) for (token, _), n in pairs.items()]
    for cost in (math.log(fresh.vocab_size), *(sum(x) / pairs.total() for x in (single, double))):
        assert f"{cost:.2f}" in pages.read()


def test_what_float16_can_not_hold():
    assert mx.array(1e-8, mx.float16).item() == 0  # Adam's eps
    assert mx.isinf(mx.array(-1e9, mx.float16))
