"""What the READMEs and the pictures show of the scripts and of what was measured.

    uv run python -m tests.page

writes these parts of a README anew:
- ```python excerpt: lines of main.py. ```diff NAME: lines of the diff from tests/NAME.py to it.
  The code says which lines; comments and indentation are those of now, and `...` skips lines.
- ```diff NAME, of an experiment in edits.py: what it changes in main.py.
- ```python PATH: the file of that path under tests/.
- ```text NAME, and what stands between "begin NAME" and "end" in comments: what tables.NAME makes.
"""

import functools
import re
import textwrap

from tests import edits, lesson
from tests.page import pictures, tables

TESTS = lesson.ROOT / "tests"
README = lesson.ROOT / "README.md"
PAGES = [README, TESTS / "README.md", TESTS / "porting" / "README.md"]


def read(path=README):
    return path.read_text(encoding="utf-8")


def block(header):
    """What README.md shows under that header, such as "python emma"."""
    found = re.search(rf"^```{header}\n(.*?)^```$", read(), re.DOTALL | re.MULTILINE)
    if found is None:
        raise ValueError(f"README.md has no block `{header}`")
    return found[1]


def diff(name):
    """The lines of the diff from tests/NAME.py to main.py, those that are the same among them."""
    paths = TESTS / f"{name}.py", lesson.MAIN
    found = lesson.git("diff", "--no-index", "--diff-algorithm=myers", "-U9999", *paths).stdout
    return found.split("@@\n")[1].splitlines()


def outdented(lines):
    """The lines, each with its sign first, without the indentation that all of them have."""
    texts = textwrap.dedent("\n".join(line[1:] for line in lines)).splitlines()
    return [line[0] + text for line, text in zip(lines, texts, strict=True)]


def code(line):
    """A line without its comment and its indentation; nothing if that is all."""
    text = re.sub(r"\s*#.*", "", line[1:]).strip()
    return text and line[0] + text


def excerpt(body, lines):
    """The lines of code in body, as they stand in lines, each with its sign first."""
    places = [i for i, line in enumerate(lines) if code(line)]
    codes = [code(lines[i]) for i in places]
    shown, start = [], 0
    for part in re.split(r"^ *\.\.\.$", body, flags=re.MULTILINE):
        want = [code(line) for line in part.splitlines() if code(line)]
        rest = range(start, len(codes) - len(want) + 1)
        start = next((k for k in rest if codes[k : k + len(want)] == want), None)
        if start is None:
            lost = next((line for line in want if line not in codes), want[0])
            raise ValueError(f"`{lost[1:]}` no longer stands where an excerpt shows it")
        if shown:
            indents = (re.match(" *", line[1:])[0] for line in (shown[-1], lines[places[start]]))
            shown.append(f" {min(indents)}...")
        shown += lines[places[start] : places[start + len(want) - 1] + 1]
        start += len(want)
    return shown


MARKED = (
    r"(```python (?=excerpt|\S*/)|```diff |```text |<!-- begin )(\S+)( -->)?(?=\n)"
    r"(.*?)(?=\n```|\n<!-- end)"
)


def block_as_it_should_be(match, where):
    """A marked block, written anew."""
    before, name, after, body = match.groups()
    body = body[1:]  # after the line's end; there may be none
    try:
        if name == "excerpt":
            lines = [" " + line for line in lesson.source(lesson.MAIN).splitlines()]
            shown = excerpt(textwrap.indent(body, " "), lines)
            new = "\n".join(line[1:] for line in outdented(shown))
        elif name.endswith(".py"):
            new = read(TESTS / name).rstrip()
        elif name in edits.EXPERIMENTS:
            new = "\n".join(outdented(lesson.changed([], edits.EXPERIMENTS[name])))
        elif before == "```diff ":
            new = "\n".join(excerpt(body, diff(name)))
        elif hasattr(tables, name) and "<!-- begin" not in body:
            new = getattr(tables, name)(body)
        else:
            raise ValueError("there is nothing of that name in tables.py, or no end of the block")
    except ValueError as error:
        raise ValueError(f"{where}, {before}{name}: {error}") from error
    return f"{before}{name}{after or ''}\n{new}"


def rendered():
    """What the READMEs and the pictures should be: texts by path."""
    texts = {TESTS / "pictures" / f"{n}.svg": text for n, text in pictures.drawn().items()}
    for path in PAGES:
        make = functools.partial(block_as_it_should_be, where=path.relative_to(lesson.ROOT))
        texts[path] = re.sub(MARKED, make, read(path), flags=re.DOTALL)
    return texts


def outdated():
    """What differs from what stands on disk: texts by path."""
    return {p: t for p, t in rendered().items() if not p.exists() or read(p) != t}
