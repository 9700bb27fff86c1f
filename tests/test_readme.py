"""The READMEs say what main.py, its edits and the records say: nothing in them is typed."""

import doctest
import math
import re

import edits
import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import pytest
import records
import render
import scripts
import traps

README, OTHER = (path.read_text(encoding="utf-8") for path in render.READMES)
TWIN = scripts.source(scripts.TWIN)


def blocks(language):
    """README's fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_both_are_what_render_writes():
    assert render.rendered() == [README, OTHER], "run `uv run python tests/render.py`"


class UpToTheAllocator(doctest.OutputChecker):
    """Takes any MiB where Metal's allocator serves the CPU, too: it rounds sizes up. Untried."""

    def check_output(self, want, got, optionflags):
        if mx.metal.is_available():
            want, got = (re.sub(r"[\d.]+ MiB", "MiB", text) for text in (want, got))
        return super().check_output(want, got, optionflags)


@pytest.mark.parametrize("session", blocks("pycon"))
def test_a_session_at_the_prompt_prints_what_is_shown(session, trained, monkeypatch):
    last_batch = trained.make_batch(trained.docs, trained.num_steps - 1, trained.batch_size)
    names = "input_ids", "targets", "pad_mask", "target_mask"
    for name, array in zip(names, last_batch, strict=True):
        monkeypatch.setattr(trained, name, array)
    test = doctest.DocTestParser().get_doctest(session, vars(trained), "README", "README.md", 0)
    assert len(test.examples) > 3
    failures = []
    doctest.DocTestRunner(UpToTheAllocator()).run(test, out=failures.append)
    assert not failures, "".join(failures)


def test_the_first_screen_is_what_main_prints(whole_run):
    printed = whole_run.splitlines()
    shown = blocks("text")[0].splitlines()
    assert shown[:3] == printed[:3]
    # On a GPU, TF32 moves the first 20 losses by up to 6e-3. The last is that of another run.
    for step, bound in [(1, 1e-3), (10, 2e-2), (20, 4e-2), (1000, 0.1)]:
        ours, theirs = (
            next(line for line in lines if line.startswith(f"step {step:4d} /"))
            for lines in (shown, printed)
        )
        assert scripts.losses(ours) == pytest.approx(scripts.losses(theirs), abs=bound)


def test_commands_name_files_that_exist():
    commands = blocks("bash") + re.findall(r"`([^`\n]*(?:python |tests/)[^`\n]*)`", README + OTHER)
    words = [word for command in commands for word in command.split()]
    files = [word for word in words if re.search(r"\.(py|txt|toml|md)$", word)]
    assert {"main.py", "tests/bench.py", "tests/traps.py"} <= set(files)
    for file in files:
        assert (scripts.ROOT / file).is_file(), file


