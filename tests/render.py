"""Write what the READMEs and the patches show of main.py and of what was measured.

    uv run python -m tests.render

Between `<!-- begin NAME -->` and `<!-- end -->` of a README stands what BLOCKS[NAME] makes of what
stood there. A patch's lines of main.py are kept as they are there now, comments included.
"""

import difflib
import re
import sys
from functools import partial
from statistics import fmean  # sum() rounds as the version of Python does

from tests import edits, scripts
from tests.measure import bench, records

READMES = [scripts.ROOT / "README.md", scripts.ROOT / "tests" / "README.md"]
MAIN = scripts.source(scripts.MAIN).splitlines()


def fenced(language, text):
    return f"```{language}\n{text.rstrip()}\n```"


# --- From main.py ---
def code(line):
    """A line without its comment; nothing, where it is all comment or docstring."""
    return re.sub(r'\s*#.*|^\s*""".*', "", line).rstrip()


def missing(line, where):
    sys.exit(f"{where}: main.py has no `{line.strip()}` where it is wanted; mend it by hand")


def excerpt(body):
    """The same lines of main.py, with their comments of now; `...` stays."""
    shown, after = [], 0
    for line in body.splitlines()[1:-1]:
        if line.strip() != "...":
            found = (i for i in range(after, len(MAIN)) if code(MAIN[i]) == code(line))
            after = next(found, None) or missing(line, "an excerpt in README.md")
            line = MAIN[after]
        shown.append(line)
    return fenced("python", "\n".join(shown))


def refreshed(path):
    """A patch with the lines that it takes from main.py as they are there now."""
    places = [i for i, line in enumerate(MAIN) if code(line)]
    codes = [code(MAIN[i]) for i in places]
    patched, after = [], 0
    for hunk in re.split(r"^@@.*\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        lines = [(line[:1], line[1:]) for line in hunk.splitlines()]
        old = [code(text) for sign, text in lines if sign != "+"]
        want = [text for text in old if text] or missing("line of code beside a change", path)
        found = [k for k in range(len(codes)) if codes[k : k + len(want)] == want]
        if len(found) != 1:
            missing(next((text for text in want if text not in codes), want[0]), path)
        place = places[found[0]]
        for _ in old[: old.index(want[0])]:  # comments and blank lines before it
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


# --- From the records ---
def first_screen(_):
    """The beginning and the end of what main.py prints."""
    lines = records.read("run")["printed"]
    return fenced("text", "\n".join([*lines[:6], "...", *lines[104:108], "...", lines[-1]]))


def attention(_):
    """The weights of one head, of each letter on those before."""
    run = records.read("run")
    labels = ["BOS", *run["attended"]]
    lines = ["".join(f"{label:>6}" for label in ["", *labels])]
    for label, row in zip(labels, run["attention"], strict=True):
        cells = [f"{weight:6.2f}" if weight >= 0.005 else f"{'.':>6}" for weight in row]
        lines.append(f"{label:>6}" + "".join(cells))
    return fenced("text", "\n".join(lines))


def curve(_):
    """The losses of both frameworks as a chart, each point the mean of 20 steps."""
    both = records.read("run")["losses"], records.read("pytorch")["losses of a whole run"]
    ours, theirs = ([round(fmean(x[i : i + 20]), 3) for i in range(0, 1000, 20)] for x in both)
    return fenced(
        "mermaid",
        f"""\
%%{{init: {{"themeVariables": {{"xyChart": {{"plotColorPalette": "#e8590c, #1971c2"}}}}}}}}%%
xychart-beta
    x-axis "step" 10 --> 990
    y-axis "loss" 2 --> 3
    line {ours}
    line {theirs}""",
    )


def names(_):
    """Names that are sampled on the way."""
    rows = records.read("run")["names after"].items()
    lines = [f"| {steps} | {', '.join(found[:6])} |" for steps, found in rows]
    return "\n".join(["| after step | names |", "| --- | --- |", *lines])


def traps(body):
    """The same table of mistakes, with the losses at the end as they were measured."""
    head, line, *rows = body.splitlines()
    measured = records.read("traps")
    if len(rows) != 1 + len(edits.TRAPS):
        sys.exit(f"README's table has {len(rows) - 1} mistakes, edits.py {len(edits.TRAPS)}")
    for i, name in enumerate(["as-it-is", *edits.TRAPS]):
        if name not in measured:
            sys.exit(f"not measured yet: run `uv run python -m tests.measure.traps {name}`")
        cells = rows[i].split(" | ")
        end = measured[name]["end"][0]
        cells[1] = f"{end:,.0f}" if end > 100 else f"{end:.2f}"
        rows[i] = " | ".join(cells)
    return "\n".join([head, line, *rows])


def benches():
    """The benchmark's records by device."""
    found = [records.read(path.stem) for path in sorted(records.FOLDER.glob("bench-*.json"))]
    return {record["device"]: record for record in found}


def speed(_):
    """First runs, and steps as they are and at their fastest, of both frameworks."""
    rows = {}
    for device, record in benches().items():
        for name, whole in record.get("whole runs", {}).items():
            ms = {n: row["ms"][0] for n, row in record["steps"].items() if "batch" not in n}
            best = min(v for n, v in ms.items() if ("PyTorch" in n) == (name == "PyTorch"))
            cells = f"{whole['s'][0]:.1f} | {whole['peak MiB']:,} | {ms[name]:.1f} | {best:.1f}"
            # A BLAS is preloaded for MLX alone.
            on = f"{device}: MLX" if name == "main.py" else f"{device.split(',')[0]}: PyTorch"
            rows.setdefault(on, f"| {on} | {cells} |")
    head = "| | a first run, s | peak MiB | a step, ms | fastest form, ms |"
    return "\n".join([head, "| --- " * 5 + "|", *(rows[on] for on in sorted(rows))])


def measured(_):
    """All tables of the benchmark."""
    return "\n\n".join(f"### {device}\n\n{bench.table(r)}" for device, r in benches().items())


def file(path, _):
    return fenced("python", (scripts.ROOT / "tests" / path).read_text(encoding="utf-8"))


# --- The command ---
BLOCKS = {
    "excerpt": excerpt,
    "first screen": first_screen,
    "attention": attention,
    "curve": curve,
    "names": names,
    "traps": traps,
    "port": partial(file, "port_example.py"),
    "answer padding": partial(file, "answers/padding.py"),
    "answer positions": lambda _: fenced("python", edits.OWN_POSITIONS[1]),
    "answer complete": partial(file, "answers/complete.py"),
    "speed": speed,
    "measured": measured,
}


def block(match):
    name, body = match.groups()
    if name not in BLOCKS or "<!-- begin" in body:
        sys.exit(f"block {name}: render.py has no such name, or its `<!-- end -->` is missing")
    return f"<!-- begin {name} -->\n{BLOCKS[name](body)}\n<!-- end -->"


def rendered():
    """What the READMEs and the patches should be: texts by path."""
    texts = {path: refreshed(path) for path in scripts.PATCHES.glob("*.patch")}
    for path in READMES:
        text, marks = path.read_text(encoding="utf-8"), r"<!-- begin (.*?) -->\n(.*?)<!-- end -->"
        texts[path] = re.sub(marks, block, text, flags=re.DOTALL)
    return texts


if __name__ == "__main__":
    for path, text in rendered().items():
        path.write_text(text, encoding="utf-8", newline="\n")
