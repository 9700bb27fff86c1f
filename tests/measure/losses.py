"""Measure what the edits of tests/edits.py do to main.py: mistakes, experiments, missing parts.

    uv run python -m tests.measure.losses [NAME ...]

measures those that are named, or all, from three seeds on the CPU; losses.json keeps the rest.
"""

import random
import sys

import mlx.core as mx

from tests import edits, records, scripts

SEEDS = 42, 43, 44
UNSEEN = (
    "none",
    "counted",
    "left-padding",
    "like-length",
)  # whose loss on names held out is measured, too


def unseen(main, docs, size):
    """The right loss of a trained script on docs, in its own batches of this size."""
    loss_fn, total, count = scripts.load(scripts.MAIN).loss_fn, 0, 0
    for i in range(0, len(docs), size):
        piece = docs[i : i + size]
        batch = main.make_batch(piece, 0, len(piece))
        n = batch[3].sum().item()
        total, count = total + n * loss_fn(main.model, *batch).item(), count + n
    return total / count


def ends(name, *more):
    """The mean of the last 100 losses of each seed; of the first, five losses and names."""
    found = {"end": []}
    for seed in SEEDS:
        main = scripts.load(scripts.MAIN, *edits.ALL[name], *more, edits.seed(seed))
        losses = scripts.train(main, range(main.num_steps))
        found["end"].append(sum(losses[-100:]) / 100)
        if seed == SEEDS[0]:
            found |= {"first": losses[:5], "names": scripts.sample(main)[:5]}
    return found


def held_out(name):
    """The loss on 1,024 names held out, by the size of the batches in which they are read."""
    found = {1: [], 32: [], 1024: []}
    for seed in SEEDS:
        split = edits.EXPERIMENTS["held-out"]
        main = scripts.load(scripts.MAIN, *edits.ALL[name], *split, edits.seed(seed))
        scripts.train(main, range(main.num_steps))
        random.Random(0).shuffle(main.held_out)  # they are sorted
        for size, losses in found.items():
            losses.append(unseen(main, main.held_out[:1024], size))
    return found


def measure(name):
    found = ends(name)
    if name == "none" or name in edits.PARTS:
        found["end at 3e-3"] = ends(name, edits.rate("3e-3"))["end"]
    if name in UNSEEN:
        found["held out"] = held_out(name)
    return found


if __name__ == "__main__":
    mx.set_default_device(mx.cpu)
    if unknown := set(sys.argv[1:]) - set(edits.ALL):
        sys.exit(f"edits.py has no {', '.join(sorted(unknown))}: put it there first")
    now, record = records.measured(), {}
    if sys.argv[1:]:
        record = records.read("losses")
        if record["measured"]["settings"] != now["settings"]:
            sys.exit("losses.json is of other settings: measure all, without a name")
    for name in sys.argv[1:] or edits.ALL:
        print(name, file=sys.stderr, flush=True)
        record[name] = measure(name)
        kept = {key: record[key] for key in edits.ALL if key in record}
        records.write("losses", {"measured": now} | kept)
