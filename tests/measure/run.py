"""Record what main.py learns: losses, names on the way, guesses, and what its heads attend to.

    uv run python -m tests.measure.run

writes run.json, from the CPU, in about half a minute with OpenBLAS.
"""

import math
from collections import Counter

import mlx.core as mx

from tests.tools import edits, lesson, records

NAME = "maria"  # whose attention is shown
PREFIXES = "q", "mar", "maria"  # whose next token is guessed
TEMPERATURES = 0.1, 2.0


def tokens_of(main, text):
    return mx.array([[main.BOS, *map(main.uchars.index, text)]])


def attention(main):
    """The weights (n_layer, n_head, T, T) of all heads on BOS and the letters of NAME."""
    blocks, softmax = [], mx.softmax

    def recording(*arguments, **named):
        weights = softmax(*arguments, **named)  # (1, n_head, T, T)
        blocks.append(weights[0].tolist())
        return weights

    mx.softmax = recording
    mx.eval(main.model(tokens_of(main, NAME)))
    mx.softmax = softmax
    return [[[[round(w, 3) for w in query] for query in head] for head in b] for b in blocks]


def guess(main, prefix):
    """The probability of each next token after a prefix, by its character, the likeliest first."""
    probabilities = mx.softmax(main.model(tokens_of(main, prefix))[0, -1]).tolist()
    pairs = zip([*main.uchars, "end"], probabilities, strict=True)
    return {token: round(p, 4) for token, p in sorted(pairs, key=lambda pair: -pair[1])}


def costs(main):
    """The mean loss, in all names, of guessing blindly, by single letters, and by pairs."""
    names = [["BOS", *doc, "BOS"] for doc in main.docs]
    pairs = Counter(pair for name in names for pair in zip(name, name[1:], strict=False))
    befores, afters = (Counter() for _ in range(2))
    for (before, after), n in pairs.items():
        befores[before] += n
        afters[after] += n
    total = sum(pairs.values())
    return {
        "blind": math.log(main.vocab_size),
        "letters": -sum(n * math.log(n / total) for n in afters.values()) / total,
        "pairs": -sum(n * math.log(n / befores[b]) for (b, _), n in pairs.items()) / total,
    }


if __name__ == "__main__":
    mx.set_default_device(mx.cpu)
    names = {}
    for num_steps in (1, 100, 1000):
        main = lesson.load(lesson.MAIN, edits.ON_THE_CPU)
        losses = lesson.train(main, range(num_steps))
        names[num_steps] = lesson.sample(main)
    record = records.stamp(lesson.MAIN) | {"printed": main.printed.splitlines()}
    record["losses"] = [round(loss, 4) for loss in losses]
    record["names after"], record["costs"] = names, costs(main)
    first = names[1000][0]
    beginnings = [first[:i] for i in range(len(first) + 1)]
    record["guesses"] = {prefix: guess(main, prefix) for prefix in (*PREFIXES, *beginnings)}
    record["attended"], record["attention"] = NAME, attention(main)
    lesson.run_in(main, lesson.exercise("complete"))
    mx.random.seed(42)
    record["names at"] = {}
    for main.temperature in TEMPERATURES:
        record["names at"][main.temperature] = main.complete([""] * 20)
    main.temperature = 0.5
    drawn = main.complete([""] * 1000)
    record["real"] = sum(name in set(main.docs) for name in drawn) / len(drawn)
    records.write("run", record)
