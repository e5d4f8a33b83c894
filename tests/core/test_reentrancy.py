"""Compiling while another function is in its forward: in other threads, or within that forward."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from busy_threads import compiling, together
from small_trees import compile_another, sample, train, tree_lstm, trees

import cavs
from cavs.core.trace import trace


def test_operations_of_other_threads_are_computed_while_one_compiles() -> None:
    weight = cavs.Parameter(np.ones((2, 3), np.float32))
    with compiling():
        results = [weight * 2.0, weight.sum(), weight[1], cavs.ops.tanh(weight)]
    assert all(isinstance(y, cavs.Tensor) for y in results)
    np.testing.assert_array_equal(results[0].numpy(), 2)


def test_other_threads_compile_call_and_train_while_one_compiles() -> None:
    graphs = trees()
    with compiling():
        model = tree_lstm()
        assert np.isfinite(train(model, graphs, sample(graphs)))


def test_forwards_of_several_threads_at_once() -> None:
    """Each in the middle of its own; random operations are numbered in each from 0."""
    count, barrier = 3, threading.Barrier(3)

    class Meeting(cavs.VertexFunction):
        def __init__(self) -> None:
            self.layer = cavs.nn.Linear(3, 2)
            self.scale = 2.0

        def forward(self, v: cavs.Vertex) -> None:
            h = self.layer(v.pull("x", 3))
            for _ in range(4):
                barrier.wait(60)
                h = h + v.uniform(2)
            barrier.wait(60)
            v.push(y=h * self.scale)

    functions = [Meeting() for _ in range(count)]
    models = together(count, lambda n: cavs.compile(functions[n]))
    barrier = threading.Barrier(1)
    alone = cavs.compile(functions[0])
    x = np.zeros((5, 3), np.float32)
    for function in functions[1:]:
        function.layer.load_state_dict(functions[0].layer.state_dict())
    results = [model(trees(1), x=x)["y"].numpy() for model in [alone, *models]]
    for y in results:
        np.testing.assert_array_equal(y, results[0])
    # What each forward read is noted for it, and for nobody else.
    functions[1].scale = 3.0
    for function, model in zip(functions, models, strict=True):
        if function is functions[1]:
            with pytest.raises(cavs.CavsRuntimeError, match="scale"):
                model(trees(1), x=x)
        else:
            model(trees(1), x=x)


def test_no_hooks_are_left_behind() -> None:
    together(4, lambda _: tree_lstm())
    assert not {"__getattribute__", "__setattr__"} & set(vars(cavs.Module))


class Nested(cavs.VertexFunction):
    """Compiles and runs another function in the middle of its own forward."""

    def __init__(self, inner: Callable[[], None] | None) -> None:
        self.inner = inner
        self.layer = cavs.nn.Linear(3, 2)

    def forward(self, v: cavs.Vertex) -> None:
        first, second = v.uniform(4), v.uniform(4)
        if self.inner is not None:
            self.inner()
        third, fourth = v.uniform(4), v.uniform(4)
        v.push(a=first, b=second, c=third, d=fourth, y=self.layer(v.pull("x", 3)))


def fail_to_compile() -> None:
    with pytest.raises(cavs.TraceError, match="bad"):
        cavs.compile(Failing())


class Failing(cavs.VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        v.uniform(3)
        raise cavs.TraceError("bad")


@pytest.mark.parametrize("inner", [compile_another, fail_to_compile])
def test_a_compile_within_a_forward_changes_nothing_in_it(inner: Callable[[], None]) -> None:
    plain, nested = cavs.compile(Nested(None)), cavs.compile(Nested(inner))
    nested.load_state_dict(plain.state_dict())
    x = np.ones((5, 3), np.float32)
    out, expected = nested(trees(1), x=x), plain(trees(1), x=x)
    for name in "abcdy":
        np.testing.assert_array_equal(out[name].numpy(), expected[name].numpy())
    numbers = np.concatenate([out[name].numpy() for name in "abcd"], axis=None)
    assert len(np.unique(numbers)) == numbers.size
    for node in trace(Nested(inner)).function.pushes.values():
        assert node.where is not None
        assert node.where.file == __file__


def test_lines_are_those_of_the_function_after_a_compile_within() -> None:
    class Wrong(cavs.VertexFunction):
        def forward(self, v: cavs.Vertex) -> None:
            compile_another()
            y = v.pull("x", 3)
            if y:
                pass

    with pytest.raises(cavs.TraceError, match=re.escape(Path(__file__).name) + r":\d+ \(if y:\)"):
        cavs.compile(Wrong())
    with pytest.raises(cavs.TraceError) as error:
        bool(cavs.core.ir.constant(1.0))  # outside of any trace
    assert " at " not in str(error.value).split("symbol without a value")[1]


def test_after_a_forward_that_failed_parameters_are_tensors() -> None:
    fail_to_compile()
    weight = cavs.Parameter(np.ones(3, np.float32))
    assert isinstance(weight * 2.0, cavs.Tensor)
