"""What `detect_nonfinite` finds in backward calls, and where it says that is."""

from __future__ import annotations

from typing import Any

import numpy as np
from nonfinite_functions import GRAPHS, Sums, error_of, line_of, log, rows

import cavs
from cavs import ops


def test_backward_from_infinity_names_its_output_and_line() -> None:
    model = cavs.compile(Sums(lambda v, x: ops.exp(x * 1000.0)))

    def run() -> None:
        model(GRAPHS, x=rows(v0=-1.0, v1=-1.0, v2=-1.0))["y"].sum().backward()

    message = error_of(run)
    assert "expected backward from a finite value, got inf" in message
    assert "output 'y' of graph 1, vertex 0 has it first; the first comes from exp at " in message


def cross_entropy_of_a_mask(v: cavs.Vertex, x: Any) -> Any:
    logits = ops.where(ops.greater(v.pull("mask", 3), 0.0), x, -np.inf)
    return ops.cross_entropy(logits, v.pull("label", dtype="int32"))


def test_infinity_that_f_has_as_a_mask_is_not_its_origin() -> None:
    mask = np.ones((6, 3), np.float32)
    mask[4, 1] = 0.0
    model = cavs.compile(Sums(cross_entropy_of_a_mask))
    inputs = {"x": rows(), "mask": mask, "label": np.full(6, 1, np.int32)}
    message = error_of(lambda: model(GRAPHS, **inputs)["y"].sum().backward())
    line = line_of(cross_entropy_of_a_mask, "cross_entropy(logits")
    assert "output 'y' of graph 1, vertex 1 has it first" in message
    assert f"the first comes from cross_entropy at {line}" in message


def test_backward_names_the_operation_of_the_tape() -> None:
    y = cavs.compile(Sums(lambda v, x: x - 1.0))(GRAPHS, x=rows())["y"]
    assert "the first comes from 'log', an operation on tensors" in error_of(
        lambda: ops.log(y.sum() * 0.0).backward()
    )


def test_a_gradient_that_is_not_finite_names_parameter_graph_and_line() -> None:
    model = cavs.compile(Sums(lambda v, x: ops.sqrt(ops.maximum(x, 0.0))))

    def run() -> None:
        model(GRAPHS, x=rows(v3=0.0))["y"].sum().backward()

    message = error_of(run)
    assert "expected a finite gradient of parameter 'w', got" in message
    assert "in a derivative of graph 1, vertex 0 at " in message
    assert "ops.sqrt" in message
    assert model.function.w.grad is None


def test_the_gradient_of_an_input_is_named() -> None:
    model = cavs.compile(Sums(lambda v, x: ops.sqrt(x)))
    model.function.w.requires_grad = False
    x = cavs.tensor(rows(v5=-2.0), requires_grad=True)
    message = error_of(lambda: model(GRAPHS, x=x)["y"].sum().backward())
    assert "expected a finite gradient of input 'x', got inf" in message
    assert "graph 1, vertex 2" in message
    assert x.grad is None


def test_a_cotangent_that_comes_from_tensors_is_named() -> None:
    model = cavs.compile(Sums(lambda v, x: x - 1.0))

    def run() -> None:
        y = model(GRAPHS, x=rows())["y"]
        ops.sqrt(y).sum().backward()

    message = error_of(run)
    assert "the cotangent of output 'y' has it already" in message
    assert "the derivative of 'sqrt'" in message


def test_a_cotangent_given_to_backward_is_looked_at() -> None:
    y = cavs.compile(Sums(log))(GRAPHS, x=rows())["y"]
    cotangent = np.ones(y.shape, np.float32)
    cotangent[2, 1] = np.inf
    assert "expected backward from a finite cotangent, got inf at (2, 1)" in error_of(
        lambda: y.backward(cotangent)
    )


def test_a_sum_of_finite_gradients_that_overflows_says_so() -> None:
    model = cavs.compile(Sums(lambda v, x: x * 1e38))
    model.function.w.data[...] = 1e-3
    message = error_of(lambda: model(GRAPHS, x=rows())["y"].sum().backward())
    assert "expected a finite gradient of parameter 'w', got inf" in message
    assert "of each vertex of graph 0 is finite, and their sum is not" in message
    message = error_of(lambda: model(GRAPHS, x=rows() * 0.4)["y"].sum().backward())
    assert "of each graph alone is finite, and their sum is not" in message
