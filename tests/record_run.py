"""Record what main.py prints and learns: losses, names, attention, and the exercises' answers.

    uv run python tests/record_run.py

writes tests/records/run.json, from the CPU. It takes about a minute on 2 cores with OpenBLAS.
"""

import edits
import mlx.core as mx
import records
import scripts
from traps import end, train

NAME = "maria"  # whose attention is shown
EXERCISES = {
    "no causal mask": edits.NO_CAUSAL_MASK,
    "padded on the left": edits.PADDED_ON_THE_LEFT,
    "padded on the left, no padding mask": edits.PADDED_ON_THE_LEFT + edits.NO_PADDING_MASK,
    "no positions": edits.NO_POSITIONS,
}


def attention(lesson, name):
    """The weights (n_head, T, T) of each layer on BOS and the letters of a name, a list."""
    seen, softmax = [], mx.softmax

    def recording(*arguments, **named):
        seen.append(softmax(*arguments, **named))
        return seen[-1]

    mx.softmax = recording
    lesson.model(mx.array([[lesson.BOS, *map(lesson.uchars.index, name)]]))
    mx.softmax = softmax
    return [[[[round(w, 3) for w in q] for q in head] for head in a[0].tolist()] for a in seen]


def reads_the_letter_before(weights):
    """The layer and the number of the head that puts most weight on the position before."""

    def weight(place):
        head = weights[place[0]][place[1]]
        return sum(head[t][t - 1] for t in range(1, len(head)))

    return max(((i, j) for i, layer in enumerate(weights) for j in range(len(layer))), key=weight)


if __name__ == "__main__":
    mx.set_default_device(mx.cpu)
    figures = {"names after": {}}
    for num_steps in (1, 100, 1000):
        lesson = scripts.load(scripts.MAIN)
        figures["losses"] = scripts.losses(scripts.train(lesson, range(num_steps)))
        names = scripts.sample(lesson)
        figures["names after"][num_steps] = names
    figures["known"] = sum(name in lesson.docs for name in names)
    many = [name for _ in range(50) for name in scripts.sample(lesson)]
    figures["known of 1000"] = sum(name in lesson.docs for name in many)
    figures["attended"], figures["attention"] = NAME, attention(lesson, NAME)
    figures["head"] = reads_the_letter_before(figures["attention"])
    figures["temperature"] = {}
    for temperature in ("0.1", "2"):
        edit = [("temperature = 0.5", f"temperature = {temperature}")]
        text = scripts.edited(lesson.inference, edit)
        figures["temperature"][temperature] = scripts.samples(scripts.run_in(lesson, text))[:5]
    figures["exercises"] = {}
    for name, edit in EXERCISES.items():
        changed, losses = train(edit)
        figures["exercises"][name] = {"end": end(losses), "names": scripts.sample(changed)[:5]}
    records.write("run", **figures)
