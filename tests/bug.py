"""Find the bug: train main.py for 100 steps with a mistake hidden in it.

    uv run python -m tests.bug NUMBER [--answer]

shows what the run prints and asks a question, or shows the changed lines and says what is wrong.
"""

import argparse
import sys

import mlx.core as mx

from tests import edits, scripts

BUGS = [  # a key of edits.ALL, what to ask about its run, and the answer
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


def changes(key):
    """The lines that the mistake changes, without comments."""
    right = [edit for edit in edits.ALL[key] if isinstance(edit, str)]  # a patch is no mistake
    return [line.split("  #")[0] for line in scripts.changed(right, edits.ALL[key])]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("number", type=int, choices=range(len(BUGS)))
    parser.add_argument("--answer", action="store_true", help="show the changed lines, and why")
    arguments = parser.parse_args()
    key, question, reason = BUGS[arguments.number]
    mx.set_default_device(mx.cpu)  # where nothing but the mistake makes a difference
    try:
        if arguments.answer:
            print(*changes(key), "", reason, sep="\n")
        else:
            printed = scripts.whole_run(scripts.MAIN, *edits.ALL[key], num_steps=100)
            print(printed, question, sep="\n")
    except (scripts.NoGit, scripts.Unfit) as problem:
        sys.exit(str(problem))
