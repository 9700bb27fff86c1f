"""The model and its loss: what attention may see, what padding may change (nothing)."""

import math

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten

# float32 keeps about 7 digits. The same sums over another shape run in another order, on logits
# below 20 in size: a difference of a few 1e-6.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
NAMES = ["emma", "bo", "christopher", "ava"]


@pytest.fixture
def batch(lesson):
    return lesson.make_batch(NAMES, 0, len(NAMES))


def test_size_and_names_of_the_parameters(lesson):
    parameters = dict(tree_flatten(lesson.model.parameters()))
    assert sum(p.size for p in parameters.values()) == 102848
    assert {"wte.weight", "wpe.weight", "lm_head.weight"} <= parameters.keys()
    for layer in range(lesson.n_layer):
        for name in ("attn.wq", "attn.wk", "attn.wv", "attn.wo", "mlp.fc1", "mlp.fc2"):
            assert f"layers.{layer}.{name}.weight" in parameters
    assert len(parameters) == 3 + 6 * lesson.n_layer
    assert all(p.dtype == mx.float32 for p in parameters.values())


def test_initial_weights_are_normal_with_std_008(lesson):
    for name, p in tree_flatten(lesson.model.parameters()):
        p = p[: lesson.PAD] if name == "wte.weight" else p
        # The standard error of the std of N draws is std / sqrt(2N), of the mean std / sqrt(N).
        assert abs(p.std().item() - 0.08) < 5 * 0.08 / math.sqrt(2 * p.size), name
        assert abs(p.mean().item()) < 5 * 0.08 / math.sqrt(p.size), name
    assert mx.all(lesson.model.wte.weight[lesson.PAD] == 0).item()


def test_logits_have_one_column_for_each_character_and_bos(trained):
    for B, T in [(1, 1), (1, 16), (3, 7), (32, 16)]:
        assert trained.model(mx.zeros((B, T), mx.int32)).shape == (B, T, trained.vocab_size)


def test_no_longer_context_than_block_size(lesson):
    with pytest.raises(ValueError, match="broadcast"):
        lesson.model(mx.zeros((1, lesson.block_size + 1), mx.int32))


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


def test_more_padding_changes_neither_logits_nor_loss(trained, batch):
    input_ids, _, pad_mask, target_mask = batch
    model, loss_fn, T = trained.model, trained.loss_fn, input_ids.shape[1]
    wider = [
        mx.pad(array, [(0, 0), (0, trained.block_size - T)], constant_values=value)
        for array, value in zip(batch, (trained.PAD, 0, True, 0.0), strict=True)
    ]
    real = target_mask[..., None]
    logits, wide_logits = model(input_ids, pad_mask), model(wider[0], wider[2])
    assert mx.allclose(logits * real, wide_logits[:, :T] * real, **CLOSE)
    assert mx.allclose(loss_fn(model, *batch), loss_fn(model, *wider), **CLOSE)


def test_each_row_equals_its_sequence_alone(trained, batch):
    logits = trained.model(batch[0], batch[2])
    for row, name in enumerate(NAMES):
        alone = trained.model(trained.make_batch([name], 0, 1)[0])[0]
        assert mx.allclose(logits[row, : len(name) + 1], alone, **CLOSE)


def test_the_loss_is_the_mean_over_real_targets(trained, batch):
    costs = []
    for name in NAMES:
        input_ids, target_ids, _, _ = trained.make_batch([name], 0, 1)
        probs = mx.softmax(trained.model(input_ids)[0], axis=-1)
        costs += [
            -math.log(p[i]) for p, i in zip(probs.tolist(), target_ids[0].tolist(), strict=True)
        ]
    assert len(costs) == sum(len(name) + 1 for name in NAMES)
    loss = trained.loss_fn(trained.model, *batch).item()
    assert loss == pytest.approx(sum(costs) / len(costs), rel=1e-5)  # float32, see CLOSE


def test_a_wholly_padded_row_stays_finite(trained, batch):
    nothing = [
        mx.concatenate([array, mx.full((1, array.shape[1]), value, array.dtype)])
        for array, value in zip(batch, (trained.PAD, 0, True, 0.0), strict=True)
    ]
    assert mx.all(mx.isfinite(trained.model(nothing[0], nothing[2]))).item()
    loss, grads = trained.loss_and_grad(trained.model, *nothing)
    assert all(mx.all(mx.isfinite(g)).item() for _, g in tree_flatten(grads))
    assert mx.allclose(loss, trained.loss_fn(trained.model, *batch), **CLOSE)


def test_the_pad_row_has_no_gradient_and_stays_zero(trained, lesson, batch):
    assert batch[2].any().item()  # PAD is there to be read
    _, grads = trained.loss_and_grad(trained.model, *batch)
    pad_row, others = grads["wte"]["weight"][lesson.PAD], grads["wte"]["weight"][: lesson.PAD]
    assert mx.all(pad_row == 0).item()
    assert mx.any(others != 0).item()
    assert mx.all(trained.model.wte.weight[lesson.PAD] == 0).item()  # after 20 steps


@pytest.mark.parametrize("masked", [False, True])
def test_attention_equals_mx_fast(trained, masked):
    B, T, n_head, head_dim = 4, 11, trained.n_head, trained.head_dim
    attn = trained.model.layers[0].attn
    x = mx.random.normal((B, T, trained.n_embd), key=mx.random.key(0))
    pad_mask = mx.random.bernoulli(0.4, (B, T), key=mx.random.key(1)) if masked else None
    mask = mx.tril(mx.ones((B, 1, T, T), mx.bool_))  # mx.fast: True where a key may be read
    if masked:
        pad_mask[:, 0] = False  # each query keeps a key: mx.fast masks with -inf
        mask = mask & ~pad_mask[:, None, None, :]
    q, k, v = (
        w(x).reshape(B, T, n_head, head_dim).transpose(0, 2, 1, 3)
        for w in (attn.wq, attn.wk, attn.wv)
    )
    out = mx.fast.scaled_dot_product_attention(q, k, v, scale=head_dim**-0.5, mask=mask)
    expected = attn.wo(out.transpose(0, 2, 1, 3).reshape(B, T, trained.n_embd))
    assert mx.allclose(attn(x, pad_mask), expected, **CLOSE)


def test_norm_gives_root_mean_square_1(lesson):
    x = mx.random.normal((5, lesson.n_embd), key=mx.random.key(0)) * mx.arange(1, 6)[:, None]
    expected = mx.fast.rms_norm(x, None, 1e-5)
    assert mx.allclose(lesson.RMSNorm()(x), expected, **CLOSE)
    assert mx.all(lesson.RMSNorm()(mx.zeros((2, 4))) == 0).item()


def test_the_target_at_padding_does_not_matter(trained, batch):
    input_ids, target_ids, pad_mask, target_mask = batch
    others = mx.where(target_mask == 0, 5, target_ids)
    loss, grads = trained.loss_and_grad(trained.model, *batch)
    same, same_grads = trained.loss_and_grad(
        trained.model, input_ids, others, pad_mask, target_mask
    )
    assert mx.array_equal(loss, same)
    for (name, g), (_, s) in zip(tree_flatten(grads), tree_flatten(same_grads), strict=True):
        assert mx.array_equal(g, s), name
