"""Find the bug: train main.py for 100 steps with a mistake hidden in it.

    uv run python -m tests.bug NUMBER [--answer]

shows what the run prints, and asks a question; with --answer it shows the changed lines, and says
what is wrong with them. Number 0 has no mistake.
"""

import argparse
import difflib
import re

from tests.tools import edits, lesson

BUGS = [  # a key of edits.TRAPS, what to ask, and the answer to that
    ("none", "This is main.py as it is. What is wrong with numbers 1 to 6?", "Nothing here."),
    (
        "probabilities",
        "All losses are those of number 0. So why are the names gibberish?",
        "What is drawn from is nearly uniform: a softmax of probabilities.",
    ),
    (
        "tril",
        "A loss of 0! Which number is not that of number 0, and what does it count?",
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
        "A loss of 0 again, but with all parameters. (It has the patch `fast`.) What is read?",
        "Just what should be hidden: the letters to come.",
    ),
]


def answer(key, reason):
    """The lines that the mistake changes, the reason, and what README's table says."""
    changes = edits.TRAPS.get(key, [])
    right = [change for change in changes if isinstance(change, str)]  # a patch is no mistake
    scripts = [lesson.source(lesson.MAIN, *edit).splitlines() for edit in (right, changes)]
    lines = [line for line in difflib.ndiff(*scripts) if line[0] in "-+"]
    readme = (lesson.ROOT / "README.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| <!-- {key} --> (.*) \|$", readme, re.MULTILINE)
    mend = re.sub(r" \([^()]*\[.*?\]\(http.*?\)\)", "", row[1].split(" | ")[-1]) if row else ""
    return "\n".join([*lines, "", reason, *[f"What to do: {mend}"] * bool(mend)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("number", type=int, choices=range(len(BUGS)))
    parser.add_argument("--answer", action="store_true", help="show the changed lines, and why")
    arguments = parser.parse_args()
    key, question, reason = BUGS[arguments.number]
    if arguments.answer:
        print(answer(key, reason))
    else:
        print(f"{lesson.short_run(*edits.TRAPS.get(key, []))}\n{question}")
