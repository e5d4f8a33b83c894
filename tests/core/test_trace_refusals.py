"""Tracing: every misuse is refused with the user's line."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from traces import Forward, traced

import cavs
from cavs import nn, ops
from cavs.core.ir import Node
from cavs.core.trace import trace
from cavs.core.tracing import tracing
from cavs.errors import CavsError, DTypeError, InputError, ShapeError, TraceError


def branch(self: Any, v: cavs.Vertex) -> None:
    if v.pull("x", 3):
        pass


def loop(self: Any, v: cavs.Vertex) -> None:
    while v.pull("x") > 0.0:
        pass


def unpack(self: Any, v: cavs.Vertex) -> None:
    _, _ = v.pull("x", 2)


def word_of(v: cavs.Vertex, edge: bool = False) -> Any:
    pull = v.pull_edge if edge else v.pull
    return nn.Embedding(5, 3)(pull("word", dtype="int32"))


def both_sizes(self: Any, v: cavs.Vertex) -> None:
    v.gather(h=3)
    v.gather(h=4)


def scatter_twice(self: Any, v: cavs.Vertex) -> None:
    v.scatter(h=v.pull("x", 3))
    v.scatter(g=v.pull("x", 3))


def push_twice(self: Any, v: cavs.Vertex) -> None:
    v.push(y=v.pull("x"))
    v.push(y=v.pull("x"))


def pull_twice(self: Any, v: cavs.Vertex) -> None:
    v.pull("x", 3)
    v.pull("x", 4)


def pull_elsewhere(self: Any, v: cavs.Vertex) -> None:
    v.pull("x", 3)
    v.pull_edge("x", 3)


def other_size(self: Any, v: cavs.Vertex) -> None:
    v.push(y=v.gather(h=3).h.sum())
    v.scatter(h=v.pull("x", 4))


Misuse = tuple[Forward, type[CavsError], str]
MISUSES: dict[str, Misuse] = {
    "if": (branch, TraceError, r"`if`.*<pull 'x' vertex\[3\]>, a symbol.*ops\.where"),
    "while": (loop, TraceError, r"`while`.*need a value|a value for Python's `if`, `while`"),
    "and": (lambda s, v: v.pull("x") and 1, TraceError, r"`and`.*need a value"),
    "not": (lambda s, v: not v.pull("x"), TraceError, r"`not`.*need a value"),
    "in": (lambda s, v: 1 in [v.pull("x")], TraceError, r"a value for Python's `if`"),
    "for": (lambda s, v: list(v.pull("x", 3)), TraceError, r"a value to iterate over.*ops\.split"),
    "unpack": (unpack, TraceError, r"a value to iterate over.*ops\.split"),
    "float": (lambda s, v: float(v.pull("x")), TraceError, r"a value for float\(\)"),
    "int": (lambda s, v: int(v.pull("x")), TraceError, r"a value for int\(\)"),
    "len": (lambda s, v: len(v.pull("x", 3)), TraceError, r"len\(\).*\.shape"),
    "reversed": (lambda s, v: [*reversed(v.pull("x", 3))], TraceError, r"iterate over.*ops\.split"),
    "in a value": (lambda s, v: 3 in v.pull("x", 3), TraceError, r"Python's `in`.*ops\.split"),
    "range": (lambda s, v: range(v.pull("x")), TraceError, r"an index or range\(\)"),
    "of an array": (
        lambda s, v: np.ones(3)[v.pull("i", dtype="int32")],
        TraceError,
        r"\[trace\] expected values for NumPy, got .*such as ops\.take\(array, ids\)",
    ),
    "of a list": (lambda s, v: [1, 2][v.pull("i", dtype="int32")], TraceError, r"use ops\.pick"),
    "children: len": (
        lambda s, v: len(v.gather(h=3).h),
        TraceError,
        r"v\.gather\(one=\(\)\)\.one\.sum\(\) is the number of children",
    ),
    "index": (lambda s, v: v.pull("x", 3)[[0]], TraceError, r"slice a:b.*ops\.split"),
    "list": (lambda s, v: v.pull("x", 3) + [1.0] * 3, TraceError, r"\[add\].*list.*v\.pull"),
    "array": (
        lambda s, v: np.array([None] * 3) * v.pull("x", 3),
        DTypeError,
        r"\[mul\] expected an array of real numbers, got 'object'",
    ),
    "rows of numbers": (
        lambda s, v: v.uniform(rows="graph"),
        TraceError,
        r"\[uniform\] expected rows 'vertex' or 'batch', got 'graph'.*ops\.normal\(mean, std\)",
    ),
    "ids of the batch": (
        lambda s, v: v.pull_batch("i", dtype="int32"),
        DTypeError,
        r"\[pull_batch\] expected floats for 'i', got dtype 'int32'.*; pull ids by vertex",
    ),
    "tensor": (lambda s, v: v.pull("x", 3) - cavs.tensor([1.0]), TraceError, r"\[sub\].*Tensor"),
    "nothing": (lambda s, v: ops.concat([]), TraceError, r"\[concat\]"),
    "shapes": (
        lambda s, v: v.pull("x", 5) + v.pull("y", 3),
        ShapeError,
        r"\[add\] expected shapes that broadcast, got \[\(5,\), \(3,\)\]",
    ),
    "linear": (lambda s, v: s.w(v.pull("x", 5)), ShapeError, r"\[linear\].*\(\.\.\., 3\).*\(5,\)"),
    "matmul": (
        lambda s, v: ops.matmul(v.pull("x", 3), s.w.weight),
        ShapeError,
        r"\[matmul\] expected equal inner sizes.*3 and 4",
    ),
    "split": (lambda s, v: ops.split(v.pull("x", 3), 2), ShapeError, r"divides 3, got 2"),
    "slice": (lambda s, v: ops.slice_last(v.pull("x", 3), 2, 5), ShapeError, r"got 2:5"),
    "empty-slice": (lambda s, v: v.pull("x", 3)[2:2], ShapeError, r"start < stop.*got 2:2"),
    "concat": (
        lambda s, v: ops.concat([v.pull("x", 3), v.pull("s")]),
        ShapeError,
        r"\[concat\].*\(3,\), \(\)",
    ),
    "reshape": (lambda s, v: ops.reshape(v.pull("x", 3), (2, -1)), ShapeError, r"\[reshape\]"),
    "softmax": (lambda s, v: ops.softmax(v.pull("x")), ShapeError, r"\[softmax\].*scalar"),
    "axis": (
        lambda s, v: ops.max(v.pull("x", (2, 3)), 2),
        ShapeError,
        r"\[max\] expected .*axis.*, got 2",
    ),
    "keepdims": (
        lambda s, v: v.gather(h=3).h.sum(keepdims=True),
        ShapeError,
        r"\[reduce\] expected keepdims",
    ),
    "segment": (lambda s, v: ops.segment_sum(s.w.weight), ShapeError, r"a value per edge.*none"),
    "norm": (
        lambda s, v: nn.LayerNorm(4)(v.pull("x", 3)),
        ShapeError,
        r"\[layer_norm\].*4.*\(3,\)",
    ),
    "label": (
        lambda s, v: ops.cross_entropy(v.pull("x", 3), v.pull("y")),
        DTypeError,
        r"\[cross_entropy\] expected operand 1 of dtype int32, got float",
    ),
    "id-arithmetic": (
        lambda s, v: ops.tanh(v.pull("i", dtype="int32")),
        DTypeError,
        r"\[tanh\] expected operand 0 of dtype float, got int32",
    ),
    "float-ids": (
        lambda s, v: nn.Embedding(3, 4)(v.pull("x")),
        DTypeError,
        r"\[embedding\].*int32",
    ),
    "dropout": (
        lambda s, v: ops.dropout(v.pull("x", 3), 1.0),
        InputError,
        r"\[dropout\].*got 1\.0",
    ),
    "dropout-parameter": (
        lambda s, v: ops.dropout(s.w.weight, 0.5),
        ShapeError,
        r"\[dropout\] expected a value per vertex, edge or graph.*without rows",
    ),
    "dropout-by": (
        lambda s, v: ops.dropout(v.pull("x", 3), 0.5, by="row"),
        InputError,
        r"\[dropout\] expected by='vertex' or by='id', got 'row'",
    ),
    "dropout-word": (
        lambda s, v: ops.dropout(v.pull("x", 3), "0.5"),
        InputError,
        r"\[dropout\] expected a probability in \[0, 1\), got '0\.5'",
    ),
    "dropout-by-id-float": (
        lambda s, v: ops.dropout(word_of(v) * v.pull("x", 3), 0.5, by="id"),
        TraceError,
        r"\[dropout\] .*integer pulls and parameters.* by='id', got.*pull 'x'.*by='vertex'",
    ),
    "dropout-by-id-state": (
        lambda s, v: ops.dropout(v.gather(0, h=3).h + word_of(v), 0.5, by="id"),
        TraceError,
        r"\[dropout\] .* got one that depends on gather 'h'",
    ),
    "dropout-by-id-children": (
        lambda s, v: ops.dropout(
            nn.Embedding(5, 3)(v.pull_edge("r", dtype="int32")).sum(), 0.5, by="id"
        ),
        TraceError,
        r"\[dropout\] .* got one that depends on segment_sum",
    ),
    "dropout-by-id-chance": (
        lambda s, v: ops.dropout(word_of(v) + v.uniform(3), 0.5, by="id"),
        TraceError,
        r"\[dropout\] .* got one that depends on uniform",
    ),
    "dropout-by-id-dropped": (
        lambda s, v: ops.dropout(ops.dropout(word_of(v), 0.5), 0.5, by="id"),
        TraceError,
        r"\[dropout\] .* got one that depends on dropout",
    ),
    "dropout-by-id-parameter": (
        lambda s, v: ops.dropout(ops.tanh(s.w.weight) * 2.0, 0.5, by="id"),
        TraceError,
        r"\[dropout\] expected a value of integer pulls.* by='id', got one without any",
    ),
    "dropout-by-id-ids": (
        lambda s, v: ops.dropout(v.pull("i", dtype="int32"), 0.5, by="id"),
        DTypeError,
        r"\[dropout\] expected operand 0 of dtype float, got int32",
    ),
    "pull-dtype": (lambda s, v: v.pull("x", dtype="int64"), DTypeError, r"\[pull\].*'int64'"),
    "pull-size": (
        lambda s, v: v.pull("x", 0),
        ShapeError,
        r"\[pull\] expected positive sizes, got 0",
    ),
    "pull-again": (pull_twice, TraceError, r"input 'x' as before \(vertex\[3\].*got vertex\[4\]"),
    "pull-elsewhere": (pull_elsewhere, TraceError, r"as before \(vertex\[3\].*got edge\[3\]"),
    "gather-nothing": (
        lambda s, v: v.gather(),
        TraceError,
        r"\[gather\] expected at least one state",
    ),
    "gather-far": (
        lambda s, v: v.gather(4096, h=3),
        TraceError,
        r"child position below 4096, got 4096, .*; gather all children",
    ),
    "gather-far-from-last": (
        lambda s, v: v.gather(-4097, h=3),
        TraceError,
        r"child position of -4096 or more, got -4097, .*; gather all children",
    ),
    "gather-slot": (
        lambda s, v: v.gather(1.0, h=3),
        TraceError,
        r"an integer as the child's position, got 1.0, .*; count children from 0, or by -1",
    ),
    "gather-size": (
        lambda s, v: v.gather(h=(3, 0)),
        ShapeError,
        r"\[gather\] expected positive sizes",
    ),
    "gather-sizes": (both_sizes, ShapeError, r"state 'h' of shape \(3,\) as before.*\(4,\)"),
    "pull-dtype-second": (
        lambda s, v: v.pull("i", "int32"),
        ShapeError,
        r"positive sizes, got 'int32'.*; pass dtype='int32' by name",
    ),
    "gather-text": (
        lambda s, v: v.gather("h", 3),
        TraceError,
        r"got 'h' without.*v\.gather\(h=150",
    ),
    "gather-size-alone": (lambda s, v: v.gather(0, 3), TraceError, r"got 3 without a name"),
    "scatter-unnamed": (
        lambda s, v: v.scatter(v.pull("x", 3)),
        TraceError,
        r"\[scatter\] expected states by name, got Symbol.*; name it, as in v\.scatter\(h=h\)",
    ),
    "push-unnamed": (
        lambda s, v: v.push({"y": v.pull("x", 3)}),
        TraceError,
        r"\[push\] expected outputs by name, got .*; name it, as in v\.push\(h=h\)",
    ),
    "states: sum": (
        lambda s, v: v.gather(h=3).sum(),
        TraceError,
        r"states \['h'\], got 'sum'.*; take one by its name, as in v\.gather\(\.\.\.\)\.h",
    ),
    "states: +": (
        lambda s, v: v.gather(h=3) + v.pull("x", 3),
        TraceError,
        r"states \['h'\], got all of them as one value",
    ),
    "states: [0]": (lambda s, v: v.gather(h=3)[0], TraceError, r"states \['h'\], got \[0\]"),
    "gather-name": (lambda s, v: v.gather(h=3).c, TraceError, r"states \['h'\].*got 'c'"),
    "not-scattered": (
        lambda s, v: v.push(y=v.gather(h=3).h.sum()),
        TraceError,
        r"\[scatter\] expected state 'h', gathered at .*, among.*got \[\]",
    ),
    "other-size": (other_size, ShapeError, r"state 'h' of shape \(3,\).*got \(4,\)"),
    "scatter-twice": (scatter_twice, TraceError, r"\[scatter\] expected one call.*a second"),
    "scatter-edges": (
        lambda s, v: v.scatter(h=v.gather(h=3).h),
        TraceError,
        r"\[scatter\] expected a value per vertex.*'h'.*one per edge.*reduce it over the children",
    ),
    "push-twice": (push_twice, TraceError, r"\[push\] expected a new output.*'y' a second time"),
    "push-bool": (lambda s, v: v.push(y=True), TraceError, r"\[push\].*'y', got bool"),
    "push-huge": (lambda s, v: v.push(y=10**400), InputError, r"\[push\] expected a number, got"),
    "push-text": (lambda s, v: v.push(y="a"), TraceError, r"\[push\].*'y', got str.*; compute it"),
    "scatter-list": (
        lambda s, v: v.scatter(h=[1.0] * 3),
        TraceError,
        r"\[scatter\].*'h', got list.*; .*pass an array of NumPy",
    ),
    "list-operand": (
        lambda s, v: ops.equal(v.pull("x", 3), [0, 1, 2]),
        TraceError,
        r"\[equal\].*got list.*v\.pull, .*as an array of NumPy",
    ),
    "ids-as-numbers": (
        lambda s, v: ops.exp(v.pull("i", dtype="int32")),
        DTypeError,
        r"\[exp\] expected operand 0 of dtype float, got int32.*look it up: ops\.take\(array",
    ),
    "push-tensor": (lambda s, v: v.push(y=cavs.tensor([1.0])), TraceError, r"\[push\].*Tensor"),
    "push-ids": (
        lambda s, v: v.push(y=v.pull("i", dtype="int32")),
        DTypeError,
        r"\[push\] expected a float value for 'y', got int32.*push ops\.one_hot",
    ),
}


@pytest.mark.parametrize("name", MISUSES)
def test_misuse_is_refused_with_its_line(name: str) -> None:
    forward, kind, message = MISUSES[name]
    with pytest.raises(kind, match=message) as caught:
        traced(forward)
    assert type(caught.value) is kind
    text = str(caught.value)
    assert "\n" not in text
    first = forward.__code__.co_firstlineno  # type: ignore[attr-defined]
    named = [int(n) for n in re.findall(r"test_trace_refusals\.py:(\d+)", text)]
    assert named, text
    assert all(first <= n <= first + 8 for n in named)


def test_outputs_are_needed() -> None:
    with pytest.raises(TraceError, match=r"\[push\] expected at least one output.*v\.push"):
        traced(lambda s, v: v.scatter(h=v.pull("x", 3)))


def test_what_is_no_vertex_function_is_refused() -> None:
    for other in (3, cavs.VertexFunction, nn.Linear(2, 2)):
        with pytest.raises(TraceError, match=r"\[compile\] expected a cavs\.VertexFunction"):
            trace(other)  # type: ignore[arg-type]
    with pytest.raises(TraceError, match=r"expected VertexFunction\.forward\(self, v\)"):
        trace(cavs.VertexFunction())


@pytest.mark.parametrize("value", [nn.Linear(2, 2), nn.Parameter(np.ones(2)), 3, "x"])
def test_an_attribute_in_the_place_of_forward_is_refused(value: Any) -> None:
    """As of a layer over chains that has one for each direction."""

    class Chain(cavs.VertexFunction):
        def __init__(self) -> None:
            self.forward = value

    got = type(value).__name__
    with pytest.raises(TraceError, match=f"expected Chain.forward as a method, got {got} under"):
        cavs.compile(Chain())


def test_a_class_in_place_of_a_function_is_refused() -> None:
    made = r"got the class VertexFunction; make one of it: VertexFunction\(\.\.\.\)"
    with pytest.raises(TraceError, match=rf"\[compile\] expected a cavs\.VertexFunction, {made}"):
        cavs.compile(cavs.VertexFunction)  # type: ignore[arg-type]
    with pytest.raises(TraceError, match=rf"a cavs\.VertexFunction as 'up', {made}"):
        cavs.VertexProgram({"up": cavs.VertexFunction})  # type: ignore[dict-item]


def test_a_model_in_place_of_a_function_is_refused() -> None:
    class Doubled(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=v.pull("x") * 2.0)

    model: Any = cavs.compile(Doubled())
    with pytest.raises(TraceError, match="got Model; pass its function"):
        cavs.compile(model)


def test_a_dictionary_in_place_of_a_function_is_refused() -> None:
    wrong: Any = {"up": cavs.VertexFunction()}
    with pytest.raises(
        TraceError, match=r"got dict; make a cavs\.TypedFunction of it, or a cavs\."
    ):
        cavs.compile(wrong)


def test_a_module_of_pytorch_in_place_of_a_function_is_refused() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(TraceError, match=r"got PyTorch's Linear; write .*cavs\.torch\.Layer"):
        cavs.compile(torch.nn.Linear(2, 2))


def test_a_vertex_says_what_it_has() -> None:
    message = r"\[vertex\] expected one of pull, .*, got 'children'; .*gather"
    with pytest.raises(AttributeError, match=message):
        traced(lambda s, v: v.children)  # type: ignore[attr-defined]


def test_a_refused_trace_leaves_nothing_behind() -> None:
    with pytest.raises(TraceError):
        traced(branch)
    assert not tracing()
    weight = nn.Linear(3, 4).weight
    assert not isinstance(weight * 2.0, Node)  # outer arithmetic again


def test_a_parameter_from_elsewhere_is_refused() -> None:
    stray = cavs.Parameter(np.ones(3, np.float32))

    class Stray(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=v.pull("x", 3) * stray)

    with pytest.raises(
        TraceError, match=r"attributes of Stray.*shape \(3,\), at .*test_trace_refusals\.py"
    ):
        cavs.compile(Stray())


OVER_CHILDREN: dict[str, Any] = {
    "for": lambda h: [x * 1.0 for x in h],
    "zip": lambda h: [*zip(h, h, strict=True)],
    "enumerate": lambda h: [*enumerate(h)],
    "list": list,
    "reversed": lambda h: [*reversed(h)],
    "in": lambda h: 3 in h,
    "sum": sum,
    "max": max,
    "map": lambda h: [*map(ops.tanh, h)],
    "star": lambda h: ops.concat([*h]),
}


@pytest.mark.parametrize("name", OVER_CHILDREN)
def test_children_are_reduced_and_not_gone_through(name: str) -> None:
    def forward(self: Any, v: cavs.Vertex) -> None:
        OVER_CHILDREN[name](v.gather(h=3).h)

    with pytest.raises(TraceError, match=r"; reduce it over .* \.sum\(\).*v\.gather\(k, \.\.\.\)$"):
        traced(forward)


def test_children_are_counted_as_the_error_says() -> None:
    class Counts(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            v.push(count=v.gather(one=()).one.sum())
            v.scatter(one=1.0)

    found = cavs.compile(Counts())(cavs.InputGraph([[], [], [0, 1], [2]]))["count"]
    np.testing.assert_array_equal(found.data, [0, 0, 2, 1])
