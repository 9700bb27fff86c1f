"""main.py from top to bottom: what it prints, each step of its loop, its samples, its input."""

import re
from types import SimpleNamespace

import mlx.core as mx
import pytest

from tests import edits, scripts


def test_prints_the_settings_then_the_losses_then_the_samples(whole_run):
    lines = whole_run.splitlines()
    assert lines[:3] == ["num docs: 32257", "vocab size: 27 (+1 pad = 28)", "num params: 102848"]
    assert re.fullmatch(r"device: Device\((cpu|gpu), 0\)", lines[3])
    steps = [1, *range(10, 1001, 10)]
    for line, step in zip(lines[4:105], steps, strict=True):
        assert re.fullmatch(rf"step {step:4d} / 1000 \| loss \d\.\d{{4}}", line)
    assert lines[105:107] == ["", "--- inference (new, hallucinated names) ---"]
    for i, line in enumerate(lines[107:], start=1):
        assert re.fullmatch(rf"sample {i:2d}: [a-z]{{0,16}}", line)
    assert len(lines) == 107 + 20


def test_learns(whole_run):
    losses = scripts.losses(whole_run)
    assert max(losses) < 4.0  # a uniform guess among 27 costs log(27) = 3.30
    # 2.07 to 2.10 over devices, BLAS libraries and seeds. Without Adam's bias correction 2.14,
    # with a look at the next character near 0.
    assert 2.0 < sum(losses[-10:]) / 10 < 2.12
    names = (scripts.ROOT / "input.txt").read_text(encoding="utf-8").split()
    assert set(scripts.samples(whole_run)) - set(names)  # some are new


def test_a_step_leaves_nothing_to_be_computed():
    """Without mx.eval the losses stay right, as .item() computes them: only memory grows."""
    lesson = scripts.load(scripts.MAIN)
    assert not scripts.is_computed(lesson.model.parameters())
    for step in range(3):
        scripts.train(lesson, [step])
        assert scripts.is_computed(lesson.model.parameters(), lesson.optimizer.state)


def test_each_step_has_its_batch_and_its_learning_rate(lesson, monkeypatch):
    batches, rates = [], []
    monkeypatch.setattr(lesson, "make_batch", lambda *given: batches.append(given) or [None] * 4)
    monkeypatch.setattr(lesson, "loss_and_grad", lambda *_: (mx.array(0.0), {}))
    adam = SimpleNamespace(state={}, update=lambda *_: rates.append(adam.learning_rate))
    monkeypatch.setattr(lesson, "optimizer", adam)
    scripts.train(lesson, range(lesson.num_steps))
    assert batches == [(lesson.docs, step, 32) for step in range(1000)]
    assert rates == pytest.approx([1e-2 * (1000 - step) / 1000 for step in range(1000)], rel=1e-9)


def test_each_token_is_drawn_from_the_logits_after_all_before_it(trained, monkeypatch):
    longest = "abcdefghijklmnop"
    names = ["emma", "", longest, "bo", longest[:-1], "z"] + ["ava"] * 14
    drawn, tempered = [], []
    for name in names:
        tokens = [trained.BOS, *map(trained.uchars.index, name), trained.BOS]
        # The longest is cut: what would follow it is not drawn.
        for n in range(1, min(len(tokens), trained.block_size + 1)):
            drawn.append(tokens[n])
            tempered.append(trained.model(mx.array([tokens[:n]]))[0, -1] / 0.5)
    supply = iter(zip(drawn, tempered, strict=True))

    def categorical(logits):
        token_id, expected = next(supply)
        assert mx.array_equal(logits, expected)
        return mx.array(token_id)

    monkeypatch.setattr(mx.random, "categorical", categorical)
    assert scripts.sample(trained) == names
    assert next(supply, None) is None


def test_trains_on_odd_lines(tmp_path, tmp_path_factory):
    # A byte-order mark, all three line endings, blank lines and blanks around and in a name.
    data = b"\xef\xbb\xbfAda\r\nADA\r\xc3\x89a\n\n \t \n  a da  \n"
    script = scripts.install(tmp_path, edits.num_steps(10), data=data)
    result = scripts.run([script], tmp_path_factory.mktemp("elsewhere"))
    assert (result.returncode, result.stderr) == (0, "")
    assert "num docs: 4\n" in result.stdout
    assert "vocab size: 7 (+1 pad = 8)\n" in result.stdout  # A, D, a, d, É, blank and BOS
    assert len(scripts.samples(result.stdout)) == 20


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "No such file or directory"),
        (b"", "cannot read"),
        (b"\xef\xbb\xbf \n\t\r\n\n", "nothing to learn"),
        (b"zo\xeb\n", "can't decode byte 0xeb"),  # Latin-1
    ],
    ids=["missing", "folder", "blank", "latin-1"],
)
def test_refuses_in_one_line(data, reason, tmp_path, tmp_path_factory):
    script, file = scripts.install(tmp_path, data=data or b""), tmp_path / "input.txt"
    if not data:
        file.unlink()
    if data == b"":
        file.mkdir()
    result = scripts.run([script], tmp_path_factory.mktemp("elsewhere"))
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.count(str(file)) == 1
    assert reason in line
    assert line.endswith("put a UTF-8 text there, one document per line")
