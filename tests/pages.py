"""The READMEs' blocks of code and tables, as they stand. Nothing here writes."""

import re
from typing import NamedTuple

from tests import scripts

README = scripts.ROOT / "README.md"
PAGES = [README, scripts.TESTS / "README.md", scripts.TESTS / "porting" / "README.md"]
FENCED = r"^```(?P<language>\S+) ?(?P<name>.*)\n(?P<body>(.*\n)*?)```$"
MARKED = r"^<!-- begin (?P<table>.*) -->\n(?P<rows>(.*\n)*?)<!-- end -->$"


class Block(NamedTuple):
    """A block of code that begins with "```diff NAME", say, or a table between two comments."""

    where: str  # such as README.md:120
    language: str  # or "table"
    name: str
    body: str

    def __str__(self):
        return f"{self.where}, {self.language} {self.name}"


def read(path=README):
    return path.read_text(encoding="utf-8")


def blocks(path=README):
    """All blocks of a README, in order."""
    text, place, found = read(path), path.relative_to(scripts.ROOT).as_posix(), []
    for match in re.finditer(f"{FENCED}|{MARKED}", text, re.MULTILINE):
        where = f"{place}:{text.count(chr(10), 0, match.start()) + 1}"
        code = match["language"], match["name"], match["body"]
        found.append(Block(where, *(code if code[0] else ("table", match["table"], match["rows"]))))
    return found


def block(language, name):
    """What README.md shows under that header. Raises Unfit."""
    found = [each.body for each in blocks() if (each.language, each.name) == (language, name)]
    if len(found) != 1:
        raise scripts.Unfit(f"README.md has {len(found)} blocks ```{language} {name}, not one")
    return found[0]
