"""Measure what the edits of tests/tools/edits.py do to main.py: traps, exercises, batch sizes.

    uv run python -m tests.measure.traps [NAME ...]

measures those that are named, or all, and keeps the rest of traps.json. Each is trained on the CPU
from three seeds, which takes half a minute with OpenBLAS; one name at a time takes minutes.
"""

import sys

import mlx.core as mx

from tests.tools import edits, lesson, records

SEEDS = 42, 43, 44
HELD_OUT = 3000  # documents, the last ones


def unseen(model, names, seen):
    """The right loss of a trained model on names that are not among those it has seen."""
    judge = lesson.load(lesson.MAIN)
    judge.model.update(model.parameters())
    docs = sorted(set(names) - set(seen))
    return judge.loss_fn(judge.model, *judge.make_batch(docs, 0, len(docs))).item()


def measured(name):
    found = records.stamp(lesson.MAIN, *edits.CHANGES[name]) | {"end": []}
    for seed in SEEDS:
        main = lesson.load(lesson.MAIN, *edits.CHANGES[name], edits.seed(seed))
        shown = main.num_steps * main.batch_size
        if name in edits.BATCHES:
            shown = len(main.docs) - HELD_OUT
        names, main.docs = main.docs, main.docs[:shown]
        losses = lesson.train(main, range(main.num_steps))
        found["end"].append(sum(losses[-100:]) / 100)
        if name in ("as-it-is", "counted", *edits.BATCHES):
            loss = unseen(main.model, names[shown:], main.docs)
            found.setdefault("unseen", []).append(loss)
        if seed == SEEDS[0]:
            found["first"], found["names"] = losses[:5], lesson.sample(main)[:5]
    return found


if __name__ == "__main__":
    mx.set_default_device(mx.cpu)
    names = sys.argv[1:] or list(edits.CHANGES)
    if unknown := set(names) - set(edits.CHANGES):
        sys.exit(f"edits.py has nothing named {', '.join(sorted(unknown))}")
    record = records.read("traps")
    for name in names:
        print(name, file=sys.stderr, flush=True)
        record[name] = measured(name)
        known = {key: record[key] for key in edits.CHANGES if key in record}
        records.write("traps", known)
