"""Load, edit and run the scripts as they stand on disk.

An edit is a patch, such as "patches/fast" for tests/patches/fast.patch, or a pair: a text that
stands once in the script, and the text to put in its place. Patches are applied before pairs.
"""

import ast
import contextlib
import difflib
import io
import linecache
import os
import re
import shutil
import subprocess
import sys
import tempfile
import types
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"
MAIN = ROOT / "main.py"
ONE = TESTS / "one_at_a_time.py"
TWIN = TESTS / "pytorch_batched.py"
STEPS = sorted(f"steps/{path.stem}" for path in TESTS.glob("steps/*.patch"))
PATCHES = sorted(f"patches/{path.stem}" for path in TESTS.glob("patches/*.patch"))


class NoGit(RuntimeError):
    """What was asked for needs git, and there is none."""


class Unfit(ValueError):
    """Two files don't fit together; the message says, in a line, which and what to do."""


def git(*arguments, cwd=ROOT):
    """Run git, whatever the user has configured: a completed process. Raises NoGit."""
    if shutil.which("git") is None:
        raise NoGit("install git, which applies patches and compares files")
    plain = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(
        ["git", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | plain,
        capture_output=True,
        encoding="utf-8",
    )


def patched(text, patch):
    """The text of the script that this patch is for, after it. Raises Unfit."""
    path = TESTS / f"{patch}.patch"
    place = re.search(r"^\+\+\+ b/(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)[1]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, place)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(text, encoding="utf-8", newline="\n")
        result = git("apply", path, cwd=folder)
        if result.returncode != 0:
            why = result.stderr.splitlines()[0].removeprefix("error: ")
            raise Unfit(f"tests/{patch}.patch doesn't fit: {why}; tests/README.md says how to mend")
        return copy.read_text(encoding="utf-8")


def source(path, *edits):
    """The script's text, edited. Raises Unfit, naming the edit, where one does not apply."""
    text = path.read_text(encoding="utf-8")
    for patch in (edit for edit in edits if isinstance(edit, str)):
        text = patched(text, patch)
    for old, new in (edit for edit in edits if not isinstance(edit, str)):
        if text.count(old) != 1:
            raise Unfit(
                f"edits.py: {old!r} stands {text.count(old)} times in {path.name}, not once"
            )
        text = text.replace(old, new)
    return text


def changed(before, after):
    """The lines of main.py that differ between two lists of edits, each with - or + first."""
    texts = (source(MAIN, *edits).splitlines() for edits in (before, after))
    lines = difflib.unified_diff(*texts, n=0, lineterm="")
    return [line for line in lines if re.match(r"[-+] *[^-+ #]", line)]


def settings(path):
    """The numbers that a script gives names to, by name."""
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign):
            names, values = node.targets, [node.value]
            if isinstance(node.value, ast.Tuple):
                names, values = names[0].elts, node.value.elts
            for name, value in zip(names, values, strict=True):
                if isinstance(value, ast.Constant) and isinstance(value.value, int | float):
                    found[name.id] = value.value
    return found


def load(path, *edits):
    """A module that has run the script up to its training loop: all is defined, nothing trained.

    What is set on it counts in the script: its attributes are the script's globals.
    """
    module = types.ModuleType(path.stem)
    module.__file__ = str(path)
    text, name = source(path, *edits), f"{path}, edited" if edits else str(path)
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    body = ast.parse(text, name).body
    starts = [ast.unparse(node)[:9] for node in body]
    if starts.count("for step ") != 1:
        raise Unfit(f"{path.name} has no loop `for step in ...`, or several")
    loop = starts.index("for step ")
    parts = body[:loop], body[loop].body, body[loop + 1 :]
    before, module.step_code, module.inference_code = (
        compile(ast.Module(part, []), name, "exec") for part in parts
    )
    module.printed = run_in(module, before)
    return module


def run_in(module, code):
    """Run code with the module's globals. Returns what it printed."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(code, vars(module))
    return output.getvalue()


def train(module, steps):
    """Run the body of the module's own training loop for each of steps. Returns their losses.

    What the steps print is added to module.printed.
    """
    values = []
    for step in steps:
        module.step = step
        module.printed += run_in(module, module.step_code)
        values.append(module.loss_val.item())
    return values


def sample(module):
    """Run the module's own inference section. Returns the 20 names that it printed."""
    printed = run_in(module, module.inference_code)
    module.printed += printed
    return printed_names(printed)


def whole_run(path, *edits, num_steps=None):
    """What a script, edited, prints from top to bottom, in this process, with so many steps."""
    module = load(path, *edits)
    module.num_steps = num_steps or module.num_steps
    train(module, range(module.num_steps))
    sample(module)
    return module.printed


def printed_losses(output):
    """The losses in what a script printed, in order."""
    return [float(line.split()[-1]) for line in output.splitlines() if line.startswith("step ")]


def printed_names(output):
    """The names in what a script printed, in order."""
    lines = output.split("--- inference (hallucinated names) ---\n")[1].splitlines()
    return [line.split(": ", 1)[1] for line in lines]


def run(arguments, cwd=ROOT, status=0, timeout=240, **variables):
    """Run Python from the folder cwd, with more variables of the environment, to its end.

    Returns its output and its errors. Raises RuntimeError where it exits with another status.
    """
    result = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"} | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
    )
    if result.returncode != status:
        raise RuntimeError(f"{arguments} exited with {result.returncode}: {result.stderr}")
    return result.stdout, result.stderr
