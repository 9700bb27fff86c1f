"""What is written twice agrees, what is generated is up to date, and the code is tidy."""

import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.tools import edits, lesson, records, render

TEXTS = {path: path.read_text(encoding="utf-8") for path in render.READMES}
README = TEXTS[lesson.ROOT / "README.md"]


@pytest.mark.skipif(find_spec("ruff") is None, reason="ruff is not installed")
@pytest.mark.parametrize("command", ["check", "format --check"])
def test_ruff_has_nothing_to_say(command):
    command = [sys.executable, "-m", "ruff", *command.split(), str(lesson.ROOT)]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
    hint = "shorten what is too long, then `uv run ruff check --fix; uv run ruff format`"
    assert result.returncode == 0, f"{result.stdout}{result.stderr}{hint}"


def test_all_is_what_render_writes():
    names = [path.relative_to(lesson.ROOT).as_posix() for path in render.outdated()]
    assert names == [], "run `uv run python -m tests.tools.render`"


def test_all_edits_apply():
    for changes in edits.CHANGES.values():
        lesson.source(lesson.MAIN, *changes)


def test_records_are_of_the_code_as_it_is():
    keys = {}
    for name, key, _ in records.outdated():
        keys.setdefault(name, []).append(key or "")
    commands = [records.COMMANDS[name].format(" ".join(found)) for name, found in keys.items()]
    hint = "or, if no figure moves (a new name): `uv run python -m tests.tools.records`"
    assert not commands, "\n".join(["measure anew:", *commands, hint])


def remarks(path):
    """The lines of a script's docstrings, and its comments, each of these with its line's code."""
    text = lesson.source(path)
    docstrings = "\n".join(re.findall(r'"""(.*?)"""', text, re.DOTALL)).splitlines()
    comments = re.findall(r"^(.*?)(#.*)$", text, re.MULTILINE)
    return {line.strip() for line in docstrings}, {note: code.strip() for code, note in comments}


def test_both_scripts_have_the_same_comments():
    """But main.py has more where its code differs, and lines of docstrings name a framework."""
    (ours, our_notes), (theirs, their_notes) = map(remarks, (lesson.MAIN, lesson.TWIN))
    about = re.compile("MLX|PyTorch|arrays|tensors|-100|0.0")
    assert [line for line in ours ^ theirs if not about.search(line)] == [], "change both scripts"
    codes = {lesson.code(line).strip() for line in lesson.source(lesson.TWIN).splitlines()}
    assert their_notes.keys() <= our_notes.keys(), "change both scripts"
    alone = our_notes.keys() - their_notes
    assert [note for note in alone if our_notes[note] in codes] == [], "change both scripts"


def test_versions_are_those_that_are_pinned():
    project = (lesson.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (pinned,) = set(re.findall(r'"mlx[^"=]*==([\d.]+)', project))
    for path, text in TEXTS.items():
        named = re.findall(r"mlx(?:-cpu|\[\w+\])?==(\d[\d.]*\d)|MLX (\d+\.\d+\.\d+)", text)
        assert {version for pair in named for version in pair if version} <= {pinned}, path


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.parent.name)
def test_links_resolve(path):
    headings = re.findall(r"^#+ (.*)$", TEXTS[path], re.MULTILINE)
    anchors = {"#" + re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
    for link in re.findall(r"""(?:\]\(|src=")(?!https://)([^)"]*)""", TEXTS[path]):
        file, _, _ = link.partition("#")
        assert link in anchors or (file and (path.parent / file).exists()), link


def test_every_patch_has_its_row_and_every_trap_too():
    assert sorted(re.findall(r"\(tests/patches/(.*)\.patch\) \|", README)) == lesson.PATCH_NAMES
    rows = dict(re.findall(r"^\| <!-- (\w+) --> (.*)$", README, re.MULTILINE))
    assert sorted(rows) == sorted(edits.TRAPS), "README's table of mistakes and edits.TRAPS"
    assert all(key in row.lower() for key, row in rows.items()), "a key is a word of its row"
