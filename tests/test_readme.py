"""What the README shows is what main.py has and does."""

import math
import re
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from itertools import pairwise

import mlx.core as mx
import pytest

from tests import edits, lesson, page, records

TEXTS = {path: page.read(path) for path in page.PAGES}
README = TEXTS[page.README]


@pytest.mark.skipif(find_spec("ruff") is None, reason="ruff is not installed")
@pytest.mark.parametrize("command", ["check", "format --check"])
def test_ruff_has_nothing_to_say(command):
    command = [sys.executable, "-m", "ruff", *command.split(), "--no-cache", str(lesson.ROOT)]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
    hint = "shorten what is too long, then `uv run ruff check --fix; uv run ruff format`"
    assert result.returncode == 0, f"{result.stdout}{result.stderr}{hint}"


def test_the_pages_show_the_code_and_the_records_as_they_are():
    names = [path.relative_to(lesson.ROOT).as_posix() for path in page.outdated()]
    assert names == [], "run `uv run python -m tests.page`"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.parent.name)
def test_links_resolve(path):
    for link in re.findall(r"""(?:\]\(|src=")(?!https://)([^)"]*)""", TEXTS[path]):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        headings = re.findall(r"^#+ (.*)$", TEXTS.get(target, ""), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
        assert not anchor or anchor in anchors, link


def picture(header):
    """The rows of the text picture below that header, as lists of words."""
    below = re.search(rf"^```text\n *{header}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)[1]
    return [line.split() for line in below.splitlines()]


def test_the_first_batch_and_the_number_of_parameters(fresh):
    assert records.read("training")["first batch"] == fresh.docs[: fresh.batch_size]
    assert f"{sum(p.size for _, p in fresh.tree_flatten(fresh.model.parameters())):,}" in README


def test_what_it_costs_to_guess_by_counting(fresh):
    """Blindly, by how often each token comes, and by how often it comes after another."""
    pairs = Counter(pair for doc in fresh.docs for pair in pairwise(["BOS", *doc, "BOS"]))
    before, after = (Counter(pair[i] for pair in pairs.elements()) for i in (0, 1))
    single = [n * math.log(after.total() / n) for n in after.values()]
    double = [n * math.log(before[token] / n) for (token, _), n in pairs.items()]
    for cost in (math.log(fresh.vocab_size), *(sum(x) / pairs.total() for x in (single, double))):
        assert f"{cost:.2f}" in README


def test_the_table_of_the_two_labs_has_the_settings_of_this_one(fresh):
    names = "n_embd", "n_layer", "block_size", "batch_size", "num_steps"
    assert " | ".join(["(this lab)", *(str(vars(fresh)[name]) for name in names)]) in README


def test_the_pictures_of_a_batch_and_its_masks(fresh):
    batch = fresh.make_batch(["emma", "bo", "ava"], 0, 3)
    inputs, targets, pads, reals = (array.tolist() for array in batch)
    labels = [*fresh.uchars, "BOS", "PAD"]
    rows = picture("input_ids +targets")
    for i, (tokens, masks) in enumerate(zip(rows[:3], rows[-3:], strict=True)):
        assert tokens[:5] == [labels[token_id] for token_id in inputs[i]]
        cells = zip(targets[i], reals[i], strict=True)
        assert tokens[5:] == [labels[token_id] if real else "-" for token_id, real in cells]
        assert masks == [*(".x"[pad] for pad in pads[i]), *(str(int(real)) for real in reals[i])]

    rows = picture("causal_mask +pad_mask +both")
    causal_mask, pad_mask = fresh.causal_mask[:5, :5], mx.broadcast_to(batch[2][1], (5, 5))
    masks = causal_mask, pad_mask, mx.logical_or(causal_mask, pad_mask)
    cells = mx.concatenate(masks, axis=1).tolist()
    assert rows == [
        [labels[inputs[1][i]], *(".x"[hidden] for hidden in row)] for i, row in enumerate(cells)
    ]


def test_the_mask_that_does_nothing():
    """All that a run prints is the same without it, on the CPU."""
    assert lesson.short_run() == lesson.short_run(*edits.EXPERIMENTS["no-padding-mask"])
    found = records.read("mistakes")  # 1,000 steps
    for what in ("end", "first", "names"):
        assert found["no-padding-mask"][what] == found["none"][what]


def test_the_table_beside_pytorch_quotes_both_files():
    section = README.split("## The second diff")[1].split("\n## ")[0]
    _, _, *rows = (row.split("|")[1:3] for row in section.splitlines() if row.startswith("|"))
    assert rows
    for row in rows:
        for cell, path in zip(row, (lesson.TWIN, lesson.MAIN), strict=True):
            for code in re.findall("`(.*?)`", cell):
                assert code in lesson.source(path), code


@pytest.mark.parametrize("name", edits.ALL)
def test_the_first_losses_are_those_on_record(name):
    """Else a setting or an edit has changed: `uv run python -m tests.measure` measures all anew."""
    losses = lesson.train(lesson.load(lesson.MAIN, *edits.ALL[name]), range(5))
    recorded = records.read("mistakes")[name]["first"]
    assert losses[0] == pytest.approx(recorded[0], abs=1e-4)  # with `n_head = 8` it is 6e-4 less
    # float32 rounding, which Adam amplifies (see parity.py).
    assert losses == pytest.approx(recorded, abs=1e-3)


def test_what_float16_can_not_hold():
    assert mx.array(1e-8, mx.float16).item() == 0  # Adam's eps
    assert mx.isinf(mx.array(-1e9, mx.float16))
