"""README's patches apply and come back, and do what they are named after."""

import json
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import pytest

from tests.tools import edits, lesson

POSIX = pytest.mark.skipif(os.name != "posix", reason="processes are started as POSIX does")
TWO_GPUS = pytest.mark.skipif(mx.device_count(mx.gpu) < 2, reason="there are no two GPUs")


@pytest.mark.parametrize("names", [*lesson.PATCH_SETS, lesson.PATCH_NAMES[::-1]], ids=" ".join)
@pytest.mark.parametrize("subfolder", ["", "lesson"])
def test_a_reader_applies_them_and_takes_them_back(names, subfolder, tmp_path):
    mine, patched = (lesson.source(lesson.MAIN, *p, edits.num_steps(10)) for p in ([], names))
    folder = tmp_path / subfolder
    files = [f"tests/patches/{name}.patch" for name in names]
    shutil.copytree(lesson.PATCHES, folder / "tests" / "patches")
    (folder / "main.py").write_text(mine, encoding="utf-8", newline="\n")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True, timeout=60)
    for command, expected in (["apply"], patched), (["apply", "-R"], mine):
        subprocess.run(["git", *command, *files], cwd=folder, check=True, timeout=60)
        assert (folder / "main.py").read_text(encoding="utf-8") == expected
    assert patched != mine


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
        lesson.train(lesson.load(lesson.MAIN, patch), range(1))


@pytest.mark.parametrize("patch", lesson.PATCH_NAMES)
def test_a_patch_hands_on_the_padding_mask_and_stays_finite(patch):
    main = lesson.load(lesson.MAIN, patch)
    input_ids, targets, pad_mask, target_mask = main.make_batch(["emma", "bo"] * 2, 0, 4)
    everything = mx.ones_like(pad_mask)
    losses = [
        main.loss_fn(main.model, input_ids, targets, mask, target_mask).item()
        for mask in (pad_mask, everything)
    ]
    assert losses[0] != losses[1] and math.isfinite(losses[1])


def test_many_machines_leaves_no_sum_to_be_computed():
    patched = lesson.load(lesson.MAIN, "many-machines")
    for patched.step in range(3):
        lesson.run_in(patched, patched.step_code)  # not train(), which computes the loss
        state = patched.model.parameters(), patched.optimizer.state
        assert lesson.is_computed(patched.loss_val, *state)


def free_port():
    """A port of this machine that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def on_two(backend, script):
    """Run a script in two processes that know of each other, as mlx.launch does: their output."""
    hosts = Path("hosts.json").absolute()
    hosts.write_text(json.dumps([[f"127.0.0.1:{free_port()}"] for _ in range(2)]))
    shared = {"MLX_ENABLE_TF32": "0", "MLX_HOSTFILE": str(hosts)}
    ranks = [shared | {"MLX_RANK": str(rank)} for rank in range(2)]
    if backend == "nccl":
        address = {"NCCL_HOST_IP": "127.0.0.1", "NCCL_PORT": str(free_port())}
        ranks = [r | address | {"CUDA_VISIBLE_DEVICES": r["MLX_RANK"]} for r in ranks]
        ranks = [r | {"MLX_WORLD_SIZE": "2"} for r in ranks]
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda r: lesson.run(["-c", script], timeout=120, **r)[0], ranks))


@POSIX
@pytest.mark.parametrize("names", [["many-machines"], lesson.PATCH_NAMES], ids=" ".join)
@pytest.mark.parametrize("backend", ["ring", pytest.param("nccl", marks=TWO_GPUS)])
def test_two_processes_follow_one(names, backend):
    lesson.source(lesson.MAIN, *names)  # so that a missing git or a bad patch shows at once
    script = f"""
import sys
import mlx.core as mx
from tests.tools import lesson
mx.set_default_device(mx.{"cpu" if backend == "ring" else "gpu"})
main = lesson.load(lesson.MAIN, *{names})
losses = lesson.train(main, range(20))
assert main.make_batch(main.docs, 0, 32)[0].shape[0] == 16
assert main.world.rank() == 1 or len(lesson.sample(main)) == 20
print(losses, file=sys.__stdout__)
"""
    expected = lesson.train(lesson.load(lesson.MAIN), range(20))
    for printed in on_two(backend, script):
        found = json.loads(printed)
        # The same sums in another order: float32 rounding, which Adam amplifies (see parity.py).
        assert found[:8] == pytest.approx(expected[:8], abs=1e-5)
        assert found == pytest.approx(expected, abs=1e-3)


@POSIX
@pytest.mark.skipif(" " in tempfile.gettempdir(), reason="mlx.launch can't take a blank there")
def test_of_two_processes_one_prints(tmp_path):
    script = lesson.install(tmp_path, "many-machines", edits.ON_THE_CPU, edits.num_steps(10))
    launcher = "from mlx._distributed_utils.launch import main; main()"  # `mlx.launch`
    options = ["-n", "2", "--backend", "ring", "--starting-port", free_port(), sys.executable]
    for arguments in (["-c", launcher, *options, script], [script]):  # or one alone
        printed, _ = lesson.run(arguments, timeout=120)
        assert len(lesson.losses(printed)) == 2
        assert len(lesson.samples(printed)) == 20
