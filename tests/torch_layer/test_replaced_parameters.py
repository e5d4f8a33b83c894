"""Tensors in the place of parameters: functional calls, parametrizations, norms, pruning."""

import warnings
from typing import Any

import pytest
from torch_cell import GRAPHS, Cell, inputs
from torch_checks import assert_fresh, assert_shared, remembering

import cavs

torch = pytest.importorskip("torch")
import cavs.torch  # noqa: E402  isort: skip

Layer = cavs.torch.Layer


def test_functional_call() -> None:
    layer, given = remembering(Layer(Cell())), inputs()
    names = [name for name, _ in layer.named_parameters()]
    values = [torch.randn_like(p).requires_grad_() for p in layer.parameters()]
    state = dict(zip(names, values, strict=True))
    y = torch.func.functional_call(layer, state, (GRAPHS,), given)["h"]
    other = Layer(Cell())
    other.load_state_dict({name: x.detach() for name, x in state.items()})
    assert torch.equal(y, other.eval()(GRAPHS, **given)["h"])
    y.sum().backward()
    other(GRAPHS, **given)["h"].sum().backward()
    for name, x in state.items():
        expected = other.get_parameter(name).grad
        assert (x.grad is None and expected is None) or torch.equal(x.grad, expected), name
    assert all(p.grad is None for p in layer.parameters())
    assert_shared(layer)
    assert_fresh(layer)
    for wrong in (torch.randn(6, 4), torch.randn(7, 4).half(), torch.randn(4, 7).t()):
        with pytest.raises(cavs.CavsError, match=r"'embedding\.weight'"):
            torch.func.functional_call(layer, {"embedding.weight": wrong}, (GRAPHS,), given)


class Symmetric(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return x.triu() + x.triu(1).transpose(0, 1)


def test_parametrizations() -> None:
    layer, given = Layer(Cell()), inputs()
    part = layer.get_submodule("layers.0")
    torch.nn.utils.parametrize.register_parametrization(part, "weight", Symmetric())
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        y = layer(GRAPHS, **given)["h"]
        plain = Layer(Cell())
        weights = {"layers.0.weight": part.weight.detach().contiguous()}
        for name in ("embedding.weight", "layers.0.bias", "layers.1.weight", "unused"):
            weights[name] = layer.get_parameter(name).detach()
        plain.load_state_dict(weights)
        assert torch.equal(y, plain(GRAPHS, **given)["h"])
        y.sum().backward()
        original = part.parametrizations.weight.original
        assert original.grad is not None
        assert torch.equal(original.grad, original.grad.triu())
        optimizer.step()
    torch.nn.utils.parametrize.remove_parametrizations(part, "weight")
    assert_shared(layer)
    assert_fresh(layer)


@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm", "old weight_norm", "prune"])
def test_norms_and_pruning(kind: str) -> None:
    layer, given = Layer(Cell()), inputs()
    part = layer.get_submodule("layers.0")
    utils = torch.nn.utils
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "prune":
            from torch.nn.utils.prune import l1_unstructured

            l1_unstructured(part, "weight", amount=0.5)
        elif kind == "old weight_norm":
            utils.weight_norm(part)
        else:
            getattr(utils.parametrizations, kind)(part)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    seen = []
    for _ in range(3):
        optimizer.zero_grad()
        y = layer(GRAPHS, **given)["h"]
        y.sum().backward()
        seen.append(y.detach())
        optimizer.step()
    assert all(p.grad is not None for n, p in layer.named_parameters() if "unused" not in n)
    assert not torch.equal(seen[0], seen[2])


def test_a_part_that_is_called_says_what_to_call() -> None:
    with pytest.raises(cavs.InputError, match="call the layer"):
        Layer(Cell()).embedding(torch.tensor([1]))


def test_a_parameter_that_is_gone_is_an_error() -> None:
    layer = Layer(Cell())
    del layer.embedding.weight
    with pytest.raises(cavs.CavsRuntimeError, match=r"'embedding\.weight'"):
        layer(GRAPHS, **inputs())
