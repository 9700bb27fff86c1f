"""The READMEs and the patches say what main.py and the records say."""

import difflib
import re
import shutil

import mlx.core as mx
import pytest

from tests import edits, render, scripts
from tests.measure import records

README, OTHER = (path.read_text(encoding="utf-8") for path in render.READMES)


def blocks(language):
    """README's fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_all_is_what_render_writes():
    assert set(re.findall("<!-- begin (.*?) -->", README + OTHER)) == render.BLOCKS.keys()
    assert sorted(re.findall(r"\(tests/patches/(.*)\.patch\) \|", README)) == scripts.PATCH_NAMES
    for path, text in render.rendered().items():
        assert path.read_text(encoding="utf-8") == text, "run `uv run python -m tests.render`"


def test_all_edits_apply():
    for changes in [*edits.TRAPS.values(), *edits.EXERCISES.values(), [edits.PADDED_TO_16]]:
        scripts.source(scripts.MAIN, *changes)
    for change in (edits.FUSED, edits.COMPILED, edits.CUDA_GRAPHS, edits.PADDED_TO_16):
        scripts.source(scripts.TWIN, change)


def test_a_line_of_both_scripts_has_the_same_comment():
    ours, theirs = (scripts.source(path).splitlines() for path in (scripts.MAIN, scripts.TWIN))
    codes = ([render.code(line) for line in lines] for lines in (ours, theirs))
    for a, b, size in difflib.SequenceMatcher(None, *codes, autojunk=False).get_matching_blocks():
        assert ours[a : a + size] == theirs[b : b + size], "change both scripts"


def test_the_chart_has_the_shapes_of_the_first_batch(lesson):
    (chart,) = (block for block in blocks("mermaid") if block.startswith("flowchart"))
    B, T = lesson.make_batch(lesson.docs, 0, lesson.batch_size)[0].shape
    C, V, H = lesson.n_embd, lesson.vocab_size, lesson.n_head
    assert re.findall(r"= (\(.*?\))", chart) == [
        str(shape) for shape in [(B, T), (B, T, C), (B, H, T, T), (B, T, V)]
    ]


def test_the_pictures_of_a_batch_and_its_masks(lesson):
    batch = lesson.make_batch(["emma", "bo", "ava"], 0, 3)
    inputs, targets, pads, reals = (array.tolist() for array in batch)
    labels = [*lesson.uchars, "BOS", "PAD"]
    pictures = [[row.split() for row in block.splitlines()] for block in blocks("text")]
    _, *rows = next(rows for rows in pictures if rows[0][0] == "input_ids")
    for i, row in enumerate(rows):
        assert row[:5] == [labels[token_id] for token_id in inputs[i]]
        cells = zip(targets[i], reals[i], strict=True)
        assert row[5:10] == [labels[token_id] if real else "0" for token_id, real in cells]
        assert row[10:] == [*(".x"[pad] for pad in pads[i]), *(str(int(real)) for real in reals[i])]

    _, header, *rows = next(rows for rows in pictures if rows[0][0] == "causal_mask")
    causal_mask, pad_mask = lesson.causal_mask[:5, :5], mx.broadcast_to(batch[2][1], (5, 5))
    masks = causal_mask, pad_mask, mx.logical_or(causal_mask, pad_mask)
    cells = mx.concatenate(masks, axis=1).tolist()
    assert header == [labels[token_id] for token_id in inputs[1]] * 3
    assert rows == [[header[i], *(".x"[hidden] for hidden in cells[i])] for i in range(5)]


def test_the_code_for_the_prompt_shows_when_mlx_computes(trained, monkeypatch):
    (code,) = (block for block in blocks("python") if "get_active_memory" in block)
    names = "input_ids", "targets", "pad_mask", "target_mask"
    for name, array in zip(names, trained.make_batch(trained.docs, 0, 32), strict=True):
        monkeypatch.setattr(trained, name, array)
    printed = scripts.run_in(trained, code).splitlines()
    nothing, forward, gradients = (int(line.split()[0]) for line in printed if "bytes" in line)
    size = 4 * 102848
    # Beside the arrays themselves stand a few scalars; Metal's allocator rounds sizes up.
    assert 0 <= nothing < 0.1 * size
    assert forward > 4 * size
    assert size <= gradients < 1.5 * size


@pytest.mark.parametrize("exercise", ["as-it-is", "left", "left-own-positions"])
def test_the_answer_about_padding(exercise):
    (code,) = (block for block in blocks("python") if block.startswith("def emma"))
    lesson = scripts.load(scripts.MAIN, *edits.EXERCISES[exercise])
    scripts.train(lesson, range(20))
    apart = float(scripts.run_in(lesson, code))
    assert apart > 1 if exercise == "left" else apart < 1e-5  # rounding, see test_model.py


def test_the_answer_that_completes_names(trained, tmp_path):
    (code,) = (block for block in blocks("python") if block.startswith("def complete"))
    scripts.sample(trained)  # the prompt comes after it
    names = eval(scripts.run_in(trained, code))
    assert all(re.fullmatch("mar[a-z]{0,13}", name) for name in names)
    other, file = scripts.load(scripts.MAIN).model, str(tmp_path / "names.safetensors")
    trained.model.save_weights(file)
    other.load_weights(file)
    assert mx.array_equal(other.lm_head.weight, trained.model.lm_head.weight)


def test_the_first_screen_is_what_main_prints(whole_run):
    printed, shown = whole_run.splitlines(), records.read("run")["printed"]
    assert printed[:3] == shown[:3]
    # On a GPU, TF32 moves the first 20 losses by up to 6e-3. Later ones are those of another run.
    for lines, bound in [(slice(4, 5), 1e-3), (slice(5, 7), 4e-2), (slice(104, 105), 0.1)]:
        ours, theirs = (scripts.losses("\n".join(x[lines])) for x in (shown, printed))
        assert ours == pytest.approx(theirs, abs=bound)


def test_versions_are_those_that_are_pinned():
    project = (scripts.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (pinned,) = set(re.findall(r'"mlx[^"=]*==([\d.]+)', project))
    assert set(re.findall(r"mlx(?:-cpu|\[\w+\])?==(\d[\d.]*\d)", README)) == {pinned}


@pytest.mark.parametrize("path", render.READMES, ids=["README", "tests"])
def test_links_resolve(path):
    text = path.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    anchors = {"#" + heading.lower().replace(" ", "-") for heading in headings}
    for link in re.findall(r"\]\((?!https://)([^)]*)\)", text):
        assert link in anchors or (path.parent / link).exists(), link


def test_the_table_beside_pytorch_quotes_both_files():
    section = README.split("## PyTorch beside MLX")[1].split("\n## ")[0]
    _, _, *rows = (row.split("|")[1:3] for row in section.splitlines() if row.startswith("|"))
    assert len(rows) > 10
    for row in rows:
        for cell, path in zip(row, (scripts.TWIN, scripts.MAIN), strict=True):
            for code in re.findall("`(.*?)`", cell):
                assert code in scripts.source(path), code


# What -100 reads is undefined, so no two machines need have the same losses.
@pytest.mark.parametrize("name", [name for name in edits.TRAPS if name != "ignored-index"])
def test_the_first_losses_of_a_trap(name):
    if "compile" in edits.TRAPS[name] and shutil.which("g++") is None:
        pytest.skip("without g++ nothing is compiled, and the trap does no harm")
    losses = scripts.train(scripts.load(scripts.MAIN, *edits.TRAPS[name]), range(5))
    # 1e-3: float32 rounding, which Adam amplifies (see parity.py).
    assert losses == pytest.approx(records.read("traps")[name]["first"], abs=1e-3)


FOUND, RUN, BENCHES = records.read("traps"), records.read("run"), render.benches()
LOSSES, NAMES = RUN["losses"], scripts.samples("\n".join([*RUN["printed"], ""]))
REAL = set((scripts.ROOT / "input.txt").read_text(encoding="utf-8").split())
OPENBLAS, OWN = (f"2 cores of AMD EPYC, {blas}" for blas in ("OpenBLAS", "MLX's own BLAS"))
SECONDS, SOONER = (BENCHES[device]["whole runs"]["main.py"]["s"][0] for device in (OWN, OPENBLAS))
TWO_GPUS = "2 processes on NVIDIA H100 80GB HBM3"
RATIOS = {(d, n): [s["ratio"]] for d, r in BENCHES.items() for n, s in r["steps"].items()}


def compared(name, what="end"):
    """How much higher a loss is than without the edit of that name, for each seed."""
    return [a - b for a, b in zip(FOUND[name][what], FOUND["as-it-is"][what], strict=True)]


CLAIMS = [  # of figures, or of how much: a phrase, and the bounds of what was measured
    ("The loss starts at 3.72", 3.715, LOSSES[:1], 3.725),
    ("It rises before it falls", 0.1, [LOSSES[1] - LOSSES[0], LOSSES[1] - LOSSES[3]], 1),
    ("The loss falls to almost 0", 0, FOUND["no-causal-mask"]["end"], 0.01),
    ("the loss falls to almost 0", 0, FOUND["mask-in-module"]["end"], 0.01),
    ("the loss falls to almost 0", 0, FOUND["fast-mask-inverted"]["end"], 0.01),
    ("the loss ends a little worse", 0.02, compared("no-bias-correction"), 0.06),
    ("prints rounding, about 1e-6", 0, FOUND["as-it-is"]["apart"], 3e-6),
    ("prints several units", 4, FOUND["left"]["apart"], 7),
    ("ends at the same loss", -1e-3, compared("left-own-positions"), 1e-3),
    ("the difference is back", 4, FOUND["left-own-positions-no-mask"]["apart"], 7),
    ("about as good as before", -0.03, compared("padding-counted", "unseen"), 0.03),
    ("The loss ends a little higher", 0.02, compared("no-positions"), 0.1),
    ("About half of the 20 names", 8, [sum(name in REAL for name in NAMES)], 12),
    ("about seven times faster", 6, [SECONDS / SOONER], 8),
    ("five sixths of the time on a CPU with OpenBLAS", 0.8, RATIOS[OPENBLAS, "compile"], 0.88),
    ("half on an H200", 0.4, RATIOS["NVIDIA H200", "compile"], 0.6),
    ("on a CPU we saw no difference", 0.97, RATIOS[OPENBLAS, "fast"] + RATIOS[OWN, "fast"], 1.03),
    ("about a minute on the GPU", 50, [BENCHES["NVIDIA H200"]["steps"]["compile"]["first s"]], 75),
    ("size of 4,096", 0.5, RATIOS[TWO_GPUS, "many-machines, batch size 4096"], 0.8),
    ("most of a step", 0.6, RATIOS[TWO_GPUS, "main.py, batch size 4096: make_batch alone"], 1),
]


@pytest.mark.parametrize(("phrase", "low", "values", "high"), CLAIMS)
def test_a_claim(phrase, low, values, high):
    assert phrase in README
    assert all(low <= value <= high for value in values), values
