"""Derivatives of derivatives through what children scatter: beside PyTorch by hand, beside
differences, and in functions of types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from model_runs import draw_inputs
from vertex_functions import FUNCTIONS
from vertex_functions.rowless import ROWLESS

import cavs
from cavs import nn, ops

EXECUTORS = pytest.mark.parametrize("executor", ["native", "reference"])
HIDDEN = 4
# A DAG: two vertices have several parents.
CHILDREN = [[], [], [], [0, 1], [2, 3], [], [4, 5, 3], [], [6, 7], [8, 4]]
CHAIN = [[], *([v] for v in range(6))]


def leaf(values: Any) -> cavs.Tensor:
    return cavs.Tensor(np.array(values, np.float64), requires_grad=True)


class Cell(cavs.VertexFunction):
    """A cell of some kind over children, and a loss of its state."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.w, self.u = nn.Linear(3, 4 * HIDDEN), nn.Linear(HIDDEN, 3 * HIDDEN, bias=False)
        self.u_f = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.out = nn.Linear(HIDDEN, 2)

    def forward(self, v: cavs.Vertex) -> None:
        w, w_f = ops.split(self.w(v.pull("x", 3)), [3 * HIDDEN, HIDDEN])
        if self.kind == "gru":
            before = v.gather(h=HIDDEN).h.sum()
            r, z, n = ops.split(w, 3)
            u_r, u_z, u_n = ops.split(self.u(before), 3)
            gate = ops.sigmoid(z + u_z)
            new = ops.tanh(n + ops.sigmoid(r + u_r) * u_n + self.u_f(w_f))
            h = gate * before + (1.0 - gate) * new
            v.scatter(h=h)
        else:
            h = self.cell(v, w, w_f)
        v.push(loss=ops.sum(ops.log_softmax(self.out(h)) * v.pull("t", 2)))

    def cell(self, v: cavs.Vertex, w: Any, w_f: Any) -> Any:
        if self.kind == "slots":
            a, b = v.gather(0, h=HIDDEN, c=HIDDEN), v.gather(1, h=HIDDEN, c=HIDDEN)
            total = a.h + 2.0 * b.h
            carried = ops.sigmoid(w_f + self.u_f(a.h)) * a.c
            carried = carried + ops.sigmoid(w_f - self.u_f(b.h)) * b.c
        else:
            s = v.gather(h=HIDDEN, c=HIDDEN)
            total = s.h.sum()
            if self.kind == "attention":
                score = ops.sum(self.u_f(s.h) * w_f, axis=-1, keepdims=True)
                total = (score.softmax() * s.h).sum()
            elif self.kind == "max":
                total = s.h.max()
            carried = (ops.sigmoid(w_f + self.u_f(s.h)) * s.c).sum()
        i, o, u = ops.split(w + self.u(total), 3)
        c = ops.sigmoid(i) * ops.tanh(u) + carried
        h = ops.sigmoid(o) * ops.tanh(c)
        v.scatter(h=h, c=c)
        return h


