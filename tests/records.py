"""What was measured: JSON files under tests/records, each with the machine that made it."""

import contextlib
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

FOLDER = Path(__file__).with_name("records")


def read(name):
    """The record of that name, a dict."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def write(name, **figures):
    """Write the record of that name: this machine, then the figures, one of them a line."""
    record = {"machine": machine(), **figures}
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in record.items()]
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"wrote {path}")


def installed(package):
    """The version of a package, None where it is not installed."""
    with contextlib.suppress(PackageNotFoundError):
        return version(package)


def machine():
    """What figures are measured on: processor, cores, system, Python, MLX and PyTorch, if there."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):  # only Linux has it
        cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((x.split(": ")[1] for x in cpuinfo if x.startswith("model name")), name)
    found = {"cpu": name, "cores": os.cpu_count(), "system": platform.system()}
    found["python"] = platform.python_version()
    if installed("mlx"):
        found |= mlx_device()
    if installed("torch"):
        found["torch"] = installed("torch")
    return found


def mlx_device():
    """MLX's version, and what it computes on: a GPU by name, or the CPU with which BLAS."""
    import mlx.core as mx

    if mx.default_device() == mx.gpu:
        on = {"gpu": mx.device_info(mx.default_device())["device_name"]}
    else:
        blas = "MLX's own"
        with contextlib.suppress(OSError):  # only Linux has it
            if "openblas" in Path("/proc/self/maps").read_text():
                blas = "OpenBLAS"
        on = {"blas": blas}
    return {"mlx": installed("mlx"), **on}
