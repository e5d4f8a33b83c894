"""Values of graphs from those of their vertices."""

import numpy as np
import pytest

import cavs
from cavs.errors import GraphError, InputError, ShapeError

GRAPHS = cavs.batch(
    [cavs.InputGraph([[], [], [0, 1]]), cavs.InputGraph([[1], []]), cavs.InputGraph([[]])]
)
EMPTY = cavs.batch([cavs.InputGraph([]), cavs.InputGraph([[]]), cavs.InputGraph([])])


@pytest.mark.parametrize("kind", ["sum", "mean", "max", "root"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 2)])
def test_values_and_gradients(kind: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x = cavs.Tensor(rng.normal(size=(6, *shape)), requires_grad=True)
    x.data[1] = x.data[2]  # equal maxima
    y = cavs.readout(GRAPHS, x, kind)
    parts = [x.data[:3], x.data[3:5], x.data[5:]]
    roots = [2, 0, 0]
    expected = [
        p[r] if kind == "root" else getattr(p, kind)(axis=0)
        for p, r in zip(parts, roots, strict=True)
    ]
    np.testing.assert_allclose(y.data, np.stack(expected))
    dy = rng.normal(size=y.shape)
    y.backward(dy)
    rows = []
    for part, root, d in zip(parts, roots, dy, strict=True):
        if kind == "root":
            rows.append(
                np.where((np.arange(len(part)) == root).reshape(-1, *[1] * len(shape)), d, 0)
            )
        elif kind == "max":
            mask = part == part.max(axis=0)
            rows.append(mask * d / mask.sum(axis=0))
        else:
            rows.append(np.broadcast_to(d, part.shape) / (len(part) if kind == "mean" else 1))
    np.testing.assert_allclose(x.grad, np.concatenate(rows))


@pytest.mark.parametrize("kind", ["sum", "mean", "max"])
def test_graphs_without_vertices_give_zeros(kind: str) -> None:
    x = cavs.Tensor(np.float32([[-3.0]]), requires_grad=True)
    y = cavs.readout(EMPTY, x, kind)
    np.testing.assert_array_equal(y.data, [[0], [-3], [0]])
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [[1]])


def test_errors() -> None:
    x = cavs.Tensor(np.zeros((6, 2)))
    with pytest.raises(InputError, match=r"expected one of sum, mean, max, root, got 'min'"):
        cavs.readout(GRAPHS, x, "min")
    with pytest.raises(ShapeError, match=r"each vertex of the batch .6 rows., got shape \(5, 2\)"):
        cavs.readout(GRAPHS, cavs.Tensor(np.zeros((5, 2))))
    forest = cavs.batch([cavs.InputGraph([[]]), cavs.InputGraph([[], []])])
    with pytest.raises(GraphError, match="expected one vertex without parents in graph 1, got 2"):
        cavs.readout(forest, cavs.Tensor(np.zeros(3)))
    with pytest.raises(GraphError, match="in graph 0, got 0"):
        cavs.readout(EMPTY, cavs.Tensor(np.zeros(1)))


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_max_of_integers(dtype: type[np.signedinteger]) -> None:
    graphs = cavs.batch([cavs.InputGraph([[], [], [0, 1]]), cavs.InputGraph([])])
    top = cavs.readout(graphs, np.array([-7, -5, -9], dtype), "max")
    np.testing.assert_array_equal(top.numpy(), [-5, 0])


def test_mean_of_integers_is_refused() -> None:
    graphs = cavs.batch([cavs.InputGraph([[], [], [0, 1]])])
    with pytest.raises(cavs.DTypeError, match="expected floats for the mean, got int32"):
        cavs.readout(graphs, np.int32([1, 5, 2]), "mean")


TYPED = cavs.batch(
    [
        cavs.InputGraph([[], [], [0, 1]], types=["a", "b", "a"]),
        cavs.InputGraph([[1], []], types=["a", "b"]),
        cavs.InputGraph([[]], types=["a"]),
    ]
)


@pytest.mark.parametrize("kind", ["sum", "mean", "max"])
@pytest.mark.parametrize("of", ["a", "b", ["b", "a"]])
def test_rows_of_types(kind: str, of: str | list[str]) -> None:
    vertices = TYPED.vertices(of)
    values = np.random.default_rng(1).normal(size=(6, 2))
    x = cavs.Tensor(values[vertices], requires_grad=True)
    y = cavs.readout(TYPED, x, kind, of=of)
    for graph, own in enumerate(cavs.unbatch(TYPED, values[vertices], of=of)):
        expected = getattr(own, kind)(axis=0) if len(own) else np.zeros(2)
        np.testing.assert_allclose(y.data[graph], expected)
    y.sum().backward()
    if kind == "sum":
        np.testing.assert_array_equal(x.grad, np.ones((len(vertices), 2)))


def test_roots_of_a_type() -> None:
    x = cavs.Tensor(np.arange(4.0), requires_grad=True)  # of vertices 0, 2, 3 and 5
    y = cavs.readout(TYPED, x, of="a")
    np.testing.assert_array_equal(y.data, [1, 2, 3])
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [0, 1, 1, 1])
    with pytest.raises(GraphError, match="a root of type 'b' in graph 0, got one of type 'a'"):
        cavs.readout(TYPED, cavs.Tensor(np.zeros(2)), of="b")
    with pytest.raises(ShapeError, match=r"each vertex of type 'a' or 'b' of the batch .6 rows"):
        cavs.readout(TYPED, x, "sum", of=["a", "b"])
    with pytest.raises(ShapeError, match="or name its types by of="):
        cavs.readout(TYPED, x, "sum")
