"""Whoever writes to a parameter, and however, the next call sees it."""

import copy
from itertools import product
from typing import Any

import numpy as np
import pytest
from torch_cell import GRAPHS, Cell, arrays, inputs
from torch_checks import assert_fresh, assert_shared, remembering

import cavs

torch = pytest.importorskip("torch")
import cavs.torch  # noqa: E402  isort: skip

Layer = cavs.torch.Layer


def _ema(layer: Any) -> None:
    for p in layer.parameters():
        p.data.mul_(0.9).add_(torch.ones_like(p.data), alpha=0.1)


def _rows(layer: Any) -> None:
    layer.embedding.weight.data[2:5, 1] = 3.0


def _view_kept(layer: Any) -> None:
    row = layer.embedding.weight.data[3]
    remembering(layer)
    row.fill_(2.0)


def _init(layer: Any) -> None:
    for p in layer.parameters():
        torch.nn.init.uniform_(p)


def _load(layer: Any) -> None:
    layer.load_state_dict({k: torch.randn_like(x) for k, x in layer.state_dict().items()})


def _assign(layer: Any) -> None:
    state = {k: torch.randn_like(x) for k, x in layer.state_dict().items()}
    layer.load_state_dict(state, assign=True)
    assert layer.embedding.weight.data_ptr() == state["embedding.weight"].data_ptr()


def _data(layer: Any) -> None:
    layer.embedding.weight.data = torch.randn(7, 4)
    assert_shared(layer)
    layer.embedding.weight.data = torch.randn(7, 4)


def _vector(layer: Any) -> None:
    vector = torch.nn.utils.parameters_to_vector(layer.parameters())
    torch.nn.utils.vector_to_parameters(vector.detach() * 2, layer.parameters())


def _replace(layer: Any) -> None:
    layer.embedding.weight = torch.nn.Parameter(torch.randn(7, 4))


def _set(layer: Any) -> None:
    with torch.no_grad():
        layer.embedding.weight.set_(torch.randn(7, 4))


def _swap(layer: Any) -> None:
    other = torch.nn.Parameter(torch.randn(7, 4))
    torch.utils.swap_tensors(layer.embedding.weight, other)


def _share_memory(layer: Any) -> None:
    layer.share_memory()
    with torch.no_grad():
        layer.embedding.weight.add_(1)


def _cavs_writing(layer: Any) -> None:
    with layer.function.embedding.weight.writing() as values:
        values += 1


def _cavs_data(layer: Any) -> None:
    layer.function.embedding.weight.data[1:] = 0.5


def _cavs_load(layer: Any) -> None:
    layer.function.load_state_dict({k: x + 1 for k, x in layer.function.state_dict().items()})


def _cavs_optimizer(layer: Any) -> None:
    model = cavs.compile(layer.function)
    optimizer = cavs.optim.SGD(model.parameters(), lr=0.1)
    model(GRAPHS, **arrays())["square"].sum().backward()
    optimizer.step()


def _numpy(layer: Any) -> None:
    layer.embedding.weight.detach().numpy()[...] = 0.25
    torch.autograd.graph.increment_version(layer.embedding.weight)


def _detached(layer: Any) -> None:
    layer.embedding.weight.detach().add_(1)


def _alias(layer: Any) -> None:
    torch.nn.Parameter(layer.embedding.weight).data.add_(1)
    with torch.no_grad():
        torch.nn.Parameter(layer.embedding.weight).add_(1)


def _requires_grad(layer: Any) -> None:
    layer.requires_grad_(False)
    layer.embedding.weight.add_(1)


def _averaged(layer: Any) -> None:
    average = torch.optim.swa_utils.AveragedModel(layer)
    with torch.no_grad():
        layer.embedding.weight.add_(1)
    average.update_parameters(layer)
    assert_fresh(average.module)


WRITES = {
    f.__name__.strip("_"): f
    for f in (
        *(_ema, _rows, _view_kept, _init, _load, _assign, _data, _vector, _replace, _set, _swap),
        *(_share_memory, _cavs_writing, _cavs_data, _cavs_load, _cavs_optimizer, _numpy),
        *(_detached, _alias, _requires_grad, _averaged),
    )
}


@pytest.mark.parametrize("name", WRITES)
def test_every_write_is_seen(name: str) -> None:
    layer = remembering(Layer(Cell()))
    before = layer.embedding.weight.detach().clone()
    for _ in range(2):
        WRITES[name](layer)
        assert not torch.equal(before, layer.embedding.weight)
        assert_fresh(layer)
        assert_shared(layer)


