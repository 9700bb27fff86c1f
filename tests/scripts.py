"""Read and run the lesson's scripts as they stand on disk, whole or cut short."""

import contextlib
import io
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAIN = ROOT / "main.py"
TWIN = ROOT / "tests" / "pytorch_batched.py"


def replace_once(source, old, new):
    """source with old replaced by new. Raises AssertionError unless old stands there once."""
    assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in the script"
    return source.replace(old, new)


def edited(source, *edits):
    """source after the edits, each a pair of what stands there once and its stand-in."""
    for old, new in edits:
        source = replace_once(source, old, new)
    return source


def shortened(source, num_steps):
    """The script's source, training num_steps steps in place of 1000."""
    return replace_once(source, "num_steps = 1000\n", f"num_steps = {num_steps}\n")


def split(source):
    """The script's source in three: up to the training loop, that loop, and inference."""
    definitions, rest = source.split("for step in range(num_steps):\n")
    body, inference = rest.split("# --- Inference ---\n")
    return definitions, "for step in range(num_steps):\n" + body, inference


def execute(source, path, namespace=None):
    """Run source as if it stood in path. Returns its live globals and what it printed."""
    namespace = {"__name__": "__main__", "__file__": str(path)} if namespace is None else namespace
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(compile(source, path, "exec"), namespace)
    return namespace, output.getvalue()


def define(path, source=None):
    """The globals of the script up to its training loop: all that is defined, nothing trained.

    source: an edited script in place of the one in path.
    """
    source = path.read_text(encoding="utf-8") if source is None else source
    return execute(split(source)[0], path)[0]


def training_loop(source, steps):
    """The script's training loop, over the expression `steps` in place of range(num_steps)."""
    return replace_once(split(source)[1], "range(num_steps)", steps)


def first_losses(path, namespace, function, num_losses):
    """Run the script's own training loop, its first steps, in the namespace that define gave.

    function: the name of what the loop calls for its loss. Returns the losses, in full precision.
    """
    original, values = namespace[function], []

    def recording(*arguments):
        result = original(*arguments)
        values.append((result[0] if isinstance(result, tuple) else result).item())
        return result

    loop = training_loop(path.read_text(encoding="utf-8"), f"range({num_losses})")
    namespace[function] = recording
    execute(loop, path, namespace)
    namespace[function] = original
    return values


def install(folder, num_steps, text=None, source=None):
    """Put main.py, made short, into folder, with the names as its input.txt.

    text: str or bytes in place of the names; source: a script in place of main.py's.
    """
    source = MAIN.read_text(encoding="utf-8") if source is None else source
    (folder / "main.py").write_text(shortened(source, num_steps), encoding="utf-8")
    text = (ROOT / "input.txt").read_bytes() if text is None else text
    (folder / "input.txt").write_bytes(text.encode() if isinstance(text, str) else text)
    return folder / "main.py"


def run(script, cwd, *arguments):
    """Run a script in its own process, from the folder cwd. Returns the finished process.

    arguments: Python's own, before the script.
    """
    return subprocess.run(
        [sys.executable, *arguments, str(script)],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )


def environment_without(name):
    """This process's environment variables but one."""
    return {other: value for other, value in os.environ.items() if other != name}


def peak_mebibytes(usage):
    """The peak memory in what the resource module tells of a process, in MiB."""
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def losses(output):
    """The losses in what a script printed, in order."""
    return [float(line.split()[-1]) for line in output.splitlines() if line.startswith("step ")]


def samples(output):
    """The names in what a script printed, in order."""
    lines = output.split("--- inference (new, hallucinated names) ---\n")[1].split("\n")[:-1]
    return [line.split(": ", 1)[1] for line in lines]


def recipe_weights(shapes, pad):
    """Weights that no framework's random numbers enter: N(0, 0.08), row `pad` of wte zero.

    shapes: the shape of each parameter by name. Returns a flat list of floats by name.
    """
    rng = random.Random(0)
    weights = {}
    for name in sorted(shapes):
        weights[name] = [rng.gauss(0, 0.08) for _ in range(math.prod(shapes[name]))]
    width = shapes["wte.weight"][1]
    weights["wte.weight"][pad * width : (pad + 1) * width] = [0.0] * width
    return weights


def patched(heading):
    """main.py's source after `git apply` of the diff block under a heading of README.md."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").split(f"\n### {heading}\n")[1]
    diff = section.split("```diff\n")[1].split("```\n")[0]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(MAIN, folder)
        command = ["git", "apply", "-"]
        subprocess.run(command, cwd=folder, input=diff, encoding="utf-8", check=True)
        return Path(folder, "main.py").read_text(encoding="utf-8")
