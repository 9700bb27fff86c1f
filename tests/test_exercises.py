"""The code to paste does what the README says of it."""

import ast
import code
import contextlib
import gc
import io

import mlx.core as mx
import pytest

from tests import edits, pages, scripts

CLOSE = 1e-5  # float32 keeps about 7 digits, and other shapes sum in another order


def paste(module, name):
    """Type a block of README's at the prompt, line by line. Returns what it prints."""
    return at_the_prompt(module, pages.block("python", name))


def at_the_prompt(module, text):
    """Type code at the prompt. Returns what it prints, tracebacks among it."""
    console = code.InteractiveConsole(vars(module))
    with contextlib.redirect_stdout(io.StringIO()) as output:
        console.write = output.write
        for line in [*text.splitlines(), ""]:
            console.push(line)
    return output.getvalue()


def numbers(printed):
    """The last number of each line."""
    return [float(line.split()[-1]) for line in printed.splitlines()]


def alone(prompt, start):
    """The logits after the beginning of a name, read alone and without padding."""
    return prompt.model(mx.array([[prompt.BOS, *map(prompt.uchars.index, start)]]))[0, -1]


def cost(prompt, names):
    """What each token of these names costs, each name alone, by name."""
    costs = []
    for name in names:
        input_ids, targets, _, _ = prompt.make_batch([name], 0, 1)
        probabilities = mx.softmax(prompt.model(input_ids)[0], axis=-1)
        pairs = zip(probabilities.tolist(), targets[0].tolist(), strict=True)
        costs.append([-mx.log(mx.array(p[t])).item() for p, t in pairs])
    return costs


def mean(costs):
    """Over all tokens of all names."""
    return sum(map(sum, costs)) / sum(map(len, costs))


def test_one_by_one(prompt):
    """The batch's loss is the mean over all letters of 32 names, and not the mean of 32 means."""
    together, one_by_one, means = numbers(paste(prompt, "one_by_one"))
    costs = cost(prompt, prompt.docs[:32])
    assert [together, one_by_one] == pytest.approx([mean(costs)] * 2, rel=CLOSE)
    assert means == pytest.approx(sum(mean([c]) for c in costs) / 32, rel=CLOSE)
    assert means != pytest.approx(together, rel=1e-3)


def test_surprise(prompt):
    rows = [line.split() for line in paste(prompt, "surprise").splitlines()]
    costs = cost(prompt, ["maria"])[0]
    assert [row[0] for row in rows] == [*"maria", "end"]
    assert [float(row[1]) for row in rows] == pytest.approx(costs, abs=0.006)  # two digits
    assert ["".join(row[2:]) for row in rows] == ["#" * round(10 * c) for c in costs]


def test_beginnings(prompt):
    """Padded on the left, mar has the logits that it has alone, and only thanks to the mask."""
    with_mask, without = numbers(paste(prompt, "beginnings"))
    assert with_mask < CLOSE
    assert without > 0.1
    starts = ["mar", "", "christoph"]
    for logits, start in zip(prompt.next_logits(starts, True), starts, strict=True):
        assert mx.allclose(logits, alone(prompt, start), rtol=CLOSE, atol=CLOSE)
    apart = mx.abs(prompt.next_logits(["mar", "christoph"], False)[0] - alone(prompt, "mar"))
    assert without == pytest.approx(apart.max().item(), abs=CLOSE)


def test_complete(prompt, monkeypatch):
    """Each beginning has its own room, ends where BOS is drawn, and is drawn at a temperature."""
    prompt.temperature = 0.5
    paste(prompt, "beginnings")
    starts = ["a", "mar", "christoph"]
    names = ast.literal_eval(paste(prompt, "complete"))
    assert all(name.startswith(start) for name, start in zip(names, starts, strict=True))
    given, drawn = [], iter([[1, prompt.BOS, 0, 0], [14, 3, 0, 0], *[[prompt.BOS, 3, 0, 0]] * 20])

    def categorical(logits):
        given.append(logits)
        return mx.array(next(drawn))

    monkeypatch.setattr(mx.random, "categorical", categorical)
    longest = "abcdefghijklmnop"
    names = prompt.complete(["", "ma", longest[:-1], longest])
    assert names == ["bo", "ma", f"{longest[:-1]}a", longest]
    expected = alone(prompt, "ma") / prompt.temperature
    assert mx.allclose(given[0][1], expected, rtol=CLOSE, atol=CLOSE)


def test_pieces(prompt):
    """The batch's gradients are the pieces' mean, weighted by their letters, and no other mean."""
    plain, weighted = numbers(paste(prompt, "pieces"))
    assert plain > 0.01
    assert weighted < CLOSE


@pytest.mark.parametrize("exercise", [[], edits.EXPERIMENTS["left-padding"]], ids=["right", "left"])
def test_in_batches(exercise):
    """The same names cost the same in batches of any size, unless they are padded on the left."""
    module = scripts.load(scripts.MAIN, *exercise)
    scripts.train(module, range(20))
    losses = numbers(paste(module, "in_batches"))
    assert len(losses) == 3
    if exercise:
        assert max(losses) - min(losses) > 0.01
    else:
        right = mean(cost(module, module.docs[:1024]))
        assert losses == pytest.approx([right] * 3, rel=CLOSE)


