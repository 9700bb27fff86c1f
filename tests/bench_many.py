"""Time a step of README's *Many machines*, small batch and large.

    uv run python tests/bench_many.py
    OPENBLAS_NUM_THREADS=1 uv run mlx.launch -n 2 python tests/bench_many.py

writes tests/records/many-DEVICE-PROCESSES.json: the first of one process, the second of two. Each
of two would otherwise start a thread of OpenBLAS's for every core.
"""

import sys

import bench
import edits
import mlx.core as mx
import records

BATCH_SIZES = {"cpu": (32, 512), "gpu": (32, 512, 4096)}
ROUNDS, STEPS = 5, 20

world = mx.distributed.init()
out = sys.stdout
device = "gpu" if mx.default_device() == mx.gpu else "cpu"
steps = {}
for batch_size in BATCH_SIZES[device]:
    size = edits.setting(batch_size=batch_size)
    variant = bench.Variant(bench.scripts.MAIN, edits.MANY_MACHINES, size)
    steps[batch_size] = bench.spread([variant.run(STEPS) for _ in range(ROUNDS)], 1000)
if world.rank() == 0:
    sys.stdout = out
    records.write(f"many-{device}-{world.size()}", processes=world.size(), ms=steps)
