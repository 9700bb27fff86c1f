import sys

from tests import lesson, page

try:
    written = page.outdated()
except ValueError as error:
    sys.exit(f"{error}: mend it by hand, then run this again")
for path, text in written.items():
    path.write_text(text, encoding="utf-8", newline="\n")
    print("wrote", path.relative_to(lesson.ROOT).as_posix())
if not written:
    print("nothing to write: all is as it should be")
