"""Write what README.md and tests/README.md show of main.py, of its edits and of the records.

    uv run python tests/render.py

Between `[[[cog NAME() ]]]` and `[[[end]]]`, in HTML comments that a reader of the page doesn't see,
stands what the function of that name prints here: excerpts, pictures, patches, tables. Everywhere
else, figures stand in the phrases of figures.py. A figure in no phrase is an error: none is typed.
"""

import difflib
import re
from functools import cache

import cogapp
import mlx.core as mx
import records
import scripts
from edits import COUNTED, PATCHES, TRAPS
from mlx.utils import tree_flatten

READMES = [scripts.ROOT / "README.md", scripts.ROOT / "tests" / "README.md"]
NAMES = ["emma", "bo", "ava"]  # of the pictures
MAIN = scripts.source(scripts.MAIN)


@cache
def lesson():
    """main.py up to its training loop, on the CPU."""
    mx.set_default_device(mx.cpu)
    return scripts.load(scripts.MAIN)


def fenced(language, text):
    print(f"```{language}\n{text.rstrip()}\n```")


# --- From main.py and its edits ---
def excerpt(*parts):
    """Print lines of main.py: each part a pair of what stands in its first and its last line."""
    lines, shown, position = MAIN.splitlines(), [], 0
    for first, last in parts:
        start = next(i for i in range(position, len(lines)) if first in lines[i])
        position = next(i for i in range(start, len(lines)) if last in lines[i]) + 1
        if shown:
            shown.append(re.match(" *", lines[start]).group() + "...")
        shown += lines[start:position]
    fenced("python", "\n".join(shown))


def diff(name):
    """The patch of that name, as `git apply` takes it."""
    after = scripts.source(scripts.MAIN, PATCHES[name])
    both = MAIN.splitlines(True), after.splitlines(True)
    lines = difflib.unified_diff(*both, "a/main.py", "b/main.py", n=1)
    return "".join(line.rstrip() + "\n" for line in lines)


def patch(name):
    fenced("diff", diff(name))


def picture(header, *columns):
    """Lines of text: a header over columns of rows, each cell four wide."""
    width = [4 * len(column[0]) + 1 for column in columns]
    lines = ["".join(title.ljust(w) for title, w in zip(header, width, strict=True))]
    for rows in zip(*columns, strict=True):
        cells = ("".join(cell.ljust(4) for cell in row) + " " for row in rows)
        lines.append("".join(cells))
    fenced("text", "\n".join(line.rstrip() for line in lines))


def batch_picture():
    """What make_batch gives for NAMES."""
    input_ids, target_ids, pad_masks, target_masks = (
        array.tolist() for array in lesson().make_batch(NAMES, 0, len(NAMES))
    )
    labels = [*lesson().uchars, "BOS", "PAD"]
    inputs = [[labels[i] for i in row] for row in input_ids]
    targets = [
        [labels[i] if real else str(i) for i, real in zip(row, mask, strict=True)]
        for row, mask in zip(target_ids, target_masks, strict=True)
    ]
    pads = [[".x"[pad] for pad in row] for row in pad_masks]
    reals = [[str(int(real)) for real in row] for row in target_masks]
    names = ("input_ids", "target_ids", "pad_masks", "target_masks")
    picture(names, inputs, targets, pads, reals)


def mask_picture():
    """The masks that attention gets for the second of NAMES."""
    input_ids, _, pad_masks, _ = lesson().make_batch(NAMES, 0, len(NAMES))
    T = input_ids.shape[1]
    causal, pad = lesson().causal_mask[:T, :T], mx.broadcast_to(pad_masks[1], (T, T))
    labels = [[*lesson().uchars, "BOS", "PAD"][i] for i in input_ids[1].tolist()]
    masks = [[[".x"[x] for x in row] for row in m.tolist()] for m in (causal, pad, causal | pad)]
    picture(
        ("", "causal_mask", "pad_mask", "both"),
        [[""], *([label] for label in labels)],
        *([labels, *mask] for mask in masks),
    )


def parameters():
    """The model's parameters, pairs of a name and an array."""
    return tree_flatten(lesson().model.parameters())


def first_batch():
    """The shape of the first batch of the training."""
    return lesson().make_batch(lesson().docs, 0, lesson().batch_size)[0].shape


