"""The figures in the READMEs' prose: each phrase, and what its figures are computed from.

In a phrase, {} stands for a figure. render.py writes the figures into the READMEs; a phrase that
stands in none, and a figure that stands in no phrase, are errors.
"""

import io
import math
import re
import subprocess

import bench
import mlx.core as mx
import record_pytorch
import records
import render
import scripts
from edits import COUNTED, TRAPS
from mlx.utils import tree_flatten

# Digits that are no figures: names, versions, places in a text, and what an exercise asks to set.
NO_FIGURES = [
    r"Python 3\.\d+( to 3\.\d+)?|MLX 0\.\d+\.\d+|CUDA 13|macOS 14|glibc 2\.35|Debian 12",
    r"Ubuntu 22\.04|H200|\bM\d\b|x86-64|UTF-8|TF32|float\d+|-1e9|-1e4|-100",
    r"^\d+\. |\bsteps? \d+(, \d+ and \d+)?|first 8 losses|axis 1|\[\d+\]\(http[^)]*\)",
    r"sum to 1\b|\(B, 1, 1, T\)|printing, 1000 steps|size 32 to 512|at 8,192|at 4,096|\bsize 32,",
    r"from batch size 8 to 32|from 128 to 512|on 1000 more|^\| MLX \|[^\n]*$",
    r"by 1 or 0|births in 2018|published in 2025|2\.2\.1",
    r"with 10 bits behind the point in place of 23|16 times the names|\(250 steps|2 cores with O",
    r"0\.1, then to 2|At 0\.1|At 2 |multiplies: 0 at|gradient 0\b|weighs 0|makes it 0|No\. 0, the",
]
GENERATED = r"^<!-- \[\[\[cog.*?\[\[\[end\]\]\] -->$"
FENCED = r"^```.*?^```$"
CODE = r"`[^`\n]*`"


def count_operations(*trees):
    """Of the graph that is promised: MLX draws each as a box."""
    graph = io.StringIO()
    mx.export_to_dot(graph, *(array for _, array in tree_flatten(trees)))
    return graph.getvalue().count("rectangle")


def operations():
    """Those of a step, all and Adam's."""
    lesson = scripts.load(scripts.MAIN)
    scripts.train(lesson, [0])
    batch = lesson.make_batch(lesson.docs, 1, lesson.batch_size)
    loss, grads = lesson.loss_and_grad(lesson.model, *batch)
    without = count_operations(loss, grads)
    lesson.optimizer.learning_rate = lesson.lr_t
    lesson.optimizer.update(lesson.model, grads)
    total = count_operations(loss, lesson.model.parameters(), lesson.optimizer.state)
    return total, total - without


def lengths(lesson):
    """T of each of the 1000 batches, a set, and the share of padding in all of them."""
    steps = range(lesson.num_steps)
    masks = [lesson.make_batch(lesson.docs, step, lesson.batch_size)[2] for step in steps]
    padding = sum(mask.sum().item() for mask in masks)
    return {mask.shape[1] for mask in masks}, padding / sum(mask.size for mask in masks)


def diff_size():
    """Lines that go and come between the twin and main.py."""
    command = ["git", "diff", "--no-index", "--numstat", str(scripts.TWIN), str(scripts.MAIN)]
    added, removed = subprocess.run(command, capture_output=True, text=True).stdout.split()[:2]
    return removed, added


def n(value, digits=None):
    """A figure as text: with thousands set off, or with so many digits behind the point."""
    return f"{value:,}" if digits is None else f"{value:.{digits}f}"


def end(printed):
    """The mean of the last ten of the losses that a run prints."""
    return n(sum(printed[-10:]) / 10, 3)


