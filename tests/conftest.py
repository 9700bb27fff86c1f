import mlx.core as mx
import pytest

from tests import lesson


def pytest_collection_modifyitems(items):
    """What the scripts compute comes first, so that the first red test says most."""
    items.sort(key=lambda item: item.path.stem not in ("test_batching", "test_model", "test_diffs"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Where there is no git, what needs it is skipped."""
    try:
        return (yield)
    except lesson.NoGit as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session", autouse=True)
def exact():
    """pytest's own process computes on the CPU: a GPU adds in no fixed order, with fewer digits."""
    mx.set_default_device(mx.cpu)


@pytest.fixture(scope="session")
def whole_run():
    """What `python main.py` prints, run as a reader does, on this machine's default device."""
    output, error = lesson.run([lesson.MAIN])
    assert error == ""
    return output


@pytest.fixture(scope="session")
def fresh():
    """main.py up to its training loop, a module, with the initial weights."""
    return lesson.load(lesson.MAIN)


def after_20_steps():
    module = lesson.load(lesson.MAIN)
    lesson.train(module, range(20))
    return module


@pytest.fixture(scope="session")
def trained():
    """main.py after 20 steps of its training loop, a module."""
    return after_20_steps()


@pytest.fixture
def prompt():
    """The same, for a test that changes it."""
    return after_20_steps()
