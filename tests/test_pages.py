"""What the READMEs show is what the scripts, the patches and the records have."""

import re
import subprocess
import sys
from difflib import get_close_matches
from importlib.util import find_spec

import pytest

from tests import draw, edits, pages, records, scripts, tables

TEXTS = {path: pages.read(path) for path in pages.PAGES}
README = TEXTS[pages.README]
BLOCKS = [block for path in pages.PAGES for block in pages.blocks(path)]
COMMANDS = [block for block in BLOCKS if block.language == "bash"]


@pytest.mark.skipif(find_spec("ruff") is None, reason="ruff is not installed")
@pytest.mark.parametrize("command", ["check", "format --check"])
def test_ruff_has_nothing_to_say(command):
    command = [sys.executable, "-m", "ruff", *command.split(), "--no-cache", str(scripts.ROOT)]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
    hint = "shorten what is too long, then `uv run ruff check --fix; uv run ruff format`"
    assert result.returncode == 0, f"{result.stdout}{result.stderr}{hint}"


def diff_from(path):
    """The lines of the diff from a script to main.py, those that are the same among them."""
    command = "diff", "--no-index", "--diff-algorithm=myers", "-U9999", path, scripts.MAIN
    return scripts.git(*command).stdout.split("@@\n")[1].splitlines()


def quoted_lines(block):
    """The lines of the file that a block is named after; of a script's diff, where it is one."""
    path = (scripts.ROOT if block.name == "main.py" else scripts.TESTS) / block.name
    if not path.exists():
        raise scripts.Unfit(f"{block}: there is no such file")
    if block.language == "diff" and path.suffix == ".py":
        return diff_from(path)
    return pages.read(path).splitlines()


def outdented(lines, signs):
    """The lines without the indentation that all have; with signs, it comes after - or +."""
    texts = [line[signs:] for line in lines]
    cut = min((len(text) - len(text.lstrip()) for text in texts if text.strip()), default=0)
    return [line[:signs] + line[signs + cut :] for line in lines]


def misquoted(block):
    """What of a block doesn't stand in its file, in this order; nothing if all does.

    Its lines that are "..." stand for any lines, or none.
    """
    lines, start, signs = quoted_lines(block), 0, int(block.language == "diff")
    for part in re.split(r"^ *\.\.\.\n", block.body, flags=re.MULTILINE):
        part = part.splitlines()
        want, places = outdented(part, signs), range(start, len(lines) - len(part) + 1)
        found = [i for i in places if outdented(lines[i : i + len(part)], signs) == want]
        if not found:
            texts = [line.strip() for line in lines[start:]]
            for line in part:
                if line.strip() not in texts:
                    near = *get_close_matches(line.strip(), texts, 1, 0), "none"
                    return f"`{line.strip()}` no longer stands there; the nearest is `{near[0]}`"
            return f"the lines from `{part[0].strip()}` on stand in another order, or apart"
        start = found[0] + len(part)
    return ""


def made(block):
    """What a block should be that is made of records or of edits; else None."""
    if block.language == "diff" and block.name in edits.EXPERIMENTS:
        lines = scripts.changed([], edits.EXPERIMENTS[block.name])
        return "\n".join(outdented(lines, 1)) + "\n"
    if block.language in ("text", "table"):
        name, *arguments = block.name.split(" ", 1)
        make = getattr(tables, name, None)
        return make and make(*arguments, block.body) + "\n"
    return None


def is_run(name):
    """Whether a test is named after a block of code to paste."""
    texts = (pages.read(path) for path in scripts.TESTS.rglob("test_*.py"))
    return name.isidentifier() and any(f"def test_{name}(" in text for text in texts)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_shows_what_stands(block):
    if block.name.endswith((".py", ".patch")):
        if wrong := misquoted(block):
            pytest.fail(f"{block}: {wrong}", pytrace=False)
    elif (should := made(block)) is not None:
        if block.body != should:
            pytest.fail(f"{block} should be:\n{should}", pytrace=False)
    elif block.name.split(" ")[0] not in ("command", "drawing") and not is_run(block.name):
        hint = "give it the name of a file, a table, a test that runs it, `command` or `drawing`"
        pytest.fail(f"{block} shows nothing that is known: {hint}", pytrace=False)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.parent.name)
def test_each_block_and_comment_has_both_its_ends(path):
    found = pages.blocks(path)
    assert not re.search(r"</summary>\s*</details>", TEXTS[path]), "an answer is empty"
    fences = len(re.findall(r"^ *```", TEXTS[path], re.MULTILINE))
    tables = [block for block in found if block.language == "table"]
    assert fences == 2 * (len(found) - len(tables)), "a block of code lacks its header or its end"
    marks = re.findall(r"^<!--.*?-->$", TEXTS[path], re.MULTILINE)
    assert len(marks) == 2 * len(tables), f"one of these is misspelt or lacks its other: {marks}"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.parent.name)
