"""Write what the READMEs, the patches and the pictures show of main.py and of what was measured.

    uv run python -m tests.tools.render

In a README, a code block that begins "```python excerpt" shows lines of main.py, and one with the
path of a file under tests/ shows that file. "```text NAME" and what stands between "begin NAME" and
"end", in comments, is what tables.NAME makes of what stood there. A patch's lines of main.py are
kept as they are there now, comments included.
"""

import difflib
import functools
import re
import sys
import textwrap

from tests.tools import lesson, tables
from tests.tools.lesson import code

TESTS = lesson.ROOT / "tests"
READMES = [lesson.ROOT / "README.md", TESTS / "README.md", TESTS / "porting" / "README.md"]
MAIN = lesson.source(lesson.MAIN).splitlines()
PLACES = [i for i, line in enumerate(MAIN) if code(line)]  # of the lines of code
CODES = [code(MAIN[i]).strip() for i in PLACES]


def find(lines, where, after=0):
    """Which lines of code of main.py these are, one after the other: the first, and the next."""
    want = [code(line).strip() for line in lines if code(line)]
    found = [k for k in range(after, len(CODES)) if CODES[k : k + len(want)] == want]
    if len(found) == 1 or (found and after):
        return found[0], found[0] + len(want)
    lacks = next((line for line in want if line not in CODES), None)
    reason = f"main.py has no `{lacks}`" if lacks else f"`{want[0]}` has other lines beside it"
    sys.exit(f"{where}: {reason} now; mend it by hand, then render again")


def excerpt(body, where):
    """The same lines of main.py, with the comments there now; `...` stays, indentation goes."""
    shown, end = [], 0
    for part in re.split(r"^ *\.\.\.\n", body, flags=re.MULTILINE):
        start, end = find(part.splitlines(), f"an excerpt in {where}", end)
        lines = MAIN[PLACES[start] : PLACES[end - 1] + 1]
        if shown:
            shown.append(min(re.match(" *", line)[0] for line in (shown[-1], lines[0])) + "...")
        shown += lines
    return textwrap.dedent("\n".join(shown))


def refreshed(path):
    """A patch with the lines that it takes from main.py as they are there now."""
    patched, after = [], 0
    for hunk in re.split(r"^@@.*\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        lines = [(line[:1], line[1:]) for line in hunk.splitlines()]
        old = [text for sign, text in lines if sign != "+"]
        place = PLACES[find(old, path.relative_to(lesson.ROOT))[0]]
        for text in old:  # comments and blank lines before its first line of code
            if code(text):
                break
            place -= not code(MAIN[place - 1])
        patched += MAIN[after:place]
        for sign, text in lines:
            if sign == "+":
                patched.append(text)
                continue
            while code(text) and not code(MAIN[place]):  # a new comment goes with its line
                patched += [MAIN[place]] * (sign == " ")
                place += 1
            if bool(code(text)) == bool(code(MAIN[place])):
                patched += [MAIN[place]] * (sign == " ")
                place += 1
        after = place
    patched += MAIN[after:]
    diff = difflib.unified_diff(MAIN, patched, "a/main.py", "b/main.py", n=1, lineterm="")
    return "\n".join(diff) + "\n"


MARKED = (
    r"(```python (?=excerpt|\S*/)|```text |<!-- begin )(\S+)( -->)?(?=\n)(.*?)(?=\n```|\n<!-- end)"
)


def block(match, where):
    """A marked block, written anew."""
    before, name, after, body = match.groups()
    body = body[1:]  # after the line's end; there may be none
    make = getattr(tables, name, None)
    if name == "excerpt":
        new = excerpt(body, where)
    elif name.endswith(".py"):
        new = (TESTS / name).read_text(encoding="utf-8").rstrip()
    elif make is None or "<!-- begin" in body:
        sys.exit(f"{where}: tables.py has no {name}, or the block has no end")
    else:
        new = make(body)
    return f"{before}{name}{after or ''}\n{new}"


def rendered():
    """What the READMEs, the patches and the pictures should be: texts by path."""
    texts = {path: refreshed(path) for path in lesson.PATCHES.glob("*.patch")}
    for path in READMES:
        text, where = path.read_text(encoding="utf-8"), path.relative_to(lesson.ROOT).as_posix()
        make = functools.partial(block, where=where)
        texts[path] = re.sub(MARKED, make, text, flags=re.DOTALL)
    return texts | {TESTS / "pictures" / f"{n}.svg": t for n, t in tables.pictures().items()}


def outdated():
    """What differs from what stands on disk: texts by path."""
    now = rendered().items()
    return {p: t for p, t in now if not p.exists() or p.read_text(encoding="utf-8") != t}


if __name__ == "__main__":
    written = outdated()
    for path, text in written.items():
        path.write_text(text, encoding="utf-8", newline="\n")
        print("wrote", path.relative_to(lesson.ROOT).as_posix())
    if not written:
        print("nothing to write: all is as it should be")
