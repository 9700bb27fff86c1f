import pytest


@pytest.fixture(autouse=True)
def seeded():
    """Each test draws the same weights, whichever ran before."""
    pytest.importorskip("torch").manual_seed(0)
