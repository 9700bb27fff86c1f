"""The code of README's exercises does what their answers say, and each hidden bug shows."""

import ast
import code
import contextlib
import gc
import io
import re

import mlx.core as mx
import pytest

from tests import bug
from tests.tools import edits, lesson


def paste(module, name, old="", new=""):
    """Type an exercise's code at the prompt, line by line, edited. Returns what it prints."""
    text = lesson.exercise(name)
    assert old in text
    console = code.InteractiveConsole(vars(module))
    console.write = pytest.fail  # a traceback
    with contextlib.redirect_stdout(io.StringIO()) as output:
        for line in [*text.replace(old, new).splitlines(), ""]:
            console.push(line)
    return output.getvalue()


def close(a, b):
    return mx.allclose(a, b, rtol=1e-5, atol=1e-5).item()  # rounding, see test_model.py


@pytest.fixture
def prompt():
    """main.py after 20 steps, a module that a test may change."""
    module = lesson.load(lesson.MAIN)
    lesson.train(module, range(20))
    return module


def logits_of(prompt, name):
    """The logits after a name, or its beginning, alone."""
    return prompt.model(mx.array([[prompt.BOS, *map(prompt.uchars.index, name)]]))[0, -1]


@pytest.mark.parametrize("exercise", ["as-it-is", "left"])
def test_emma(exercise):
    module = lesson.load(lesson.MAIN, *edits.EXERCISES[exercise])
    lesson.train(module, range(20))
    apart = float(paste(module, "emma"))
    assert apart > 1 if exercise == "left" else apart < 1e-5  # rounding, see test_model.py


def test_complete(prompt, monkeypatch):
    """A beginning in a batch has the logits that it has alone, and only thanks to the mask."""
    starts, temperature, given = ["mar", "chri", "el"], 0.5, []
    prompt.temperature, prompt.given, categorical = temperature, given, mx.random.categorical
    monkeypatch.setattr(
        mx.random, "categorical", lambda logits: given.append(logits) or categorical(logits)
    )
    names = ast.literal_eval(paste(prompt, "complete"))
    assert all(name.startswith(start) for name, start in zip(names, starts, strict=True))
    assert max(map(len, names)) <= prompt.block_size
    alone = [logits_of(prompt, start) / temperature for start in starts]
    assert list(map(close, given[0], alone)) == [True, True, True]
    given.clear()
    paste(prompt, "complete", "layer(x, pad_mask)", "layer(x)")
    assert list(map(close, given[0], alone)) == [False, True, False]  # the longest has no padding

    drawn = iter([*map(prompt.uchars.index, "bo"), prompt.BOS, *[0] * 13])
    monkeypatch.setattr(mx.random, "categorical", lambda _: mx.array([next(drawn)] * 20))
    assert prompt.complete([""] * 20) == ["bo"] * 20


def test_memory(prompt):
    names = "input_ids", "targets", "pad_mask", "target_mask"
    for name, array in zip(names, prompt.make_batch(prompt.docs, 0, 32), strict=True):
        setattr(prompt, name, array)
    gc.collect()  # or what other tests left may go meanwhile
    lines = paste(prompt, "memory").splitlines()
    nothing, forward, gradients = (int(line.split()[0]) for line in lines if "bytes" in line)
    size = 4 * 102848
    # Beside the arrays themselves stand a few scalars; Metal's allocator rounds sizes up.
    assert 0 <= nothing < 0.1 * size
    assert forward > 4 * size
    assert size <= gradients < 1.5 * size


def test_keep(prompt):
    losses = paste(prompt, "keep").split()
    assert losses[:3] == losses[3:] and len(set(losses)) == 3
    losses = paste(prompt, "keep", 'optimizer.state = state["optimizer"]').split()
    assert losses[0] == losses[3] and losses[1:3] != losses[4:]


def test_heads(prompt):
    """It prints a square for each head of each block, and puts softmax back."""
    rows = paste(prompt, "heads", '"maria"', '"marianna"').split("\n")
    assert [len(row.split()) for row in rows if row] == [9] * 9 * prompt.n_layer * prompt.n_head
    assert mx.softmax is prompt.softmax is not prompt.show


def test_all_code_for_the_prompt_is_tested():
    readme = (lesson.ROOT / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"^```python (?!excerpt)(.*)$", readme, re.MULTILINE):
        assert f"test_{name}" in globals(), f"README.md's {name} has no test_{name} here"
    assert "```python\n" not in readme, "a block of Python in README.md has no name"


@pytest.fixture(scope="module")
def sound():
    return lesson.short_run()


@pytest.mark.parametrize(("key", "question", "reason"), bug.BUGS[1:])
def test_a_bug_leaves_a_sign_and_has_an_answer(key, question, reason, sound):
    assert question.endswith("?")
    printed, (*changes, _, why, mend) = (
        lesson.short_run(*edits.TRAPS[key]),
        bug.answer(key, reason).splitlines(),
    )
    losses, names, usual = lesson.losses(printed), lesson.samples(printed), lesson.losses(sound)
    assert "num params: 102848" in sound and "" not in lesson.samples(sound)
    assert {
        "probabilities": losses == usual and max(map(len, names)) == 16,
        "tril": names == [""] * 20 and "num params: 103360" in printed,
        "counted": all(a < b - 0.4 for a, b in zip(losses[1:], usual[1:], strict=True)),
        "adam": losses[0] == usual[0] and losses[1] > usual[1] + 0.2,
        "tuple": "num params: 4544" in printed,
        "invert": names == [""] * 20 and "num params: 102848" in printed,
    }[key]
    assert {line[:2] for line in changes} == {"- ", "+ "} and len(changes) < 8
    assert why == reason and mend.startswith("What to do: ") and "http" not in mend