def test_links_resolve(path):
    for link in re.findall(r"""(?:\]\(|src=")(?!https://)([^)"]*)""", TEXTS[path]):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        headings = re.findall(r"^#+ (.*)$", TEXTS.get(target, ""), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
        assert not anchor or anchor in anchors, link


@pytest.mark.parametrize("path", draw.drawn(), ids=lambda path: path.stem)
def test_pictures_are_as_they_are_drawn(path):
    assert path.exists() and pages.read(path) == draw.drawn()[path], "`uv run python -m tests.draw`"
    assert f"pictures/{path.name})" in README


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.parent.name)
def test_what_commands_name_is_there(path):
    """Scripts, modules and patches, in blocks and in sentences; and the reader's own copy."""
    code = "\n".join(re.findall(r"```bash.*?```|`[^`\n]+`", TEXTS[path], re.DOTALL))
    for file in re.findall(
        r"(?:python|apply(?: -R)?|cp|pytest(?: -x)?) ((?:tests/)?[\w/.-]+\.\w+)", code
    ):
        known = file == "tests/mine.py" or "NAME" in file or (scripts.ROOT / file).exists()
        assert known, f"{path.parent.name}/README.md: there is no {file}"
    for module in re.findall(r"-m (tests[\w.]*)", code):
        assert find_spec(module), module


def test_the_versions_are_those_of_pyproject():
    pins = dict(re.findall(r'"([\w-]+)==([\d.]+)', pages.read(scripts.ROOT / "pyproject.toml")))
    assert pins["mlx"] == pins["mlx-cpu"], "pyproject.toml: mlx and mlx-cpu differ"
    for path, text in TEXTS.items():
        for name, version in re.findall(r"\b(mlx|mlx-cpu)(?:\[\w+\])?==([\d.]*\d)", text):
            assert version == pins[name], f"{path.parent.name}/README.md: {name} is {pins[name]}"
        for version in re.findall(r"with MLX ([\d.]*\d)", text):
            assert version == pins["mlx"], f"{path}: try its tables with {pins['mlx']}, and say so"


def test_each_step_and_each_patch_is_on_the_page():
    linked = set(re.findall(r"tests/((?:steps|patches)/[\w-]+)\.patch\)", README))
    assert linked == {*scripts.STEPS, *scripts.PATCHES}


def test_each_edit_fits_and_was_measured():
    """Else `uv run python -m tests.measure.losses` or bench would stop in the middle."""
    found = records.read("losses")
    more = edits.num_steps(1), edits.rate("1e-3"), edits.batch_size(8), edits.seed(43)
    for name, changes in edits.ALL.items():
        scripts.source(scripts.MAIN, *changes, *more)
        assert name in found, f"run `uv run python -m tests.measure.losses {name}`"
    assert found.keys() == {"measured", *edits.ALL}


@pytest.mark.parametrize("name", edits.MISTAKES)
def test_a_row_of_mistakes_names_what_is_planted(name):
    """The code in its first cell stands in main.py with that mistake."""
    text = scripts.source(scripts.MAIN, *edits.MISTAKES[name])
    cell = re.search(rf"<!-- {name} -->(.*?)\|", README)[1]
    for code in re.findall(r"`([^`]*)`", cell):
        assert "..." in code or re.search(rf"{re.escape(code)}(?!\w|\.\d)", text), code


def picture(header):
    """The rows of the text drawing below that header, as lists of words."""
    below = re.search(rf"^ *{header}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)[1]
    return [line.split() for line in below.splitlines()]


def test_the_drawings_of_a_batch(fresh):
    arrays = (array.tolist() for array in fresh.make_batch(["emma", "bo", "ava"], 0, 3))
    labels = [*fresh.uchars, "BOS", "PAD"]
    inputs, masks = picture("input_ids +targets"), picture("targets +target_mask")
    for i, (input_ids, targets, _, reals) in enumerate(zip(*arrays, strict=True)):
        assert inputs[i] == [labels[token_id] for token_id in input_ids + targets]
        assert masks[i] == [*(labels[token_id] for token_id in targets), *map("{:g}".format, reals)]


def test_the_first_batch_and_the_number_of_parameters(fresh):
    assert records.read("training")["first batch"] == fresh.docs[: fresh.batch_size]
    parameters = fresh.tree_flatten(scripts.load(scripts.ONE).model.parameters())
    assert f"{sum(p.size for _, p in parameters):,}" in README


def test_the_mask_that_does_nothing(sound):
    """All that a run prints is the same without it and with BOS in PAD's place, on the CPU."""
    changes = edits.EXPERIMENTS["no-padding-mask"]
    assert scripts.whole_run(scripts.MAIN, *changes, num_steps=100) == sound
    found = records.read("losses")  # 1,000 steps
    assert found["no-padding-mask"] == {k: found["none"][k] for k in found["no-padding-mask"]}


@pytest.mark.parametrize("name", edits.ALL)
def test_the_first_losses_are_those_on_record(name):
    """Else an edit has changed: `uv run python -m tests.measure.losses NAME` measures it anew."""
    losses = scripts.train(scripts.load(scripts.MAIN, *edits.ALL[name]), range(5))
    recorded = records.read("losses").get(name, {"first": []})["first"]
    if not recorded:
        pytest.fail(f"run `uv run python -m tests.measure.losses {name}`", pytrace=False)
    assert losses[0] == pytest.approx(recorded[0], abs=1e-4)  # with `n_head = 8` it is 6e-4 less
    # float32 rounding, which Adam amplifies (see parity.py).
    assert losses == pytest.approx(recorded, abs=1e-3)
