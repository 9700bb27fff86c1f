"""Find the bug: train main.py for 100 steps with a mistake hidden in it.

    uv run python -m tests.bug NUMBER [--answer]

shows what the run prints, and asks a question; with --answer it shows the changed lines, and says
what is wrong with them. Number 0 has no mistake.
"""

import argparse
import difflib
import re

from tests.tools import edits, lesson

BUGS = [  # a key of edits.TRAPS, and what to ask
    ("none", "This is main.py as it is. Now: what is wrong with numbers 1 to 6?"),
    ("probabilities", "All losses are those of number 0. So why are the names gibberish?"),
    ("tril", "A loss of 0! Which number is not that of number 0, and what does it count?"),
    ("counted", "That is far below number 0. What in a batch is so easy to predict?"),
    ("adam", "It recovers. But what has happened by step 10?"),
    ("tuple", "It learns, and the names sound right. Which number can't be true?"),
    ("inverted", "A loss of 0 again, but with all parameters. What may the model read?"),
]


def run(key):
    """What main.py prints with the mistake of that name, in 100 steps."""
    main = lesson.load(lesson.MAIN, *edits.TRAPS.get(key, []))
    main.num_steps = 100
    lesson.train(main, range(main.num_steps))
    lesson.sample(main)
    return main.printed


def answer(key):
    """The lines that the mistake changes, and what README's table says of it."""
    if key not in edits.TRAPS:
        return "no mistake"
    scripts = [lesson.source(lesson.MAIN, *changes) for changes in ([], edits.TRAPS[key])]
    lines = difflib.ndiff(*(script.splitlines() for script in scripts))
    readme = (lesson.ROOT / "README.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| <!-- {key} --> (.*) \|$", readme, re.MULTILINE)[1]
    mistake, *_, mend = re.sub(r" \([^()]*\[.*?\]\(http.*?\)\)", "", row).split(" | ")
    return "\n".join([*(line for line in lines if line[0] in "-+"), f"\n{mistake}: {mend}"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("number", type=int, choices=range(len(BUGS)))
    parser.add_argument("--answer", action="store_true", help="show the changed lines, and why")
    arguments = parser.parse_args()
    key, question = BUGS[arguments.number]
    print(answer(key) if arguments.answer else f"{run(key)}\n{question}")
