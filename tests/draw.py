"""The README's pictures, as SVG. Their colours are read on white and on black.

    uv run python -m tests.draw

draws them anew into tests/pictures.
"""

from tests import records, scripts

GREY, BLUE, ORANGE = "#7d828a", "#3987e5", "#e0690b"
WIDTH = 343  # what a phone shows
FRAME = f'stroke="{GREY}" rx="3"'
FOLDER = scripts.TESTS / "pictures"


def svg(height, parts):
    size = f'viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}"'
    style = f'font-family="sans-serif" font-size="13" fill="{GREY}" stroke-width="2"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>'
    stripes = f'<path d="M0 6 6 0M-1 1 1-1M5 7 7 5" stroke="{ORANGE}" stroke-width="1.2"/>'
    hatch = f'<pattern id="pad" width="6" height="6" patternUnits="userSpaceOnUse">{stripes}'
    return "\n".join([head, f"<defs>{hatch}</pattern></defs>", *parts, "</svg>\n"])


def text(x, y, what, anchor="middle", fill=GREY, more=""):
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{fill}" {more}>{what}</text>'


def box(x, y, width, height, fill, more=""):
    place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
    return f'<rect {place} fill="{fill}" {more}/>'


def batch():
    """The first batch's names as rows of one array, BOS first, what is padding hatched."""
    names = records.read("training")["first batch"]
    T, left, top, wide, high = max(map(len, names)) + 1, 24, 26, 28, 15
    parts = [
        text(left + T * wide / 2, 15, f"T = {T} tokens in each row"),
        text(0, 0, f"B = {len(names)} names", more='transform="translate(14 265) rotate(-90)"'),
    ]
    for i, name in enumerate(names):
        y = top + i * high
        for j in range(T):
            x, real = left + j * wide, j <= len(name)
            parts.append(box(x, y, wide - 1, high - 1, BLUE if real else "url(#pad)"))
            if real:
                label, size = (name[j - 1], 12) if j else ("BOS", 9)
                middle = x + wide / 2 - 0.5, y + high - 4
                parts.append(text(*middle, label, fill="#ffffff", more=f'font-size="{size}"'))
    real, y = sum(len(name) + 1 for name in names), top + len(names) * high + 12
    for x, fill, what in (
        (left, BLUE, f"{real} tokens to read"),
        (left + 150, "url(#pad)", f"{len(names) * T - real} times PAD"),
    ):
        parts += [box(x, y, wide - 1, high - 1, fill), text(x + wide + 6, y + 12, what, "start")]
    return svg(y + high + 6, parts)


def square(left, top, tokens, title):
    """Who reads whom: a row for each token that reads, a column for each that may be read."""
    side = 27
    parts = [text(left + len(tokens) * side / 2, top - 24, title)]
    for i, reader in enumerate(tokens):
        y, counts = top + i * side, reader != "PAD"
        opacity = "" if counts else 'fill-opacity="0.35"'
        small = 'font-size="10"'
        parts.append(text(left - 4, y + 17, reader, "end", more=f"{small} {opacity}"))
        parts.append(text(left + (i + 0.5) * side, top - 6, reader, more=small))
        for j, token in enumerate(tokens):
            fill = GREY if j > i else "url(#pad)" if token == "PAD" else BLUE
            parts.append(box(left + j * side, y, side - 1, side - 1, fill, opacity))
    rows = [i for i, token in enumerate(tokens) if token != "PAD"]
    y, high = top + rows[0] * side - 1.5, len(rows) * side + 2
    return [*parts, box(left - 1.5, y, len(tokens) * side + 2, high, "none", FRAME)]


def masks():
    """What the two masks hide when `bo` is padded on the right, and on the left."""
    right, left = ["BOS", "b", "o", "PAD", "PAD"], ["PAD", "PAD", "BOS", "b", "o"]
    parts = square(30, 44, right, "padded on the right")
    parts += square(205, 44, left, "padded on the left")
    y = 198
    for fill, what in (
        (BLUE, "may be read"),
        (GREY, "hidden by the causal mask: it comes later"),
        ("url(#pad)", "hidden by the padding mask alone"),
    ):
        parts += [box(30, y, 20, 13, fill), text(58, y + 11, what, "start")]
        y += 21
    parts += [box(30, y, 20, 13, "none", FRAME)]
    parts += [text(58, y + 11, "the rows whose guesses count", "start")]
    return svg(y + 22, parts)


def drawn():
    """The SVGs, by path."""
    return {FOLDER / f"{draw.__name__}.svg": draw() for draw in (batch, masks)}


if __name__ == "__main__":
    for path, picture in drawn().items():
        path.write_text(picture, encoding="utf-8", newline="\n")
        print("drew", path.relative_to(scripts.ROOT).as_posix())