def test_versions_are_those_that_are_pinned():
    project = (scripts.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (pinned,) = set(re.findall(r'"mlx[^"=]*==([\d.]+)', project))
    named = re.findall(r"(?:mlx(?:-cpu|\[\w+\])?==|MLX )(\d[\d.]*\d)", README + OTHER)
    assert len(named) > 5
    assert set(named) == {pinned}
    assert {records.read(name)["machine"]["mlx"] for name in ("run", "traps", "gpu")} == {pinned}


@pytest.mark.parametrize("path", render.READMES, ids=["README", "tests"])
def test_links_resolve(path):
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert links or path != render.READMES[0]
    for link in links:
        if link.startswith("#"):
            assert link[1:] in anchors, link
        else:
            assert link.startswith("https://") or (path.parent / link).exists(), link


def test_the_table_of_the_diff_quotes_both_files():
    rows = re.findall(r"^\| (.*) \| (.*) \| .* \|$", README.split("### The diff")[1], re.MULTILINE)
    rows = rows[2 : [row[0] for row in rows].index("`torch.multinomial`") + 1]
    assert len(rows) > 10
    for row in rows:
        for cell, source in zip(row, (TWIN, scripts.source(scripts.MAIN)), strict=True):
            for code in re.findall("`(.*?)`", cell):
                assert code in source, code


@pytest.mark.parametrize("name", edits.TRAPS)
def test_the_first_losses_of_a_trap(name):
    if "compile" in name and not traps.can_compile():
        pytest.skip("without g++ nothing is compiled, and the trap does no harm")
    shown = records.read("traps")["losses"][name][: traps.FIRST]
    _, losses = traps.train(edits.TRAPS[name].edits, traps.FIRST)
    if "-100" in name:  # what is read there is undefined, but not a loss that a name could have
        assert losses != pytest.approx(records.read("traps")["losses"]["no mistake"][: traps.FIRST])
    else:  # 1e-3: float32 rounding, which Adam amplifies, see record_pytorch.py
        assert losses == pytest.approx(shown, abs=1e-3)


def test_the_figures_of_a_wholly_padded_row():
    figures = records.read("traps")["wholly padded"]
    assert traps.nan_after_a_wholly_padded_row(edits.MINUS_INF) == tuple(figures["-inf"])
    loss, nans = traps.nan_after_a_wholly_padded_row()
    assert float(loss) == pytest.approx(float(figures["-1e9"][0]), abs=1e-3)
    assert nans == 0


def test_an_array_is_a_parameter_unless_its_name_begins_with_an_underscore():
    hidden = [
        (old, new.replace("self.mask", "self._mask"))
        for old, new in edits.TRAPS["mask kept as `self.mask`"].edits
    ]
    shown, losses = traps.train(hidden, traps.FIRST)
    assert traps.parameters(shown) == 102848
    assert losses == pytest.approx(records.read("traps")["losses"]["no mistake"][:5], abs=1e-3)


def test_what_the_traps_say_of_mlx():
    # A slice is a copy.
    array = mx.zeros(4)
    part = array[:2]
    part[0] = 5.0
    assert array.tolist() == [0.0] * 4
    # clip_grad_norm returns a pair.
    clipped, norm = optim.clip_grad_norm({"weight": mx.array([3.0, 4.0])}, 1.0)
    assert norm.item() == pytest.approx(5.0)
    assert clipped["weight"].tolist() == pytest.approx([0.6, 0.8], rel=1e-4)
    # -1e9 in float16 is -inf, -1e4 is not.
    assert mx.array([-1e9, -1e4]).astype(mx.float16).tolist() == [-math.inf, -1e4]
    # AdamW's first step is not corrected, either: corrected, it is as long as the learning rate.
    lengths = []
    for settings in ({}, {"bias_correction": True}):
        adam = optim.AdamW(0.1, weight_decay=0.0, **settings)
        weights = adam.apply_gradients({"w": mx.array(2.0)}, {"w": mx.array(0.0)})
        lengths.append(-weights["w"].item())
    assert lengths[0] > 0.3
    assert lengths[1] == pytest.approx(0.1, rel=1e-4)


def test_weights_that_are_assigned_are_not_tied():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.wte, self.head = nn.Embedding(3, 2), nn.Linear(2, 3, bias=False)
            self.head.weight = self.wte.weight

    model = Tied()
    step = nn.value_and_grad(model, lambda model: model.head(model.wte(mx.array([1]))).sum())
    optim.SGD(0.1).update(model, step(model)[1])
    assert not mx.array_equal(model.head.weight, model.wte.weight)


def test_compiled_randomness_is_drawn_once_unless_its_state_is_named():
    if not traps.can_compile():
        pytest.skip("without g++ nothing is compiled")
    frozen = mx.compile(lambda: mx.random.uniform())
    assert frozen().item() == frozen().item()
    state = {"inputs": mx.random.state, "outputs": mx.random.state}
    drawn = mx.compile(lambda: mx.random.uniform(), **state)
    assert drawn().item() != drawn().item()
