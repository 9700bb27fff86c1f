"""Measure all that the pages show of main.py: `uv run python -m tests.measure`, an hour or two."""

import subprocess
import sys

for name in ("training", "mistakes", "batch_sizes"):
    subprocess.run([sys.executable, "-m", f"tests.measure.{name}"], check=True)
print("where PyTorch is: `python -m tests.measure.pytorch`; then `uv run python -m tests.page`")
