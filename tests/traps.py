"""Measure what README.md tells under "Where ports go wrong silently".

    uv run python tests/traps.py

Each trap is an edit of main.py that runs without an error. It takes up to two minutes on 2 cores
with OpenBLAS.
"""

import multiprocessing
import resource
import time

import mlx.core as mx
import scripts
from mlx.utils import tree_flatten

PRINTS = "if step == 0 or (step + 1) % 10 == 0:"
UNWEIGHTED = ("weights=target_mask, reduction", "reduction")
DIVIDED_BY_ALL = ("loss / target_mask.sum()", "loss / target_mask.size")
EVAL = "    mx.eval(model.parameters(), optimizer.state)"
MASK_PADDING = "att = mx.where(pad_mask[:, None, None, :], -1e9, att)"
MINUS_INF = (MASK_PADDING, MASK_PADDING.replace("-1e9", "-mx.inf"))

TRAPS = {
    "main.py as it is": [],
    "no bias_correction": [("bias_correction=True", "bias_correction=False")],
    "padding counted, as 0": [UNWEIGHTED, DIVIDED_BY_ALL],
    "padding counted, as -100": [UNWEIGHTED, DIVIDED_BY_ALL, ("s[1:] + [0]", "s[1:] + [-100]")],
    "PAD row not zeroed": [("self.wte.weight[PAD] = 0.0", "pass")],
    "no padding mask": [(MASK_PADDING, "pass")],
}


def main_with(*edits):
    """main.py's source after the edits."""
    return scripts.edited(scripts.MAIN.read_text(encoding="utf-8"), *edits)


def losses_of_each_step(edits, num_steps=1000):
    """The losses of the first num_steps steps of main.py with the edits, as it prints them."""
    source = main_with((PRINTS, "if True:"), *edits)
    loop = scripts.training_loop(source, f"range({num_steps})")
    lesson = scripts.define(scripts.MAIN, source)
    return scripts.losses(scripts.execute(loop, scripts.MAIN, lesson)[1])


def nan_after_a_wholly_padded_row(edits):
    """Train on one batch whose last row is all padding. Returns its loss, and how many of the
    gradients of main.py with the edits are NaN."""
    lesson = scripts.define(scripts.MAIN, main_with(*edits))
    input_ids, targets, pad_mask, target_mask = lesson["make_batch"](lesson["docs"], 0, 4)
    pad_mask[-1], target_mask[-1] = True, 0.0
    batch = input_ids, targets, pad_mask, target_mask
    loss, grads = lesson["loss_and_grad"](lesson["model"], *batch)
    return loss.item(), sum(mx.isnan(g).sum().item() for _, g in tree_flatten(grads))


def seconds_and_peak_memory(edits, num_steps):
    """Run the loop without its printing. Returns the seconds it took, and the MiB that this process
    has held at its peak."""
    source = main_with((PRINTS, "if False:"), *edits)
    loop = scripts.training_loop(source, f"range({num_steps})")
    lesson = scripts.define(scripts.MAIN, source)
    start = time.perf_counter()
    scripts.execute(loop, scripts.MAIN, lesson)
    seconds = time.perf_counter() - start
    return seconds, scripts.peak_mebibytes(resource.getrusage(resource.RUSAGE_SELF))


if __name__ == "__main__":
    print("steps without printing     seconds   peak MiB")
    for name, edits in [("mx.eval", []), ("no mx.eval", [(EVAL, "    # ")])]:
        for num_steps in (250, 500, 1000):
            with multiprocessing.get_context("spawn").Pool(1) as fresh_process:
                seconds, peak = fresh_process.apply(seconds_and_peak_memory, (edits, num_steps))
            print(f"{num_steps:5d}, {name:18s} {seconds:8.1f} {peak:10.0f}", flush=True)

    print("\nan all-masked row   loss   NaN gradients")
    for name, edits in [("-1e9", []), ("-inf", [MINUS_INF])]:
        loss, nans = nan_after_a_wholly_padded_row(edits)
        print(f"{name:17s} {loss:.4f} {nans:10d}", flush=True)

    print("\nloss at step                   1       2       3       4       5   last ten printed")
    for name, edits in TRAPS.items():
        losses = losses_of_each_step(edits)
        first = " ".join(f"{loss:7.4f}" for loss in losses[:5])
        print(f"{name:24s} {first} {sum(losses[-91::10]) / 10:12.3f}", flush=True)
