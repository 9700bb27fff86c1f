"""make_batch: padding, masks, targets, wrapping and truncation. Write your own, and run this."""

import mlx.core as mx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

documents = st.lists(st.text("abcxyz", min_size=1, max_size=24), min_size=1, max_size=10)
DTYPES = {
    "input_ids": mx.int32,
    "target_ids": mx.int32,
    "pad_masks": mx.bool_,
    "target_masks": mx.float32,
}


def batch_of(main, docs, step, batch_size):
    """The four arrays as lists, by name; what is returned must be four arrays of these types."""
    batch = main.make_batch(docs, step, batch_size)
    if not isinstance(batch, tuple | list) or [*map(type, batch)] != [mx.array] * 4:
        pytest.fail(
            f"make_batch should return four arrays of MLX, and gives {batch}", pytrace=False
        )
    for array, (name, dtype) in zip(batch, DTYPES.items(), strict=True):
        if array.dtype != dtype:
            pytest.fail(f"{name} should be of {dtype}, and are of {array.dtype}", pytrace=False)
    return {name: array.tolist() for array, name in zip(batch, DTYPES, strict=True)}


def test_emma_bo_and_ava(fresh):
    a, b, e, m, o, v = map(fresh.uchars.index, "abemov")
    BOS, PAD = fresh.BOS, fresh.PAD
    should = {
        "input_ids": [[BOS, e, m, m, a], [BOS, b, o, PAD, PAD], [BOS, a, v, a, PAD]],
        "target_ids": [[e, m, m, a, BOS], [b, o, BOS, 0, 0], [a, v, a, BOS, 0]],
        "pad_masks": [[False] * 5, [False] * 3 + [True] * 2, [False] * 4 + [True]],
        "target_masks": [[1.0] * 5, [1.0] * 3 + [0.0] * 2, [1.0] * 4 + [0.0]],
    }
    for name, rows in batch_of(fresh, ["emma", "bo", "ava"], 0, 3).items():
        if rows != should[name]:
            pytest.fail(f"{name}: {rows} should be {should[name]}", pytrace=False)


def test_after_the_last_document_it_starts_over(fresh):
    docs = ["emma", "bo", "ava"]
    assert batch_of(fresh, docs, 1, 2) == batch_of(fresh, ["ava", "emma"], 0, 2)


def test_a_long_document_is_cut(fresh):
    long, T = "x" * 30, fresh.block_size
    batch = batch_of(fresh, [long], 0, 1)
    x = fresh.uchars.index("x")
    assert batch["input_ids"] == [[fresh.BOS] + [x] * (T - 1)]
    assert batch["target_ids"] == [[x] * T]  # BOS, its end, is cut off


@settings(deadline=None)  # no timing in tests: the first example also warms up MLX
@given(docs=documents, step=st.integers(0, 50), batch_size=st.integers(1, 8))
def test_any_documents(fresh, docs, step, batch_size):
    batch = batch_of(fresh, docs, step, batch_size)
    rows = [docs[(step * batch_size + i) % len(docs)] for i in range(batch_size)]
    T = min(max(len(row) for row in rows) + 1, fresh.block_size)
    for row, inputs, targets, pad, real in zip(rows, *batch.values(), strict=True):
        tokens = [fresh.BOS, *map(fresh.uchars.index, row), fresh.BOS][: fresh.block_size + 1]
        n = len(tokens) - 1
        assert inputs == tokens[:-1] + [fresh.PAD] * (T - n)
        assert targets == tokens[1:] + [0] * (T - n)
        assert pad == [False] * n + [True] * (T - n)
        assert real == [1.0] * n + [0.0] * (T - n)


def test_only_what_is_read_of_a_document_is_encoded(fresh):
    fresh.make_batch(["a" * fresh.block_size + "?"], 0, 1)  # else a very long line takes seconds
    with pytest.raises(ValueError, match="is not in list"):
        fresh.make_batch(["a?"], 0, 1)
