"""Load and run the lesson's two scripts as they stand on disk, whole, in part or edited.

An edit is the name of a patch in tests/patches, or a pair: a text that stands once in the script,
and the text to put in its place. Patches are applied before pairs.
"""

import ast
import contextlib
import hashlib
import io
import linecache
import os
import re
import shutil
import subprocess
import sys
import tempfile
import types
import unittest
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAIN = ROOT / "main.py"
TWIN = ROOT / "tests" / "pytorch_batched.py"
PATCHES = ROOT / "tests" / "patches"
PATCH_NAMES = sorted(path.stem for path in PATCHES.glob("*.patch"))
PATCH_SETS = [*([name] for name in PATCH_NAMES), PATCH_NAMES]  # each alone, and all together


def source(path, *edits):
    """The script's text, edited. Raises ValueError, naming the edit, where one does not apply."""
    text = path.read_text(encoding="utf-8")
    patches = [str(PATCHES / f"{edit}.patch") for edit in edits if isinstance(edit, str)]
    if patches:
        if shutil.which("git") is None:
            raise unittest.SkipTest("there is no git to apply a patch with")
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, path.name)
            copy.write_text(text, encoding="utf-8", newline="\n")
            command = ["git", "apply", *patches]
            result = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8")
            if result.returncode != 0:
                check = ["git", "apply", "--check"]
                bad = [p for p in patches if subprocess.run([*check, p], cwd=folder).returncode]
                hint = "`uv run python -m tests.tools.render` mends it, or says what is missing"
                reason = f"{bad[0]} alone fails: {hint}" if bad else f"{', '.join(patches)} collide"
                raise ValueError(f"{reason}\n{result.stderr}")
            text = copy.read_text(encoding="utf-8")
    for old, new in (edit for edit in edits if not isinstance(edit, str)):
        if text.count(old) != 1:
            times = f"{text.count(old)} times in {path.name}"
            raise ValueError(f"tests/tools/edits.py: {old!r} stands {times}, not once")
        text = text.replace(old, new)
    return text


def code(line):
    """A line without its comment; nothing, where it is all comment, or a docstring's first."""
    return re.sub(r'\s*#.*|^\s*""".*', "", line).rstrip()


def digest(text):
    """Of a script's code: the same while only comments, docstrings and blank lines change."""
    text = re.sub(r'^ *""".*?"""$', "", text, flags=re.DOTALL | re.MULTILINE)
    lines = [code(line) for line in text.splitlines() if code(line)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


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
        raise ValueError(f"{path.name} has no loop `for step in ...`, or several")
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
    for module.step in steps:
        module.printed += run_in(module, module.step_code)
        values.append(module.loss_val.item())
    return values


def sample(module):
    """Run the module's own inference section. Returns the 20 names that it printed."""
    printed = run_in(module, module.inference_code)
    module.printed += printed
    return samples(printed)


def short_run(*edits):
    """What main.py, edited, prints from top to bottom if it has 100 steps."""
    module = load(MAIN, *edits)
    module.num_steps = 100
    train(module, range(module.num_steps))
    sample(module)
    return module.printed


def exercise(name):
    """The code of that name that README.md has for the prompt."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^```python {name}\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    assert found, f"README.md has no block `python {name}`"
    return found[1]


def is_computed(*trees):
    """Whether nothing in MLX's trees of arrays is left to be computed."""
    import mlx.core as mx
    from mlx.utils import tree_flatten

    graph = io.StringIO()
    mx.export_to_dot(graph, *(array for _, array in tree_flatten(trees)))
    return "rectangle" not in graph.getvalue()  # MLX draws each operation as a box


def losses(output):
    """The losses in what a script printed, in order."""
    return [float(line.split()[-1]) for line in output.splitlines() if line.startswith("step ")]


def samples(output):
    """The names in what a script printed, in order."""
    lines = output.split("--- inference (hallucinated names) ---\n")[1].splitlines()
    return [line.split(": ", 1)[1] for line in lines]


def install(folder, *edits, data=None):
    """Put main.py, edited, into folder, with an input.txt of the bytes data, or of the names."""
    text, data = source(MAIN, *edits), (ROOT / "input.txt").read_bytes() if data is None else data
    (folder / "main.py").write_text(text, encoding="utf-8", newline="\n")
    (folder / "input.txt").write_bytes(data)
    return folder / "main.py"


def run(arguments, cwd=ROOT, status=0, timeout=600, **variables):
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
