"""What was measured: JSON files in tests/records, each with the machine that made it.

    python -m tests.measure.records

prints what this machine is, in the words of a record.
"""

import contextlib
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "records"


def read(name):
    """The record of that name, a dict."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def write(name, record):
    """Put a dict in the place of the record of that name, one of its entries a line."""
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in record.items()]
    path = FOLDER / f"{name}.json"
    beside = path.with_suffix(".new")
    beside.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8", newline="\n")
    os.replace(beside, path)


def machine():
    """What figures are measured on: processor, cores, system, GPU or BLAS, and versions."""
    found = {"cpu": platform.machine(), "cores": os.cpu_count(), "system": platform.system()}
    found["python"] = platform.python_version()
    with contextlib.suppress(PackageNotFoundError):
        found["torch"] = version("torch")
    with contextlib.suppress(ImportError):  # PyTorch's environment may not have it
        import mlx.core as mx

        found |= {"cpu": mx.device_info(mx.cpu)["device_name"], "mlx": mx.__version__}
        if mx.default_device() == mx.gpu:
            found["gpu"] = mx.device_info(mx.gpu)["device_name"]
        else:
            maps = Path("/proc/self/maps")  # only Linux has it
            openblas = maps.exists() and "openblas" in maps.read_text()
            found["blas"] = "OpenBLAS" if openblas else "MLX's own BLAS"
    return found


if __name__ == "__main__":
    print(json.dumps(machine()))
