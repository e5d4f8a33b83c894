"""Options of `cavs.compile`: what they choose, and errors that name wrong ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import vertex_functions

import cavs
from cavs.errors import DTypeError, InputError

OPTIONS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"dtype": "float16"}, DTypeError, r"expected dtype float32 or float64, got 'float16'"),
    ({"passes": ["fuse", "inline"]}, InputError, r"\[compile\] .*simplify.*, got \['inline'\]"),
    ({"executor": "fast"}, InputError, r"expected executor native or reference, got 'fast'"),
    (
        {"policy": "best"},
        InputError,
        r"expected policy depth, agenda, bound, serial or a function .*, got 'best'",
    ),
    ({"device": "gpu"}, InputError, r"expected device 'cpu', 'cuda' or 'cuda:1', got 'gpu'"),
    ({"seed": -1}, InputError, r"integer in 0\.\.2\*\*64-1, got -1"),
    ({"seed": 0.5}, InputError, r"got 0\.5"),
]


@pytest.mark.parametrize(("options", "kind", "message"), OPTIONS)
def test_unknown_options_are_refused(
    options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        cavs.compile(vertex_functions.make_function("NoGather"), **options)


def test_outputs_that_are_not_wanted_are_not_computed() -> None:
    function = vertex_functions.make_function("ChildSumTreeLSTM", "float32")
    whole, part = cavs.compile(function), cavs.compile(function, outputs=["logits"])
    assert set(part.inputs) == set(whole.inputs) - {"label"}
    graphs = cavs.batch([cavs.InputGraph([[], [], [0, 1]])])
    word, label = np.int32([1, 2, -1]), np.int32([0, 1, 1])
    expected, found = whole(graphs, word=word, label=label), part(graphs, word=word)
    assert list(found) == ["logits"]
    np.testing.assert_array_equal(found["logits"].data, expected["logits"].data)
    assert "cross_entropy" not in part.program


def test_states_that_nobody_gathers_go_with_the_outputs() -> None:
    class Sums(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            x = v.pull("x")
            total = v.gather(s=1).s.sum() + x
            v.scatter(s=total)
            v.push(total=total, doubled=x * 2.0)

    model = cavs.compile(Sums(), outputs=["doubled"])
    assert "levels" not in model.program
    out = model(cavs.InputGraph([[], [0]]), x=np.float32([1, 3]))
    np.testing.assert_array_equal(out["doubled"].data, [2, 6])


@pytest.mark.parametrize("outputs", [[], ["logits", "losses"]])
def test_outputs_that_are_not_there_are_named(outputs: list[str]) -> None:
    function = vertex_functions.make_function("ChildSumTreeLSTM", "float32")
    with pytest.raises(InputError, match=r"\[compile\] expected outputs among .*'logits'"):
        cavs.compile(function, outputs=outputs)


class Doubles(cavs.VertexFunction):
    def __init__(self, **dtypes: Any) -> None:
        self.dtypes = dtypes

    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", dtype=self.dtypes.get("x", "float32"))
        one = cavs.ops.one_hot(v.pull("i", dtype=self.dtypes.get("i", "int32")), 2)
        v.push(y=x * 2.0 + one)


def test_dtypes_of_pytorch_are_taken_by_their_names() -> None:
    torch = pytest.importorskip("torch")
    function = Doubles(x=torch.float32, i=torch.int32)
    model = cavs.compile(function, dtype=torch.float64)
    inputs = {"x": np.ones(1), "i": np.int32([1])}
    assert model(cavs.InputGraph([[]]), **inputs)["y"].dtype == np.float64
    assert model.to(torch.float32)(cavs.InputGraph([[]]), **inputs)["y"].dtype == np.float32
    program = cavs.compile(cavs.VertexProgram({"a": function}), dtype=torch.float64)
    assert program.to(torch.float32)["a"](cavs.InputGraph([[]]), **inputs)["y"].dtype == np.float32
    for dtype, name in ((torch.float64, "float64"), (torch.float, "float32")):
        assert cavs.tensor([1.0], dtype=dtype).dtype == name
        assert cavs.tensor([1.0]).astype(dtype).dtype == name
        assert cavs.nn.Parameter([1.0], dtype=dtype).dtype == name
        assert cavs.nn.Linear(2, 2, dtype=dtype).weight.dtype == name
    assert cavs.tensor([1], dtype=torch.int32).dtype == "int32"
    for make in (
        lambda: cavs.compile(Doubles(), dtype=torch.float16),
        lambda: model.to(torch.float16),
        lambda: cavs.tensor([1.0], dtype=torch.float16),
        lambda: cavs.nn.LayerNorm(3, dtype=torch.float16),
        lambda: cavs.tensor([1.0]).astype(np.float16),
    ):
        with pytest.raises(DTypeError, match=r"expected .*float64.*, got float16; pass one of"):
            make()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float", "int32", np.float32, np.int32])
def test_the_dtypes_of_a_pull_are_those_that_its_error_lists(dtype: Any) -> None:
    name = "i" if np.dtype(dtype) == np.int32 else "x"
    cavs.compile(Doubles(**{name: dtype}))
    for other in ("int64", np.int64, np.dtype("bool"), None, 3, "f8"):
        with pytest.raises(
            DTypeError, match=r"expected dtype among float, float32, float64, int32,"
        ):
            cavs.compile(Doubles(x=other))
    with pytest.raises(
        DTypeError, match=r"got 'int64', at .*; pass int32 for ids, float32 for any"
    ):
        cavs.compile(Doubles(i="int64"))