def of_the_lesson():
    """What main.py, its data and its diff tell by themselves."""
    lesson = render.lesson()
    num_names = len(lesson.docs)
    drawn = lesson.batch_size * lesson.num_steps
    assert drawn < num_names
    doubles = num_names - len(set(lesson.docs))
    Ts, padding = lengths(lesson)
    total, adams = operations()
    num_arrays = len(render.parameters())
    sizes = lesson.n_embd, lesson.n_layer, lesson.block_size, lesson.batch_size, lesson.num_steps
    shape = lesson.make_batch(render.NAMES, 0, len(render.NAMES))[0].shape
    return [
        ("the {} first names in `input.txt`, {} at a time", n(num_names), lesson.batch_size),
        ("MLX, batched | {} | {} | {} | {} | {} |", *sizes),
        ("arrays of shape (B, T) = ({}, {}).", *shape),
        ("happens {} times side by side, in *heads* of {} of", lesson.n_head, lesson.head_dim),
        ("above the {} of a uniform", n(math.log(lesson.vocab_size), 2)),
        ("a uniform guess among {} tokens", lesson.vocab_size),
        ("allows, {}, whatever", lesson.learning_rate),
        ("are only {} in size", re.search(r"std=([\d.]+)", render.MAIN)[1]),
        ("loss is that of {} names", lesson.batch_size),
        ("{} steps read {} names, less than all", lesson.num_steps, n(drawn)),
        ("({} are different, {} stand twice)", n(num_names - doubles), n(doubles)),
        ("\n{} lines go, {} come", *diff_size()),
        ("is padding ({}%)", n(100 * padding, 1)),
        ("for each T, here {} times, from {} to {}.", len(Ts), min(Ts), max(Ts)),
        ("Of the {} operations of a step, {} are Adam's", total, adams),
        ("Adam's, {} for each of {} arrays", adams // num_arrays, num_arrays),
        ("start and first {} steps", bench.WARM_UP),
        ("Up to {} is rounding", record_pytorch.ROUNDING),
    ]


def of_the_run():
    """What main.py prints and learns, on the CPU."""
    run, losses = records.read("run"), records.read("traps")["losses"]["no mistake"]
    names, ends = run["names after"]["1000"], run["exercises"]
    known = run["known"], len(names), run["known of 1000"], 1000
    twins = records.read("pytorch")["printed_losses"]
    cold, hot = run["temperature"]["0.1"], run["temperature"]["2"]
    left, unmasked = ends["padded on the left"], ends["padded on the left, no padding mask"]
    assert run["machine"]["cpu"] == "AMD EPYC" and run["machine"]["blas"] == "OpenBLAS"
    return [
        ("makes up {} more", len(names)),
        ("True for {} of the {}, and for {} of {} more", *known),
        ("from {} cores of an AMD EPYC", run["machine"]["cores"]),
        ("average {} and {}.", end(run["losses"]), end(twins)),
        ("starts at {}, above", n(losses[0], 2)),
        ("to {} at step 2", n(losses[1], 2)),
        ("To {}: each position", n(ends["no causal mask"]["end"], 4)),
        ("Is the end {}, as before", n(losses[-1], 3)),
        ("It is {}, then {}: better", n(left["end"], 3), n(unmasked["end"], 3)),
        ("no such help: `{}`, `{}`, `{}`.", *left["names"][:3]),
        ("nearly always wins: `{}`, `{}`, `{}`.", *cold[:3]),
        ("ones come up: `{}`, `{}`, `{}`.", *hot[:3]),
        ("quite: {} in place of {}. E", n(ends["no positions"]["end"], 3), n(losses[-1], 3)),
    ]


def of_the_traps():
    """What traps.py measured, beside the table."""
    traps = records.read("traps")
    counted = next(name for name, trap in TRAPS.items() if trap.edits == COUNTED)
    unseen, evals = traps["unseen"], traps["no mx.eval"]
    (loss, none), (nan, some) = traps["wholly padded"]["-1e9"], traps["wholly padded"]["-inf"]
    assert (nan, none) == ("nan", 0) and loss != "nan"
    assert traps["no g++"] == [records.read("run")["losses"][:3], False]
    for name in "mask kept as `self.mask`", "`mx.fast` attention, mask inverted":
        assert set(traps["names"][name]) == {""}
    num_params = traps["parameters"]["no mistake"]
    return [
        ("then says `{}` and `{}`", *traps["names"]["probabilities"][1:]),
        ("steps seem to take {} s and hold {} MiB", *evals["without, 1000 steps"]),
        ("(250 steps: {})", evals["without, 250 steps"][1]),
        ("With `mx.eval`: {} s, {} MiB", *evals["with, 1000 steps"]),
        ("so are {} of {} gradients", n(some), n(num_params)),
        ("The end is {}. Is", n(traps["losses"][counted][-1], 3)),
        ("loss is {}, against {} without", n(unseen[counted], 3), n(unseen["no mistake"], 3)),
    ]


def of_the_gpu():
    """What record_gpu.py measured."""
    gpu = records.read("gpu")
    as_it_comes, full = gpu["as it comes"], gpu["MLX_ENABLE_TF32=0"]
    assert gpu["varying_gradients"] == ["wte.weight"]
    for setting in as_it_comes, full:
        assert setting["one-hot"] == [setting["one-hot"][0]] * 3
        assert setting["losses"][0] != setting["losses"][1]
    ends = [map(end, setting["losses"]) for setting in (as_it_comes, full)]
    machine = gpu["machine"]
    python = machine["python"].rpartition(".")[0]
    apart = f"{as_it_comes['differences']['logits']:.0e}", f"{full['differences']['logits']:.0e}"
    return [
        (
            "Measured on an NVIDIA {}, Python {}, MLX {} with",
            machine["gpu"].split()[1],
            python,
            machine["mlx"],
        ),
        ("logits are {} of the largest", apart[0]),
        ("print {}, {} and {}. With", *as_it_comes["losses"][0][:3]),
        ("With the variable: {}, and the CPU's {}, {}, {}.", apart[1], *full["losses"][0][:3]),
        ("three runs end at {}, {} and {}, with", *ends[0]),
        ("with the variable at {}, {} and {}.", *ends[1]),
    ]


def of_the_benchmark():
    """What bench.py and bench_many.py measured."""
    own, fast, gpu = (records.read(name) for name in render.BENCHES)
    cores = fast["machine"]["cores"]
    many = {key: records.read(f"many-{key}")["ms"] for key in ("cpu-1", "cpu-2", "gpu-1", "gpu-2")}

    def ratio(bench, variant, to="main.py"):
        return n(bench["steps"][variant]["ratio"] / bench["steps"][to]["ratio"], 2)

    def best(bench):
        return ratio(bench, *render.best(bench))

    def growth(bench, size):
        return next(row for row in bench["growth"] if row["batch_size"] == size)

    def times(bench, small, large):
        return n(growth(bench, large)["ms"][0] / growth(bench, small)["ms"][0], 1)

    def shared(device, size, digits):
        return n(many[f"{device}-2"][size][0] / many[f"{device}-1"][size][0], digits)

    def seconds(bench, script="main.py"):
        return bench["whole"][script]["s"][0]

    forms = "mx.fast.scaled_dot_product_attention", "mx.fast.rms_norm", "optim.linear_schedule"
    build = {name: row["build s"] for name, row in gpu["steps"].items()}
    memory = fast["whole"]["main.py"]["peak MiB"] / fast["whole"]["PyTorch"]["peak MiB"]
    parts = [n(gpu["whole"][x]["parts"][i], 1) for x in ("main.py", "PyTorch") for i in (0, 1)]
    suite = [records.read(f"suite-{blas}")["s"] for blas in ("openblas", "mlx-own")]
    return [
        (
            "tests: {} s on {} cores with OpenBLAS preloaded, {} s without",
            suite[0],
            cores,
            suite[1],
        ),
        ("On {} cores of Linux the run takes {} s with", cores, n(seconds(fast), 1)),
        ("and {} s with the slow", n(seconds(own), 0)),
        ("in between: a step takes {} of", ratio(fast, "Compile")),
        ("for {} s the first time", n(fast["steps"]["Compile"]["build s"], 0)),
        ("a step takes {} of the time on this CPU", ratio(fast, "One array")),
        ("on this CPU and {} on an", ratio(gpu, "One array")),
        ("in {} s in place of {}.\n", build["Compile and One array"], build["Compile"]),
        ("hides. A step takes {} of", ratio(fast, "Vectorize")),
        ("On {} cores, two with", cores),
        ("` take {} times as long as one", shared("cpu", "32", 1)),
        ("A whole run takes {} of PyTorch's", n(seconds(gpu) / seconds(gpu, "PyTorch"), 2)),
        ("MLX starts in {} s and trains in {} s, PyTorch in {} and {}.", *parts),
        ("32 to 512, 16 times the names take {} times", times(gpu, 32, 512)),
        ("which is plain Python, takes {}%", n(100 * growth(gpu, 8192)["make_batch"], 0)),
        ("at {} times the time for batch size 32, and", shared("gpu", "32", 1)),
        ("for batch size 32, and {} at 4,096.", shared("gpu", "4096", 2)),
        ("a step of MLX takes {} of PyTorch's time on", ratio(fast, "main.py", "PyTorch")),
        ("PyTorch's time on {} cores and {} on the H200", cores, ratio(gpu, "main.py", "PyTorch")),
        ("best against best, {} and {}. MLX", best(fast), best(gpu)),
        ("and holds {} of the memory", n(memory, 2)),
        ("from batch size 8 to 32, four times the names take {} times as long", times(fast, 8, 32)),
        ("from 128 to 512, {} times", times(fast, 128, 512)),
        *((f"`{form}` takes {{}} of", ratio(fast, form)) for form in forms),
    ]


FIGURE = r"[^\s|`]*\w"


def fill(texts):
    """The READMEs' texts with the figures in their phrases. Raises ValueError at a phrase that
    stands nowhere, and at a figure that stands in no phrase."""
    rest = list(texts)
    for phrase, *values in (
        of_the_lesson() + of_the_run() + of_the_traps() + of_the_gpu() + of_the_benchmark()
    ):
        pattern = re.escape(phrase).replace(re.escape("{}"), FIGURE)
        if not any(re.search(pattern, text) for text in texts):
            raise ValueError(f"no README says {phrase!r}")
        right = phrase.format(*values)
        texts = [re.sub(pattern, lambda _, right=right: right, text) for text in texts]
        rest = [re.sub(pattern, phrase.format(*"#" * len(values)), text) for text in rest]
    for text in rest:
        for hidden in (GENERATED, FENCED, CODE, *NO_FIGURES):
            text = re.sub(hidden, "", text, flags=re.MULTILINE | re.DOTALL)
        typed = [line for line in text.splitlines() if re.search(r"\d", line)]
        if typed:
            raise ValueError("figures that no phrase in figures.py holds:\n" + "\n".join(typed))
    return texts
