import subprocess
import sys

import mlx.core as mx
import pytest

from tests import scripts


@pytest.fixture(scope="session", autouse=True)
def exact():
    """All here runs on the CPU: a GPU adds in no fixed order and may multiply with fewer digits."""
    mx.set_default_device(mx.cpu)


@pytest.fixture(scope="session")
def lesson():
    """main.py up to its training loop, a module, with the initial weights."""
    return scripts.load(scripts.MAIN)


@pytest.fixture(scope="session")
def trained():
    """main.py after 20 steps of its training loop, a module."""
    module = scripts.load(scripts.MAIN)
    scripts.train(module, range(20))
    return module


@pytest.fixture(scope="session", autouse=True)
def reader():
    """`python main.py`, started with the first test, as it takes a while and only one core."""
    command = [sys.executable, str(scripts.MAIN)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    with subprocess.Popen(command, **pipes) as process:
        yield process
        process.kill()


@pytest.fixture(scope="session")
def whole_run(reader):
    """What `python main.py` prints, run as a reader does, on this machine's default device."""
    output, error = reader.communicate(timeout=600)
    assert (reader.returncode, error) == (0, "")
    return output
