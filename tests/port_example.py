from tests import scripts
from tests.port_check import Side, check


def side(script):
    lesson = scripts.load(script)  # what the script defines before its training loop
    batch = lesson.make_batch(lesson.docs, 0, 32)
    return Side(
        lesson.model,
        logits=lambda: lesson.model(batch[0], batch[2]),
        loss=lambda: lesson.loss_fn(lesson.model, *batch),
        step=lambda i: scripts.train(lesson, [i])[0],  # a step of the script's own loop
    )


check(side(scripts.MAIN), side(scripts.TWIN))
