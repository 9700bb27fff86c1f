"""Load and run the lesson's two scripts as they stand on disk, whole, in part or edited."""

import contextlib
import io
import os
import subprocess
import sys
import types
from pathlib import Path

from edits import edited, setting

ROOT = Path(__file__).parents[1]
MAIN = ROOT / "main.py"
TWIN = ROOT / "tests" / "pytorch_batched.py"


def source(path, *edits):
    """The script's text, after the edits."""
    return edited(path.read_text(encoding="utf-8"), *edits)


def split(text):
    """A script's text in three: up to the training loop, that loop, and inference."""
    definitions, rest = text.split("for step in range(num_steps):\n")
    body, inference = rest.split("# --- Inference ---\n")
    return definitions, "for step in range(num_steps):\n" + body, inference


def load(path, *edits):
    """A module that has run the script up to its training loop: all is defined, nothing trained.

    What is set on it counts in the script: its attributes are the script's globals.
    """
    module = types.ModuleType(path.stem)
    module.__file__ = str(path)
    definitions, loop, module.inference = split(source(path, *edits))
    module.loop = edited(loop, [("range(num_steps)", "steps")])
    run_in(module, definitions)
    return module


def run_in(module, text):
    """Run text with the module's globals. Returns what it printed."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(compile(text, module.__file__, "exec"), vars(module))
    return output.getvalue()


def train(module, steps):
    """Run the module's own training loop, over steps, an iterable. Returns what it printed."""
    module.steps = steps
    return run_in(module, module.loop)


def sample(module):
    """Run the module's own inference section. Returns the 20 names that it printed."""
    return samples(run_in(module, module.inference))


def losses(output):
    """The losses in what a script printed, in order."""
    return [float(line.split()[-1]) for line in output.splitlines() if line.startswith("step ")]


def samples(output):
    """The names in what a script printed, in order."""
    lines = output.split("--- inference (new, hallucinated names) ---\n")[1].split("\n")[:-1]
    return [line.split(": ", 1)[1] for line in lines]


def install(folder, *edits, num_steps=10, data=None):
    """Put main.py, edited and made short, into folder, with an input.txt. Returns its path.

    data: bytes of the input.txt, in place of the names.
    """
    text = source(MAIN, *edits, setting(num_steps=num_steps))
    (folder / "main.py").write_text(text, encoding="utf-8")
    (folder / "input.txt").write_bytes((ROOT / "input.txt").read_bytes() if data is None else data)
    return folder / "main.py"


def run(command, cwd, **variables):
    """Run Python in its own process, from the folder cwd. Returns the finished process.

    command: Python's arguments. variables: of the environment, beside this process's.
    """
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env=os.environ | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=600,
    )


def environment_without(name):
    """This process's environment variables but one."""
    return {other: value for other, value in os.environ.items() if other != name}
