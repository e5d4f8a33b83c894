"""Graphs and inputs of every kind, and errors that name the input, its place and the line of F."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from model_runs import compiled, draw_cotangents, draw_inputs, run

import cavs
from cavs import ops
from cavs.errors import DTypeError, GraphError, InputError, ShapeError

PAIR = [cavs.InputGraph([[], [0]])]
GRAPHS = cavs.batch([cavs.InputGraph([[], [], [0, 1]]), cavs.InputGraph([[], [0]])])


def edges_model() -> tuple[cavs.Model, dict[str, Any]]:
    model = compiled("EdgeInputs", "float32")
    return model, draw_inputs(model, GRAPHS)


def tree_model() -> tuple[cavs.Model, dict[str, Any]]:
    model = compiled("ChildSumTreeLSTM", "float32")
    return model, draw_inputs(model, GRAPHS)


def ids(*values: int) -> np.ndarray:
    return np.array(values)


Case = tuple[Callable[[], tuple[cavs.Model, dict[str, Any]]], dict[str, Any], Any, str]
WRONG: dict[str, Case] = {
    "unknown": (
        tree_model,
        {"wrod": ids(0, 1, 2, 3, 4)},
        InputError,
        r"\[input\] expected inputs among \['label', 'word'\], got 'wrod'",
    ),
    "rows": (
        tree_model,
        {"word": ids(0, 1, 2)},
        ShapeError,
        r"expected int32 of shape \(5,\), a row per vertex, for 'word', got shape \(3,\); give "
        r"one row for each of the 5 vertices$",
    ),
    "rank": (
        tree_model,
        {"word": np.zeros((5, 1), int)},
        ShapeError,
        r"'word'.*\(5, 1\); reshape it$",
    ),
    "edge-rows": (
        edges_model,
        {"bias": np.zeros((5, 3))},
        ShapeError,
        r"expected float of shape \(3, 3\), a row per edge, for 'bias', got shape \(5, 3\); "
        r"give one row for each of the 3 edges$",
    ),
    "graph-rows": (
        edges_model,
        {"topic": ids(0)},
        ShapeError,
        r"\(2,\), a row per graph.*'topic'.*; give one row for each of the 2 graphs$",
    ),
    "feature": (
        edges_model,
        {"x": np.zeros((5, 4))},
        ShapeError,
        r"'x', got shape \(5, 4\); give a row of shape \(3,\) for each of the 5 vertices$",
    ),
    "one-row": (edges_model, {"x": np.zeros(3)}, ShapeError, r"; give one row for each of the 5"),
    "transposed": (edges_model, {"x": np.zeros((3, 5))}, ShapeError, r"; transpose it$"),
    "flat": (edges_model, {"x": np.zeros(15)}, ShapeError, r"; reshape it$"),
    "one-number": (edges_model, {"x": 0.0}, ShapeError, r"; give a row of shape \(3,\) for each"),
    "numbers": (
        edges_model,
        {"topic": np.zeros((3, 3), int)},
        ShapeError,
        r"; give one number for each of the 2 graphs$",
    ),
    "float-labels": (
        tree_model,
        {"label": np.zeros(5)},
        DTypeError,
        r"int32 of shape \(5,\).*'label', got dtype float64; convert it with astype",
    ),
    "float-list": (
        tree_model,
        {"label": [0.0] * 5},
        DTypeError,
        r"float64; convert it with numpy\.asarray\(x, 'int32'\)$",
    ),
    "bool-ids": (tree_model, {"word": np.zeros(5, bool)}, DTypeError, r"'word'.*bool"),
    "text": (tree_model, {"word": "abc"}, DTypeError, r"'word', got dtype <U3; pass numbers$"),
    "nothing": (tree_model, {"word": None}, DTypeError, r"'word', got dtype object"),
    "ragged": (
        tree_model,
        {"word": [[1], [1, 2]]},
        InputError,
        r"\[input\] 'word': expected numbers.*got list .*; .*numpy\.concatenate joins lists",
    ),
    "integers": (edges_model, {"x": np.zeros((5, 3), int)}, DTypeError, r"'x', got dtype int64"),
    "complex": (edges_model, {"x": np.zeros((5, 3), complex)}, DTypeError, r"complex128"),
    "word-high": (
        tree_model,
        {"word": ids(0, 0, 0, 0, 7)},
        InputError,
        r"expected ids in -1\.\.6 for 'word', looked up at .*structures\.py:\d+ \(.*\), got 7 at "
        r"graph 1, vertex 1; correct the ids",
    ),
    "word-low": (
        tree_model,
        {"word": ids(0, -2, 0, 0, 0)},
        InputError,
        r"-2 at graph 0, vertex 1",
    ),
    "word-huge": (tree_model, {"word": ids(0, 0, 2**40, 0, 0)}, InputError, r"1099511627776"),
    "word-unsigned": (
        tree_model,
        {"word": np.full(5, 2**63, np.uint64)},
        InputError,
        r"9223372036854775808 at graph 0, vertex 0",
    ),
    "label-high": (
        tree_model,
        {"label": ids(0, 1, 2, 4, 0)},
        InputError,
        r"expected ids in -1\.\.3 for 'label', looked up at .*structures\.py:\d+ \(.*cross_.*\), "
        r"got 4 at graph 1, vertex 0",
    ),
    "edge-id": (edges_model, {"relation": ids(0, 0, 9)}, InputError, r"9 at graph 1, edge 0"),
    "graph-id": (edges_model, {"topic": ids(0, 4)}, InputError, r"'topic', .*got 4 at graph 1;"),
    "spread-label": (edges_model, {"label": ids(0, 0, 0, 0, 4)}, InputError, r"-1\.\.3.*'label'"),
}


def test_ids_are_copied_once_whatever_they_come_as() -> None:
    """What other threads write to them meanwhile is not seen."""
    model, inputs = tree_model()
    check = model._checker.check
    word = inputs["word"]
    others = (word, word.tolist(), word.astype(int), word.astype(">i4"), word.repeat(2)[::2])
    for other in others:
        found = check(GRAPHS, {**inputs, "word": other})
        assert not np.shares_memory(found["label"], inputs["label"])
        assert not np.shares_memory(found["word"], np.asarray(other))
        np.testing.assert_array_equal(found["label"], inputs["label"])
        assert found["word"].flags.c_contiguous
        assert found["word"].dtype == np.dtype("=i4")
        np.testing.assert_array_equal(found["word"], word)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_inputs_are_named(name: str) -> None:
    make, changed, kind, message = WRONG[name]
    model, inputs = make()
    with pytest.raises(kind, match=message) as caught:
        model(GRAPHS, **{**inputs, **changed})
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


def test_missing_inputs_are_named_with_the_line_that_pulls_them() -> None:
    model, inputs = tree_model()
    del inputs["label"]
    with pytest.raises(
        InputError,
        match=r"expected int32 of shape \(5,\), a row per vertex, for 'label', got none, though "
        r"pulled at .*vertex_functions/structures\.py:\d+ \(label = v\.pull",
    ):
        model(GRAPHS, **inputs)


@pytest.mark.parametrize("graphs", [5, None, [[[], [0]]], "ab", [None]])
def test_what_is_no_graph_is_refused(graphs: Any) -> None:
    model, inputs = tree_model()
    with pytest.raises(GraphError, match=r"\[graph\]"):
        model(graphs, **inputs)


def test_a_cycle_is_found_in_flat_arrays() -> None:
    model, inputs = tree_model()
    looped = cavs.GraphBatch.from_csr([0, 1, 3], [0, 0, 1, 2], [1, 0])
    with pytest.raises(GraphError, match=r"graph 1: .*descendant.*vertices 0 -> 1 -> 0"):
        model(looped, word=inputs["word"][:3], label=inputs["label"][:3])


class Converting:
    """An array behind ``__array__`` alone."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.array, dtype)


