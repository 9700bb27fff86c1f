"""Record what the PyTorch twin computes, for main.py to be held to it where PyTorch is not.

    python -m tests.measure.pytorch

writes pytorch.json, from the weights of parity.py. It needs PyTorch, not MLX.
"""

import torch

from tests import edits, parity, records, scripts


def of_twin():
    """The summary of the twin, on the CPU."""
    twin = scripts.load(scripts.TWIN, edits.TWIN_ON_THE_CPU)
    shapes = {name: p.shape for name, p in twin.model.named_parameters()}
    arrays = {n: torch.tensor(parity.weights(n, s.numel())).view(s) for n, s in shapes.items()}
    twin.model.load_state_dict(arrays)
    batch = twin.make_batch(twin.docs, 0, 4)
    logits = twin.model(batch[0], batch[2])
    twin.loss_fn(twin.model, *batch).backward()
    gradients = [(name, p.grad) for name, p in twin.model.named_parameters()]
    return parity.summary(logits, gradients, scripts.train(twin, range(20)))


if __name__ == "__main__":
    records.write("pytorch", {"measured": records.measured()} | of_twin())
