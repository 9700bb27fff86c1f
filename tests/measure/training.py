"""Record what main.py prints and learns: names on the way, guesses, and what its heads attend to.

    uv run python -m tests.measure.training

writes training.json, from the CPU, in about half a minute with OpenBLAS.
"""

import mlx.core as mx

from tests import edits, lesson, page, records

NAME = "maria"  # whose attention is shown
LETTER, HEAD = 3, 0  # the position of the letter whose scores are shown, and in which head


def tokens_of(main, text):
    return mx.array([[main.BOS, *map(main.uchars.index, text)]])


def attention(main):
    """All heads' scores and weights (n_layer, n_head, T, T) on BOS and the letters of NAME."""
    scores, weights, softmax = [], [], mx.softmax

    def recording(att, axis):
        scores.append(att[0].tolist())
        weights.append(softmax(att, axis=axis)[0].tolist())
        return softmax(att, axis=axis)

    mx.softmax = recording
    mx.eval(main.model(tokens_of(main, NAME)))
    mx.softmax = softmax
    return scores, [[[[round(w, 3) for w in q] for q in head] for head in b] for b in weights]


def guess(main, prefix):
    """The probability of each next token after a prefix, by its character, the likeliest first."""
    probabilities = mx.softmax(main.model(tokens_of(main, prefix))[0, -1]).tolist()
    pairs = zip([*main.uchars, "end"], probabilities, strict=True)
    return {token: round(p, 4) for token, p in sorted(pairs, key=lambda pair: -pair[1])}


if __name__ == "__main__":
    mx.set_default_device(mx.cpu)
    names = {}
    for num_steps in (1, 100, 1000):
        main = lesson.load(lesson.MAIN, edits.ON_THE_CPU)
        lesson.train(main, range(num_steps))
        names[num_steps] = lesson.sample(main)
    prefixes = "q", "mar", "maria", "", names[1000][0][0]  # whose next token is guessed
    scores, weights = attention(main)
    record = {
        "measured": records.measured(),
        "printed": main.printed.splitlines(),
        "names after": names,
        "guesses": {prefix: guess(main, prefix) for prefix in prefixes},
        "attended": NAME,
        "attention": weights,
        "letter": LETTER,
        "head": HEAD,
        "scores": scores[0][HEAD][LETTER],
        "first batch": main.docs[: main.batch_size],
    }
    record["one by one"] = lesson.run_in(main, page.block("python one_by_one"))
    lesson.run_in(main, page.block("python complete"))
    drawn = main.complete([""] * 1000)
    record["real"] = sum(name in set(main.docs) for name in drawn) / len(drawn)
    records.write("training", record)
