from types import SimpleNamespace

import pytest
import scripts


@pytest.fixture(scope="session")
def whole_run():
    """main.py run once from top to bottom: its globals, by name, and `output`, what it printed."""
    namespace, output = scripts.execute(scripts.MAIN.read_text(encoding="utf-8"), scripts.MAIN)
    return SimpleNamespace(**namespace, output=output)


@pytest.fixture(scope="session")
def lesson():
    """main.py up to its training loop: what it defines, by name, with the initial weights."""
    return SimpleNamespace(**scripts.define(scripts.MAIN))
