"""README's patches apply, print main.py's losses, and do what they are named after."""

import itertools
import re
import shutil
import subprocess
import sys

import mlx.core as mx
import pytest
import render
import scripts
import traps
from edits import EACH_STEP, FAST_ATTENTION, FAST_NORM, MANY_MACHINES, ON_THE_CPU, PATCHES, SCHEDULE
from test_parity import GPU, TORCH
from test_run import is_computed

NUM_STEPS = 20
# The same operations in another order: float32 rounding, which Adam amplifies (record_pytorch.py).
SAME = {"abs": 1e-3}


@pytest.fixture(scope="module")
def plain_losses():
    lesson = scripts.load(scripts.MAIN, EACH_STEP)
    return scripts.losses(scripts.train(lesson, range(NUM_STEPS)))


@pytest.mark.parametrize("order", list(itertools.permutations(PATCHES)), ids=" ".join)
def test_git_takes_them_in_any_order(order, tmp_path):
    """And so any of them: each order begins with one, two and three of them."""
    shutil.copy(scripts.MAIN, tmp_path)
    for name in order:
        subprocess.run(
            ["git", "apply"], cwd=tmp_path, input=render.diff(name), encoding="utf-8", check=True
        )
    patched = (tmp_path / "main.py").read_text(encoding="utf-8")
    assert patched == scripts.source(scripts.MAIN, *PATCHES.values())


FASTER_FORMS = {"attention": FAST_ATTENTION, "norm": FAST_NORM, "schedule": SCHEDULE}
SAME_LOSSES = PATCHES | FASTER_FORMS
SOME = [names for n in (1, 2, 4) for names in itertools.combinations(PATCHES, n)]
SOME += [(name,) for name in FASTER_FORMS]


@pytest.mark.parametrize("names", SOME, ids=" ".join)
def test_the_losses_stay_the_same(names, plain_losses):
    patched = scripts.load(scripts.MAIN, *(SAME_LOSSES[name] for name in names), EACH_STEP)
    losses = scripts.losses(scripts.train(patched, range(NUM_STEPS)))
    assert losses == pytest.approx(plain_losses, **SAME)
    assert len(scripts.sample(patched)) == 20


@GPU
@pytest.mark.parametrize("name", PATCHES)
def test_the_losses_stay_about_the_same_on_the_gpu(name, plain_losses, tmp_path):
    script = scripts.install(tmp_path, PATCHES[name], EACH_STEP, num_steps=NUM_STEPS)
    result = scripts.run([script], tmp_path)
    assert result.returncode == 0, result.stderr
    # The rate falls to 0 within these steps: only the first ones are those of plain_losses. TF32
    # moves them by up to 5e-3, see test_parity.py.
    assert scripts.losses(result.stdout)[:2] == pytest.approx(plain_losses[:2], abs=2e-2)


def test_compile_traces_once_for_each_length(monkeypatch):
    if not traps.can_compile():
        pytest.skip("without g++ nothing is traced")
    compile, traced = mx.compile, []

    def counting(function, **state):
        def wrapper(*batch):
            traced.append(batch[0].shape)
            return function(*batch)

        return compile(wrapper, **state)

    monkeypatch.setattr(mx, "compile", counting)
    patched = scripts.load(scripts.MAIN, PATCHES["Compile"])
    scripts.train(patched, range(NUM_STEPS))
    shapes = {patched.make_batch(patched.docs, i, 32)[0].shape for i in range(NUM_STEPS)}
    assert sorted(traced) == sorted(shapes)
    assert 1 < len(shapes) < NUM_STEPS


def test_one_array_is_one_parameter():
    patched = scripts.load(scripts.MAIN, PATCHES["One array"])
    (array,) = patched.model.parameters().values()
    assert array.shape == (102848,)
    assert patched.optimizer.state.keys() == {"step", "learning_rate"}
    scripts.train(patched, range(1))
    assert patched.optimizer.state["flat"].keys() == {"m", "v"}
    assert is_computed(patched.model.parameters(), patched.optimizer.state)


def test_vectorize_calls_the_model_through_vmap(monkeypatch):
    vmap, wrapped = mx.vmap, []
    monkeypatch.setattr(mx, "vmap", lambda function: wrapped.append(1) or vmap(function))
    patched = scripts.load(scripts.MAIN, PATCHES["Vectorize"])
    scripts.train(patched, range(2))
    assert len(wrapped) == 2


def test_many_machines_leaves_no_sum_a_promise():
    patched = scripts.load(scripts.MAIN, MANY_MACHINES)
    for step in range(3):
        scripts.train(patched, [step])
        assert is_computed(patched.loss_val, patched.model.parameters(), patched.optimizer.state)


@pytest.mark.parametrize("names", [["Many machines"], ["Compile", "Many machines"]], ids=" ".join)
def test_two_processes_print_the_losses_of_one(names, tmp_path):
    patches = [PATCHES[name] for name in names]
    alone, together = (tmp_path / name for name in ("alone", "together"))
    alone.mkdir()
    together.mkdir()
    expected = scripts.run([scripts.install(alone, ON_THE_CPU, EACH_STEP)], alone)
    script = scripts.install(together, ON_THE_CPU, *patches, EACH_STEP)
    launch = "from mlx._distributed_utils.launch import main; main()"  # what mlx.launch runs
    # ring: where there is a GPU, the default wants one for each process.
    arguments = ["-c", launch, "-n", "2", "--backend", "ring", sys.executable, script]
    result = scripts.run(arguments, together)
    assert len(scripts.losses(expected.stdout)) == 10
    assert scripts.losses(result.stdout) == pytest.approx(
        scripts.losses(expected.stdout), **SAME
    ), result.stderr
    assert len(scripts.samples(result.stdout)) == 20  # printed once, by rank 0


@TORCH
def test_the_check_of_a_port_finds_none_but_rounding():
    result = scripts.run(["tests/port_check.py"], scripts.ROOT)
    assert result.returncode == 0, result.stderr
    compared = re.findall(r"^(\S+) (?:logits|gradient of \S+)$", result.stdout, re.MULTILINE)
    assert len(compared) == 1 + 15
    assert all(float(difference) <= 1e-5 for difference in compared)
    losses = scripts.losses(result.stdout)
    assert len(losses) == 4
    assert losses[:2] == pytest.approx(losses[2:], abs=1e-3)
