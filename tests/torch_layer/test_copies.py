"""Copies, pickles and states of a layer, and when it is freed."""

import copy
import gc
import io
import weakref
from typing import Any

import numpy as np
import pytest
from torch_cell import GRAPHS, Cell, Noisy, inputs
from torch_checks import assert_fresh, assert_shared

import cavs

torch = pytest.importorskip("torch")
import cavs.torch  # noqa: E402  isort: skip

Layer = cavs.torch.Layer


def _pickled(layer: Any) -> Any:
    file = io.BytesIO()
    torch.save(layer, file)
    size = sum(p.numel() * 4 for p in layer.parameters())
    if size > 1e6:
        assert file.tell() < 1.5 * size  # the values once
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("make", [copy.deepcopy, _pickled])
def test_copies_have_parameters_of_their_own(make: Any) -> None:
    layer = Layer(Cell(words=7), sparse=True).eval()
    layer.note = "kept"
    layer.get_parameter("layers.0.bias").requires_grad_(False)
    copied = make(layer)
    assert_shared(copied)
    assert copied.note == "kept"
    assert not copied.training
    assert not copied.get_parameter("layers.0.bias").requires_grad
    before = layer(GRAPHS, **inputs())["h"]
    assert torch.equal(copied(GRAPHS, **inputs())["h"], before)
    with torch.no_grad():
        for p in copied.parameters():
            p.add_(1)
    assert torch.equal(layer(GRAPHS, **inputs())["h"], before)
    assert_fresh(copied)
    assert_shared(copied)
    copied(GRAPHS, **inputs())["h"].sum().backward()
    assert copied.embedding.weight.grad.is_sparse
    assert layer.embedding.weight.grad is None
    copied.double()
    assert_fresh(copied)


def test_a_pickle_has_the_values_once() -> None:
    _pickled(Layer(Cell(words=100_000)))


def test_copies_go_on_with_their_random_numbers() -> None:
    layer, x = Layer(Noisy(), seed=4), torch.ones(GRAPHS.num_vertices, 4)
    layer(GRAPHS, x=x)
    for make in (copy.deepcopy, _pickled):
        copied = make(layer)
        state = layer.model.random_state()
        expected = layer(GRAPHS, x=x)["h"]
        layer.model.set_random_state(state)
        assert torch.equal(copied(GRAPHS, x=x)["h"], expected)


def test_a_shallow_copy_shares_everything() -> None:
    layer = Layer(Cell())
    copied = copy.copy(layer)
    assert copied.embedding.weight is layer.embedding.weight
    assert torch.equal(copied(GRAPHS, **inputs())["h"], layer(GRAPHS, **inputs())["h"])


def test_a_local_function_is_copied_but_not_pickled() -> None:
    class Local(Cell):
        pass

    layer = Layer(Local())
    assert_shared(copy.deepcopy(layer))
    with pytest.raises(cavs.CavsRuntimeError, match=r"\[pickle\]"):
        _pickled(layer)


def test_state_dicts_go_both_ways() -> None:
    layer, function = Layer(Cell(seed=1)), Cell(seed=2)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    function.load_state_dict(state)
    for name, array in function.state_dict().items():
        assert np.array_equal(array, layer.get_parameter(name).detach().numpy())
    with pytest.raises(RuntimeError, match="Missing key"):
        layer.load_state_dict({})


def test_a_layer_is_freed_with_its_parameters() -> None:
    layer = Layer(Cell())
    layer(GRAPHS, **inputs())["h"].sum().backward()
    parameter = weakref.ref(layer.function.embedding.weight)
    model = weakref.ref(layer.model)
    del layer
    gc.collect()
    assert parameter() is None
    assert model() is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_inference_mode_makes_layers_too() -> None:
    with torch.inference_mode():
        layer = Layer(Cell())
        y = layer(GRAPHS, **inputs())["h"]
        layer.embedding.weight.add_(1)
        z = layer(GRAPHS, **inputs())["h"]
    assert not torch.equal(y, z)
    with torch.no_grad():
        assert torch.equal(layer(GRAPHS, **inputs())["h"], z)
