"""Record what main.py learns and what code to paste prints: guesses, scores, names on the way.

    uv run python -m tests.measure.training

writes training.json, from the CPU, in about half a minute with OpenBLAS.
"""

import mlx.core as mx

from tests import pages, records, scripts

NAME = "mar"  # whose last letter's scores are shown,
HEAD = 0  # those of this head of the first block
PASTED = "one_by_one", "beginnings"


def tokens_of(main, text):
    return mx.array([[main.BOS, *map(main.uchars.index, text)]])


def scores(main):
    """What the last letter of NAME gives each token up to it, before softmax."""
    found, softmax = [], mx.softmax

    def recording(att, axis):
        found.append(att[0, HEAD, -1].tolist())
        return softmax(att, axis=axis)

    mx.softmax = recording
    mx.eval(main.model(tokens_of(main, NAME)))
    mx.softmax = softmax
    return found[0]


def guess(main, prefix):
    """The probability of each next token after a prefix, by its character, the likeliest first."""
    probabilities = mx.softmax(main.model(tokens_of(main, prefix))[0, -1]).tolist()
    pairs = zip([*main.uchars, "end"], probabilities, strict=True)
    return {token: round(p, 4) for token, p in sorted(pairs, key=lambda pair: -pair[1])}


if __name__ == "__main__":
    mx.set_default_device(mx.cpu)
    names = {}
    for num_steps in (1, 100, 1000):
        main = scripts.load(scripts.MAIN)
        scripts.train(main, range(num_steps))
        names[num_steps] = scripts.sample(main)
    prefixes = "q", "mar", "maria", "", names[1000][0][0]  # whose next token is guessed
    record = {
        "measured": records.measured(),
        "names after": names,
        "guesses": {prefix: guess(main, prefix) for prefix in prefixes},
        "letters": NAME,
        "scores": scores(main),
        "first batch": main.docs[: main.batch_size],
    }
    record["pasted"] = {n: scripts.run_in(main, pages.block("python", n)) for n in PASTED}
    records.write("training", record)
