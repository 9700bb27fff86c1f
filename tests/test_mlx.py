"""What the README says of MLX itself: when one of these turns red, an upgrade has changed it."""

import math

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import pytest


def test_softmax_needs_a_finite_number_in_place_of_a_masked_score():
    assert mx.isnan(mx.softmax(mx.full((3,), -math.inf))).all()
    assert mx.allclose(mx.softmax(mx.full((3,), -1e9)), mx.array(1 / 3))


def test_an_array_is_a_parameter_unless_its_name_begins_with_an_underscore():
    module = nn.Module()
    module.mask, module._mask = mx.zeros(2), mx.zeros(2)
    assert module.parameters().keys() == {"mask"}


def test_adamw_too_has_to_be_asked_for_bias_correction():
    gradient, weight = {"w": mx.array(1.0)}, {"w": mx.array(0.0)}
    moved = optim.AdamW(0.1).apply_gradients(gradient, weight)
    assert moved["w"].item() < -0.3
    moved = optim.AdamW(0.1, bias_correction=True).apply_gradients(gradient, weight)
    assert moved["w"].item() == pytest.approx(-0.1, rel=1e-4)  # the learning rate, in float32


def test_the_eps_of_adam_is_0_in_float16():
    assert mx.array(1e-8, mx.float16).item() == 0
    assert mx.array(1e-8, mx.bfloat16).item() > 0


def test_under_vmap_a_bitwise_operator_can_be_wrong():
    row, square = mx.zeros((2, 3), mx.bool_), mx.zeros((3, 3), mx.bool_)
    assert mx.vmap(lambda r: square | r)(row).shape != (2, 3, 3), (
        "mended: take it out of fast.patch"
    )
    assert mx.vmap(lambda r: mx.logical_or(square, r))(row).shape == (2, 3, 3)


def test_weights_that_nobody_asks_for_are_not_drawn():
    mx.clear_cache()
    before, model = mx.get_active_memory(), nn.Linear(1000, 1000)
    model.load_weights(
        [("weight", mx.zeros((1, 1)) + mx.zeros((1000, 1000))), ("bias", mx.zeros(1000))]
    )
    assert mx.get_active_memory() - before < 1000