def flow():
    """The model and one step as a chart, with the shapes of the first batch."""
    B, T = first_batch()
    C, vocab = lesson().n_embd, lesson().vocab_size
    blocks = f"{lesson().n_layer} blocks, with attention (B, n_head, T, T)"
    fenced(
        "mermaid",
        f"""\
flowchart TD
    docs["{B} names"] -->|make_batch| batch["input_ids, targets, two masks: (B, T) = ({B}, {T})"]
    batch -->|"wte + wpe, norm_in"| x["x: (B, T, C) = ({B}, {T}, {C})"]
    x -->|"{blocks} = ({B}, {lesson().n_head}, {T}, {T})"| y["x: ({B}, {T}, {C})"]
    y -->|lm_head| logits["logits: (B, T, vocab_size) = ({B}, {T}, {vocab})"]
    logits -->|"cross_entropy, weighed by target_mask"| loss["loss_val: one number"]
    loss -->|loss_and_grad| grads["grads: shaped like the {len(parameters())} parameter arrays"]
    grads -->|optimizer.update| promise["new parameters and Adam's state: promised"]
    promise -->|mx.eval| done["new parameters and Adam's state: computed"]""",
    )


# --- From the records ---
def first_screen():
    """The beginning and the end of what main.py prints."""
    losses = records.read("run")["losses"]
    total = lesson().num_steps
    lines = [f"num docs: {len(lesson().docs)}"]
    lines.append(f"vocab size: {lesson().vocab_size} (+1 pad = {lesson().vocab_size_with_pad})")
    lines.append(f"num params: {sum(p.size for _, p in parameters())}")
    lines.append("device: Device(cpu, 0)")
    for step, loss in [(1, losses[0]), (10, losses[1]), (20, losses[2]), (total, losses[-1])]:
        lines += ["..."] * (step == total)
        lines.append(f"step {step:4d} / {total:4d} | loss {loss:.4f}")
    lines += ["", "--- inference (new, hallucinated names) ---"]
    for i, name in enumerate(records.read("run")["names after"]["1000"], start=1):
        if i in (1, 2, 3, 20):
            lines += ["..."] * (i == 20)
            lines.append(f"sample {i:2d}: {name}")
    fenced("text", "\n".join(lines))


def attention_picture():
    """The weights of a head that reads the letter before, on the name of the record."""
    name = records.read("run")["attended"]
    layer, head = records.read("run")["head"]
    weights = records.read("run")["attention"][layer][head]
    labels = ["BOS", *name]
    lines = ["".join(f"{label:>6}" for label in ["", *labels])]
    for label, query in zip(labels, weights, strict=True):
        cells = [f"{w:6.2f}" if w >= 0.005 else "     ." for w in query]
        lines.append(f"{label:>6}" + "".join(cells))
    fenced("text", "\n".join(lines))


def names_table():
    """Names that are sampled on the way."""
    print("| after step | names |\n| --- | --- |")
    for steps, names in records.read("run")["names after"].items():
        print(f"| {steps} | {', '.join(names[:6])} |")


