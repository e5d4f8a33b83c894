"""Outputs that one call asks for, and what else a newcomer tries: states of cavs, ``print``."""

import copy
from typing import Any

import numpy as np
import pytest
from torch_cell import GRAPHS, Cell, Noisy, inputs

import cavs
from cavs import nn, ops
from cavs.errors import InputError

torch = pytest.importorskip("torch")
import cavs.torch  # noqa: E402  isort: skip

Layer = cavs.torch.Layer


class Classifier(cavs.VertexFunction):
    """Logits by one layer; a loss, and another layer that the logits do not need."""

    def __init__(self) -> None:
        self.other, self.out = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", 4)
        logits = self.out(x)
        loss = ops.cross_entropy(logits, v.pull("label", dtype="int32"))
        v.push(loss=loss, logits=logits, other=self.other(x))


def test_a_prediction_needs_no_label() -> None:
    layer = Layer(Classifier())
    x = torch.randn(GRAPHS.num_vertices, 4, requires_grad=True)
    with pytest.raises(InputError, match=r"as by outputs=\['logits', 'other'\]"):
        layer(GRAPHS, x=x)
    found = layer(GRAPHS, outputs=["logits"], x=x)
    assert list(found) == ["logits"]
    label = torch.zeros(GRAPHS.num_vertices, dtype=torch.int64)
    whole = layer(GRAPHS, x=x, label=label)
    assert torch.equal(found["logits"], whole["logits"])
    assert torch.equal(layer(GRAPHS, outputs="logits", x=x, label=label)["logits"], whole["logits"])
    with torch.no_grad():
        assert torch.equal(layer(GRAPHS, outputs=["logits"], x=x)["logits"], whole["logits"])
    for wrong in (["nothing"], [], 3):
        with pytest.raises(InputError):
            layer(GRAPHS, outputs=wrong, x=x)


@pytest.mark.parametrize("names", [["logits"], ["other"], ["logits", "loss"]])
def test_gradients_are_those_of_the_parameters_that_are_used(names: list[str]) -> None:
    layer, whole = Layer(Classifier()), None
    whole = copy.deepcopy(layer)
    x = torch.randn(GRAPHS.num_vertices, 4)
    label = torch.arange(GRAPHS.num_vertices) % 3
    given: dict[str, Any] = {"x": x, "label": label} if "loss" in names else {"x": x}
    for _ in range(2):  # the second from what is kept of the first
        sum(y.square().sum() for y in layer(GRAPHS, outputs=names, **given).values()).backward()
        found = whole(GRAPHS, x=x, label=label)
        sum(found[name].square().sum() for name in names).backward()
    for (name, a), b in zip(layer.named_parameters(), whole.parameters(), strict=True):
        used = name.startswith("other") == ("other" in names)
        assert (a.grad is not None) == used
        if used:
            torch.testing.assert_close(a.grad, b.grad)
    replaced = {name: p.detach() * 2 for name, p in layer.named_parameters()}
    doubled = torch.func.functional_call(layer, replaced, (GRAPHS,), {"outputs": names, **given})
    again = torch.func.functional_call(layer, replaced, (GRAPHS,), {"x": x, "label": label})
    for name in names:
        assert torch.equal(doubled[name], again[name])


def test_random_numbers_and_modes() -> None:
    layer = Layer(Noisy(), seed=3)
    x = torch.ones(GRAPHS.num_vertices, 4)
    first = layer(GRAPHS, outputs=["h"], x=x)["h"]
    assert torch.equal(first, Layer(layer.function, seed=3)(GRAPHS, x=x)["h"])
    layer.eval()
    given = inputs()
    assert torch.equal(layer(GRAPHS, outputs=["h"], x=x)["h"], layer(GRAPHS, x=x)["h"])
    layer = Layer(Cell())
    assert set(layer(GRAPHS, outputs=["fixed"], x=given["x"])) == {"fixed"}


def test_a_program_is_a_layer_of_each_function() -> None:
    program = cavs.VertexProgram({"up": Cell(), "down": Classifier()})
    with pytest.raises(InputError, match=r"as VertexProgram.functions\(\)\['up'\], which"):
        Layer(program)
    layers = {name: Layer(f) for name, f in program.functions().items()}
    assert set(layers) == {"up", "down"}


def test_print_shows_what_the_parts_are() -> None:
    layer = Layer(Cell())
    assert "(embedding): Embedding(7, 4)" in str(layer)
    assert "(0): Linear(4, 4, bias=True)" in str(layer)
    assert "Part" not in str(Layer(Classifier()))
    shown = str(copy.deepcopy(layer))
    assert shown == str(layer)
    assert "SharedParameter" not in repr(layer.embedding.weight)
    assert repr(layer.embedding.weight).startswith("Parameter containing:\ntensor(")


def test_a_state_of_cavs_loads() -> None:
    """Arrays, also within a larger model."""
    function = Cell(seed=1)
    state = {name: np.array(x) for name, x in cavs.compile(function).state_dict().items()}
    layer = Layer(Cell(seed=2))
    assert not torch.equal(layer.embedding.weight, torch.from_numpy(state["embedding.weight"]))
    layer.load_state_dict(state)
    for name, p in layer.named_parameters():
        np.testing.assert_array_equal(p.detach(), state[name])
    model = torch.nn.ModuleDict({"tree": Layer(Cell(seed=2)), "head": torch.nn.Linear(4, 2)})
    given = {f"tree.{name}": x for name, x in state.items()}
    missing = model.load_state_dict(given, strict=False)
    assert missing.missing_keys == ["head.weight", "head.bias"]
    assert torch.equal(model["tree"].embedding.weight, layer.embedding.weight)
    state["embedding.weight"] = state["embedding.weight"][:2]
    with pytest.raises(RuntimeError, match=r"size mismatch for embedding\.weight"):
        layer.load_state_dict(state)
