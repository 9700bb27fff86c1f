"""make_batch: padding, masks, targets, wrapping and truncation."""

import mlx.core as mx
from hypothesis import given, settings
from hypothesis import strategies as st


def test_by_hand(lesson):
    # a is 0, b is 1, ..., z is 25, BOS is 26, PAD is 27
    input_ids, target_ids, pad_masks, target_masks = lesson.make_batch(["ab", "x", "cade"], 0, 3)
    assert input_ids.tolist() == [[26, 0, 1, 27, 27], [26, 23, 27, 27, 27], [26, 2, 0, 3, 4]]
    assert target_ids.tolist() == [[0, 1, 26, 0, 0], [23, 26, 0, 0, 0], [2, 0, 3, 4, 26]]
    assert pad_masks.tolist() == [[False] * 3 + [True] * 2, [False] * 2 + [True] * 3, [False] * 5]
    assert target_masks.tolist() == [[1, 1, 1, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 1]]


documents = st.lists(st.text("abcxyz", min_size=1, max_size=24), min_size=1, max_size=10)


@settings(deadline=None)  # no timing in tests: the first example also warms up MLX
@given(docs=documents, step=st.integers(0, 50), batch_size=st.integers(1, 8))
def test_any_documents(lesson, docs, step, batch_size):
    batch = lesson.make_batch(docs, step, batch_size)
    assert [array.dtype for array in batch] == [mx.int32, mx.int32, mx.bool_, mx.float32]
    rows = [docs[(step * batch_size + i) % len(docs)] for i in range(batch_size)]
    T = min(max(len(row) for row in rows) + 1, lesson.block_size)
    assert all(array.shape == (batch_size, T) for array in batch)

    for row, inputs, targets, pad, real in zip(rows, *(a.tolist() for a in batch), strict=True):
        assert [float(not p) for p in pad] == real  # the masks complement each other
        n = pad.count(False)
        assert pad == [False] * n + [True] * (T - n)  # padding is on the right
        assert inputs[n:] == [lesson.PAD] * (T - n)
        tokens = [lesson.BOS, *map(lesson.uchars.index, row), lesson.BOS][: lesson.block_size + 1]
        assert [inputs[0], *targets[:n]] == tokens
        assert inputs[:n] == tokens[:-1]
