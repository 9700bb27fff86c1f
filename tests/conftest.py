import ctypes
import os
import subprocess
import sys

import mlx.core as mx
import pytest

from tests.tools import lesson


def pytest_configure():
    """Stop where LD_PRELOAD can't be loaded: every process would complain, and tests fail."""
    for library in os.environ.get("LD_PRELOAD", "").split():
        try:
            ctypes.CDLL(library)
        except OSError:
            pytest.exit(f"there is no {library}: install it or `unset LD_PRELOAD`", returncode=1)


def pytest_collection_finish(session):
    """Start `python main.py` before the first test, if any wants it: it takes a while."""
    if any("whole_run" in item.fixturenames for item in session.items):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
        session.reader = subprocess.Popen([sys.executable, str(lesson.MAIN)], **pipes)


def pytest_sessionfinish(session):
    if hasattr(session, "reader"):
        session.reader.kill()


@pytest.fixture(scope="session")
def whole_run(request):
    """What `python main.py` prints, run as a reader does, on this machine's default device."""
    output, error = request.session.reader.communicate(timeout=600)
    assert (request.session.reader.returncode, error) == (0, "")
    return output


@pytest.fixture(scope="session", autouse=True)
def exact():
    """pytest's own process computes on the CPU: a GPU adds in no fixed order, with fewer digits."""
    mx.set_default_device(mx.cpu)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A test that writes a file writes it there."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def fresh():
    """main.py up to its training loop, a module, with the initial weights."""
    return lesson.load(lesson.MAIN)


@pytest.fixture(scope="session")
def trained():
    """main.py after 20 steps of its training loop, a module."""
    module = lesson.load(lesson.MAIN)
    lesson.train(module, range(20))
    return module
