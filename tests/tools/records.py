"""What was measured: JSON in tests/measure/records, each entry with its machine and its code.

    uv run python -m tests.tools.records

says that the scripts as they are now give the figures recorded, as when a variable was renamed: it
puts the digest of their code into every entry, except those of the benchmark, which are of a date.
"""

import contextlib
import hashlib
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.tools import edits, lesson

FOLDER = Path(__file__).parents[1] / "measure" / "records"
COMMANDS = {  # that make the records of these names
    "run": "uv run python -m tests.measure.run",
    "traps": "uv run python -m tests.measure.traps {}",
    "pytorch": "python -m tests.measure.pytorch (where PyTorch is)",
}


def sum_of(record):
    return hashlib.sha256(json.dumps(record).encode()).hexdigest()[:16]


def read(name):
    """The record of that name, a dict."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        command = COMMANDS.get(name, "uv run python -m tests.measure.bench --record")
        raise FileNotFoundError(f"{path.relative_to(lesson.ROOT)} is missing: run `{command}`")
    record = json.loads(path.read_text(encoding="utf-8"))
    if record.pop("sum", None) != sum_of(record):
        raise ValueError(f"{path.relative_to(lesson.ROOT)} was changed by hand: measure it anew")
    return record


def write(name, record):
    """Put a dict in the place of the record of that name, one of its entries a line."""
    record = json.loads(json.dumps(record))  # as it will be read
    record = record | {"sum": sum_of(record)}
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in record.items()]
    path = FOLDER / f"{name}.json"
    beside = path.with_suffix(".new")
    beside.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8", newline="\n")
    os.replace(beside, path)


def device(machine):
    """How a table names a machine."""
    many = f"{machine['processes']} processes on " if "processes" in machine else ""
    return many + (machine.get("gpu") or "{cores} cores of {cpu}, {blas}".format(**machine))


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


def stamp(path, *changes):
    """What each entry begins with: the machine, and a digest of the code that it is of."""
    return {"machine": machine(), "code": lesson.digest(lesson.source(path, *changes))}


def outdated(names=COMMANDS):
    """The entries that are of other code than the scripts': (file, path to "code", digest now)."""
    found = []
    for name in names:
        record = read(name)
        if name == "traps":
            current = {n: [lesson.MAIN, *change] for n, change in edits.CHANGES.items()}
        else:
            current = {None: [lesson.TWIN if name == "pytorch" else lesson.MAIN]}
        for key, script in current.items():
            entry = record.get(key, {}) if key else record
            now = lesson.digest(lesson.source(*script))
            if entry.get("code") != now:
                found.append((name, key, now))
    return found


if __name__ == "__main__":
    for name, key, now in outdated():
        record = read(name)
        if key and key not in record:
            print(f"not measured yet: run `{COMMANDS[name].format(key)}`")
            continue
        (record[key] if key else record)["code"] = now
        write(name, record)
        print(f"{name}.json{f', {key}' if key else ''}: now of the code as it is")
