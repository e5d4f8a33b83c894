"""Gradients of a call of a model: of inputs along the tape, and of parameters."""

from __future__ import annotations

import numpy as np
import pytest
import vertex_functions
from model_runs import compiled, draw_inputs

import cavs
from cavs.errors import CavsRuntimeError

GRAPHS = cavs.batch([cavs.InputGraph([[], [], [0, 1]]), cavs.InputGraph([[], [0]])])


def test_a_tensor_of_the_other_precision_gets_its_gradient_in_its_own() -> None:
    model = compiled("NoParameters", "float32")
    x = cavs.Tensor(np.ones((5, 3)), requires_grad=True)
    model(GRAPHS, x=x)["h"].sum().backward()
    assert x.grad.dtype == np.float64
    assert (x.grad != 0).any()


def test_pushes_of_one_model_are_the_pulls_of_the_next() -> None:
    first, second = compiled("NoParameters"), compiled("HoistedState")
    x = np.random.default_rng(0).normal(size=(5, 3))

    given = cavs.Tensor(x, requires_grad=True)
    y = second(GRAPHS, x=first(GRAPHS, x=given)["h"] * 2.0)["y"]
    (y * y).sum().backward()

    def value(values: np.ndarray) -> float:
        with cavs.no_grad():
            y = second(GRAPHS, x=first(GRAPHS, x=values)["h"] * 2.0)["y"]
        return float((y.data * y.data).sum())

    for at in np.ndindex(*x.shape):
        moved = np.zeros_like(x)
        moved[at] = 1e-5
        difference = (value(x + moved) - value(x - moved)) / 2e-5
        assert given.grad[at] == pytest.approx(difference, rel=1e-6, abs=1e-9)


def test_embedding_gradients_have_the_rows_that_were_read() -> None:
    model = compiled("ChildSumTreeLSTM", "float32")
    inputs = draw_inputs(model, GRAPHS)
    model.zero_grad()
    inputs["word"] = np.array([5, -1, 2, 5, 5])
    model(GRAPHS, **inputs)["loss"].sum().backward()
    grad = dict(model.named_parameters())["embedding.weight"].grad
    assert isinstance(grad, cavs.RowSparse)
    assert grad.indices.tolist() == [2, 5]
    first = grad.to_dense()
    model(GRAPHS, **inputs)["loss"].sum().backward()
    grad = dict(model.named_parameters())["embedding.weight"].grad
    assert isinstance(grad, cavs.RowSparse)
    np.testing.assert_allclose(grad.to_dense(), 2 * first, rtol=1e-6)


def test_freezing_between_a_call_and_its_backward_is_refused() -> None:
    model = cavs.compile(vertex_functions.make_function("NoGather"), dtype="float64")
    loss = model(GRAPHS, **draw_inputs(model, GRAPHS))["loss"].sum()
    model.parameters()[0].requires_grad = False
    with pytest.raises(
        CavsRuntimeError, match=r"\[backward\] expected requires_grad of the parameters as in"
    ):
        loss.backward()
