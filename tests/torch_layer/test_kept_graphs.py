"""What a call keeps for backward serves as often as is asked, is freed, and is never stale."""

import gc
import weakref
from typing import Any

import numpy as np
import pytest
from torch_cell import GRAPHS, Cell, inputs
from torch_checks import gradients

import cavs

torch = pytest.importorskip("torch")
import cavs.torch  # noqa: E402  isort: skip

Layer = cavs.torch.Layer


def test_used_twice_in_one_graph() -> None:
    layer, given = Layer(Cell()), inputs()
    first = layer(GRAPHS, **given)["h"]
    second = layer(GRAPHS, word=given["word"], x=first)["h"]
    (first.sum() + second.sum()).backward()
    found = gradients(layer, x=given["x"].grad)
    layer.zero_grad()
    given = inputs()
    first = layer(GRAPHS, **given)["h"]
    inner = first.detach().requires_grad_()
    second = layer(GRAPHS, word=given["word"], x=inner)["h"]
    second.sum().backward()
    first.backward(torch.ones_like(first) + inner.grad)
    for name, grad in gradients(layer, x=given["x"].grad).items():
        np.testing.assert_allclose(found[name], grad, rtol=1e-4, atol=1e-5, err_msg=name)


def test_retain_graph() -> None:
    layer, given = Layer(Cell()), inputs()
    y = layer(GRAPHS, **given)["square"].sum()
    y.backward(retain_graph=True)
    once = gradients(layer, x=given["x"].grad.clone())
    once = {name: grad.copy() for name, grad in once.items()}
    y.backward(retain_graph=True)
    (dx,) = torch.autograd.grad(y, given["x"])
    assert torch.equal(dx, torch.from_numpy(once["x"]))
    for name, grad in gradients(layer, x=given["x"].grad).items():
        np.testing.assert_array_equal(grad, 2 * once[name], err_msg=name)
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_autograd_grad_of_some_operands() -> None:
    layer, given = Layer(Cell()), inputs()
    y = layer(GRAPHS, **given)["h"].sum()
    weight = layer.embedding.weight
    dx, dw = torch.autograd.grad(y, [given["x"], weight], retain_graph=True)
    y.backward()
    assert torch.equal(dx, given["x"].grad)
    assert torch.equal(dw, weight.grad)
    unused = layer.unused
    y = layer(GRAPHS, **given)["h"].sum()
    assert torch.autograd.grad(y, unused, allow_unused=True) == (None,)


def test_a_run_is_freed_after_backward_and_after_del() -> None:
    layer, given = Layer(Cell()), inputs()
    runs: list[Any] = []
    original = layer.model._executor.forward

    def spy(*args: Any, **options: Any) -> Any:
        outputs, run, updates = original(*args, **options)
        runs.append(weakref.ref(run))
        return outputs, run, updates

    layer.model._executor.forward = spy
    gc.collect()
    gc.disable()
    try:
        y = layer(GRAPHS, **given)["h"].sum()
        y.backward()
        assert runs.pop()() is None
        z = layer(GRAPHS, **given)["h"].sum()
        assert runs[0]() is not None
        del z
        assert runs.pop()() is None
        z = layer(GRAPHS, **given)["h"].sum()
        z.backward(retain_graph=True)
        assert runs[0]() is not None
        del z
        assert runs.pop()() is None
    finally:
        gc.enable()


def test_writing_to_what_backward_reads_is_an_error() -> None:
    layer, given = Layer(Cell()), inputs()
    bias = layer.get_parameter("layers.0.bias")

    def in_place() -> None:
        with torch.no_grad():
            bias.add_(1)

    def by_data() -> None:
        bias.data.add_(1)

    def by_cavs() -> None:
        with layer.function.layers[0].bias.writing() as values:
            values += 1

    def to_the_input() -> None:
        with torch.no_grad():
            given["x"].add_(1)

    for write in (in_place, by_data, by_cavs, to_the_input):
        y = layer(GRAPHS, **given)["h"].sum()
        write()
        with pytest.raises(RuntimeError, match=r"modified by an inplace|written"):
            y.backward()
    layer(GRAPHS, **given)["h"].sum().backward()


def test_writing_to_outputs() -> None:
    """An output that backward reads again must not change; gradients flow through the others."""
    layer, given = Layer(Cell()), inputs()
    outputs = layer(GRAPHS, **given)
    outputs["fixed"].mul_(3)
    (outputs["fixed"].sum()).backward()
    assert torch.equal(given["x"].grad, torch.full_like(given["x"], 6.0))
    outputs = layer(GRAPHS, **given)
    outputs["h"].mul_(3)
    found = None
    try:
        outputs["h"].sum().backward()
        found = gradients(layer)
    except RuntimeError as error:
        assert "inplace" in str(error)  # noqa: PT017
    if found is not None:
        layer.zero_grad()
        (layer(GRAPHS, **given)["h"] * 3).sum().backward()
        for name, grad in gradients(layer).items():
            np.testing.assert_allclose(found[name], grad, rtol=1e-5, err_msg=name)
