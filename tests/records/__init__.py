"""What was measured: JSON that tests/measure writes, and that tests/page and the tests read."""

import datetime
import json
import os
import platform
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(__file__).parent


def read(name):
    """The record of that name, a dict."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def write(name, record):
    """Put a dict in the place of the record of that name, one of its entries a line."""
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in record.items()]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    (FOLDER / f"{name}.json").write_text(text, encoding="utf-8", newline="\n")


def measured():
    """When and on what: what a record begins with."""
    about = {"date": str(datetime.date.today()), "cores": os.cpu_count()}
    if find_spec("mlx"):  # PyTorch's environment may not have it
        import mlx.core as mx

        about["device"] = mx.device_info(mx.default_device())["device_name"]
    versions = {name: version(name) for name in ("mlx", "torch") if find_spec(name)}
    preloaded = os.environ.get("LD_PRELOAD", "nothing")
    return about | {"preloaded": preloaded, "python": platform.python_version()} | versions
