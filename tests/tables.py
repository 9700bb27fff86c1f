"""What the READMEs show of the records: each function makes the block that is named after it."""

import math

from tests import edits, records, scripts


def mean(values):
    return sum(values) / len(values)


def grid(head, rows):
    """A table in Markdown."""
    return "\n".join(row(cells) for cells in [head, ["---"] * len(head), *rows])


def row(cells):
    return "|" + "".join(f" {cell} |" if cell != "" else " |" for cell in cells)


def training(what):
    return records.read("training")[what]


def printed(number, losses, names):
    """The first losses, the last two and some names of what a step of the page prints."""
    lines = records.read("steps")["printed"][number]
    return [*lines[4 : 4 + losses], "...", *lines[103 : 107 + names]]


def first_screen(_):
    """What main.py prints, as step 4 leaves it, but for most losses and names."""
    lines = records.read("steps")["printed"]["4"]
    return "\n".join([*lines[:4], *printed("4", 3, 3)])


def step(number, _):
    """The same of the script that a step leaves; 0 is what it begins with."""
    return "\n".join(printed(number, 3, 3))


def lie(_):
    """What letters and padding cost in step 2."""
    found = records.read("steps")["costs in step 2"]
    rows = [f"{'':<17}{'letters':>8}{'padding':>10}{'all':>6}"]
    for when, (letters, padding, together) in found.items():
        padding = f"{padding:.2f}" if padding > 0.01 else f"{padding:.6f}"
        rows.append(f"{when:<17}{letters:>8.2f}{padding:>10}{together:>6.2f}")
    return "\n".join(rows)


def chances(guess, number):
    """The likeliest tokens, with their probabilities."""
    pairs = [f"{token:>3} {100 * p:2.0f}%" for token, p in list(guess.items())[:number]]
    return " ".join(pairs)


def guesses(_):
    """The likeliest next letters after some beginnings."""
    found = training("guesses")
    return "\n".join(f"{prefix:<8}{chances(found[prefix], 4)}" for prefix in ("q", "mar", "maria"))


def pasted(name, _):
    """What the code of this name printed at the prompt."""
    return training("pasted")[name].rstrip("\n")


def letter(_):
    """How one head comes to the weights of one letter, computed from scores as they are shown."""
    tokens, scores = ["BOS", *training("letters")], [round(x, 2) for x in training("scores")]
    exps = [math.exp(score) for score in scores]
    lines = {
        "": tokens,
        "score": [f"{score:.2f}" for score in scores],
        "exp": [f"{exp:,.0f}" if exp > 10 else f"{exp:.3f}" for exp in exps],
        "weight": [f"{exp / sum(exps):.2f}" for exp in exps],
    }
    return "\n".join(f"{name:<6}" + "".join(f"{x:>8}" for x in row) for name, row in lines.items())


def too_far(_):
    """How many times the learning rate Adam goes without bias correction, if gradients are even."""
    known = scripts.settings(scripts.MAIN)
    beta1, beta2 = known["beta1"], known["beta2"]
    steps = 1, 2, 3, 8, 40, 100, 300
    sizes = [(1 - beta1**t) / math.sqrt(1 - beta2**t) for t in steps]
    return grid(["step", *steps], [["times the rate", *(f"{size:.2f}" for size in sizes)]])


def sampling(_):
    """How the first tokens of the first name were drawn."""
    name, lines = training("names after")["1000"][0], []
    for i in range(2):
        guess = training("guesses")[name[:i]]
        total = sum(p * p for p in guess.values())
        colder = {token: p * p / total for token, p in guess.items()}  # at temperature 0.5
        lines.append(f"{' '.join(['BOS', *name[:i]]):<8} at 1.0:  {chances(guess, 3)}")
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
        rate = min(losses, key=lambda rate: mean(losses[rate]))
        padding, speed = 100 * found["padding"][size], 1000 * int(size) / ms
        cells = f"{ms:.0f}", f"{speed:,.0f}", f"{padding:.0f}%", rate, f"{mean(losses[rate]):.3f}"
        rows.append([size, *cells])
    head = "names a step", "ms a step", "names a second", "padding", "best learning rate", "loss"
    return grid(head, rows)


def left_padding(_):
    """The loss on the same names in batches of several sizes, padded on the right and the left."""
    found, rows = records.read("losses"), []
    for side, name, always in (("right", "none", "right-16"), ("left", "left-padding", "left-16")):
        losses = [f"{mean(found[name]['end']):.2f}", f"{mean(found[always]['end']):.2f}"]
        held_out = [f"{mean(values):.2f}" for values in found[name]["held out"].values()]
        rows.append([side, *losses, *held_out])
    head = ["padding", "training", "rows of 16", *(f"by {size}" for size in (1, 32, "1,024"))]
    return grid(head, rows)


def keyed(body, entries, columns):
    """The same table, with its numbers from losses.json; each row names its entry in a comment."""
    head, under, *rows = body.strip().splitlines()
    lines, found, left = [head, under], records.read("losses"), ["none", *entries]
    for line in rows:
        first, *cells = (cell.strip() for cell in line.strip().strip("|").split("|"))
        key = first.split()[1] if "<!--" in first else "none"
        if key not in left or key not in found:
            raise scripts.Unfit(f"a row names {key}: give it an entry in edits.py, and measure it")
        left.remove(key)
        ends = [f"{mean(found[key][column]):.2f}" for column in columns]
        lines.append(row([first, *ends, *cells[len(columns) :]]))
    if left:
        raise scripts.Unfit(f"a table of README.md lacks the row of {', '.join(left)}")
    return "\n".join(lines)


def mistakes(body):
    return keyed(body, edits.MISTAKES, ["end"])


def parts(body):
    return keyed(body, edits.PARTS, ["end", "end at 3e-3"])
