"""Measure what the traps and exercises of edits.py do to main.py.

    uv run python -m tests.measure.traps [NAME ...]

puts those that are named, or all, into tests/records/traps.json, and keeps the rest. Each is
trained on the CPU from three seeds, which takes half a minute with OpenBLAS.
"""

import sys

import mlx.core as mx

from tests import edits, scripts
from tests.measure import records

SEEDS = 42, 43, 44
ANSWER = (scripts.ROOT / "tests" / "answers" / "padding.py").read_text(encoding="utf-8")
CHANGES = edits.TRAPS | edits.EXERCISES


def unseen(model):
    """The right loss of a trained model on those of the last names that it was not trained on."""
    judge = scripts.load(scripts.MAIN)
    judge.model.update(model.parameters())
    trained = judge.num_steps * judge.batch_size
    docs = sorted(set(judge.docs[trained:]) - set(judge.docs[:trained]))
    return judge.loss_fn(judge.model, *judge.make_batch(docs, 0, len(docs))).item()


def measured(name):
    found = {"end": [], "unseen": [], "apart": []}
    for seed in SEEDS:
        lesson = scripts.load(scripts.MAIN, *CHANGES[name], edits.seed(seed))
        losses = scripts.train(lesson, range(lesson.num_steps))
        found["end"].append(sum(losses[-100:]) / 100)
        if name in ("as-it-is", "padding-counted"):
            found["unseen"].append(unseen(lesson.model))
        if name in edits.EXERCISES:
            found["apart"].append(float(scripts.run_in(lesson, ANSWER)))
        if seed == SEEDS[0]:
            found["first"], found["names"] = losses[:5], scripts.sample(lesson)[:5]
    return found


if __name__ == "__main__":
    mx.set_default_device(mx.cpu)
    names = sys.argv[1:] or list(CHANGES)
    if unknown := set(names) - set(CHANGES):
        sys.exit(f"edits.py has no trap or exercise named {', '.join(sorted(unknown))}")
    record = records.read("traps") | {"machine": records.machine()}
    for name in names:
        print(name, file=sys.stderr, flush=True)
        record[name] = measured(name)
        records.write("traps", {key: record[key] for key in ("machine", *CHANGES) if key in record})
