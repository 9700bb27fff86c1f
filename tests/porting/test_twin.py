"""The PyTorch script: its record, its row of PAD and its sampling."""

import pytest

from tests import edits, parity, records, scripts

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.fixture
def twin():
    yield scripts.load(scripts.TWIN, edits.TWIN_ON_THE_CPU)
    torch.set_grad_enabled(True)  # the script's last section turns gradients off


def test_it_computes_what_is_on_record():
    from tests.measure.pytorch import of_twin

    assert parity.too_far(parity.differences(of_twin(), records.read("pytorch"))) == {}


def test_its_weights_begin_as_those_of_main(twin):
    for p in twin.model.parameters():
        p = p[: twin.PAD] if len(p) == twin.PAD + 1 else p
        assert abs(p.std().item() - 0.08) < 5 * 0.08 / (2 * p.numel()) ** 0.5  # see test_model.py


def test_its_row_of_pad_is_zero_and_stays_so(twin):
    for steps in (0, 2):
        scripts.train(twin, range(steps))
        zero = (twin.model.wte.weight == 0).all(1).nonzero().flatten()
        assert zero.tolist() == [twin.PAD]


def test_each_token_is_drawn_from_the_probabilities_after_all_before_it(twin, monkeypatch):
    name, drawn = "emma", []
    tokens = [twin.BOS, *map(twin.uchars.index, name), twin.BOS]

    def multinomial(probabilities, number):
        n = len(drawn) % (len(name) + 1)
        drawn.append(tokens[n + 1])
        logits = twin.model(torch.tensor([tokens[: n + 1]]))[0, -1]
        assert number == 1 and torch.equal(probabilities, torch.softmax(logits / 0.5, -1))
        return torch.tensor([drawn[-1]])

    monkeypatch.setattr(torch, "multinomial", multinomial)
    assert scripts.sample(twin) == [name] * 20
