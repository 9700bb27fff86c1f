"""README's patches apply and come back, and do what they are named after."""

import json
import os
import shutil
import subprocess
import sys

import mlx.core as mx
import mlx.nn as nn
import pytest

from tests import edits, scripts


def git(*command, cwd):
    subprocess.run(["git", *command], cwd=cwd, check=True, timeout=60)


@pytest.mark.parametrize("names", [*scripts.PATCH_SETS, scripts.PATCH_NAMES[::-1]], ids=" ".join)
@pytest.mark.parametrize("subfolder", ["", "lesson"])
def test_a_reader_applies_them_and_takes_them_back(names, subfolder, tmp_path):
    git("init", "-q", cwd=tmp_path)
    folder = tmp_path / subfolder
    shutil.copytree(scripts.PATCHES, folder / "tests" / "patches")
    mine = scripts.source(scripts.MAIN, edits.num_steps(10))
    (folder / "main.py").write_text(mine, encoding="utf-8", newline="\n")
    files = [f"tests/patches/{name}.patch" for name in names]
    git("apply", *files, cwd=folder)
    applied = (folder / "main.py").read_text(encoding="utf-8")
    assert applied == scripts.source(scripts.MAIN, *names, edits.num_steps(10)) != mine
    git("apply", "-R", *files, cwd=folder)
    assert (folder / "main.py").read_text(encoding="utf-8") == mine


@pytest.mark.parametrize(
    ("patch", "module", "function"),
    [
        ("compile", mx, "compile"),
        ("vectorize", mx, "vmap"),
        ("fast", mx.fast, "scaled_dot_product_attention"),
        ("fast", mx.fast, "rms_norm"),
        ("many-machines", nn, "average_gradients"),
    ],
)
def test_a_patch_calls_what_it_is_about(patch, module, function, monkeypatch):
    monkeypatch.setattr(module, function, None)
    with pytest.raises(TypeError, match="'NoneType' object is not callable"):
        scripts.train(scripts.load(scripts.MAIN, patch), range(1))


def test_many_machines_leaves_no_sum_to_be_computed():
    patched = scripts.load(scripts.MAIN, "many-machines")
    for patched.step in range(3):
        scripts.run_in(patched, patched.step_code)
        state = patched.model.parameters(), patched.optimizer.state
        assert scripts.is_computed(patched.loss_val, *state)


def launch(*command, backend="ring"):
    """Run Python as `mlx.launch -n 2` does. Returns what both processes print."""
    if os.name != "posix":
        pytest.skip("mlx.launch starts processes as POSIX does")
    launcher = "from mlx._distributed_utils.launch import main; main()"
    port = str(20000 + 2 * (os.getpid() % 6000))  # another suite's processes have another
    options = ["-n", "2", "--backend", backend, "--starting-port", port]
    arguments = ["-c", launcher, *options, sys.executable, *command]
    return scripts.run(arguments, scripts.ROOT, MLX_ENABLE_TF32="0").stdout


TWO_GPUS = pytest.mark.skipif(mx.device_count(mx.gpu) < 2, reason="there are no two GPUs")
BACKENDS = [("cpu", "ring"), pytest.param("gpu", "nccl", marks=TWO_GPUS)]


@pytest.mark.parametrize("names", [["many-machines"], scripts.PATCH_NAMES], ids=" ".join)
@pytest.mark.parametrize(("device", "backend"), BACKENDS)
def test_two_processes_follow_one(names, device, backend):
    script = f"""
import mlx.core as mx
from tests import scripts
mx.set_default_device(mx.{device})
lesson = scripts.load(scripts.MAIN, *{names})
losses = scripts.train(lesson, range(20))
assert lesson.make_batch(lesson.docs, 0, 32)[0].shape[0] == 16
assert len(scripts.sample(lesson)) == 20
print(losses if lesson.world.rank() == 1 else "")
"""
    expected = scripts.train(scripts.load(scripts.MAIN), range(20))
    found = json.loads(launch("-c", script, backend=backend))
    # The same sums in another order: float32 rounding, which Adam amplifies (see parity.py).
    assert found[:8] == pytest.approx(expected[:8], abs=1e-5)
    assert found == pytest.approx(expected, abs=1e-3)


def test_of_two_processes_one_prints(tmp_path):
    edit = edits.ON_THE_CPU, edits.num_steps(10)
    script = scripts.install(tmp_path, "many-machines", *edit)
    for printed in (launch(script), scripts.run([script], tmp_path).stdout):  # or one alone
        assert len(scripts.losses(printed)) == 2
        assert len(scripts.samples(printed)) == 20
