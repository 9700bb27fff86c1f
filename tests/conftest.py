import mlx.core as mx
import pytest

from tests import records, scripts


def pytest_sessionstart(session):
    """Where settings differ, nearly all is red for one reason: it is said once, and that is all.

    A reader's own make_batch, which test_batching.py checks, needs no record.
    """
    chosen = session.config.args
    problem = records.settings_that_differ()
    if problem and not all("test_batching" in argument for argument in chosen):
        pytest.exit(problem, returncode=1)


def pytest_collection_modifyitems(items):
    """What the scripts compute comes first, so that the first red test says most."""
    first = "test_batching", "test_model", "test_steps", "test_parity"
    items.sort(key=lambda item: item.path.stem not in first)


def plainly(item):
    """What needs git is skipped where there is none, and what doesn't fit is said in a line."""
    try:
        return (yield)
    except scripts.NoGit as reason:
        pytest.skip(str(reason))
    except scripts.Unfit as reason:
        pytest.fail(str(reason), pytrace=False)


pytest_runtest_setup = pytest_runtest_call = pytest.hookimpl(wrapper=True)(plainly)


@pytest.fixture(scope="session", autouse=True)
def exact():
    """pytest's own process computes on the CPU: a GPU adds in no fixed order, with fewer digits."""
    mx.set_default_device(mx.cpu)


@pytest.fixture(scope="session")
def whole_run():
    """What `python main.py` prints, run as a reader does, on this machine's default device."""
    output, error = scripts.run([scripts.MAIN])
    assert error == ""
    return output


@pytest.fixture(scope="session")
def sound():
    """What main.py prints with 100 steps, on the CPU."""
    return scripts.whole_run(scripts.MAIN, num_steps=100)


@pytest.fixture(scope="session")
def fresh():
    """main.py up to its training loop, a module, with the initial weights."""
    return scripts.load(scripts.MAIN)


def after_20_steps():
    module = scripts.load(scripts.MAIN)
    scripts.train(module, range(20))
    return module


@pytest.fixture(scope="session")
def trained():
    """main.py after 20 steps of its training loop, a module."""
    return after_20_steps()


@pytest.fixture
def prompt():
    """The same, for a test that changes it."""
    return after_20_steps()
