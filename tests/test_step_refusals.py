"""A step of `Model.step` that fails changes nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from model_runs import draw_inputs
from trained_functions import GRAPHS, OPTIMIZERS, Trained

import cavs
from cavs import ops, optim
from cavs.errors import CavsRuntimeError, InputError, NonFiniteError, ShapeError


def nan_options(trained: Trained) -> None:
    trained.optimizer.groups[0]["lr"] = math.nan


WRONG: dict[str, tuple[dict[str, Any], Any, type[Exception], str]] = {
    "loss": ({"loss": "lost"}, None, InputError, r"an output among \['logits', 'loss'\].*'lost'"),
    "scale": ({"scale": math.nan}, None, InputError, "expected a finite scale"),
    "scale-text": ({"scale": "1"}, None, InputError, "expected a finite scale"),
    "scale-huge": ({"scale": 10**400}, None, InputError, "expected a finite scale"),
    "clip-huge": ({"clip_norm": 10**400}, None, InputError, "a finite clip_norm >= 0"),
    "clip-nan": ({"clip_norm": math.nan}, None, InputError, "a finite clip_norm >= 0"),
    "clip-inf": ({"clip_norm": math.inf}, None, InputError, "a finite clip_norm >= 0"),
    "clip-negative": ({"clip_norm": -1.0}, None, InputError, "clip_norm >= 0"),
    "unknown": ({"wrod": np.zeros(8, np.int32)}, None, InputError, "wrod"),
    "rows": ({"word": np.zeros(3, np.int32)}, None, ShapeError, "'word'"),
    "ids": ({"word": np.full(8, 1000)}, None, InputError, "ids in"),
    "lr": ({}, nan_options, InputError, "lr: expected a finite number"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_refused_step_changes_nothing(name: str) -> None:
    changes, spoil, error, match = WRONG[name]
    trained = Trained("ChildSumTreeLSTM", "float32", OPTIMIZERS["adam"])
    inputs = draw_inputs(trained.model, GRAPHS)
    trained.model.step(GRAPHS, trained.optimizer, **inputs)
    if spoil is not None:
        spoil(trained)
    before, random = trained.kept(), trained.model.random_state()
    with pytest.raises(error, match=match):
        trained.model.step(GRAPHS, trained.optimizer, **{**inputs, **changes})
    assert trained.kept() == before
    assert spoil is not None or trained.model.random_state() == random


class Roots(cavs.VertexFunction):
    """The gradient of its loss at 0 is infinite; the loss of what is below is NaN."""

    def __init__(self) -> None:
        self.w = cavs.Parameter(np.ones(3, np.float32))

    def forward(self, v: cavs.Vertex) -> None:
        v.push(loss=ops.sum(ops.sqrt(v.pull("x", 3) * self.w), -1), one=v.pull("x", 3) * self.w)


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_what_is_not_finite_changes_nothing(executor: str) -> None:
    model = cavs.compile(Roots(), executor=executor)
    optimizer = optim.Adam(model.parameters())
    graphs = cavs.batch([cavs.InputGraph([[]])])
    with np.errstate(all="ignore"):
        with pytest.raises(NonFiniteError, match=r"expected a finite loss, got nan"):
            model.step(graphs, optimizer, x=-np.ones((1, 3), np.float32))
        with pytest.raises(NonFiniteError, match="expected gradients of a finite norm"):
            model.step(graphs, optimizer, clip_norm=1.0, x=np.zeros((1, 3), np.float32))
    assert model.parameters()[0].data.tolist() == [1.0, 1.0, 1.0]
    assert optimizer.state_dict()["0.step"] == 0
    model.step(graphs, optimizer, loss="one", clip_norm=1.0, x=np.ones((1, 3), np.float32))
    assert optimizer.state_dict()["0.step"] == 1


@pytest.mark.parametrize("changed", ["by another model", "by new data"])
def test_a_parameter_of_another_dtype_says_who_changed_it(changed: str) -> None:
    """A step spoke of its plan; a call, of an array to convert."""
    trained = Trained("ChildSumTreeLSTM", "float32", OPTIMIZERS["adam"])
    inputs = draw_inputs(trained.model, GRAPHS)
    trained.model.step(GRAPHS, trained.optimizer, **inputs)
    first, parameter = next(iter(trained.model.named_parameters()))
    if changed == "by new data":
        parameter.data = parameter.data.astype("float64")
    else:
        cavs.compile(trained.model.function, dtype="float64")
    before = trained.kept()
    for use in (
        lambda: trained.model.step(GRAPHS, trained.optimizer, **inputs),
        lambda: trained.model(GRAPHS, **inputs),
    ):
        with pytest.raises(CavsRuntimeError) as caught:
            use()
        assert f"expected parameter {first!r} as float32, for which this model" in str(caught.value)
        assert "got float64, to which another model of the same function" in str(caught.value)
    assert trained.kept() == before


def test_where_nothing_learns_a_step_is_refused() -> None:
    trained = Trained("ChildSumTreeLSTM", "float32", OPTIMIZERS["sgd"])
    inputs = draw_inputs(trained.model, GRAPHS)
    with cavs.no_grad(), pytest.raises(CavsRuntimeError, match=r"\[step\].*no_grad"):
        trained.model.step(GRAPHS, trained.optimizer, **inputs)
    for parameter in trained.model.parameters():
        parameter.requires_grad = False
    with pytest.raises(CavsRuntimeError, match=r"\[step\]"):
        trained.model.step(GRAPHS, trained.optimizer, **inputs)


def test_what_is_no_optimizer_is_refused() -> None:
    trained = Trained("ChildSumTreeLSTM", "float32", OPTIMIZERS["sgd"])
    wrong: Any = trained.model.parameters()
    with pytest.raises(InputError, match=r"expected an optimizer of cavs.optim, got list"):
        trained.model.step(GRAPHS, wrong, **draw_inputs(trained.model, GRAPHS))


def test_a_layer_replaced_in_another_model_of_the_optimizer() -> None:
    """An error as of the separate calls, and nothing has changed."""
    one, other = (Trained("ChildSumTreeLSTM", "float32", OPTIMIZERS["sgd"]) for _ in range(2))
    one.optimizer = optim.SGD([*one.model.parameters(), *other.model.parameters()], lr=0.1)
    inputs = draw_inputs(one.model, GRAPHS)
    one.model.step(GRAPHS, one.optimizer, **inputs)
    name, layer = next(
        (n, x) for n, x in vars(other.model.function).items() if hasattr(x, "weight")
    )
    setattr(other.model.function, name, type(layer)(*layer.weight.shape))
    before = one.kept(), one.model.random_state()
    with pytest.raises(CavsRuntimeError, match=f"attribute '{name}'"):
        one.model.step(GRAPHS, one.optimizer, **inputs)
    assert (one.kept(), one.model.random_state()) == before
