"""The four steps from one_at_a_time.py to main.py: each runs, and prints what the README says."""

import difflib
import functools

import pytest

from tests import records, scripts


@functools.cache
def printed(step):
    """What the first 100 training steps and the names after them print, in lines."""
    return scripts.whole_run(scripts.ONE, *scripts.STEPS[:step], num_steps=100).splitlines()


def test_there_are_four_and_they_lead_to_main():
    mine = scripts.source(scripts.ONE, *scripts.STEPS).splitlines()
    main = scripts.source(scripts.MAIN).splitlines()
    mine[1] = mine[1].replace("tests/mine.py", "main.py")  # the command
    mine = [line.replace("parent.parent", "parent") for line in mine]  # the path of input.txt
    apart = [line for line in difflib.ndiff(mine, main) if line[0] in "-+"]
    if apart:
        pytest.fail("\n".join(["the four steps leave - where main.py has +:", *apart]), False)
    assert len(scripts.STEPS) == 4


def test_an_axis_changes_nothing():
    assert printed(1) == printed(0)
    assert len(printed(0)) == 4 + 11 + 2 + 20


def test_counting_padding_looks_wonderful():
    wrong, right = (scripts.printed_losses("\n".join(printed(step))) for step in (2, 3))
    assert wrong[0] > right[0]
    assert all(a < b - 0.3 for a, b in zip(wrong[1:], right[1:], strict=True))


def test_the_loss_mask_gives_what_main_prints(sound):
    assert printed(3) == sound.splitlines()


def test_the_padding_mask_changes_nothing():
    assert printed(4) == printed(3)


def test_the_page_shows_whole_runs_of_these_steps():
    found = records.read("steps")["printed"]
    assert found["0"] == found["1"] and found["3"] == found["4"] and len(found["2"]) == 127
    for step, lines in found.items():
        usual = scripts.printed_losses("\n".join(lines))
        loss = scripts.printed_losses("\n".join(printed(int(step))))[0]
        assert loss == pytest.approx(usual[0], abs=1e-4)  # four digits are printed, and rounded