def loss_by_hand(torch: Any, cell: Cell, p: dict[str, Any], children: Any, x: Any, t: Any) -> Any:
    """The same, vertex by vertex."""
    states: list[tuple[Any, Any]] = []
    loss: Any = 0.0
    for v, kids in enumerate(children):
        w = p["w.weight"] @ x[v] + p["w.bias"]
        w, w_f = w[: 3 * HIDDEN], w[3 * HIDDEN :]
        zero = torch.zeros(HIDDEN, dtype=x.dtype)
        hs = torch.stack([states[k][0] for k in kids]) if kids else zero[None]
        cs = torch.stack([states[k][1] for k in kids]) if kids else zero[None]
        total = hs.sum(0)
        carried = (torch.sigmoid(w_f + hs @ p["u_f.weight"].T) * cs).sum(0)
        if cell.kind == "gru":
            (r, z, n), (u_r, u_z, u_n) = w.split(HIDDEN), (p["u.weight"] @ total).split(HIDDEN)
            gate = torch.sigmoid(z + u_z)
            new = torch.tanh(n + torch.sigmoid(r + u_r) * u_n + p["u_f.weight"] @ w_f)
            h = c = gate * total + (1 - gate) * new
        else:
            if cell.kind == "slots":
                (ah, ac), (bh, bc) = [
                    states[kids[k]] if k < len(kids) else (zero, zero) for k in (0, 1)
                ]
                total = ah + 2 * bh
                carried = torch.sigmoid(w_f + p["u_f.weight"] @ ah) * ac
                carried = carried + torch.sigmoid(w_f - p["u_f.weight"] @ bh) * bc
            elif cell.kind == "attention" and kids:
                score = (hs @ p["u_f.weight"].T) @ w_f
                total = torch.softmax(score, 0) @ hs
            elif cell.kind == "max":
                total = hs.max(0).values
            i, o, u = (w + p["u.weight"] @ total).split(HIDDEN)
            c = torch.sigmoid(i) * torch.tanh(u) + carried
            h = torch.sigmoid(o) * torch.tanh(c)
        states.append((h, c))
        loss = loss + (torch.log_softmax(p["out.weight"] @ h + p["out.bias"], 0) * t[v]).sum()
    return loss


@EXECUTORS
@pytest.mark.parametrize("kind", ["sum", "slots", "attention", "max", "lstm", "gru"])
def test_three_orders_are_torchs(kind: str, executor: str) -> None:
    torch = pytest.importorskip("torch")
    nn.init.manual_seed(0)
    cell = Cell(kind)
    model = cavs.compile(cell, dtype="float64", executor=executor)
    children = CHAIN if kind in ("lstm", "gru") else CHILDREN
    if kind == "slots":
        children = [kids[:2] for kids in children]
    graphs, rng = cavs.batch([cavs.InputGraph(children)]), np.random.default_rng(1)
    given = {"x": leaf(rng.normal(size=(len(children), 3)))}
    given["t"] = leaf(rng.normal(size=(len(children), 2)))
    named = dict(model.named_parameters())
    xs = [*given.values(), *named.values()]
    twins = [torch.tensor(x.numpy().copy(), requires_grad=True) for x in xs]
    p = dict(zip(named, twins[2:], strict=True))
    y = model(graphs, **given)["loss"].sum()
    ty = loss_by_hand(torch, cell, p, children, *twins[:2])
    np.testing.assert_allclose(y.item(), ty.item(), 1e-12)
    for order in range(3):
        found = cavs.grad(y, xs, create_graph=order < 2)
        theirs = torch.autograd.grad(ty, twins, create_graph=True)
        for own, other in zip(found, theirs, strict=True):
            expected = other.detach().numpy()
            np.testing.assert_allclose(own.numpy(), expected, 1e-11, 1e-12)
        weights = [np.linspace(0.5, 1.0, g.size).reshape(g.shape) for g in found]
        y = (
            sum(((g * g * w).sum() for g, w in zip(found[1:], weights[1:], strict=True)), 0.0)
            + (found[0] * found[0] * weights[0]).sum()
        )
        ty = sum((g * g * torch.tensor(w)).sum() for g, w in zip(theirs, weights, strict=True))


GRAPHS = cavs.batch([cavs.InputGraph([[], [], [0, 1]]), cavs.InputGraph([[], [0]])])
CHAINS = cavs.batch([cavs.InputGraph([[], [0], [1]]), cavs.InputGraph([[], [0]])])
OF_CHAINS = ("Framed", "PassedOn")
# Its gradient is not the slope of its values.
ESTIMATED = ("StraightThrough",)