def test_parameters_made_of_parameters() -> None:
    layer = remembering(Layer(Cell()))
    other = torch.nn.Parameter(layer.embedding.weight)
    assert other.data_ptr() == layer.embedding.weight.data_ptr()
    with torch.no_grad():
        other.add_(1)
    assert_fresh(layer)
    assert type(layer.embedding.weight.detach()) is torch.Tensor
    assert all(type(x) is torch.Tensor for x in layer.state_dict().values())


FUSED = ["SGD", "Adam", "AdamW", "Adagrad"]
OPTIMIZERS = [
    *product([*FUSED, "RMSprop", "Adadelta", "NAdam", "RAdam", "ASGD"], ["plain", "foreach"]),
    *product(FUSED, ["fused"]),
]


@pytest.mark.parametrize(("name", "how"), OPTIMIZERS)
def test_optimizers_of_torch_are_seen(name: str, how: str) -> None:
    layer = Layer(Cell())
    kind: Any = getattr(torch.optim, name)
    options = {} if how == "plain" else {how: True}
    optimizer = kind(layer.parameters(), lr=0.05, **options)
    for _ in range(2):
        remembering(layer).train()
        optimizer.zero_grad()
        layer(GRAPHS, **inputs())["square"].sum().backward()
        before = layer.embedding.weight.detach().clone()
        optimizer.step()
        assert not torch.equal(before, layer.embedding.weight)
        assert_fresh(layer)


def test_results_by_id_are_remembered_until_a_write() -> None:
    layer = remembering(Layer(Cell()))
    parameter = layer.function.embedding.weight
    versions = [parameter.version for _ in range(3)]
    assert len(set(versions)) == 1
    assert parameter.read()[1] >= 0
    with torch.no_grad():
        layer(GRAPHS, **inputs())
    assert parameter.version == versions[0]
    with torch.no_grad():
        layer.embedding.weight.add_(1)
    assert parameter.version != versions[0]
    version = parameter.version
    layer.embedding.weight.data.add_(1)
    assert parameter.version != version


def test_memory_that_cavs_replaced_is_an_error() -> None:
    def assign(layer: Any) -> None:
        layer.function.embedding.weight.data = np.ones((7, 4), np.float32)

    def convert(layer: Any) -> None:
        cavs.compile(layer.function, dtype="float64")

    for replace in (assign, convert):
        layer = Layer(Cell())
        replace(layer)
        with pytest.raises(cavs.CavsRuntimeError, match=r"shares with PyTorch.*; write") as caught:
            layer(GRAPHS, **inputs())
        assert "\n" not in str(caught.value)
        layer.embedding.weight.data = layer.embedding.weight.data.clone()  # shares again
        if replace is assign:
            assert_fresh(layer)


def test_tied_weights() -> None:
    encoder, layer = torch.nn.Embedding(7, 4), Layer(Cell())
    layer.embedding.weight = encoder.weight
    assert_shared(layer)
    model = torch.nn.ModuleDict({"encoder": encoder, "layer": layer})
    assert len(list(model.parameters())) == len(list(layer.parameters()))
    given = inputs()
    x = encoder(given["word"].clamp(min=0))
    layer(GRAPHS, word=given["word"], x=x)["h"].sum().backward()
    assert encoder.weight.grad is layer.embedding.weight.grad
    remembering(layer)
    with torch.no_grad():
        encoder.weight.mul_(2)
    assert_fresh(layer)
    copied = copy.deepcopy(model)
    assert copied["encoder"].weight is copied["layer"].embedding.weight
    assert copied["encoder"].weight is not encoder.weight
    assert_shared(copied["layer"])
    # One for two.
    layer.get_submodule("layers.1").weight = layer.get_parameter("layers.0.weight")
    assert_shared(layer)
    layer.get_parameter("layers.0.weight").data = torch.randn(4, 4)
    assert_shared(layer)
    layer.zero_grad()
    layer(GRAPHS, **given)["h"].sum().backward()
    assert layer.get_parameter("layers.0.weight").grad is not None
    with torch.no_grad():
        expected = layer(GRAPHS, **given)["h"]
    separate = Layer(Cell())
    separate.load_state_dict(layer.state_dict())
    assert torch.equal(separate(GRAPHS, **given)["h"], expected)
