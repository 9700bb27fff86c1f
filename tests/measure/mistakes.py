"""Measure what the edits of tests/edits.py do to main.py: mistakes and experiments.

    uv run python -m tests.measure.mistakes [NAME ...]

measures those that are named, or all, from three seeds, and keeps the rest of mistakes.json.
"""

import sys

import mlx.core as mx

from tests import edits, lesson, records

SEEDS = 42, 43, 44


def unseen(trained, docs):
    """The right loss of a trained script on those of docs that it has not been trained on."""
    main = lesson.load(lesson.MAIN)
    main.model.update(trained.model.parameters())
    new = sorted(set(docs) - set(trained.docs))
    return main.loss_fn(main.model, *main.make_batch(new, 0, len(new))).item()


def measure(name):
    """The mean of the last 100 losses of three runs, and how the first of them began and ended."""
    found = {"measured": records.measured(), "end": []}
    for seed in SEEDS:
        main = lesson.load(lesson.MAIN, *edits.ALL[name], edits.seed(seed))
        main.docs, rest = main.docs[:32000], main.docs[32000:]  # 1,000 steps read no more
        losses = lesson.train(main, range(main.num_steps))
        found["end"].append(sum(losses[-100:]) / 100)
        if name in ("none", "counted"):
            found.setdefault("unseen", []).append(unseen(main, rest))
        if seed == SEEDS[0]:
            found |= {"first": losses[:5], "names": lesson.sample(main)[:5]}
    return found


if __name__ == "__main__":
    mx.set_default_device(mx.cpu)
    try:
        record = records.read("mistakes")
    except FileNotFoundError:
        record = {}
    for name in sys.argv[1:] or edits.ALL:
        print(name, file=sys.stderr, flush=True)
        record[name] = measure(name)
        records.write("mistakes", {key: record[key] for key in edits.ALL if key in record})
