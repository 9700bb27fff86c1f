"""Record what main.py learns: its losses, its names on the way, and what a head attends to.

    uv run python -m tests.measure.run

writes tests/records/run.json, from the CPU, in a few seconds with OpenBLAS.
"""

import mlx.core as mx

from tests import scripts
from tests.measure import records

NAME = "maria"  # whose attention is shown


def attention(lesson):
    """The weights (T, T) on BOS and the letters of NAME, of the head that most reads one back."""
    heads, softmax = [], mx.softmax

    def recording(*arguments, **named):
        weights = softmax(*arguments, **named)  # (1, n_head, T, T)
        heads.extend(weights[0])
        return weights

    mx.softmax = recording
    lesson.model(mx.array([[lesson.BOS, *map(lesson.uchars.index, NAME)]]))
    mx.softmax = softmax
    return max(heads, key=lambda weights: mx.trace(weights, -1).item()).tolist()


if __name__ == "__main__":
    mx.set_default_device(mx.cpu)
    names = {}
    for num_steps in (1, 100, 1000):
        lesson = scripts.load(scripts.MAIN)
        losses = scripts.train(lesson, range(num_steps))
        names[num_steps] = scripts.sample(lesson)
    code = "import mlx.core as mx, runpy; mx.set_default_device(mx.cpu); runpy.run_path('main.py')"
    printed = scripts.run(["-c", code], scripts.ROOT).stdout.splitlines()
    record = {"machine": records.machine(), "printed": printed}
    record["losses"] = [round(loss, 4) for loss in losses]
    record["names after"], record["attended"] = names, NAME
    record["attention"] = [[round(w, 3) for w in query] for query in attention(lesson)]
    records.write("run", record)
