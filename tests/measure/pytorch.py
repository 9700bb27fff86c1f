"""Record what the PyTorch twin computes, for main.py to be held to it where PyTorch is not.

    python -m tests.measure.pytorch [--check]

writes its record, pytorch.json, or, with --check, exits with 1 where the twin computes something
else. It needs PyTorch, not MLX. All but the whole run starts from the weights of parity.py.
"""

import sys

import torch

from tests.tools import lesson, parity, records


def of_twin():
    """The summary of the twin, on the CPU. It needs PyTorch, not MLX."""
    on_the_cpu = ("torch.accelerator.current_accelerator(check_available=True) or ", "")
    twin = lesson.load(lesson.TWIN, on_the_cpu)
    shapes = {name: p.shape for name, p in twin.model.named_parameters()}
    arrays = {n: torch.tensor(parity.weights(n, s.numel())).view(s) for n, s in shapes.items()}
    twin.model.load_state_dict(arrays)
    batch = twin.make_batch(twin.docs, 0, 4)
    logits = twin.model(batch[0], batch[2])
    twin.loss_fn(twin.model, *batch).backward()
    gradients = [(name, p.grad) for name, p in twin.model.named_parameters()]
    return parity.summary(logits, gradients, lesson.train(twin, range(20)))


if __name__ == "__main__":
    found = of_twin()
    if "--check" in sys.argv:
        apart = parity.differences(found, records.read("pytorch"))
        print("the twin lies apart from its record by", apart)
        if parity.too_far(apart) or records.outdated(["pytorch"]):
            sys.exit("the twin computes something else now: run `python -m tests.measure.pytorch`")
        sys.exit()
    twin = lesson.load(lesson.TWIN)
    found["losses of a whole run"] = [round(x, 4) for x in lesson.train(twin, range(1000))]
    assert len(lesson.sample(twin)) == 20
    records.write("pytorch", records.stamp(lesson.TWIN) | found)
