"""One-hot vectors of ids, and the element of a vector that an id names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cavs
from cavs import nn, ops
from cavs.core.passes import PASSES

GRAPHS = cavs.batch(
    [cavs.InputGraph([[], [], [0, 1]]), cavs.InputGraph([[], [0], [1, 0]]), cavs.InputGraph([[]])]
)


class Picks(cavs.VertexFunction):
    """Of vertices, edges and graphs; of a state, a parameter and a matrix."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.layer, self.scores = nn.Linear(3, size), nn.Parameter(np.linspace(-1, 1, size))

    def forward(self, v: cavs.Vertex) -> None:
        x, h = v.pull("x", 3), v.gather(h=3).h
        vertex = v.pull("id", dtype="int32")
        edge, graph = v.pull_edge("edge_id", dtype="int32"), v.pull_graph("topic", dtype="int32")
        all_scores = self.layer(x + h.sum())
        y = ops.pick(all_scores, vertex)
        z = ops.pick(self.layer(h), edge)
        own = ops.pick(self.scores, graph)
        rows = ops.pick(ops.reshape(ops.concat([all_scores, 2.0 * all_scores]), (2, -1)), vertex)
        v.scatter(h=ops.tanh(x * (y + own) + z.sum()))
        v.push(y=y, z=z, own=own, rows=rows, one=ops.one_hot(edge, self.size))


