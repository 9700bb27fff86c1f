"""main.py from top to bottom: what it prints, each step of its loop, its samples, its input."""

import math
import re
from types import SimpleNamespace

import mlx.core as mx
import pytest
import scripts
from edits import ON_THE_CPU
from figures import count_operations


def test_prints_the_settings_then_the_losses_then_the_samples(whole_run):
    lines = whole_run.splitlines()
    assert lines[0] == "num docs: 32257"
    assert lines[1] == "vocab size: 27 (+1 pad = 28)"
    assert lines[2] == "num params: 102848"
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


def test_makes_up_new_names(whole_run):
    names = scripts.samples(whole_run)
    assert set(names) - set((scripts.ROOT / "input.txt").read_text(encoding="utf-8").split())


def is_computed(*trees):
    """Whether nothing in the trees is still a promise."""
    return count_operations(*trees) == 0


def test_a_step_leaves_nothing_to_be_computed():
    """Without mx.eval the losses stay right, as .item() computes them: only memory grows."""
    lesson = scripts.load(scripts.MAIN)
    assert not is_computed(lesson.model.parameters())
    for step in range(3):
        scripts.train(lesson, [step])
        assert is_computed(lesson.model.parameters(), lesson.optimizer.state)


def test_each_step_has_its_batch_and_its_learning_rate(lesson, monkeypatch):
    batches, rates = [], []

    class Recorder(SimpleNamespace):
        def update(self, model, grads):
            rates.append(self.learning_rate)

    def make_batch(*arguments):
        batches.append(arguments)
        return lesson.BOS, lesson.BOS, None, None

    monkeypatch.setattr(lesson, "make_batch", make_batch)
    monkeypatch.setattr(lesson, "loss_and_grad", lambda *_: (mx.array(0.0), {}))
    monkeypatch.setattr(lesson, "optimizer", Recorder(state={}))
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


def test_two_runs_print_the_same(tmp_path):
    script = scripts.install(tmp_path, ON_THE_CPU)
    first, second = (scripts.run([script], cwd=tmp_path) for _ in range(2))
    assert first.returncode == 0
    assert len(scripts.losses(first.stdout)) == 2
    assert first.stdout == second.stdout


@pytest.mark.parametrize(
    ("text", "num_docs", "vocab_size"),
    [
        ("emma\n", 1, 4),  # e, m, a and BOS
        ("emma\nolivia\nava\n", 3, 8),  # fewer than a batch
        ("emma", 1, 4),  # no line ending
        ("abc " * 1000 + "\n" + "c" * 5000, 2, 5),  # far longer than block_size
        ("zoë\nłukasz\nआरव\n李明\n김 민준\n", 5, 18),  # any alphabet, a blank inside
        ("Ada\nADA\nÉa\n", 3, 6),  # A, D, a, d, É and BOS
        ("2024\n1999\n", 2, 6),
        (b"\xef\xbb\xbfemma\r\nava\rmia\n\n \t \n  ema  \n", 4, 6),  # BOM, line endings, blanks
    ],
    ids=["one", "few", "no-eol", "long", "alphabets", "upper-case", "digits", "bom-crlf-blanks"],
)
def test_trains_on(text, num_docs, vocab_size, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    data = text.encode() if isinstance(text, str) else text
    result = scripts.run([scripts.install(tmp_path, data=data)], cwd=elsewhere)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"num docs: {num_docs}\n" in result.stdout
    assert f"vocab size: {vocab_size} (+1 pad = {vocab_size + 1})\n" in result.stdout
    assert len(scripts.samples(result.stdout)) == 20
    assert all(math.isfinite(loss) for loss in scripts.losses(result.stdout))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "No such file or directory"),
        (b"", "nothing to learn"),
        (b" \n\t\r\n\n", "nothing to learn"),
        (b"\xef\xbb\xbf", "nothing to learn"),
        (b"zo\xeb\n", "can't decode byte 0xeb"),  # Latin-1
        ("emma\n".encode("utf-16"), "can't decode byte"),
        ("folder", "Is a directory"),
    ],
    ids=["missing", "empty", "blank", "only-bom", "latin-1", "utf-16", "folder"],
)
def test_refuses_in_one_line(data, reason, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "input.txt").write_text("the wrong one\n")  # must not be read
    script = scripts.install(tmp_path, data=b"")
    input_path = tmp_path / "input.txt"
    input_path.unlink()
    if data == "folder":
        input_path.mkdir()
    elif data is not None:
        input_path.write_bytes(data)

    result = scripts.run([script], cwd=elsewhere)
    assert result.returncode == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.count(str(input_path)) == 1
    assert reason in result.stderr
    assert "put a UTF-8 text there, one document per line" in result.stderr
