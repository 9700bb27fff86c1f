"""Do the tests still see mistakes? Each is planted in a copy, where one test has to turn red."""

import shutil

import pytest

from tests import scripts

PAGES, EXERCISES = "test_pages.py::test_a_block_shows_what_stands", "test_exercises.py"
PARITY = "test_parity.py::test_main_computes_what_pytorch_does"
LOOP = "mx.eval(model.parameters(), optimizer.state)"
MISTAKES = [  # file, what stands there, the mistake, the test
    ("README.md", "  # (B, n_head, T, head_dim)\n", "\n", PAGES),  # what is quoted
    ("tests/records/losses.json", '"adam": {"end": [2.', '"adam": {"end": [3.', PAGES),
    ("README.md", "sum(losses) / 32)", "sum(losses) / 31)", f"{EXERCISES}::test_one_by_one"),
    ("main.py", "mx.maximum(self.fc1(x), 0)", "mx.maximum(self.fc1(x), 1e-3)", PARITY),
    (
        "main.py",
        f"    {LOOP}",
        "    mx.eval(loss_val)",
        "test_run.py::test_a_step_leaves_nothing_to_be_computed",
    ),
    (
        "tests/one_at_a_time.py",
        "n_layer = 2",
        "n_layer = 3",
        "test_model.py",
    ),  # the settings differ,
    ("tests/records/steps.json", '"n_layer": 2', '"n_layer": 3', "test_model.py"),  # here, too
    ("main.py", "(1 - step / num_steps)", "(1 - step / 900)", PARITY),  # losses alone
    (
        "tests/edits.py",
        '("bias_correction=True",',
        '("True",',
        "test_pages.py::test_each_edit_fits_and_was_measured",
    ),
]


@pytest.fixture
def copy(tmp_path):
    scripts.git("--version")  # where there is none, tests are skipped that have to be red
    leave = shutil.ignore_patterns(".*", "__pycache__")
    return shutil.copytree(scripts.ROOT, tmp_path / "copy", ignore=leave, copy_function=shutil.copy)


@pytest.mark.parametrize(("file", "old", "new", "test"), [(None, "", "", ""), *MISTAKES])
def test_a_mistake_is_seen(copy, file, old, new, test):
    tests = [test] if file else sorted({mistake[3] for mistake in MISTAKES})
    if file:
        text = (copy / file).read_text(encoding="utf-8")
        assert text.count(old) == 1
        (copy / file).write_text(text.replace(old, new), encoding="utf-8")
    paths = [f"tests/{test}" for test in tests]
    scripts.run(["-m", "pytest", "-x", "-q", *paths], cwd=copy, status=int(file is not None))
