"""The README's drawings, as SVG. Their colours are read on white and on black."""

from tests import records

GREY, BLUE, ORANGE = "#7d828a", "#3987e5", "#e0690b"
WIDTH = 343  # what a phone shows


def svg(height, parts):
    size = f'viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}"'
    style = f'font-family="sans-serif" font-size="13" fill="{GREY}" stroke-width="2"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>'
    return "\n".join([head, *parts, "</svg>\n"])


def text(x, y, what, anchor="middle", fill=GREY, more=""):
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{fill}" {more}>{what}</text>'


def box(x, y, width, height, fill, opacity=1.0):
    place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
    return f'<rect {place} fill="{fill}" fill-opacity="{opacity:.2f}"/>'


def batch(names):
    """The names as rows of one array, BOS first, what is padding hatched."""
    T, left, top, wide, high = max(map(len, names)) + 1, 24, 26, 28, 15
    stripes = f'<path d="M0 6 6 0M-1 1 1-1M5 7 7 5" stroke="{ORANGE}" stroke-width="1.2"/>'
    hatch = f'<pattern id="pad" width="6" height="6" patternUnits="userSpaceOnUse">{stripes}'
    parts = [
        f"<defs>{hatch}</pattern></defs>",
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


def squares(weights, left, top, side):
    """A square for each query and each key that it may read, the bluer the more it weighs."""
    return [
        box(left + j * side, top + i * side, side - 1, side - 1, BLUE, 0.1 + 0.9 * weight)
        for i, query in enumerate(weights)
        for j, weight in enumerate(query[: i + 1])
    ]


def heads(blocks, chosen, labels):
    """One head with its numbers, and all heads below it, small, a block in each row."""
    side, left, top = 45, 62, 24
    large = blocks[0][chosen]
    parts = squares(large, left, top, side)
    for i, label in enumerate(labels):
        middle = (i + 0.5) * side
        parts.append(text(left + middle, top - 8, label))
        parts.append(text(left - 8, top + middle + 5, label, "end"))
        for j, w in enumerate(large[i][: i + 1]):
            fill = "#ffffff" if w > 0.5 else GREY
            parts.append(text(left + (j + 0.5) * side, top + middle + 5, f"{w:.2f}", fill=fill))
    top += len(labels) * side + 12
    each = (WIDTH - left) / len(blocks[0])
    side = (each - 4) / len(labels)
    for number, block in enumerate(blocks):
        y = top + number * (each + 8)
        parts.append(text(left - 6, y + each / 2, f"block {number + 1}", "end"))
        for column, head in enumerate(block):
            x = left + column * each
            parts += squares(head, x, y, side)
            if head is large:
                parts.append(box(x, y + each - 2, each - 5, 2, ORANGE))
    return svg(top + len(blocks) * (each + 8), parts)


def drawn():
    """The SVGs, by name."""
    found = records.read("training")
    labels = ["BOS", *found["attended"]]
    return {
        "batch": batch(found["first batch"]),
        "attention": heads(found["attention"], found["head"], labels),
    }