def inputs(size: int, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    counts = {"id": 7, "edge_id": GRAPHS.num_edges, "topic": 3}
    ids = {k: rng.integers(-1, size, n).astype(np.int32) for k, n in counts.items()}
    return {"x": rng.normal(size=(7, 3)), **ids}


def run(size: int, **options: Any) -> list[np.ndarray]:
    nn.init.manual_seed(size)
    model = cavs.compile(Picks(size), dtype="float64", **options)
    given = inputs(size)
    outputs = model(GRAPHS, **given)
    sum(((y * y).sum() + y.sum() for y in outputs.values()), cavs.tensor(np.zeros(()))).backward()
    with cavs.no_grad():
        again = model.eval()(GRAPHS, **given)
    values = [outputs[name].data for name in outputs] + [again[name].data for name in again]
    return values + [np.array(p.grad) for p in model.parameters()]


@pytest.mark.parametrize("size", [1, 2, 3, 8, 13, 100])
def test_native_is_the_reference(size: int) -> None:
    expected = run(size, executor="reference")
    for passes in (PASSES, (), ("fuse",), PASSES[:5]):
        for found, value in zip(run(size, passes=passes), expected, strict=True):
            np.testing.assert_allclose(found, value, rtol=1e-9, atol=1e-9)


def test_what_is_picked_and_its_gradient() -> None:
    class One(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            i = v.pull("i", dtype="int32")
            v.push(y=ops.pick(v.pull("x", 4), i), one=ops.one_hot(i, 4))

    model = cavs.compile(One())
    x = cavs.tensor(np.float32([[1, -np.inf, 3, 4], [5, 6, np.inf, 8], [7, 7, 7, 7]]))
    x.requires_grad_()
    found = model(cavs.InputGraph([[]] * 3), x=x, i=np.int32([1, 3, -1]))
    np.testing.assert_array_equal(found["y"].data, np.float32([-np.inf, 8, 0]))
    np.testing.assert_array_equal(found["one"].data, [[0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
    found["y"].backward(np.float32([2.0, 3.0, 5.0]))
    np.testing.assert_array_equal(x.grad, [[0, 2, 0, 0], [0, 0, 0, 3], [0, 0, 0, 0]])
    with pytest.raises(cavs.InputError, match=r"expected ids in -1\.\.3 for 'i'.*got 4"):
        model(cavs.InputGraph([[]]), x=np.ones((1, 4), np.float32), i=np.int32([4]))


@given(
    shape=st.sampled_from([(), (3,), (2, 3), (0,)]),
    size=st.integers(1, 9),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 99),
)
def test_tensors(shape: tuple[int, ...], size: int, dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = cavs.tensor(rng.normal(size=(*shape, size)).astype(dtype), requires_grad=True)
    ids = np.asarray(rng.integers(-1, size, shape), np.int32)
    y = ops.pick(x, cavs.tensor(ids))
    one = (np.arange(size) == ids[..., None]).astype(dtype)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y.data, (one * x.data).sum(-1).astype(dtype))
    found = ops.one_hot(cavs.tensor(ids), size)
    assert found.dtype == "float32"
    assert not found.requires_grad
    np.testing.assert_array_equal(found.data, one)
    weights = rng.normal(size=shape).astype(dtype)
    y.backward(weights)
    np.testing.assert_array_equal(x.grad, one * np.asarray(weights)[..., None])


def test_beside_torch() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    data, ids = rng.normal(size=(5, 4)), np.int32([0, 3, 1, 1, 2])
    x, z = cavs.tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    y = -ops.pick(ops.log_softmax(x), cavs.tensor(ids)).mean()
    expected = torch.nn.functional.cross_entropy(z, torch.tensor(ids).long())
    np.testing.assert_allclose(y.item(), expected.item(), rtol=1e-12)
    y.backward()
    expected.backward()
    np.testing.assert_allclose(x.grad, z.grad.numpy(), rtol=1e-12)
    gathered = torch.gather(z, 1, torch.tensor(ids).long()[:, None])[:, 0].detach().numpy()
    np.testing.assert_array_equal(ops.pick(x, cavs.tensor(ids)).data, gathered)


def test_cross_entropy_by_hand_in_a_vertex_function() -> None:
    class Both(cavs.VertexFunction):
        def __init__(self) -> None:
            self.layer = nn.Linear(3, 50)

        def forward(self, v: cavs.Vertex) -> None:
            logits, label = self.layer(v.pull("x", 3)), v.pull("label", dtype="int32")
            v.push(ours=-ops.pick(ops.log_softmax(logits), label))
            v.push(loss=ops.cross_entropy(logits, label))

    model = cavs.compile(Both(), dtype="float64")
    x, label = np.random.default_rng(1).normal(size=(6, 3)), np.int32([0, 49, -1, 7, 7, 3])
    grads = []
    for name in ("ours", "loss"):
        found = model(cavs.InputGraph([[]] * 6), x=x, label=label)
        np.testing.assert_allclose(found["ours"].data, found["loss"].data, rtol=1e-12)
        model.zero_grad()
        found[name].sum().backward()
        grads.append([np.array(p.grad) for p in model.parameters()])
    for a, b in zip(*grads, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_what_cannot_be_picked() -> None:
    x = cavs.tensor(np.ones((2, 3)))
    for call, error, match in (
        (lambda: ops.pick(x, cavs.tensor([0, 1, 2])), cavs.ShapeError, r"ids of shape \(2,\)"),
        (lambda: ops.pick(x, cavs.tensor([0.0, 1.0])), cavs.DTypeError, "ids of dtype int32"),
        (lambda: ops.pick(x, 1), cavs.TraceError, r"\[pick\]"),
        (lambda: ops.pick(x, cavs.tensor([0, 3])), cavs.InputError, r"ids in -1\.\.2.*got 3"),
        (lambda: ops.pick(cavs.tensor(1.0), cavs.tensor(0)), cavs.ShapeError, "a last axis"),
        (lambda: ops.one_hot(cavs.tensor([0]), 0), cavs.ShapeError, r"\[one_hot\].* size in 1\."),
        (lambda: ops.one_hot(cavs.tensor([0.5]), 2), cavs.DTypeError, r"\[one_hot\] expected ids"),
        (lambda: ops.one_hot(cavs.tensor([2]), 2), cavs.InputError, "got 2"),
        (lambda: ops.one_hot(0, 2), cavs.CavsError, r"\[one_hot\]"),
    ):
        with pytest.raises(error, match=match):
            call()

    class Wrong(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=ops.pick(v.pull("x", 3), v.pull("i")))

    with pytest.raises(cavs.DTypeError, match=r"\[pick\] expected ids of.*, got float, at"):
        cavs.compile(Wrong())
