"""What main.py is put through: odd files and pipes. What it must not touch: files, network."""

import math
import os
import subprocess
import sys
import threading

import mlx.core as mx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlx.utils import tree_flatten

from tests.tools import edits, lesson

lines = st.lists(st.text(max_size=80), min_size=1, max_size=300).map("\n".join)


@settings(
    deadline=None,  # no timing in tests
    max_examples=25,  # each is a training
    # Each example writes its own input.txt; and once more, no timing.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=lines.map(lambda text: text.encode()) | st.binary(max_size=200))
def test_any_file_trains_or_is_refused(tmp_path, data):
    script = lesson.install(tmp_path, data=data)
    try:
        fresh = lesson.load(script)
    except SystemExit as refusal:
        assert len(refusal.code.splitlines()) == 1
        assert str(tmp_path / "input.txt") in refusal.code
    else:
        assert all(math.isfinite(loss) for loss in lesson.train(fresh, range(2)))
        assert all(mx.isfinite(p).all() for _, p in tree_flatten(fresh.model.parameters()))
        assert all(len(name) <= fresh.block_size for name in lesson.sample(fresh))


AUDIT = """
import runpy, sys

def forbid(event, arguments):
    # open's mode is None for os.open, whose flags then say whether it writes
    if event == "open" and (set(str(arguments[1])) & set("wax+") or arguments[2] & 0o3):
        raise PermissionError(f"{event} {arguments}")
    if event.startswith(("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn")):
        raise PermissionError(f"{event} {arguments}")

sys.addaudithook(forbid)
runpy.run_path("main.py", run_name="__main__")
"""


def test_writes_no_file_and_reaches_for_no_network(tmp_path, tmp_path_factory):
    lesson.install(tmp_path, edits.ON_THE_CPU, edits.num_steps(2))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    places = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}  # where a library would write
    # NVIDIA's driver keeps a cache of its own, by default under HOME, as soon as MLX is imported.
    places["CUDA_CACHE_PATH"] = str(tmp_path_factory.mktemp("driver"))
    _, error = lesson.run(["-B", "-c", AUDIT], tmp_path, **places)  # -B: no byte code, either
    assert error == ""
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.skipif(os.name != "posix", reason="Windows has other pipes")
def test_losses_reach_a_pipe_as_they_are_printed():
    command = [sys.executable, str(lesson.MAIN)]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, encoding="utf-8") as process:
        timer = threading.Timer(300, process.kill)  # should it print nothing
        timer.daemon = True  # nor may it keep pytest from ending
        timer.start()
        found = any(line.startswith("step") for line in process.stdout)
        process.kill()
        # 999 steps were to come. Had the first loss been kept back, all would be here with it.
        assert found, "main.py ended before its first step"
        assert len(lesson.losses(process.stdout.read())) < 100
