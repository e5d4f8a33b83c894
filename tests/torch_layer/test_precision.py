"""A layer's precision changes with its model; what cavs cannot read changes nothing."""

from typing import Any

import pytest
from torch_cell import GRAPHS, Cell, inputs
from torch_checks import assert_fresh, assert_shared

import cavs

torch = pytest.importorskip("torch")
import cavs.torch  # noqa: E402  isort: skip

Layer = cavs.torch.Layer


def test_other_precisions() -> None:
    layer, given = Layer(Cell()), inputs()
    expected = layer(GRAPHS, **given)["h"]
    for convert in (
        lambda: layer.double(),
        lambda: layer.float(),
        lambda: layer.to(torch.float64),
        lambda: torch.nn.Sequential(layer).float(),
    ):
        convert()
        assert_shared(layer)
        y = layer(GRAPHS, **given)["h"]
        assert y.dtype == layer.embedding.weight.dtype
        assert layer.model.dtype.name == str(y.dtype).removeprefix("torch.")
        assert torch.allclose(y.float(), expected, atol=1e-5)
        y.sum().backward()
        assert layer.embedding.weight.grad.dtype == y.dtype
        layer.zero_grad()
        assert_fresh(layer)
        layer.train()


REFUSED: dict[str, Any] = {
    "half": lambda layer: layer.half(),
    "bfloat16": lambda layer: layer.to(torch.bfloat16),
    "in a model": lambda layer: torch.nn.Sequential(layer).half(),
    "meta": lambda layer: layer.to("meta"),
    "empty": lambda layer: layer.to_empty(device="meta"),
    "half data": lambda layer: setattr(layer.embedding.weight, "data", torch.ones(7, 4).half()),
    "other shape": lambda layer: setattr(layer.embedding.weight, "data", torch.ones(6, 4)),
    "transposed": lambda layer: setattr(layer.embedding.weight, "data", torch.ones(4, 7).t()),
    "transposed parameter": lambda layer: setattr(
        layer.embedding, "weight", torch.nn.Parameter(torch.ones(4, 7).t())
    ),
    "other parameter": lambda layer: setattr(
        layer.embedding, "weight", torch.nn.Parameter(torch.ones(6, 4))
    ),
    "no parameter": lambda layer: setattr(layer.embedding, "weight", None),
    "another module": lambda layer: setattr(layer, "embedding", torch.nn.Embedding(7, 4)),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cavs_cannot_read_is_refused_and_nothing_changes(kind: str) -> None:
    layer = Layer(Cell())
    before = {name: (p, p.data_ptr()) for name, p in layer.named_parameters()}
    with pytest.raises(cavs.CavsError) as caught:
        REFUSED[kind](layer)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("[torch] expected ")
    assert "; " in message
    assert {name: (p, p.data_ptr()) for name, p in layer.named_parameters()} == before
    assert_shared(layer)
    assert_fresh(layer)


def test_assigning_a_state_that_does_not_fit_names_the_parameter() -> None:
    layer = Layer(Cell())
    state = {name: x.half() for name, x in layer.state_dict().items()}
    with pytest.raises(RuntimeError, match=r"\[torch\] expected parameter"):
        layer.load_state_dict(state, assign=True)


def test_layers_of_one_function_go_together() -> None:
    function = Cell()
    first = Layer(function)
    expected = first(GRAPHS, **inputs())["h"]
    second = Layer(function, dtype="float64")
    for layer in (first, second, first):
        assert layer.embedding.weight is first.embedding.weight
        y = layer(GRAPHS, **inputs())["h"]
        assert y.dtype == layer.embedding.weight.dtype == torch.float64
        assert torch.allclose(y.float(), expected, atol=1e-5)
        assert_shared(layer)


def test_mixed_precisions_are_refused_in_one_line() -> None:
    layer = Layer(Cell())
    layer.embedding.double()
    with pytest.raises(cavs.DTypeError, match=r"\[torch\] expected all parameters of one dtype"):
        layer(GRAPHS, **inputs())
    layer.double()
    assert_fresh(layer)
