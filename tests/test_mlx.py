"""What the README says of MLX itself: when one of these turns red, an upgrade has changed it."""

import math
import shutil

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import pytest


def test_bitwise_operators_are_wrong_under_vmap():
    row, square = mx.zeros((2, 3), mx.bool_), mx.zeros((3, 3), mx.bool_)
    for wrong in (lambda r: square | r, lambda r: square & r):
        assert mx.vmap(wrong)(row).shape != (2, 3, 3), "mended: take it out of README and patches"
    for right in (lambda r: mx.logical_or(square, r), lambda r: mx.logical_and(square, r)):
        assert mx.vmap(right)(row).shape == (2, 3, 3)


def test_softmax_needs_a_finite_number_in_place_of_a_masked_score():
    assert mx.isnan(mx.softmax(mx.full((3,), -math.inf))).all()
    assert mx.allclose(mx.softmax(mx.full((3,), -1e9)), mx.array(1 / 3))
    assert mx.array(-1e9).astype(mx.float16).item() == -math.inf


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


@pytest.mark.skipif(shutil.which("g++") is None, reason="without g++ nothing is compiled")
def test_compiled_randomness_is_drawn_once_unless_its_state_is_named():
    mx.ones(1)  # what is compiled before MLX's first operation is traced twice
    frozen = mx.compile(lambda: mx.random.uniform())
    assert frozen().item() == frozen().item()
    state = {"inputs": mx.random.state, "outputs": mx.random.state}
    drawn = mx.compile(lambda: mx.random.uniform(), **state)
    assert drawn().item() != drawn().item()
