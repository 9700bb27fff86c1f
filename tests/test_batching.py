"""make_batch: padding, masks, targets, wrapping and truncation. README has a batch by hand."""

import mlx.core as mx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

documents = st.lists(st.text("abcxyz", min_size=1, max_size=24), min_size=1, max_size=10)


@settings(deadline=None)  # no timing in tests: the first example also warms up MLX
@given(docs=documents, step=st.integers(0, 50), batch_size=st.integers(1, 8))
def test_any_documents(fresh, docs, step, batch_size):
    batch = fresh.make_batch(docs, step, batch_size)
    assert [array.dtype for array in batch] == [mx.int32, mx.int32, mx.bool_, mx.float32]
    rows = [docs[(step * batch_size + i) % len(docs)] for i in range(batch_size)]
    T = min(max(len(row) for row in rows) + 1, fresh.block_size)
    assert all(array.shape == (batch_size, T) for array in batch)

    for row, inputs, targets, pad, real in zip(rows, *(a.tolist() for a in batch), strict=True):
        assert [float(not p) for p in pad] == real  # the masks complement each other
        n = pad.count(False)
        assert pad == [False] * n + [True] * (T - n)  # padding is on the right
        assert inputs[n:] == [fresh.PAD] * (T - n)
        tokens = [fresh.BOS, *map(fresh.uchars.index, row), fresh.BOS][: fresh.block_size + 1]
        assert targets == tokens[1:] + [0] * (T - n)
        assert inputs[:n] == tokens[:-1]


def test_only_what_is_read_of_a_document_is_encoded(fresh):
    fresh.make_batch(["a" * fresh.block_size + "?"], 0, 1)  # else a very long line takes seconds
    with pytest.raises(ValueError, match="is not in list"):
        fresh.make_batch(["a?"], 0, 1)
