"""main.py from top to bottom: what it prints, each step of its loop, its samples, its input."""

import io
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten

from tests import edits, records, scripts

# main.py, one_at_a_time.py, and what its copy is after the first, second and third step.
SCRIPTS = [(scripts.MAIN, []), *((scripts.ONE, scripts.STEPS[:n]) for n in range(4))]
EACH = pytest.mark.parametrize(("path", "steps"), SCRIPTS, ids=str)


def install(folder, path, *edits, data):
    """Put a script, edited, where it belongs in folder, and the bytes data into input.txt."""
    script = folder / path.relative_to(scripts.ROOT)
    script.parent.mkdir(exist_ok=True)
    script.write_text(scripts.source(path, *edits), encoding="utf-8", newline="\n")
    (folder / "input.txt").write_bytes(data)
    return script


def is_computed(*trees):
    """Whether nothing in MLX's trees of arrays is left to be computed."""
    graph = io.StringIO()
    mx.export_to_dot(graph, *(array for _, array in tree_flatten(trees)))
    return "rectangle" not in graph.getvalue()  # MLX draws each operation as a box


def test_prints_the_settings_then_the_losses_then_the_samples(whole_run):
    lines = whole_run.splitlines()
    assert lines[:3] == records.read("steps")["printed"]["4"][:3]
    assert re.fullmatch(r"device: Device\((cpu|gpu), 0\)", lines[3])
    steps = [1, *range(10, 1001, 10)]
    for line, step in zip(lines[4:105], steps, strict=True):
        assert re.fullmatch(rf"step {step:4d} / 1000 \| loss \d\.\d{{4}}", line)
    assert lines[105:107] == ["", "--- inference (hallucinated names) ---"]
    for i, line in enumerate(lines[107:], start=1):
        assert re.fullmatch(rf"sample {i:2d}: [a-z]{{0,16}}", line)
    assert len(lines) == 107 + 20


def test_learns(whole_run, fresh):
    losses = scripts.printed_losses(whole_run)
    assert max(losses) < 4.0  # a uniform guess among 27 costs log(27) = 3.30
    # 2.07 to 2.10 over devices, BLAS libraries and seeds; with a look at the next character near 0.
    usual = scripts.printed_losses("\n".join(records.read("steps")["printed"]["4"]))
    assert sum(losses[-10:]) / 10 == pytest.approx(sum(usual[-10:]) / 10, abs=0.04)
    assert set(scripts.printed_names(whole_run)) - set(fresh.docs)  # some are new


def test_a_step_leaves_nothing_to_be_computed():
    module = scripts.load(scripts.MAIN)
    assert not is_computed(module.model.parameters())
    for module.step in range(3):
        scripts.run_in(module, module.step_code)  # not train(), which computes the loss
        assert is_computed(module.model.parameters(), module.optimizer.state)


def test_each_step_has_its_batch_and_its_learning_rate(fresh, monkeypatch):
    batches, rates = [], []
    monkeypatch.setattr(fresh, "make_batch", lambda *given: batches.append(given) or [None] * 4)
    monkeypatch.setattr(fresh, "loss_and_grad", lambda *_: (mx.array(0.0), {}))
    adam = SimpleNamespace(state={}, update=lambda *_: rates.append(adam.learning_rate))
    monkeypatch.setattr(fresh, "optimizer", adam)
    scripts.train(fresh, range(fresh.num_steps))
    assert batches == [(fresh.docs, step, 32) for step in range(1000)]
    assert rates == pytest.approx([1e-2 * (1000 - step) / 1000 for step in range(1000)], rel=1e-9)


def test_each_token_is_drawn_from_the_logits_after_all_before_it(trained, monkeypatch):
    longest = "abcdefghijklmnop"
    names = ["emma", "", longest, "bo", longest[:-1], "z"] + ["ava"] * 14
    drawn, tempered = [], []
    for name in names:
        tokens = [trained.BOS, *map(trained.uchars.index, name), trained.BOS]
        # The longest is cut: what would follow it is not drawn.
        for n in range(1, min(len(tokens), trained.block_size + 1)):
            drawn.append(tokens[n])
            tempered.append(trained.model(mx.array([tokens[:n]]))[0, -1] / 0.5)
    supply = iter(zip(drawn, tempered, strict=True))

    def categorical(logits):
        token_id, expected = next(supply)
        assert mx.array_equal(logits, expected)
        return mx.array(token_id)

    monkeypatch.setattr(mx.random, "categorical", categorical)
    assert scripts.sample(trained) == names
    assert next(supply, None) is None


def test_at_a_tiny_temperature_the_likeliest_is_drawn_and_at_0_anything(trained):
    logits = trained.model(mx.array([[trained.BOS]]))[0, -1]
    draws = [mx.random.categorical(logits / 1e-9).item() for _ in range(50)]
    assert set(draws) == {mx.argmax(logits).item()}
    assert not mx.isfinite(logits / 0).any()


@EACH
def test_trains_on_odd_lines(path, steps, tmp_path, tmp_path_factory):
    # A byte-order mark, all three line endings, blank lines and blanks around and in a name.
    data = b"\xef\xbb\xbfAda\r\nADA\r\xc3\x89a\n\n \t \n  a da  \n"
    script = install(tmp_path, path, *steps, edits.num_steps(10), data=data)
    output, error = scripts.run([script], tmp_path_factory.mktemp("elsewhere"))
    assert error == ""
    # The letters are A, D, a, d, É and a blank. BOS makes it 7.
    pad = " (+1 pad = 8)" if path == scripts.MAIN or len(steps) > 1 else ""
    assert output.startswith(f"num docs: 4\nvocab size: 7{pad}\n")
    assert len(scripts.printed_losses(output)) == 2 and len(scripts.printed_names(output)) == 20
    assert sorted(scripts.load(script).docs) == ["ADA", "Ada", "a da", "Éa"]


@EACH
@pytest.mark.parametrize(
    "data",
    [None, "a folder", b"", b"\xef\xbb\xbf \n\t\r\n\n", b"zo\xeb\n", "ada\n".encode("utf-16")],
    ids=["missing", "folder", "empty", "blank", "latin-1", "utf-16"],
)
def test_refuses_in_one_line(path, steps, data, tmp_path, tmp_path_factory):
    script, file = install(tmp_path, path, *steps, data=b""), tmp_path / "input.txt"
    file.unlink()
    if data == "a folder":
        file.mkdir()
    elif data is not None:
        file.write_bytes(data)
    output, error = scripts.run([script], tmp_path_factory.mktemp("elsewhere"), status=1)
    assert output == ""
    assert error == f"put a UTF-8 text, one document per line, into {file}\n"


@pytest.mark.skipif(os.name != "posix", reason="Windows has other pipes")
def test_losses_reach_a_pipe_as_they_are_printed():
    command = [sys.executable, str(scripts.MAIN)]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, encoding="utf-8") as process:
        assert any(line.startswith("step") for line in process.stdout)
        process.kill()
        # 999 steps were to come. Had the first loss been kept back, all would be here with it.
        assert len(scripts.printed_losses(process.stdout.read())) < 100
