"""The README's two drawings, as SVG. Their grey is read on white and on black."""

from statistics import fmean  # sum() rounds as the version of Python does

GREY, BLUE, ORANGE = "#7d828a", "#3987e5", "#e0690b"
WIDTH = 343  # what a phone shows


def svg(height, parts):
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    style = f'font-family="sans-serif" font-size="13" fill="{GREY}" stroke-width="2"'
    return "\n".join(
        [f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>', *parts, "</svg>\n"]
    )


def text(x, y, what, anchor="middle", fill=GREY):
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{fill}">{what}</text>'


def line(points, color, dashes=""):
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    style = f'fill="none" stroke="{color}" stroke-dasharray="{dashes}"'
    return f'<polyline points="{places}" {style}/>'


def squares(weights, left, top, side):
    """A square for each query and each key that it may read, the bluer the more it weighs."""
    return [
        f'<rect x="{left + j * side}" y="{top + i * side}" width="{side - 1}" '
        f'height="{side - 1}" fill="{BLUE}" fill-opacity="{0.1 + 0.9 * w * w * (3 - 2 * w):.2f}"/>'
        for i, query in enumerate(weights)
        for j, w in enumerate(query[: i + 1])
    ]


def heads(blocks, labels):
    """The head that most reads the letter before, with its numbers; below it all heads, small."""
    every = [(fmean(h[i][i - 1] for i in range(1, len(h))), h) for block in blocks for h in block]
    chosen = max(every)[1]
    side, left, top = 46, 52, 24
    parts = squares(chosen, left, top, side)
    for i, label in enumerate(labels):
        middle = (i + 0.5) * side
        parts += [
            text(left + middle, top - 8, label),
            text(left - 8, top + middle + 5, label, "end"),
        ]
        for j, weight in enumerate(chosen[i][: i + 1]):
            fill = "#ffffff" if weight > 0.5 else GREY
            parts.append(
                text(left + (j + 0.5) * side, top + middle + 5, f"{weight:.2f}", fill=fill)
            )
    side, top = 11, top + len(labels) * side + 12
    for row, block in enumerate(blocks):
        y = top + row * (len(labels) * side + 12)
        parts.append(text(left - 8, y + 39, f"block {row + 1}", "end"))
        for column, head in enumerate(block):
            x = left + column * (len(labels) * side + 4)
            parts += squares(head, x, y, side)
            if head is chosen:
                parts.append(line([(x - 2, y + 67), (x + 66, y + 67)], ORANGE))
    return svg(top + len(blocks) * (len(labels) * side + 12), parts)


def curve(ours, theirs, costs):
    """The losses of both scripts, each point the mean of 20 steps, beside three ways to guess."""
    left, right, top, bottom = 30, 338, 10, 240

    def place(step, loss):
        return left + (right - left) * step / 1000, bottom - (bottom - top) * (loss - 2) / 1.8

    def means(losses):
        return [place(1, losses[0])] + [
            place(i + 10, fmean(losses[i : i + 20])) for i in range(0, len(losses), 20)
        ]

    parts = [text(left - 6, place(0, n / 2)[1] + 5, n / 2, "end") for n in range(4, 8)]
    parts += [text(place(n, 2)[0], bottom + 18, f"step {n}", "end") for n in (500, 1000)]
    for name, cost in costs.items():
        parts.append(line([place(0, cost), place(1000, cost)], GREY, "1 5"))
        parts.append(text(right, place(0, cost)[1] - 6, f"{name} {cost:.2f}", "end"))
    for i, (name, losses, color, dashes) in enumerate(
        [("PyTorch", theirs, BLUE, "7 4"), ("main.py", ours, ORANGE, "")]
    ):
        y = top + 30 - 18 * i
        parts += [line(means(losses), color, dashes), line([(90, y), (120, y)], color, dashes)]
        parts.append(text(128, y + 5, f"{name}, means of 20 steps", "start"))
    return svg(bottom + 24, parts)
