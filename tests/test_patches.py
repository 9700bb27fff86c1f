"""README's patches apply and come back, and do what they are named after."""

import json
import math
import os
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor

import mlx.core as mx
import mlx.nn as nn
import pytest

from tests import edits, scripts

TWO_GPUS = pytest.mark.skipif(mx.device_count(mx.gpu) < 2, reason="there are no two GPUs")


def test_a_patch_that_does_not_fit_is_named_and_says_where():
    with pytest.raises(scripts.Unfit, match=r"patches/fast.patch doesn't fit: .*main.py:93"):
        scripts.source(scripts.MAIN, "patches/fast", "patches/fast")


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
        scripts.train(scripts.load(scripts.MAIN, f"patches/{patch}"), range(1))


@pytest.mark.parametrize("patch", scripts.PATCHES)
def test_a_patch_hands_on_the_padding_mask_and_stays_finite(patch):
    main = scripts.load(scripts.MAIN, patch)
    input_ids, targets, pad_mask, target_mask = main.make_batch(["emma", "bo"] * 2, 0, 4)
    everything = mx.ones_like(pad_mask)
    losses = [
        main.loss_fn(main.model, input_ids, targets, mask, target_mask).item()
        for mask in (pad_mask, everything)
    ]
    assert losses[0] != losses[1] and math.isfinite(losses[1])


def test_one_shape_is_compiled_once():
    """*compile* makes Adam's averages first, or it would begin with two kinds of state."""
    main, traces = scripts.load(scripts.MAIN, "patches/compile"), []
    grad = main.loss_and_grad
    main.loss_and_grad = lambda *given: traces.append(given) or grad(*given)
    scripts.train(main, [0, 0, 0])
    assert len(traces) == 1


def test_under_vmap_a_bitwise_operator_can_be_wrong():
    """Why *fast* writes `mx.logical_or`."""
    row, square = mx.zeros((2, 3), mx.bool_), mx.zeros((3, 3), mx.bool_)
    mended = "MLX is mended: write | in fast.patch, and leave its comment out"
    assert mx.vmap(lambda r: square | r)(row).shape != (2, 3, 3), mended
    assert mx.vmap(lambda r: mx.logical_or(square, r))(row).shape == (2, 3, 3)


def free_port():
    """A port of this machine that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def on_two(backend, script, folder):
    """Run a script in two processes that know of each other, as mlx.launch does."""
    hosts = folder / "hosts.json"
    hosts.write_text(json.dumps([[f"127.0.0.1:{free_port()}"] for _ in range(2)]))
    shared = {"MLX_ENABLE_TF32": "0", "MLX_HOSTFILE": str(hosts)}
    ranks = [shared | {"MLX_RANK": str(rank)} for rank in range(2)]
    if backend == "nccl":
        address = {"NCCL_HOST_IP": "127.0.0.1", "NCCL_PORT": str(free_port())}
        ranks = [r | address | {"CUDA_VISIBLE_DEVICES": r["MLX_RANK"]} for r in ranks]
        ranks = [r | {"MLX_WORLD_SIZE": "2"} for r in ranks]
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda rank: scripts.run([script], timeout=120, **rank), ranks))


@pytest.mark.skipif(os.name != "posix", reason="processes are started as POSIX does")
@pytest.mark.parametrize("backend", ["ring", pytest.param("nccl", marks=TWO_GPUS)])
def test_two_processes_follow_one_and_the_first_of_them_prints(backend, tmp_path):
    told = "mx.eval(loss_val); print(len(input_ids), loss_val.item(), file=sys.stderr)"
    changes = [edits.num_steps(20), ("mx.eval(loss_val)", told)]
    changes += [edits.ON_THE_CPU] * (backend == "ring")
    script = tmp_path / "main.py"
    text = scripts.source(scripts.MAIN, "patches/many-machines", *changes)
    script.write_text(text, encoding="utf-8")
    shutil.copy(scripts.ROOT / "input.txt", tmp_path)

    one = scripts.load(scripts.MAIN, edits.num_steps(20))
    expected = scripts.train(one, range(20))
    outputs, told = zip(*on_two(backend, script, tmp_path), strict=True)
    assert len(scripts.printed_losses(outputs[0])) == 3
    assert len(scripts.printed_names(outputs[0])) == 20
    assert outputs[1] == ""
    for lines in told:
        sizes, losses = zip(*(line.split() for line in lines.splitlines()), strict=True)
        assert set(sizes) == {"16"}
        # The same sums in another order: float32 rounding, which Adam amplifies (see parity.py).
        assert list(map(float, losses[:8])) == pytest.approx(expected[:8], abs=1e-5)
        assert list(map(float, losses)) == pytest.approx(expected, abs=1e-3)
