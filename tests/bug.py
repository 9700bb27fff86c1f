"""Find the bug: train main.py for 100 steps with a mistake hidden in it.

    uv run python -m tests.bug NUMBER [--answer]

shows what the run prints and asks a question, or shows the changed lines and says what is wrong.
"""

import argparse

from tests import edits, lesson

BUGS = [  # a key of edits.ALL, what to ask, and the answer to that
    ("none", "This is main.py as it is. What is wrong with the other numbers?", "Nothing here."),
    (
        "probabilities",
        "All losses are those of number 0. So why are the names gibberish?",
        "What is drawn from is nearly uniform: a softmax of probabilities.",
    ),
    (
        "tril",
        "A loss of 0! Which line differs from number 0, and what does its number count?",
        "There are 512 parameters more: two masks of 16 x 16, filled with random numbers.",
    ),
    (
        "counted",
        "That is far below number 0. What in a batch is so easy to predict?",
        "Padding: what comes after PAD is always the target 0.",
    ),
    (
        "adam",
        "It recovers. But what has happened by step 10?",
        "The first steps are too big, and the loss rises.",
    ),
    (
        "tuple",
        "It learns, and the names sound right. Which number can't be true?",
        "Of 102,848 parameters there are 4,544: the blocks' are not found, and not trained.",
    ),
    (
        "invert",
        "A loss of 0 again, with the right number of parameters. MLX's attention stands in for "
        "ours here. What does it read?",
        "Just what should be hidden: the letters to come, and padding.",
    ),
]


def answer(key, reason):
    """The lines that the mistake changes, and the reason."""
    right = [edit for edit in edits.ALL[key] if isinstance(edit, str)]  # a patch is no mistake
    lines = (line.split("  #")[0] for line in lesson.changed(right, edits.ALL[key]))
    return "\n".join([*lines, "", reason])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("number", type=int, choices=range(len(BUGS)))
    parser.add_argument("--answer", action="store_true", help="show the changed lines, and why")
    arguments = parser.parse_args()
    key, question, reason = BUGS[arguments.number]
    if arguments.answer:
        print(answer(key, reason))
    else:
        print(f"{lesson.short_run(*edits.ALL[key])}\n{question}")
