"""The README's pictures, code and figures are those of main.py and of the records."""

import math
import re
import shutil

import mlx.core as mx
import pytest

from tests.tools import edits, lesson, records, tables

README = (lesson.ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    """README's fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}.*?\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def picture(header):
    """The rows of the text picture that has that header, as lists of words."""
    (found,) = (b for b in blocks("text") if b.split("\n")[0].split() == header.split())
    return [line.split() for line in found.splitlines()]


def test_the_shapes_are_those_of_the_first_batch(fresh):
    B, T = fresh.make_batch(fresh.docs, 0, fresh.batch_size)[0].shape
    C, V, H = fresh.n_embd, fresh.vocab_size, fresh.n_head
    (found,) = (block for block in blocks("text") if "lm_head" in block)
    sizes = {"B": B, "T": T, "C": C, "n_head": H, "vocab_size": V}
    letters, numbers = (re.findall(r"\(([^)]*)\)", found)[i::2] for i in (0, 1))
    assert len(letters) == 5
    for names, shape in zip(letters, numbers, strict=True):
        shown = ", ".join(str(sizes[name]) for name in names.split(", "))
        assert shown == shape, "README.md: the shapes of the first batch"
    assert f"the {sum(p.size for _, p in fresh.tree_flatten(fresh.model.parameters())):,}" in README


def test_the_table_of_the_two_labs_has_the_settings_of_this_one(fresh):
    rows = dict(re.findall(r"^\| (.*) \| .* \| (\d+) \|$", README.split("## The game")[0], re.M))
    names = {"embedding": "n_embd", "blocks": "n_layer", "context": "block_size"}
    names |= {"batch size": "batch_size", "steps": "num_steps"}
    assert {n: rows[row] for row, n in names.items()} == {
        n: str(vars(fresh)[n]) for n in names.values()
    }


def test_the_pictures_of_a_batch_and_its_masks(fresh):
    batch = fresh.make_batch(["emma", "bo", "ava"], 0, 3)
    inputs, targets, pads, reals = (array.tolist() for array in batch)
    labels = [*fresh.uchars, "BOS", "PAD"]
    _, *rows = picture("input_ids targets")
    for i, (tokens, masks) in enumerate(zip(rows[:3], rows[-3:], strict=True)):
        assert tokens[:5] == [labels[token_id] for token_id in inputs[i]]
        cells = zip(targets[i], reals[i], strict=True)
        assert tokens[5:] == [labels[token_id] if real else "-" for token_id, real in cells]
        assert masks == [*(".x"[pad] for pad in pads[i]), *(str(int(real)) for real in reals[i])]

    _, *rows = picture("causal_mask pad_mask both")
    causal_mask, pad_mask = fresh.causal_mask[:5, :5], mx.broadcast_to(batch[2][1], (5, 5))
    masks = causal_mask, pad_mask, mx.logical_or(causal_mask, pad_mask)
    cells = mx.concatenate(masks, axis=1).tolist()
    assert rows == [
        [labels[inputs[1][i]], *(".x"[hidden] for hidden in row)] for i, row in enumerate(cells)
    ]


def test_the_mask_that_does_nothing():
    """All that a run prints is the same without it, on the CPU."""
    assert lesson.short_run() == lesson.short_run(*edits.EXERCISES["no-padding-mask"])
    found = records.read("traps")  # 1,000 steps
    for what in ("end", "first", "names"):
        assert found["no-padding-mask"][what] == found["as-it-is"][what]


def test_the_first_screen_is_what_main_prints(whole_run):
    printed, shown = whole_run.splitlines(), records.read("run")["printed"]
    assert printed[:3] == shown[:3]
    # On a GPU, TF32 moves the first 20 losses by up to 6e-3. Later ones are those of another run.
    for lines, bound in [(slice(4, 5), 1e-3), (slice(5, 7), 4e-2), (slice(104, 105), 0.1)]:
        ours, theirs = (lesson.losses("\n".join(x[lines])) for x in (shown, printed))
        assert ours == pytest.approx(theirs, abs=bound)


def test_the_table_beside_pytorch_quotes_both_files():
    section = README.split("## PyTorch beside MLX")[1].split("\n## ")[0]
    _, _, *rows = (row.split("|")[1:3] for row in section.splitlines() if row.startswith("|"))
    assert len(rows) > 4
    for row in rows:
        for cell, path in zip(row, (lesson.TWIN, lesson.MAIN), strict=True):
            for code in re.findall("`(.*?)`", cell):
                assert code in lesson.source(path), code


# What -100 reads is undefined, so no two machines need have the same losses.
@pytest.mark.parametrize("name", [name for name in edits.TRAPS if name != "ignored"])
def test_the_first_losses_of_a_trap(name):
    if name == "compile" and shutil.which("g++") is None:
        pytest.skip("without g++ nothing is compiled, and the trap does no harm")
    losses = lesson.train(lesson.load(lesson.MAIN, *edits.TRAPS[name]), range(5))
    # 1e-3: float32 rounding, which Adam amplifies (see parity.py).
    assert losses == pytest.approx(records.read("traps")[name]["first"], abs=1e-3)


def of(name, what="end"):
    """What traps.json has for an edit, of each seed."""
    return records.read("traps")[name][what]


def above(name, what="end"):
    """How much higher a loss is than without the edit of that name, for each seed."""
    return [a - b for a, b in zip(of(name, what), of("as-it-is", what), strict=True)]


def run(what):
    return [records.read("run")[what]]


def benches(device):
    return [record for name, record in tables.benches().items() if device in name]


def seconds(blas):
    return [record["whole runs"]["main.py"]["s"][0] for record in benches(blas)]


def steps(device, name, what="ratio"):
    return [r["steps"][name][what] for r in benches(device) if name in r["steps"]]


MANY = "2 processes on NVIDIA H100", "many-machines, batch size 4096"
ALONE = "2 processes on NVIDIA H100", "main.py, batch size 4096: make_batch alone"
CLAIMS = [  # of figures, or of how much: a phrase, and the bounds of what was measured
    ("a minute on two cores", 40, lambda: seconds("own BLAS"), 75),
    ("several seconds with OpenBLAS", 4, lambda: seconds("OpenBLAS"), 12),
    (
        "more than ten times as long",
        10,
        lambda: [32 * r for r in steps("OpenBLAS", "batch size 1")],
        30,
    ),
    ("and the model is worse: 2.27", 2.2, lambda: of("one-at-a-time", "unseen"), 2.35),
    ("it gets as good, but still", 2.05, lambda: of("one-at-a-time-slowly", "unseen"), 2.13),
    ("27 tokens costs 3.30", 3.295, lambda: [run("costs")[0]["blind"]], 3.305),
    ("you get to 2.82", 2.815, lambda: [run("costs")[0]["letters"]], 2.825),
    ("which letter follows which, to 2.45", 2.445, lambda: [run("costs")[0]["pairs"]], 2.455),
    ("ends at about 2.11", 2.07, lambda: of("as-it-is"), 2.14),
    ("even worse, at 3.72", 3.71, lambda: run("losses")[0][:1], 3.73),
    ("chose among eight letters", 7.5, lambda: [math.exp(x) for x in of("as-it-is")], 8.5),
    ("more than half stand in", 0.5, lambda: run("real"), 0.7),
    ("The loss falls to almost 0", 0, lambda: of("no-causal-mask"), 0.02),
    ("the loss ends only a little higher", 0.01, lambda: above("no-positions"), 0.15),
    ("it looks much better, the model isn't", -0.05, lambda: above("counted", "unseen"), 0.05),
    ("and ends a little higher", 0.005, lambda: above("adam"), 0.1),
    ("ten seconds on a CPU", 4, lambda: steps("OpenBLAS", "compile", "first s"), 25),
    ("a minute on a GPU", 25, lambda: steps("NVIDIA", "compile", "first s"), 120),
    ("on a GPU, a little", 0.5, lambda: steps("NVIDIA", "fast"), 1),
    ("it saves a quarter on two H100s", 0.65, lambda: steps(*MANY), 0.85),
    ("takes most of such a step", 0.5, lambda: steps(*ALONE), 1),
]


@pytest.mark.parametrize("claim", CLAIMS, ids=[claim[0] for claim in CLAIMS])
def test_a_claim(claim):
    phrase, low, values, high = claim
    hint = f"mend README.md, and CLAIMS in test_readme.py: `{phrase}`"
    assert README.count(phrase) == 1, hint
    assert all(low <= float(figure) <= high for figure in re.findall(r"\d+\.\d\d", phrase)), hint
    assert values() and all(low <= value <= high for value in values()), f"{hint}: {values()}"


def test_names_come_out_empty_where_that_is_said():
    for name in ("no-causal-mask", "tril", "invert"):
        assert of(name, "names") == [""] * 5