def _along(value: Callable[[], Any], xs: list[Any], seed: int) -> tuple[float, float]:
    """The derivative of a number along a random direction: by gradients, and by differences."""
    rng = np.random.default_rng(seed)
    found = cavs.grad(value(), xs)
    way = [rng.normal(size=x.shape) for x in xs]
    slope = sum(float((g.numpy() * d).sum()) for g, d in zip(found, way, strict=True))
    ends = []
    for step in (1e-5, -2e-5):
        for x, d in zip(xs, way, strict=True):
            x.data[...] += step * d
        ends.append(value().item())
    for x, d in zip(xs, way, strict=True):
        x.data[...] += 1e-5 * d
    return slope, (ends[0] - ends[1]) / 2e-5


@pytest.mark.parametrize("name", sorted({**FUNCTIONS, **ROWLESS}.keys() - set(ESTIMATED)))
def test_each_function_of_the_tests_has_second_derivatives(name: str) -> None:
    nn.init.manual_seed(5)
    model = cavs.compile({**FUNCTIONS, **ROWLESS}[name](), dtype="float64", seed=3)
    graphs = CHAINS if name in OF_CHAINS else GRAPHS
    inputs: dict[str, Any] = draw_inputs(model, graphs)
    for key, x in inputs.items():
        if x.dtype.kind == "f":
            inputs[key] = leaf(x)
    xs = [x for x in inputs.values() if isinstance(x, cavs.Tensor)]
    xs += [p for _, p in model.named_parameters()]
    buffers = [(b, b.numpy().copy()) for _, b in model.named_buffers()]

    def value() -> Any:
        for buffer, kept in buffers:
            buffer.copy_in(kept)
        model.set_random_state({"seed": 3, "step": 7})
        total: Any = None
        for _, y in sorted(model(graphs, **inputs).items()):
            if y.requires_grad:
                part = (y * np.cos(np.arange(y.size)).reshape(y.shape)).sum()
                total = part if total is None else total + part
        return total

    y = value()
    if y is None:
        return
    used = []
    for x in xs:
        try:
            cavs.grad(value(), x)
        except cavs.InputError:
            continue
        used.append(x)

    def second() -> Any:
        found = cavs.grad(value(), used, create_graph=True)
        parts = [(g * np.sin(1.0 + np.arange(g.size)).reshape(g.shape)).sum() for g in found]
        return sum(parts[1:], parts[0])

    reached = []
    for x in used:
        try:
            cavs.grad(second(), x)
        except cavs.InputError:
            continue
        reached.append(x)
    if reached:
        slope, expected = _along(second, reached, 1)
        np.testing.assert_allclose(slope, expected, 1e-5, 1e-6)


class Phrase(cavs.VertexFunction):
    def __init__(self, other: str) -> None:
        self.w, self.other = nn.Linear(2, HIDDEN), other

    def forward(self, v: cavs.Vertex) -> None:
        h = v.gather(h=HIDDEN).h.sum() + ops.tanh(v.gather(h=HIDDEN, of=self.other).h.sum())
        h = ops.tanh(self.w(v.pull("x", 2)) + h)
        v.scatter(h=h)
        v.push(y=ops.sum(h * h))


@EXECUTORS
def test_functions_of_types(executor: str) -> None:
    nn.init.manual_seed(0)
    function = cavs.TypedFunction({"a": Phrase("b"), "b": Phrase("a")})
    model = cavs.compile(function, dtype="float64", executor=executor)
    graphs = cavs.batch(
        [
            cavs.InputGraph([[], [0], [1, 0], []], types=["a", "b", "a", "b"]),
            cavs.InputGraph([[], [0]], types=["b", "a"]),
        ]
    )
    x = leaf(np.random.default_rng(0).normal(size=(6, 2)))
    xs = [x, *(p for _, p in model.named_parameters())]

    def second() -> Any:
        found = cavs.grad(model(graphs, x=x)["y"].sum(), xs, create_graph=True)
        parts = [(g * np.sin(1.0 + np.arange(g.size)).reshape(g.shape)).sum() for g in found]
        return sum(parts[1:], parts[0])

    slope, expected = _along(second, xs, 2)
    np.testing.assert_allclose(slope, expected, 1e-6)
