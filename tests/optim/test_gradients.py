"""Gradients that do not fit their parameters are named, and nothing changes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import cavs
from cavs import optim
from cavs.errors import CavsError, ShapeError
from cavs.tensor import Parameter, RowSparse


def test_gradients_that_do_not_fit_are_named() -> None:
    p = Parameter(np.ones(2))
    for grad in (np.ones(3), np.ones(2, np.float32)):
        p.grad = grad
        with pytest.raises(
            ShapeError, match=r"expected a gradient float64 \(2,\) of parameter 'w'"
        ):
            optim.SGD([("w", p)], lr=0.1).step()


class Layered(cavs.VertexFunction):
    """Parameters with paths, which an optimizer gets without names."""

    def __init__(self) -> None:
        self.u_iou = cavs.nn.Linear(2, 2)

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=self.u_iou(v.pull("x", 2)))


Change = Callable[[Parameter], None]
UNFIT: dict[str, tuple[Change, str]] = {
    "shape": (
        lambda p: setattr(p, "grad", np.ones((2, 3), np.float32)),
        r"a gradient float32 \(2, 2\) of parameter 'u_iou.weight', got float32 \(2, 3\)",
    ),
    "dtype": (
        lambda p: setattr(p, "grad", np.ones((2, 2))),
        r"parameter 'u_iou.weight', got float64 \(2, 2\)",
    ),
    "rows": (
        lambda p: setattr(
            p, "grad", RowSparse(np.zeros(1, np.int32), np.ones((1, 2), np.float32), (3, 2))
        ),
        r"parameter 'u_iou.weight', got float32 \(3, 2\)",
    ),
    "list": (
        lambda p: setattr(p, "grad", [[1.0, 1.0]]),
        r"an array as gradient of parameter 'u_iou.weight', got list",
    ),
    "number": (
        lambda p: setattr(p, "grad", 1.0),
        r"an array as gradient of parameter 'u_iou.weight', got float",
    ),
    "order": (
        lambda p: setattr(p, "grad", np.asfortranarray(np.ones((2, 2), np.float32))),
        r"C-contiguous gradient of parameter 'u_iou.weight'",
    ),
    "memory": (
        lambda p: setattr(p, "grad", p.data),
        r"gradient of parameter 'u_iou.weight' in memory of its own, got its values",
    ),
    "values": (
        lambda p: (p.take(np.ones((1, 2))), setattr(p, "grad", np.ones((1, 2))))[0],
        r"as float32 \(2, 2\) on cpu, for which exp_avg is kept, got float64",
    ),
    "nan": (
        lambda p: setattr(p, "grad", np.full((2, 2), np.nan, np.float32)),
        r"a finite gradient of parameter 'u_iou.weight'",
    ),
}


@pytest.mark.parametrize("case", UNFIT)
@pytest.mark.parametrize("named", [False, True])
def test_parameters_without_names_are_called_by_their_paths(case: str, named: bool) -> None:
    change, message = UNFIT[case]
    model = cavs.compile(Layered())
    optimizer = optim.Adam(model.named_parameters() if named else model.parameters(), lr=0.1)
    before = model.function.u_iou.bias.data.copy()
    model.function.u_iou.bias.grad = np.ones(2, np.float32)
    change(model.function.u_iou.weight)
    with cavs.detect_nonfinite(case == "nan"), pytest.raises(CavsError, match=message):
        optimizer.step()
    assert (model.function.u_iou.bias.data == before).all()


def test_a_parameter_that_was_not_compiled_is_called_by_its_number() -> None:
    p = Parameter(np.ones(2))
    p.grad = np.ones(3)
    with pytest.raises(ShapeError, match="of parameter '0', got"):
        optim.SGD([p], lr=0.1).step()
