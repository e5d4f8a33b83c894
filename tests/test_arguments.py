"""Wrong arguments anywhere in the public API are one line that says what to do, or simply work."""

import traceback
from collections.abc import Callable, Iterator
from typing import Any

import argument_cases as cases
import numpy as np
import pytest

import cavs
from cavs import nn, ops


class _Odd:
    """Knows nothing, and says so in two lines."""

    def __repr__(self) -> str:
        return "<odd\nobject>"


class _Unprintable:
    """Cannot be shown: a message about it must say something else."""

    def __repr__(self) -> str:
        raise RuntimeError("cannot be shown")

    __str__ = __repr__


class _UnprintableError(_Unprintable, Exception):
    """What an object of the user's may raise."""


class _Failing:
    """Has arrays of no kind, though it says so."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise _UnprintableError

    def __dlpack__(self, **_: Any) -> Any:
        raise _UnprintableError

    def __dlpack_device__(self) -> tuple[int, int]:
        raise _UnprintableError


def wrong_values() -> dict[str, Any]:
    """What may come in place of an argument; new ones each time, since some are kept."""
    values = {
        "none": None,
        "text": "a",
        "no text": "",
        "bytes": b"a",
        "object": _Odd(),
        "unprintable": _Unprintable(),
        "list of unprintable": [_Unprintable()],
        "dictionary of unprintable": {_Unprintable(): _Unprintable()},
        "nan": float("nan"),
        "infinite": float("inf"),
        "negative": -1,
        "zero": 0,
        "fraction": 1.5,
        "huge": 2**70,
        "true": True,
        "complex": 1j,
        "list": [],
        "list of none": [None],
        "list of text": ["a"],
        "nested": [[], ["a"]],
        "dictionary": {},
        "dictionary of text": {"a": "b"},
        "set": {1},
        "failing": _Failing(),
        "type": int,
        "function": lambda *_: None,
        "objects": np.array([object(), None]),
        "matrix": np.array([[1.5, 2.0]]),
        "long array": np.zeros((30, 30)),
        "text array": np.array(["a"]),
        "huge array": np.array([2.0**70]),
        "times": np.array(["2020-01-01"], "datetime64[D]"),
        "records": np.zeros(2, [("a", "f4")]),
        "tensor": cavs.tensor([1.0, 2.0]),
        "learning tensor": cavs.tensor([1.0], requires_grad=True) * 2.0,
        "parameter": nn.Parameter([1.0]),
        "module": nn.Linear(1, 1),
        "graph": cases.GRAPH,
        "batch": cases.BATCH,
        "symbol": SYMBOL,
    }
    torch = _torch()
    if torch is not None:
        values["torch"] = torch.ones(2)
        values["torch that learns"] = torch.ones(2, requires_grad=True)
        values["torch of bfloat16"] = torch.ones(2, dtype=torch.bfloat16)
        values["sparse torch"] = torch.eye(2).to_sparse()
    return values


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        return None
    return torch


SYMBOL = cases.symbol()


def problem(function: Callable[..., Any], arguments: dict[str, Any]) -> str | None:
    """What is wrong with how a call fails; None where it works, or fails as it should."""
    try:
        function(**arguments)
    except cavs.CavsError as error:
        text = str(error)
        if "\n" in text:
            return f"several lines: {text!r}"
        if not text.startswith("[") or len(text) > 1500:
            return f"no [component], or too long: {text[:200]!r}"
        return None
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {str(error)[:100]!r} at {where.filename}:{where.lineno}"
    return None


def problems(case: cases.Case) -> Iterator[str]:
    """One line for each wrong argument that is not handled."""
    fine = problem(case.function, dict(case.arguments))
    if fine is not None:
        yield f"{case.name}: good arguments: {fine}"
        return
    for name in case.arguments:
        for kind, value in wrong_values().items():
            found = problem(case.function, {**case.arguments, name: value})
            if found is not None:
                yield f"{case.name}({name}={kind}): {found}"


@pytest.mark.filterwarnings("ignore")  # of torch and NumPy, about what they are asked to convert
@pytest.mark.parametrize("group", cases.GROUPS)
def test_wrong_arguments_are_one_line(group: str) -> None:
    threads, flush = cavs.get_num_threads(), cavs.get_flush_denormals()
    try:
        found = [line for case in cases.GROUPS[group]() for line in problems(case)]
    finally:
        cavs.set_num_threads(threads)
        cavs.set_flush_denormals(flush)
        cavs.set_detect_nonfinite(False)
        cavs.manual_seed(0)
    assert not found, f"{len(found)} problems:\n" + "\n".join(found)


@pytest.mark.filterwarnings("ignore")
def test_wrong_operands_of_tensors_are_one_line() -> None:
    x = cavs.tensor(np.ones((2, 4), np.float32))
    square = cavs.tensor(np.ones((4, 4), np.float32))
    every = cases.operations.ops_cases(x, square, np.int32([0, 1]), "tensor")
    found = [line for case in every for line in problems(case)]
    assert not found, f"{len(found)} problems:\n" + "\n".join(found)


@pytest.mark.filterwarnings("ignore")
def test_wrong_operands_of_symbols_are_one_line() -> None:
    found: list[str] = []

    class Tries(cavs.VertexFunction):
        def __init__(self) -> None:
            self.square = nn.Parameter(np.ones((4, 4), np.float32))

        def forward(self, v: cavs.Vertex) -> None:
            x = v.pull("x", 4)
            word = v.pull("word", dtype="int32")
            every = cases.operations.ops_cases(x, self.square, word, "symbol")
            found.extend(line for case in every for line in problems(case))
            for case in cases.operations.vertex_cases(v, x):
                found.extend(_vertex_problems(case))
            v.push(y=x)

    # What is pushed and scattered while it is tried need not make a function.
    with pytest.raises(cavs.CavsError):
        cavs.compile(Tries())
    assert not found, f"{len(found)} problems:\n" + "\n".join(found)


def _vertex_problems(case: cases.Case) -> Iterator[str]:
    for name in case.arguments:
        for kind, value in wrong_values().items():
            found = problem(case.function, {**case.arguments, name: value})
            if found is not None:
                yield f"{case.name}({name}={kind}): {found}"


def test_numpy_functions_of_symbols_name_those_of_cavs() -> None:
    class Uses(cavs.VertexFunction):
        def __init__(self, call: Callable[[Any], Any]) -> None:
            self.call = call

        def forward(self, v: cavs.Vertex) -> None:
            v.push(y=self.call(v.pull("x", 4)))

    for call in (np.tanh, np.sum, np.exp, lambda x: np.where(x, 1.0, 2.0), np.asarray, np.dot):
        with pytest.raises(cavs.TraceError, match=r"cavs\.ops"):
            cavs.compile(Uses(call if call is not np.dot else lambda x: np.dot(x, x)))
    with pytest.raises(cavs.TraceError, match=r"ops\.tanh"):
        cavs.compile(Uses(np.tanh))
    assert callable(ops.tanh)


def test_keys_that_cannot_be_shown_are_no_obstacle() -> None:
    class Keyed(cavs.VertexFunction):
        def __init__(self) -> None:
            self.layers = {_Unprintable(): nn.Linear(4, 4)}

        def forward(self, v: cavs.Vertex) -> None:
            (layer,) = self.layers.values()
            v.push(y=layer(v.pull("x", 4)))

    model = cavs.compile(Keyed())
    assert [name for name, _ in model.named_parameters()] == [
        "layers._Unprintable.weight",
        "layers._Unprintable.bias",
    ]
