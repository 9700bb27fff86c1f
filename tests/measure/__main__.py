"""Measure all that the pages show of main.py: `uv run python -m tests.measure`, an hour or two."""

import subprocess
import sys

for name in ("training", "steps", "losses", "batch_sizes"):
    print(name, file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", f"tests.measure.{name}"], check=True)
print("where PyTorch is: `python -m tests.measure.pytorch`; then `uv run pytest`")