def test_memory(prompt):
    names = "input_ids", "targets", "pad_mask", "target_mask"
    for name, array in zip(names, prompt.make_batch(prompt.docs, 0, 32), strict=True):
        setattr(prompt, name, array)
    gc.collect()  # or what other tests left may go meanwhile
    lines = paste(prompt, "memory").splitlines()
    nothing, forward, gradients = (int(line.split()[0]) for line in lines if "bytes" in line)
    size = 4 * sum(p.size for _, p in prompt.tree_flatten(prompt.model.parameters()))
    # Beside the arrays themselves stand a few scalars; Metal's allocator rounds sizes up.
    assert 0 <= nothing < 0.1 * size
    assert forward > 4 * size
    assert size <= gradients < 1.5 * size


@pytest.mark.parametrize("name", ["mine", "mine.safetensors"])
def test_keep(prompt, tmp_path, name):
    """A model comes back, into the same settings only, and no other is lost."""
    paste(prompt, "keep")
    file, weight = str(tmp_path / name), prompt.model.wte.weight
    prompt.save(file)
    with pytest.raises(FileExistsError, match="mine.safetensors"):
        prompt.save(file)
    prompt.model.wte.weight = mx.zeros_like(weight)
    prompt.restore(file)
    assert mx.array_equal(prompt.model.wte.weight, weight)
    other = {"uchars": list("abcdefghijklmnopérstuvwxyz"), "n_head": 8, "n_layer": 3}
    for setting, value in other.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(prompt, setting, value)
            with pytest.raises(ValueError, match="mine.safetensors"):
                prompt.restore(file)
    del prompt.model.wpe
    with pytest.raises(ValueError, match="wpe"):  # it is strict
        prompt.restore(file)


@pytest.mark.parametrize("number", [3000, 32257, 400, 10])
def test_passes(fresh, number, monkeypatch):
    """About five passes over the list, and never fewer than 50 steps."""
    monkeypatch.setattr(fresh, "docs", ["ada"] * number)
    monkeypatch.setattr(fresh, "num_steps", 1000)
    paste(fresh, "passes")
    assert fresh.num_steps >= 50
    assert number < 400 or fresh.num_steps * 32 / number == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize("number", [None, 63, 20, 5])
def test_like_length(number):
    """A batch has names of one length, mostly. Lengths come mixed, and no name is left out."""
    short = [("random.shuffle(docs)", f"random.shuffle(docs)\ndocs = docs[:{number}]")]
    module, plain = (
        scripts.load(scripts.MAIN, *short, *e) for e in (edits.EXPERIMENTS["like-length"], [])
    )
    assert set(module.docs) == set(plain.docs)
    assert len(module.docs) < len(plain.docs) + 32
    lengths = [{*map(len, module.docs[i : i + 32])} for i in range(0, len(module.docs), 32)]
    if number is None:
        assert sum(len(found) == 1 for found in lengths) > 0.95 * len(lengths)
        assert len(set.union(*lengths[:20])) > 3


def test_held_out():
    """A tenth of the lines, at most 3,000, none of which is trained on; the loss is their mean."""
    module = scripts.load(scripts.MAIN, *edits.EXPERIMENTS["held-out"])
    plain = scripts.load(scripts.MAIN)
    assert module.docs == plain.docs[:-3000] and len(module.held_out) > 2000
    assert set(module.held_out) == set(plain.docs) - set(module.docs)  # some names stand twice
    module.held_out = module.held_out[:50]
    printed = scripts.run_in(module, module.inference_code).splitlines()[0]
    right = mean(cost(module, module.held_out))
    assert printed.startswith("held out: ")
    assert numbers(printed) == pytest.approx([right], rel=CLOSE)


@pytest.mark.parametrize("lines", [["ada"] * 100, ["ada", "bo"]], ids=["twice", "few"])
def test_nothing_to_hold_out_is_refused(lines, tmp_path):
    (tmp_path / "input.txt").write_text("\n".join(lines))
    text = scripts.source(scripts.MAIN, *edits.EXPERIMENTS["held-out"])
    (tmp_path / "main.py").write_text(text, encoding="utf-8")
    _, error = scripts.run(["main.py"], tmp_path, status=1)
    assert error == "nothing to hold out: too few lines, or each stands twice\n"


@pytest.mark.parametrize("blocks", [1, 2])
def test_who_can_tell_amy_from_may_without_positions(blocks):
    """One block reads earlier letters as a heap; a second reads what the first made of them."""
    changes = *edits.EXPERIMENTS["no-positions"], ("n_layer = 2", f"n_layer = {blocks}")
    module = scripts.load(scripts.MAIN, *changes)
    same = mx.allclose(alone(module, "amy"), alone(module, "may"), rtol=CLOSE, atol=CLOSE)
    assert same.item() == (blocks == 1)
