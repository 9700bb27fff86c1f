"""What was measured: JSON that tests/measure writes, and that the pages and the tests read."""

import datetime
import json
import os
import platform
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from tests import scripts

FOLDER = Path(__file__).parent


def read(name):
    """The record of that name, a dict. Raises Unfit where there is none."""
    file = FOLDER / f"{name}.json"
    if not file.exists():
        raise scripts.Unfit(f"{file} is not there: run `uv run python -m tests.measure.{name}`")
    return json.loads(file.read_text(encoding="utf-8"))


def write(name, record):
    """Put a dict in the place of the record of that name, one of its entries a line."""
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in record.items()]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    (FOLDER / f"{name}.json").write_text(text, encoding="utf-8", newline="\n")


def measured():
    """When and on what, and with which settings of main.py: what a record begins with."""
    about = {"date": str(datetime.date.today()), "cores": os.cpu_count()}
    if find_spec("mlx"):  # PyTorch's environment may not have it
        import mlx.core as mx

        about["device"] = mx.device_info(mx.default_device())["device_name"]
    versions = {name: version(name) for name in ("mlx", "torch") if find_spec(name)}
    preloaded = os.environ.get("LD_PRELOAD") or "nothing"
    about |= {"preloaded": preloaded, "python": platform.python_version()} | versions
    return about | {"settings": scripts.settings(scripts.MAIN)}


def settings_that_differ():
    """A line that says which settings of the scripts or the records differ; else nothing."""
    main = scripts.settings(scripts.MAIN)
    for path in (scripts.ONE, scripts.TWIN):
        for name, value in scripts.settings(path).items():
            if main.get(name, value) != value:
                where = f"{name} is {main[name]} in main.py, {value} in tests/{path.name}"
                return f"{where}: set it in main.py and both scripts of tests/"
    for file in sorted(FOLDER.glob("*.json")):
        torch = "--with torch " * (file.stem == "pytorch")
        measure = f"uv run {torch}python -m tests.measure.{file.stem}"
        known = read(file.stem).get("measured", {}).get("settings", {})
        for name, value in known.items():
            if main[name] != value:
                where = f"{name} is {main[name]} in main.py, {value} in tests/records/{file.name}"
                return f"{where}: `{measure}` measures it anew"
    return ""
