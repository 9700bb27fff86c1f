"""README's patches apply and come back, and do what they are named after."""

import math

import mlx.core as mx
import pytest

from tests import scripts


def test_a_patch_that_does_not_fit_is_named_and_says_where():
    with pytest.raises(scripts.Unfit, match=r"patches/fast.patch doesn't fit: .*main.py:93"):
        scripts.source(scripts.MAIN, "patches/fast", "patches/fast")


@pytest.mark.parametrize(
    ("patch", "module", "function"),
    [
        ("compile", mx, "compile"),
        ("vectorize", mx, "vmap"),
        ("fast", mx.fast, "scaled_dot_product_attention"),
        ("fast", mx.fast, "rms_norm"),
    ],
)
def test_a_patch_calls_what_it_is_about(patch, module, function, monkeypatch):
    monkeypatch.setattr(module, function, None)
    with pytest.raises(TypeError, match="'NoneType' object is not callable"):
        scripts.train(scripts.load(scripts.MAIN, f"patches/{patch}"), range(1))


@pytest.mark.parametrize("patch", scripts.PATCHES)
def test_a_patch_hands_on_the_padding_mask_and_stays_finite(patch):
    main = scripts.load(scripts.MAIN, patch)
    input_ids, targets, pad_mask, target_mask = main.make_batch(["emma", "bo"] * 2, 0, 4)
    everything = mx.ones_like(pad_mask)
    losses = [
        main.loss_fn(main.model, input_ids, targets, mask, target_mask).item()
        for mask in (pad_mask, everything)
    ]
    assert losses[0] != losses[1] and math.isfinite(losses[1])


def test_one_shape_is_compiled_once():
    """*compile* makes Adam's averages first, or it would begin with two kinds of state."""
    main, traces = scripts.load(scripts.MAIN, "patches/compile"), []
    grad = main.loss_and_grad
    main.loss_and_grad = lambda *given: traces.append(given) or grad(*given)
    scripts.train(main, [0, 0, 0])
    assert len(traces) == 1