def trap_table():
    """The traps: what the losses do, what to notice, what to do."""
    traps = records.read("traps")
    seeds = traps["seeds"]
    counted = next(name for name, trap in TRAPS.items() if trap.edits == COUNTED)
    mask = next(name for name in TRAPS if "self.mask" in name)
    known = {
        "mask_params": f"{traps['parameters'][mask]:,}",
        "counted": f"{traps['unseen'][counted]:.3f}",
        "plain": f"{traps['unseen']['no mistake']:.3f}",
        "seeds": f"{min(seeds):.2f} to {max(seeds):.2f}",
    }
    print("| mistake | step 1 | step 2 | step 5 | end | you would notice | what to do |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, trap in TRAPS.items():
        first, second, _, _, fifth, end = traps["losses"][name]
        cells = [f"{loss:.4f}" for loss in (first, second, fifth)]
        cells.append(f"{end:,.0f}" if end > 100 else f"{end:.3f}")
        print(f"| {' | '.join([name, *cells, trap.notice.format(**known), trap.remedy])} |")


def port_check():
    """The recipe that test_patches.py runs where PyTorch is."""
    fenced("python", (scripts.ROOT / "tests" / "port_check.py").read_text(encoding="utf-8"))


# --- From the benchmark ---
BENCHES = ["bench-mlx-own", "bench-openblas", "bench-gpu"]


def device(record):
    """What a record was measured on, in a few words."""
    machine = records.read(record)["machine"]
    if "gpu" in machine:
        return machine["gpu"]
    blas = "OpenBLAS" if machine["blas"] == "OpenBLAS" else "as it comes"
    return f"{machine['cores']} {machine['system']} cores, {blas}"


def ms(bench, variant="main.py"):
    """Milliseconds a step, the median."""
    return records.read(bench)["steps"][variant]["ms"][0]


def best(record):
    """The fastest variants of a benchmark's record: of main.py, and of the twin."""
    ratios = {name: row["ratio"] for name, row in record["steps"].items()}
    twins = [name for name in ratios if name.startswith("PyTorch")]
    return min(ratios.keys() - set(twins), key=ratios.get), min(twins, key=ratios.get)


def speed_table():
    """One line for each machine and framework."""
    print("| | a whole run, s | peak MiB | a step, ms | at its best, ms |")
    print("| --- | --- | --- | --- | --- |")
    for bench in BENCHES:
        fastest = best(records.read(bench))
        for script, variant in zip(("main.py", "PyTorch"), fastest, strict=True):
            whole = records.read(bench)["whole"][script]
            cells = [f"{whole['s'][0]:.1f}", f"{whole['peak MiB']:,.0f}"]
            cells += [f"{ms(bench, script):.1f}", f"{ms(bench, variant):.1f}"]
            name = "`main.py`" if script == "main.py" else "its twin"
            print(f"| {device(bench)}, {name} | {' | '.join(cells)} |")


def spread(values, digits=1):
    """Median, least and largest, as text."""
    middle, low, high = (f"{value:,.{digits}f}" for value in values)
    return f"{middle} ({low} to {high})"


def made_on(record):
    """What a record was measured on, in words."""
    m = records.read(record)["machine"]
    on = m.get("gpu") or f"BLAS: {m['blas']}"
    torch = f", PyTorch {m['torch']}" if "torch" in m else ""
    return (
        f"{m['cpu']}, {m['cores']} cores, {m['system']}, {on}, MLX {m['mlx']}{torch}, "
        f"Python {m['python']}"
    )


def bench_tables():
    """All that bench.py and bench_many.py measured."""
    for bench in BENCHES:
        record = records.read(bench)
        print(f"### {device(bench)}\n\n{made_on(bench)}.\n")
        print("| a whole run | s, median (min to max) | start + training + sampling | peak MiB |")
        print("| --- | --- | --- | --- |")
        for name, row in record["whole"].items():
            parts = " + ".join(f"{part:.1f}" for part in row["parts"])
            print(f"| {name} | {spread(row['s'])} | {parts} | {row['peak MiB']:,.0f} |")
        print("\n| a step | ms, median (min to max) | ratio | real tokens / s | build, s |")
        print("| --- | --- | --- | --- | --- |")
        for name, row in record["steps"].items():
            ratio = f"{row['ratio']:.2f}"
            build = f"{row['build s']:.1f}"
            rate = f"{row['real tokens/s']:,}"
            print(f"| {name} | {spread(row['ms'], 2)} | {ratio} | {rate} | {build} |")
        batch, evaluation = (
            round(100 * record["shares"][name]) for name in ("make_batch", "mx.eval")
        )
        print(
            f"\nOf a step of `main.py`, `make_batch` takes {batch}%, noting down the graph "
            f"{100 - batch - evaluation}%, `mx.eval` {evaluation}%.\n"
        )
        print(
            "| `batch_size` | `n_embd` | ms a step, median (min to max) | real tokens / s "
            "| of it `make_batch` |"
        )
        print("| --- | --- | --- | --- | --- |")
        for row in record["growth"]:
            share = f"{row['make_batch']:.0%}"
            cells = [spread(row["ms"]), f"{row['real tokens/s']:,}", share]
            print(f"| {row['batch_size']} | {row['n_embd']} | {' | '.join(cells)} |")
        print()
    print("### Many machines\n")
    print(
        "| processes | on | `batch_size` | ms a step, median (min to max) |\n"
        "| --- | --- | --- | --- |"
    )
    for name in ("many-cpu-1", "many-cpu-2", "many-gpu-1", "many-gpu-2"):
        record = records.read(name)
        for size, values in record["ms"].items():
            print(f"| {record['processes']} | {device(name)} | {size} | {spread(values)} |")


# --- The command ---
def rendered():
    """What the READMEs should be, in the order of READMES."""
    import figures

    texts = []
    for path in READMES:
        cog = cogapp.Cog()
        cog.options.prologue = "from render import *\n"
        cog.options.print_output = True
        texts.append(cog.process_string(path.read_text(encoding="utf-8"), str(path)))
    return figures.fill(texts)


if __name__ == "__main__":
    import render  # by this name the texts and figures.py know it

    for path, text in zip(READMES, render.rendered(), strict=True):
        path.write_text(text, encoding="utf-8")
