"""What the READMEs show of the records: each function makes the block that is named after it."""

import math

from tests import records


def grid(head, rows):
    """A table in Markdown."""
    return "\n".join(row(cells) for cells in [head, ["---"] * len(head), *rows])


def row(cells):
    return "|" + "".join(f" {cell} |" if cell != "" else " |" for cell in cells)


def training(what):
    return records.read("training")[what]


def first_screen(_):
    """The beginning and the end of what main.py prints."""
    lines = training("printed")
    return "\n".join([*lines[:6], "...", *lines[104:113], "...", lines[-1]])


def chances(guess, number):
    """The likeliest tokens, with their probabilities."""
    pairs = [f"{token:>3} {100 * p:2.0f}%" for token, p in list(guess.items())[:number]]
    return " ".join(pairs)


def guesses(_):
    """The likeliest next letters after some beginnings."""
    found = training("guesses")
    return "\n".join(f"{prefix:<8}{chances(found[prefix], 4)}" for prefix in ("q", "mar", "maria"))


def one_by_one(_):
    """What the code for the prompt that compares a batch with its names printed."""
    return training("one by one").strip()


def letter(_):
    """How one head comes to the weights of one letter, computed from scores as they are shown."""
    tokens = ["BOS", *training("attended")][: training("letter") + 1]
    scores = [round(score, 2) for score in training("scores")[: len(tokens)]]
    exps = [math.exp(score) for score in scores]
    lines = {
        "": tokens,
        "score": [f"{score:.2f}" for score in scores],
        "exp": [f"{exp:,.0f}" if exp > 10 else f"{exp:.3f}" for exp in exps],
        "weight": [f"{exp / sum(exps):.2f}" for exp in exps],
    }
    return "\n".join(f"{name:<6}" + "".join(f"{x:>8}" for x in row) for name, row in lines.items())


def sampling(_):
    """How the first tokens of the first name were drawn."""
    name, lines = training("names after")["1000"][0], []
    for i in range(2):
        guess = training("guesses")[name[:i]]
        total = sum(p * p for p in guess.values())
        colder = {token: p * p / total for token, p in guess.items()}  # at temperature 0.5
        lines.append(f"{' '.join(['BOS', *name[:i]]):<8} at 1:    {chances(guess, 3)}")
        lines.append(f"{'':<8} at 0.5:  {chances(colder, 3)}")
        lines.append(f"{'':<8} drawn:   {chances({name[i]: colder[name[i]]}, 1)}")
    return "\n".join(lines)


def names(_):
    """Names that are sampled on the way."""
    rows = training("names after").items()
    return grid(["after step", "names"], ([n, ", ".join(found[:6])] for n, found in rows))


def batch_sizes(_):
    """What a batch of each size costs, and how good the model gets that reads in such batches."""
    found, rows = records.read("batch_sizes"), []
    for size, losses in found["losses"].items():
        ms = found["ms"][size]
        rate = min(losses, key=lambda rate: sum(losses[rate]) / len(losses[rate]))
        loss = sum(losses[rate]) / len(losses[rate])
        padding, speed = 100 * found["padding"][size], 1000 * int(size) / ms
        rows.append([size, f"{ms:.0f}", f"{speed:,.0f}", f"{padding:.0f}%", rate, f"{loss:.3f}"])
    head = "names a step", "ms a step", "names a second", "padding", "best learning rate", "loss"
    return grid(head, rows)


def losses(body):
    """The same table, with the losses measured for the edits that the rows are marked with."""
    head, under, *rows = body.strip().splitlines()
    lines, found = [head, under], records.read("mistakes")
    for line in rows:
        first, _, *more = line.strip().strip("|").split("|")
        key = first.split()[1] if "<!--" in first else "none"
        if key not in found:
            raise ValueError(f"run `uv run python -m tests.measure.mistakes {key}`")
        loss = sum(found[key]["end"]) / len(found[key]["end"])
        lines.append(row([first.strip(), f"{loss:.2f}", *map(str.strip, more)]))
    return "\n".join(lines)


mistakes = parts = losses
