"""Whether a parameter learns is the same in PyTorch and in cavs, wherever it was said."""

from typing import Any

import pytest
from torch_cell import GRAPHS, Cell, arrays, inputs

import cavs

torch = pytest.importorskip("torch")
import cavs.torch  # noqa: E402  isort: skip

Layer = cavs.torch.Layer


def moved(layer: Any) -> bool:
    """Whether a step of all parameters changes the embedding."""
    before = layer.embedding.weight.detach().clone()
    optimizer = cavs.torch.optim.SGD(layer.parameters(), lr=0.1)
    layer(GRAPHS, **inputs())["square"].sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return not torch.equal(before, layer.embedding.weight)


@pytest.mark.parametrize("called", [False, True])
@pytest.mark.parametrize("how", ["parameter", "module", "model"])
def test_freezing_in_cavs(how: str, called: bool) -> None:
    function = Cell()
    layer, other = Layer(function), Layer(function)
    if called:
        assert moved(layer)
        assert moved(other)
    for learns in (False, True, False):
        if how == "parameter":
            function.embedding.weight.requires_grad = learns
        elif how == "module":
            function.embedding.requires_grad_(learns)
        else:
            layer.model.requires_grad_(learns)
        for each in (layer, other):
            assert moved(each) == learns
            assert each.embedding.weight.requires_grad == learns
            assert function.embedding.weight.requires_grad == learns


@pytest.mark.parametrize("how", ["attribute", "method", "module"])
def test_freezing_in_pytorch_reaches_cavs_at_once(how: str) -> None:
    function = Cell()
    layer = Layer(function)
    parameter, tensor = function.embedding.weight, layer.embedding.weight
    for learns in (False, True):
        if how == "attribute":
            tensor.requires_grad = learns
        elif how == "method":
            assert tensor.requires_grad_(learns) is tensor
        else:
            layer.requires_grad_(learns)
        assert parameter.requires_grad == tensor.requires_grad == learns
        if how != "module" or learns:
            model: Any = cavs.compile(function)
            model.zero_grad()
            model(GRAPHS, **arrays())["square"].sum().backward()
            assert (parameter.grad is not None) == learns


def test_what_stands_in_for_a_parameter_leaves_its_flag() -> None:
    layer = Layer(Cell())
    frozen = {name: p.detach() for name, p in layer.named_parameters()}
    given = inputs()
    torch.func.functional_call(layer, frozen, (GRAPHS,), given)["h"].sum().backward()
    assert all(p.requires_grad for p in layer.parameters())
    assert moved(layer)
    layer.embedding.weight.requires_grad_(False)
    learning = {name: p.detach().requires_grad_() for name, p in layer.named_parameters()}
    torch.func.functional_call(layer, learning, (GRAPHS,), given)["h"].sum().backward()
    assert learning["embedding.weight"].grad is not None
    assert not layer.embedding.weight.requires_grad
    assert not moved(layer)


def test_copies_and_assigned_parameters() -> None:
    layer = Layer(Cell())
    layer.function.embedding.weight.requires_grad = False
    layer.embedding.weight.data = torch.ones(7, 4)  # the memory alone
    assert not moved(layer)
    layer.embedding.weight = torch.nn.Parameter(torch.ones(7, 4))
    assert layer.function.embedding.weight.requires_grad
    assert moved(layer)
