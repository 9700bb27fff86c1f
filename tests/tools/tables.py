"""What the READMEs show of the records: each function makes the block that is named after it."""

import re
import sys

from tests.tools import draw, edits, lesson, records


def grid(head, rows):
    """A table in Markdown."""
    return "\n".join(line(cells) for cells in [head, ["---"] * len(head), *rows])


def line(cells):
    return "|" + "".join(f" {cell} |" if cell != "" else " |" for cell in cells)


def first_screen(_):
    """The beginning and the end of what main.py prints."""
    lines = records.read("run")["printed"]
    return "\n".join([*lines[:6], "...", *lines[104:]])


def chances(guess, number):
    """The likeliest tokens, with their probabilities."""
    pairs = [f"{token:>3} {100 * p:2.0f}%" for token, p in list(guess.items())[:number]]
    return " ".join(pairs)


def guesses(_):
    """The likeliest next letters after some beginnings."""
    found = records.read("run")["guesses"]
    return "\n".join(f"{prefix:<8}{chances(found[prefix], 4)}" for prefix in ("q", "mar", "maria"))


def sampling(_):
    """How the first tokens of the first name were drawn."""
    run, lines = records.read("run"), []
    name = run["names after"]["1000"][0]
    for i in range(3):
        guess = run["guesses"][name[:i]]
        total = sum(p * p for p in guess.values())
        colder = {token: p * p / total for token, p in guess.items()}  # at temperature 0.5
        lines.append(f"{' '.join(['BOS', *name[:i]]):<8} at 1:    {chances(guess, 3)}")
        lines.append(f"{'':<8} at 0.5:  {chances(colder, 3)}")
        lines.append(f"{'':<8} drawn:   {chances({name[i]: colder[name[i]]}, 1)}")
    return "\n".join(lines)


def names(_):
    """Names that are sampled on the way."""
    rows = records.read("run")["names after"].items()
    return grid(["after step", "names"], ([n, ", ".join(found[:6])] for n, found in rows))


def temperatures(_):
    """Names at other temperatures."""
    rows = records.read("run")["names at"].items()
    return "\n".join(f"{t:>4}  {', '.join(found[:4])}" for t, found in rows)


def traps(body):
    """The same table of mistakes, with the losses at the end as they were measured."""
    head, under, *rows = body.strip().splitlines()
    found = records.read("traps")
    for i, row in enumerate(rows):
        cells = [cell.strip() for cell in row.strip().strip("|").split("|")]
        key = (re.findall("<!-- (.*?) -->", cells[0]) or ["as-it-is"])[0]
        if len(cells) != 4:
            sys.exit(f"README.md: the row of {key} needs four cells, with anything for the loss")
        if key not in edits.CHANGES:
            sys.exit(f"README.md: a mistake is marked {key}, which tests/tools/edits.py has not")
        if key not in found:
            sys.exit(f"not measured yet: run `{records.COMMANDS['traps'].format(key)}`")
        end = found[key]["end"][0]
        cells[1] = f"{end:,.0f}" if end > 100 else f"{end:.2f}"
        rows[i] = line(cells)
    return "\n".join([head, under, *rows])


def benches():
    """The benchmark's records by device, a faster CPU before a slower one, then GPUs."""
    found = [records.read(path.stem) for path in records.FOLDER.glob("bench-*.json")]
    found.sort(key=lambda r: ("gpu" in r["machine"], r["machine"].get("blas") != "OpenBLAS"))
    return {records.device(record["machine"]): record for record in found}


def batches(_):
    """What a batch size gives: names a second, and the loss on names that are held out."""
    found, rows = records.read("traps"), []
    whole = {device: r["steps"] for device, r in benches().items() if "whole runs" in r}
    cpu, gpu = ([d for d in whole if ("cores" in d) == is_cpu][0] for is_cpu in (True, False))
    for size in (1, 8, 32, 128):
        name = "main.py" if size == 32 else f"batch size {size}"
        speeds = [f"{whole[device][name]['names/s']:,}" for device in (cpu, gpu)]
        loss = sum(found[f"batch-{size}"]["unseen"]) / 3
        rows.append([size, f"{size}k", *speeds, f"{loss:.2f}"])  # names in 1,000 steps
    head = "batch size", "names", "CPU", "GPU", "loss"
    return grid(head, rows)


def speed(_):
    """Whole runs of both scripts, and their steps in turns."""
    rows = []
    for device, record in benches().items():
        if len(runs := record.get("whole runs", {}).values()) == 2:
            seconds = [f"{run['s'][0]:.1f}" for run in runs]
            memory = " / ".join(f"{run['peak MiB']:,}" for run in runs)
            rows.append([device, *seconds, f"{record['steps']['PyTorch']['ratio']:.2f}", memory])
    head = "", "a run, s", "PyTorch's, s", "its step / ours", "MiB of host memory, ours / its"
    return grid(head, rows)


def cell(values, digits):
    return "{:,.{d}f} ({:,.{d}f} to {:,.{d}f})".format(*values, d=digits)


def bench(record):
    """A record of the benchmark."""
    about = ", ".join(f"{key} {value}" for key, value in record["machine"].items())
    runs = record.get("whole runs", {}).items()
    rows = [[name, cell(run["s"], 1), f"{run['peak MiB']:,}"] for name, run in runs]
    head = "whole run", "s, median (least to most)", "peak MiB of the host"
    whole = [grid(head, rows), ""] if rows else []
    head = "a step", "ms, median (least to most)", "ratio", "names a second", "first steps, s"
    rows = [
        [n, cell(r["ms"], 2), f"{r['ratio']:.2f}", f"{r['names/s']:,}", r.get("first s", "")]
        for n, r in record["steps"].items()
    ]
    return "\n".join([about, "", *whole, grid(head, rows)])


def measured(_):
    """All tables of the benchmark, folded."""
    now, parts = lesson.digest(lesson.source(lesson.MAIN)), []
    for device, record in benches().items():
        age = "" if record["code"] == now else ", of older code"
        title = f"<details><summary>{device}, {record['date']}{age}</summary>"
        parts.append(f"{title}\n\n{bench(record)}\n\n</details>")
    return "\n".join(parts)


def pictures():
    """The SVGs, by name."""
    run, twin = records.read("run"), records.read("pytorch")["losses of a whole run"]
    return {
        "attention": draw.heads(run["attention"], ["BOS", *run["attended"]]),
        "curve": draw.curve(run["losses"], twin, run["costs"]),
    }
