"""Gradients of gradients of a layer, on PyTorch's tape."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import nn, ops

torch = pytest.importorskip("torch")
from cavs.torch import Layer  # noqa: E402  isort: skip

GRAPHS = cavs.batch([cavs.InputGraph([[], [], [0, 1]]), cavs.InputGraph([[], [0]])])
SIZE = 3


class Tree(cavs.VertexFunction):
    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.words = nn.Embedding(4, SIZE)
        self.w, self.u = nn.Linear(SIZE, SIZE), nn.Linear(SIZE, SIZE, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.w(v.pull("x", SIZE) + self.words(v.pull("word", (), "int32")))
        if self.kind == "slots":
            below = self.u(v.gather(0, h=SIZE).h) * ops.tanh(v.gather(1, h=SIZE).h)
        elif self.kind == "attention":
            s = v.gather(h=SIZE)
            below = (ops.sum(self.u(s.h) * x, axis=-1, keepdims=True).softmax() * s.h).sum()
        elif self.kind == "edges":
            below = (self.u(v.gather(h=SIZE).h) * v.pull_edge("gate")).sum()
        else:
            below = self.u(v.gather(h=SIZE).h.sum())
        h = ops.tanh(x + below)
        v.scatter(h=h)
        v.push(h=h, square=ops.sum(h * h))


def made(kind: str, **options: Any) -> tuple[Layer, dict[str, Any]]:
    nn.init.manual_seed(1)
    layer = Layer(Tree(kind), dtype=torch.float64, **options)
    rng = np.random.default_rng(0)
    given: dict[str, Any] = {"word": torch.tensor([3, 0, -1, 3, 1])}
    given["x"] = torch.tensor(rng.normal(size=(5, SIZE)), requires_grad=True)
    if kind == "edges":
        given["gate"] = torch.tensor(rng.normal(size=3), requires_grad=True)
    return layer, given


@pytest.mark.parametrize("kind", ["sum", "slots", "attention", "edges"])
def test_gradgradcheck(kind: str) -> None:
    layer, given = made(kind)
    names = [name for name, x in given.items() if x.is_floating_point()]
    params = list(layer.parameters())

    def call(*operands: Any) -> Any:
        values = dict(zip(names, operands[: len(names)], strict=True))
        weights = dict(zip(dict(layer.named_parameters()), operands[len(names) :], strict=True))
        out = torch.func.functional_call(layer, weights, (GRAPHS,), {**given, **values})
        return out["h"], out["square"]

    operands = [*(given[name] for name in names), *params]
    assert torch.autograd.gradgradcheck(call, operands)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_penalty_of_the_gradient_trains_parameters(sparse: bool) -> None:
    layer, given = made("sum", sparse=sparse)

    def loss() -> Any:
        y = layer(GRAPHS, **given)["square"].sum()
        (dx,) = torch.autograd.grad(y, given["x"], create_graph=True)
        return ((dx**2).sum(1).sqrt() - 1.0).square().sum()

    loss().backward()
    rng = np.random.default_rng(3)
    found, ends = 0.0, []
    way = {name: torch.tensor(rng.normal(size=p.shape)) for name, p in layer.named_parameters()}
    for name, p in layer.named_parameters():
        assert p.grad is not None
        found += float((p.grad.to_dense() * way[name]).sum())
    for step in (1e-6, -2e-6):
        with torch.no_grad():
            for name, p in layer.named_parameters():
                p.add_(step * way[name])
        ends.append(loss().item())
    assert found == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6)


def test_a_hessian() -> None:
    layer, given = made("attention")

    def call(x: Any) -> Any:
        return layer(GRAPHS, word=given["word"], x=x)["square"].sum()

    hessian = torch.autograd.functional.hessian(call, given["x"].detach())
    assert hessian.shape == (5, SIZE, 5, SIZE)
    torch.testing.assert_close(hessian, hessian.permute(2, 3, 0, 1), rtol=1e-12, atol=1e-14)
    assert hessian.abs().max() > 0.1


def test_what_was_written_since_is_an_error() -> None:
    layer, given = made("sum")
    y = layer(GRAPHS, **given)["square"].sum()
    (dx,) = torch.autograd.grad(y, given["x"], create_graph=True)
    with torch.no_grad():
        next(layer.parameters()).add_(1.0)
    with pytest.raises(cavs.CavsRuntimeError, match=r"\[backward\] expected parameter"):
        dx.sum().backward()


def test_memory_goes_with_the_graph() -> None:
    layer, given = made("sum")
    runs: list[Any] = []
    original = layer.model._executor.forward

    def spy(*args: Any, **options: Any) -> Any:
        found = original(*args, **options)
        runs.append(weakref.ref(found[1]))
        return found

    layer.model._executor.forward = spy
    y = layer(GRAPHS, **given)["square"].sum()
    (dx,) = torch.autograd.grad(y, given["x"], create_graph=True)
    (dx**2).sum().backward()
    del y, dx
    gc.collect()
    assert [run() for run in runs] == [None]
