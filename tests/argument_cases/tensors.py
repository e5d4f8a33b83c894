"""Calls of tensors, row-sparse gradients, random generators and the settings of the process."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

import cavs
from argument_cases.base import Case, parameter


def _synchronize(device: Any) -> None:
    """As cavs.cuda.synchronize, also where there is no GPU to wait for."""
    if not (isinstance(device, str) and device == "cuda") or cavs.cuda.is_available():
        cavs.cuda.synchronize(device)


def core_cases() -> Iterator[Case]:
    generator = cavs.Generator(0)
    yield Case("Generator", cavs.Generator, {"seed": 0})
    for name in ("uniform", "normal"):
        arguments = {
            "shape": (2, 3),
            "dtype": "float32",
            "keys": [0, 1],
            "places": [0, 0],
            "device": "cpu",
        }
        yield Case(f"Generator.{name}", getattr(generator, name), arguments)
    yield Case("Tensor.to", cavs.tensor([1.0]).to, {"device": "cpu"})
    yield Case("cuda.synchronize", _synchronize, {"device": "cuda"})
    yield Case("Generator.set_state", generator.set_state, {"state": {"seed": 0, "step": 1}})
    state = lambda **values: generator.set_state(values)  # noqa: E731
    yield Case("Generator.set_state", state, {"seed": 0, "step": 1})
    made = {"data": [1.0, 2.0], "dtype": "float32", "requires_grad": True}
    for make in (cavs.tensor, cavs.Tensor, cavs.Parameter):
        yield Case(make.__name__, make, made)
    rows = {"indices": np.int32([1]), "values": np.ones((1, 2), np.float32), "shape": (3, 2)}
    yield Case("RowSparse", cavs.RowSparse, rows)
    rows = {"ids": np.int32([1]), "rows": np.ones((1, 2), np.float32), "shape": (3, 2)}
    yield Case("RowSparse.from_rows", cavs.RowSparse.from_rows, rows)
    sparse = cavs.RowSparse(np.int32([1]), np.ones((1, 2), np.float32), (3, 2))
    yield Case("RowSparse.add", sparse.add, {"other": sparse.copy()})
    yield Case("RowSparse.add_to", sparse.add_to, {"dense": np.zeros((3, 2), np.float32)})
    yield Case("RowSparse.scale", sparse.copy().scale, {"factor": 2.0})
    sizes = lambda count, **given: cavs.SampleState(count, **given)  # noqa: E731
    given = {"count": 3, "device": "cpu", "dtype": "float32", "visible": (2,)}
    yield Case("SampleState", sizes, given)
    state = cavs.SampleState(3, visible=2)
    yield Case("SampleState.batch", state.batch, {"rows": [0, 2], "graph": cavs.InputGraph([[]])})
    yield Case("SampleState.read", state.read, {"rows": [0, 2]})
    put = lambda rows, visible: state.write(rows, visible=visible)  # noqa: E731
    values = np.ones((2, 2), np.float32)
    yield Case("SampleState.write", put, {"rows": [0, 2], "visible": values})
    yield Case("SampleState.load_state_dict", state.load_state_dict, {"state": state.state_dict()})
    load = lambda visible: state.load_state_dict({"visible": visible})  # noqa: E731
    whole = np.ones((3, 2), np.float32)
    yield Case("SampleState.load_state_dict", load, {"visible": whole})
    yield Case("manual_seed", cavs.manual_seed, {"seed": 0})
    yield Case("set_num_threads", cavs.set_num_threads, {"count": cavs.get_num_threads()})
    yield Case("set_flush_denormals", cavs.set_flush_denormals, {"enabled": True})
    yield Case("set_detect_nonfinite", cavs.set_detect_nonfinite, {"enabled": False})
    yield Case("detect_nonfinite", cavs.detect_nonfinite, {"enabled": False})


def tensor_cases() -> Iterator[Case]:
    x = cavs.tensor(np.arange(6, dtype=np.float32).reshape(2, 3))
    for name in ("sum", "mean", "max", "min", "logsumexp"):
        yield Case(f"Tensor.{name}", getattr(x, name), {"axis": -1, "keepdims": False})
        yield Case(f"Tensor.{name}", lambda a, f=name: getattr(x, f)((0, a)), {"a": 1})
    yield Case("Tensor.permute", lambda a: x.permute(a), {"a": (1, 0)})
    yield Case("Tensor.permute", lambda a: x.permute(1, a), {"a": 0})
    yield Case("Tensor.clip", x.clip, {"low": -1.0, "high": 1.0})
    for compare in ("eq", "ne", "lt", "le", "gt", "ge"):
        by = getattr(operator, compare)
        yield Case(f"Tensor {compare}", lambda other, by=by: by(x, other), {"other": x})
    yield Case("Tensor.__contains__", lambda value: value in x, {"value": 2.0})
    for join in (cavs.concat, cavs.stack):
        yield Case(join.__name__, join, {"tensors": [x, x], "axis": 0})
        yield Case(join.__name__, lambda a, f=join: f([x, a]), {"a": x})
    yield Case("Tensor.reshape", lambda shape: x.reshape(shape), {"shape": (3, 2)})
    yield Case("Tensor.reshape", lambda a, b: x.reshape(a, b), {"a": 3, "b": 2})
    yield Case("Tensor.astype", x.astype, {"dtype": "float64"})
    yield Case("Tensor.__getitem__", lambda key: x[key], {"key": 0})
    yield Case("Tensor.__getitem__", lambda a, b: x[a, b], {"a": 0, "b": [0, 1]})
    yield Case("Tensor.__getitem__", lambda a, b: x[a:b], {"a": 0, "b": 1})
    for sign in ("add", "sub", "mul", "truediv", "matmul"):
        for side in (f"__{sign}__", f"__r{sign}__"):
            if hasattr(x, side):
                good = np.ones((3, 2) if sign == "matmul" else (2, 3), np.float32)
                yield Case(f"Tensor.{side}", getattr(x, side), {"other": cavs.tensor(good)})
    yield Case("Tensor.__pow__", x.__pow__, {"exponent": 2})
    yield Case("Tensor.__pow__", x.__pow__, {"exponent": 1.5})
    yield Case("Tensor.__rpow__", x.__rpow__, {"base": 2})
    learns = lambda: cavs.tensor(np.ones((2, 3), np.float32), requires_grad=True)  # noqa: E731
    yield Case("Tensor.backward", lambda grad: (learns() * 2).backward(grad), {"grad": x})
    keeping = lambda keep: (learns() * 2).backward(x, retain_graph=keep)  # noqa: E731
    yield Case("Tensor.backward", keeping, {"keep": True})
    yield Case("Tensor.accumulate_grad", lambda grad: learns().accumulate_grad(grad), {"grad": x})

    square = cavs.tensor(np.float32([[2, 1], [1, 2]]))
    for name in ("cholesky", "logdet", "diagonal"):
        argument = "x" if name == "diagonal" else "a"
        yield Case(f"linalg.{name}", getattr(cavs.linalg, name), {argument: square})
    yield Case("linalg.solve", cavs.linalg.solve, {"a": square, "b": square})
    system = {"a": square, "b": square, "lower": True, "trans": False}
    yield Case("linalg.solve_triangular", cavs.linalg.solve_triangular, system)
    pairs = {"x": x, "y": x, "widths": [1.0, 2.0]}
    yield Case("pairwise_kernel_sum", cavs.pairwise_kernel_sum, pairs)
    yield Case(
        "pairwise_kernel_sum", lambda w: cavs.pairwise_kernel_sum(x, x, [1.0, w]), {"w": 2.0}
    )

    def set_data(values: Any) -> None:
        learns().data = values
        parameter().data = values

    yield Case("Tensor.data", set_data, {"values": np.ones((2, 3), np.float32)})
