"""Record what batches of other sizes cost and buy: padding, time, the loss on names kept out.

    uv run python -m tests.measure.batch_sizes

writes batch_sizes.json, from the CPU, in half an hour with OpenBLAS on a quiet machine.
"""

import math
import time
from statistics import fmean

import mlx.core as mx

from tests import edits, records, scripts
from tests.measure.losses import SEEDS, unseen

SIZES, TRAINED = (1, 2, 4, 8, 16, 32, 64, 128), (1, 8, 32, 128)
RATES = "3e-4", "1e-3", "3e-3", "1e-2", "3e-2"
HELD_OUT = edits.EXPERIMENTS["held-out"]


def padding(main):
    """The share of padding in one pass over the docs."""
    real = places = 0
    for i in range(0, len(main.docs), main.batch_size):
        lengths = [len(doc) + 1 for doc in main.docs[i : i + main.batch_size]]
        real, places = real + sum(lengths), places + len(lengths) * max(lengths)
    return 1 - real / places


def load(size, *more):
    return scripts.load(scripts.MAIN, edits.batch_size(size), *more)


def loss(size, rate, seed):
    """The loss on the names held out after 32,000 others, in batches of this size."""
    main = load(size, *HELD_OUT, edits.num_steps(32000 // size), edits.rate(rate), edits.seed(seed))
    scripts.train(main, range(main.num_steps))
    return unseen(main, main.held_out, 1024)


def losses(size):
    """That loss by learning rate: from one seed, from three for the best two rates."""
    found = {rate: [loss(size, rate, SEEDS[0])] for rate in RATES}
    for rate in sorted(RATES, key=found.get)[:2]:
        found[rate] += [loss(size, rate, seed) for seed in SEEDS[1:]]
    return found


def times():
    """The milliseconds of a step of each size, the least of 40 turns, and its places."""
    mains, ms = {size: load(size) for size in SIZES}, dict.fromkeys(SIZES, math.inf)
    for turn in range(40):
        for size, main in mains.items():
            start = time.perf_counter()
            for main.step in range(5 * turn, 5 * turn + 5):
                scripts.run_in(main, main.step_code)
            ms[size] = min(ms[size], 1000 * (time.perf_counter() - start) / 5)
    batches = {n: [main.make_batch(main.docs, i, n)[0] for i in range(200)] for n in SIZES}
    return ms, {size: fmean(ids.size for ids in found) for size, found in batches.items()}


if __name__ == "__main__":
    mx.set_default_device(mx.cpu)
    ms, places = times()
    record = {
        "measured": records.measured(),
        "ms": ms,
        "places": places,
        "padding": {size: padding(load(size)) for size in TRAINED},
        "losses": {size: losses(size) for size in TRAINED},
    }
    records.write("batch_sizes", record)
