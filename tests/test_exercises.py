"""The code of README's exercises does what their answers say, and each hidden bug shows."""

import ast
import code
import contextlib
import gc
import io
import re

import mlx.core as mx
import pytest

from tests import bug, edits, lesson, page

LIKE_LENGTH = edits.EXPERIMENTS["like-length"]
CLOSE = 1e-5  # rounding, see test_model.py


def paste(module, name, old="", new=""):
    """Type a block's code at the prompt, line by line, edited. Returns what it prints."""
    text = page.block(f"python {name}")
    assert old in text
    return at_the_prompt(module, text.replace(old, new))


def at_the_prompt(module, text):
    """Type code at the prompt. Returns what it prints, tracebacks among it."""
    console = code.InteractiveConsole(vars(module))
    with contextlib.redirect_stdout(io.StringIO()) as output:
        console.write = output.write
        for line in [*text.splitlines(), ""]:
            console.push(line)
    return output.getvalue()


def close(a, b):
    return mx.allclose(a, b, rtol=CLOSE, atol=CLOSE).item()


def logits_of(prompt, name):
    """The logits after a name, or its beginning, alone."""
    return prompt.model(mx.array([[prompt.BOS, *map(prompt.uchars.index, name)]]))[0, -1]


def test_one_by_one(prompt):
    """The batch's loss is the mean over all letters of 32 names, and not the mean of 32 means."""
    printed = paste(prompt, "one_by_one")
    together, alone, means = map(float, re.findall(r"\d\.\d{4,}", printed))
    assert together == pytest.approx(alone, rel=CLOSE)
    assert together != pytest.approx(means, rel=1e-3)
    assert len(printed.splitlines()) == len(page.block("text one_by_one").splitlines())


def test_surprise(prompt):
    rows = [line.split()[:2] for line in paste(prompt, "surprise").splitlines()]
    letters, costs = zip(*rows, strict=True)
    assert letters == (*"maria", "end")
    input_ids, targets, _, _ = prompt.make_batch(["maria"], 0, 1)
    probabilities = mx.softmax(prompt.model(input_ids)[0], axis=-1)
    expected = [-mx.log(p[t]).item() for p, t in zip(probabilities, targets[0], strict=True)]
    assert list(map(float, costs)) == pytest.approx(expected, abs=0.006)  # two digits are shown


@pytest.mark.parametrize("exercise", [None, "left-padding"])
def test_emma(exercise):
    module = lesson.load(lesson.MAIN, *edits.EXPERIMENTS.get(exercise, []))
    lesson.train(module, range(20))
    apart = float(paste(module, "emma"))
    assert apart > 1 if exercise else apart < CLOSE
    module.model.wte.weight[module.PAD] = 1.0  # no name reads it
    assert float(paste(module, "emma")) == pytest.approx(apart, abs=CLOSE)


def test_complete(prompt, monkeypatch):
    """A beginning in a batch has the logits that it has alone, and only thanks to the mask."""
    starts, temperature, given = ["a", "mar", "christoph"], 0.5, []
    prompt.temperature, categorical = temperature, mx.random.categorical
    monkeypatch.setattr(
        mx.random, "categorical", lambda logits: given.append(logits) or categorical(logits)
    )
    names = ast.literal_eval(paste(prompt, "complete"))
    assert all(name.startswith(start) for name, start in zip(names, starts, strict=True))
    alone = [logits_of(prompt, start) / temperature for start in starts]
    assert list(map(close, given[0], alone)) == [True, True, True]
    given.clear()
    paste(prompt, "complete", "layer(x, pad_mask)", "layer(x)")
    assert list(map(close, given[0], alone)) == [False, False, True]  # the longest has no padding

    drawn = iter([*map(prompt.uchars.index, "bo"), prompt.BOS, *[0] * 13])
    monkeypatch.setattr(mx.random, "categorical", lambda _: mx.array([next(drawn), 1]))
    assert prompt.complete(["", ""]) == ["bo", "b" * prompt.block_size]


def test_at_a_tiny_temperature_the_likeliest_is_drawn_and_at_0_anything(prompt):
    logits = logits_of(prompt, "")
    draws = [mx.random.categorical(logits / 1e-9).item() for _ in range(50)]
    assert set(draws) == {mx.argmax(logits).item()}
    assert not mx.isfinite(logits / 0).any()


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


def test_keep(prompt, tmp_path):
    """A model comes back, and not where an id means another letter."""
    paste(prompt, "keep")
    file, weight = str(tmp_path / "names.safetensors"), prompt.model.wte.weight
    prompt.save(file)
    prompt.model.wte.weight = mx.zeros_like(weight)
    prompt.restore(file)
    assert mx.array_equal(prompt.model.wte.weight, weight)
    for letters in ("abcdefghijklmnopérstuvwxyz", "-abcdefghijklmnopqrstuvwxyz"):
        prompt.uchars = list(letters)
        with pytest.raises(ValueError, match="names.safetensors is of other letters"):
            prompt.restore(file)


def test_like_length():
    """A batch has names of one length, mostly. Lengths come mixed, and each name once in a pass."""
    module, plain = (lesson.load(lesson.MAIN, *edit) for edit in (LIKE_LENGTH, []))
    assert sorted(module.docs) == sorted(sorted(plain.docs, key=len)[len(plain.docs) % 32 :])
    lengths = [{*map(len, module.docs[i : i + 32])} for i in range(0, len(module.docs), 32)]
    assert sum(len(found) == 1 for found in lengths) > 0.95 * len(lengths)
    assert len(set.union(*lengths[:20])) > 3


def test_held_out():
    module = lesson.load(lesson.MAIN, *edits.EXPERIMENTS["held-out"])
    plain = lesson.load(lesson.MAIN)
    assert module.docs == plain.docs[:-3000] and len(module.held_out) > 2000
    assert set(module.held_out) == set(plain.docs) - set(module.docs)  # some names stand twice
    printed = lesson.run_in(module, module.inference_code)
    batch = module.make_batch(module.held_out, 0, len(module.held_out))
    assert printed.startswith(f"held out: {module.loss_fn(module.model, *batch).item()}\n")


@pytest.fixture(scope="module")
def sound():
    return lesson.short_run()


@pytest.mark.parametrize(("key", "question", "reason"), bug.BUGS[1:])
def test_a_bug_leaves_a_sign_and_has_an_answer(key, question, reason, sound):
    assert question.endswith("?")
    printed = lesson.short_run(*edits.MISTAKES[key])
    *changes, _, why = bug.answer(key, reason).splitlines()
    losses, names, usual = lesson.losses(printed), lesson.samples(printed), lesson.losses(sound)
    assert "num params: 102848" in sound and "" not in lesson.samples(sound)
    signs = {
        "probabilities": losses == usual and max(map(len, names)) == 16,
        "tril": names == [""] * 20 and "num params: 103360" in printed,
        "counted": all(a < b - 0.4 for a, b in zip(losses[1:], usual[1:], strict=True)),
        "adam": losses[0] == usual[0] and losses[1] > usual[1] + 0.2,
        "tuple": "num params: 4544" in printed,
        "invert": names == [""] * 20 and "num params: 102848" in printed,
    }
    assert signs.get(key), f"give {key} its sign here"
    assert {line[0] for line in changes} == {"-", "+"} and len(changes) < 8
    assert why == reason