class DLPack:
    """An array behind the DLPack protocol alone."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


class Interface:
    """An array behind the array interface alone."""

    def __init__(self, array: np.ndarray) -> None:
        self.__array_interface__ = array.__array_interface__
        self.array = array


def read_only(array: np.ndarray) -> np.ndarray:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def strided(array: np.ndarray) -> np.ndarray:
    wide = np.full(tuple(2 * n for n in array.shape), 99, array.dtype)
    cut = tuple(slice(None, None, 2) for _ in array.shape)
    wide[cut] = array
    return wide[cut]


FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    "list": lambda a: a.tolist(),
    "tensor": lambda a: cavs.Tensor(a.astype(np.int32) if a.dtype.kind == "i" else a),
    "memoryview": lambda a: memoryview(np.ascontiguousarray(a)),
    "__array__": Converting,
    "dlpack": DLPack,
    "interface": Interface,
    "read-only": read_only,
    "fortran": np.asfortranarray,
    "strided": strided,
    "reversed": lambda a: a[::-1].copy()[::-1],
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "int64": lambda a: a.astype(np.int64) if a.dtype.kind == "i" else a,
    "uint8": lambda a: a.astype(np.uint8) if a.dtype.kind == "i" else a,
    "float32": lambda a: a.astype(np.float32) if a.dtype.kind == "f" else a,
    "float16": lambda a: a.astype(np.float16) if a.dtype.kind == "f" else a,
}


@pytest.mark.parametrize("form", FORMS)
def test_arrays_of_any_kind_are_taken(form: str) -> None:
    model = compiled("EdgeInputs")
    inputs = draw_inputs(model, GRAPHS)
    for name, array in inputs.items():
        # Exact in half precision, and no id is -1.
        inputs[name] = np.round(array * 8) / 8 if array.dtype.kind == "f" else np.abs(array)
    expected = model(GRAPHS, **inputs)
    found = model(GRAPHS, **{name: FORMS[form](array) for name, array in inputs.items()})
    for name, y in expected.items():
        np.testing.assert_array_equal(found[name].data, y.data, err_msg=name)
        assert not np.shares_memory(found[name].data, y.data)


def test_inputs_are_read_during_the_call_and_never_written() -> None:
    model = compiled("EdgeInputs")
    inputs = draw_inputs(model, GRAPHS)
    expected = run(model, GRAPHS, inputs)
    copies = {name: array.copy() for name, array in inputs.items()}
    model.zero_grad()
    out = model(GRAPHS, **inputs)
    for name, array in inputs.items():
        np.testing.assert_array_equal(array, copies[name])
        array[...] = 0  # the backward does not come back to it
    cotangents = draw_cotangents(out)
    sum((out[k] * cavs.Tensor(w)).sum() for k, w in cotangents.items()).backward()
    for name, p in model.named_parameters():
        grad = p.grad.to_dense() if isinstance(p.grad, cavs.RowSparse) else p.grad
        np.testing.assert_allclose(grad, expected.params[name], rtol=1e-12, atol=1e-14)


def test_graphs_come_as_a_batch_a_graph_or_a_list() -> None:
    model, inputs = tree_model()
    expected = model(GRAPHS, **inputs)["loss"].data
    found = model(cavs.unbatch(GRAPHS), **inputs)["loss"].data
    np.testing.assert_array_equal(found, expected)
    alone = model(cavs.unbatch(GRAPHS)[0], word=inputs["word"][:3], label=inputs["label"][:3])
    np.testing.assert_allclose(alone["loss"].data, expected[:3], rtol=1e-6)


class Lookups(cavs.VertexFunction):
    """Ids of vertices, of edges and of graphs, some looked up twice."""

    def __init__(self) -> None:
        self.words = cavs.nn.Embedding(5, 3)
        self.few = cavs.nn.Embedding(4, 3)

    def forward(self, v: cavs.Vertex) -> None:
        word = v.pull("word", dtype="int32")
        x = self.words(word) + self.few(word)  # the fewer rows
        x = x + self.words(v.pull_graph("topic", dtype="int32"))
        h = v.gather(h=3).h + ops.embedding(self.few.weight, v.pull_edge("kind", dtype="int32"))
        h = x + h.sum()
        v.scatter(h=h)
        v.push(loss=ops.cross_entropy(h, v.pull("label", dtype="int32")))


IN_RANGE = {"word": [0, 1], "topic": [0], "kind": [0], "label": [0, 1]}
OUT_OF_RANGE = {
    "word": ([0, 4], 3, "x = self.words(word) + self.few(word)", "4 at graph 0, vertex 1"),
    "topic": ([5], 4, 'x = x + self.words(v.pull_graph("topic"', "5 at graph 0"),
    "kind": ([-2], 3, "h = v.gather(h=3).h + ops.embedding(", "-2 at graph 0, edge 0"),
    "label": ([3, 0], 2, "v.push(loss=ops.cross_entropy(h", "3 at graph 0, vertex 0"),
}


@pytest.mark.parametrize("executor", ["native", "reference"])
@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_ids_out_of_range_name_input_and_lookup(name: str, executor: str) -> None:
    ids, last, code, got = OUT_OF_RANGE[name]
    model = cavs.compile(Lookups(), executor=executor)
    given: dict[str, Any] = {n: np.array(x, np.int32) for n, x in IN_RANGE.items()}
    model(PAIR, **given)
    with pytest.raises(InputError) as error:
        model(PAIR, **{**given, name: np.array(ids, np.int32)})
    said = str(error.value)
    assert said.startswith(
        f"[input] expected ids in -1..{last} for {name!r}, looked up at {__file__}"
    )
    assert code in said
    assert f", got {got}; correct the ids" in said


def test_tensors_of_pytorch_are_converted_as_it_does() -> None:
    torch = pytest.importorskip("torch")
    for make, changed, match in (
        (tree_model, {"word": torch.zeros(5)}, r"; convert it with \.to\(torch\.int32\)$"),
        (edges_model, {"x": torch.zeros(5, 3, dtype=torch.int64)}, r" \.to\(torch\.float32\)$"),
        (edges_model, {"x": torch.zeros(5, 3).bfloat16()}, r"'x': .*; pass x\..*\.float\(\)"),
    ):
        model, inputs = make()
        with pytest.raises((DTypeError, InputError), match=match) as caught:
            model(GRAPHS, **{**inputs, **changed})
        assert str(caught.value).count("numpy.asarray") == 0


def test_inputs_without_a_name_are_refused() -> None:
    model, inputs = tree_model()
    optimizer = cavs.optim.SGD(model.parameters(), lr=0.1)
    word = inputs["word"]
    match = r"^\[input\] expected inputs and .* by name, got ndarray .*; pass inputs as "
    with pytest.raises(InputError, match=match + r"word=\.\.\., label=\.\.\.$"):
        model(GRAPHS, word)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=match):
        model(GRAPHS, word, label=inputs["label"])  # type: ignore[arg-type]
    with pytest.raises(InputError, match=match):
        model.step(GRAPHS, optimizer, word, inputs["label"])  # type: ignore[arg-type]
    for inspect in (model.explain, model.summary, model.memory):
        with pytest.raises(InputError, match=match):
            inspect(GRAPHS, word, label=inputs["label"])
    with pytest.raises(InputError, match=match):
        model.values(GRAPHS, word, vertex=(0, 0))  # type: ignore[arg-type]
