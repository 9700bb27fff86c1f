"""Each hidden bug leaves its sign, and has its question and answer."""

import re

import pytest

from tests import bug, scripts


def sign_of(key, printed, sound):
    """Whether the mistake shows in what 100 steps print, beside what they print without one."""
    (params, usual_params) = (int(re.search(r"params: (\d+)", t)[1]) for t in (printed, sound))
    names = scripts.printed_names(printed)
    losses, usual = scripts.printed_losses(printed), scripts.printed_losses(sound)
    pairs = list(zip(losses[1:], usual[1:], strict=True))
    return {
        "none": printed == sound,
        "probabilities": losses == usual and max(map(len, names)) == 16,
        "tril": names == [""] * 20 and params == usual_params + 512,
        "counted": all(loss < other - 0.4 for loss, other in pairs),
        "adam": losses[0] == usual[0] and losses[1] > usual[1] + 0.2,
        "tuple": params < usual_params / 20,
        "invert": names == [""] * 20 and params == usual_params,
    }[key]


WORDS = {  # of the question and of the answer
    "none": ("as it is", "Nothing"),
    "probabilities": ("gibberish", "softmax of probabilities"),
    "tril": ("Which line differs", "512 parameters"),
    "counted": ("easy to predict", "Padding"),
    "adam": ("by step 10", "too big"),
    "tuple": ("can't be true", "not found"),
    "invert": ("attention stands in", "hidden"),
}


@pytest.mark.parametrize("number", range(len(bug.BUGS)))
def test_a_bug_leaves_a_sign_and_has_an_answer(number, sound):
    """As commands: the mistake is in the run, and question and answer belong to it."""
    key = bug.BUGS[number][0]
    assert key in WORDS, f"give {key} its sign, and a word of its question and answer"
    bug.changes(key)  # with a patch, it needs git
    printed, question = scripts.run(["-m", "tests.bug", number])[0].rstrip("\n").rsplit("\n", 1)
    assert sign_of(key, printed, sound)
    assert WORDS[key][0] in question and "?" in question
    *changes, reason = scripts.run(["-m", "tests.bug", number, "--answer"])[0].splitlines()
    assert WORDS[key][1] in reason
    assert {line[0] for line in changes if line} == ({"-", "+"} if number else set())
    assert len(changes) < 9
