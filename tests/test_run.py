"""main.py as a reader runs it: the printed lines, the input it takes, the input it refuses."""

import math
import re

import mlx.core as mx
import pytest
import scripts
from mlx.utils import tree_flatten


def test_prints_the_settings_then_the_losses_then_the_samples(whole_run):
    lines = whole_run.output.splitlines()
    assert lines[0] == "num docs: 32257"
    assert lines[1] == "vocab size: 27 (+1 pad = 28)"
    assert lines[2] == "num params: 102848"
    assert re.fullmatch(r"device: Device\((cpu|gpu), 0\)", lines[3])
    steps = [1, *range(10, 1001, 10)]
    for line, step in zip(lines[4:105], steps, strict=True):
        assert re.fullmatch(rf"step {step:4d} / 1000 \| loss \d\.\d{{4}}", line)
    assert lines[105:107] == ["", "--- inference (new, hallucinated names) ---"]
    for i, line in enumerate(lines[107:], start=1):
        assert re.fullmatch(rf"sample {i:2d}: [a-z]*", line)
    assert len(lines) == 107 + 20


def test_learns(whole_run):
    losses = scripts.losses(whole_run.output)
    assert max(losses) < 4.0  # a uniform guess among 27 costs log(27) = 3.30
    # About 2.09. Without Adam's bias correction 2.14, with a look at the next character near 0.
    assert 2.0 < sum(losses[-10:]) / 10 < 2.12


def test_each_step_ends_with_all_of_it_computed(monkeypatch):
    """Without mx.eval the losses stay right, as .item() computes them: only memory grows."""
    lesson = scripts.define(scripts.MAIN)
    state = [lesson["model"].state, lesson["optimizer"].state]
    complete = []

    def spy(*trees):
        evaluated = {id(array) for _, array in tree_flatten(trees)}
        complete.append(all(id(array) in evaluated for _, array in tree_flatten(state)))

    monkeypatch.setattr(mx, "eval", spy)
    scripts.first_losses(scripts.MAIN, lesson, "loss_and_grad", 3)
    assert complete == [True, True, True]


def test_samples_are_new_names_of_real_characters(whole_run):
    names = scripts.samples(whole_run.output)
    assert len(names) == 20
    assert all(len(name) <= whole_run.block_size for name in names)
    assert all(ch in whole_run.uchars for name in names for ch in name)  # no BOS, no PAD
    assert set(names) - set(whole_run.docs)


def test_two_runs_print_the_same(tmp_path):
    script = scripts.install(tmp_path, num_steps=10)
    first, second = (scripts.run(script, cwd=tmp_path) for _ in range(2))
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
        ("2024\n1999\n", 2, 6),
        (b"\xef\xbb\xbfemma\r\nava\rmia\n\n \t \n  ema  \n", 4, 6),  # BOM, line endings, blanks
    ],
    ids=["one", "few", "no-eol", "long", "alphabets", "digits", "bom-crlf-blanks"],
)
def test_trains_on(text, num_docs, vocab_size, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    result = scripts.run(scripts.install(tmp_path, num_steps=10, text=text), cwd=elsewhere)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"num docs: {num_docs}\n" in result.stdout
    assert f"vocab size: {vocab_size} (+1 pad = {vocab_size + 1})\n" in result.stdout
    assert len(scripts.samples(result.stdout)) == 20
    assert all(math.isfinite(loss) for loss in scripts.losses(result.stdout))


@pytest.mark.parametrize(
    ("text", "reason"),
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
def test_refuses_in_one_line(text, reason, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "input.txt").write_text("the wrong one\n")  # must not be read
    script = scripts.install(tmp_path, num_steps=10, text=b"")
    input_path = tmp_path / "input.txt"
    input_path.unlink()
    if text == "folder":
        input_path.mkdir()
    elif text is not None:
        input_path.write_bytes(text)

    result = scripts.run(script, cwd=elsewhere)
    assert result.returncode == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert str(input_path) in result.stderr
    assert reason in result.stderr
    assert "put a UTF-8 text there, one document per line" in result.stderr
