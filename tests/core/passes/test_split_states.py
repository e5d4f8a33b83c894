"""States of several types are apart where some of them then wait for no level."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cavs
from cavs import nn, ops
from cavs.core.compiler import Compiler
from cavs.core.ir import FunctionIR
from cavs.core.passes import PASSES, Context, split_states
from cavs.core.passes.split_states import OfTypes
from cavs.core.program import SegmentKind
from cavs.core.trace import trace

SHAPE, SIZE = (2, 3), 6
ON = Context(("hoist", "defer"))


class Word(cavs.VertexFunction):
    def forward(self, v: cavs.Vertex) -> None:
        x = v.pull("x", SIZE)
        v.scatter(x=x, k=x.reshape(SHAPE))


class Layer(cavs.VertexFunction):
    """Attention over the layer below, whose states are called as its own; `of` is its type."""

    def __init__(self, of: str | None) -> None:
        self.of = of
        self.query, self.key = nn.Linear(SIZE, SIZE), nn.Linear(SIZE, SIZE)

    def forward(self, v: cavs.Vertex) -> None:
        own, kids = v.gather(-1, of=self.of, x=SIZE), v.gather(of=self.of, k=SHAPE)
        read = ops.attention(self.query(own.x).reshape(SHAPE), kids.k, kids.k)
        x = ops.tanh(own.x + read.reshape(SIZE))
        v.scatter(x=x, k=self.key(x).reshape(SHAPE))
        v.push(y=x)


class Chain(cavs.VertexFunction):
    """A recurrence over states of its own type."""

    def forward(self, v: cavs.Vertex) -> None:
        before, below = v.gather(0, of="chain", x=SIZE), v.gather(0, of="low", x=SIZE)
        x = ops.tanh(before.x + below.x)
        v.scatter(x=x)
        v.push(h=x)


def layers(*of: str | None) -> cavs.TypedFunction:
    nn.init.manual_seed(3)
    low, high = of
    return cavs.TypedFunction({"word": Word(), "low": Layer(low), "high": Layer(high)})


def split(function: cavs.TypedFunction, context: Context = ON) -> FunctionIR:
    return split_states(trace(function).function, context)


def text(words: int) -> cavs.InputGraph:
    count = [0] * words + 2 * [*range(1, words + 1)]
    types = [name for name in ("word", "low", "high") for _ in range(words)]
    return cavs.InputGraph.windows([0] * 2 * words + [words] * words, count, types=types)


def results(model: cavs.Model) -> list[np.ndarray]:
    x = cavs.tensor(np.random.default_rng(0).normal(size=(7, SIZE)), requires_grad=True)
    y = model(cavs.batch([text(4), text(3)]), x=x)["y"]
    (y * np.random.default_rng(1).normal(size=y.shape)).sum().backward()
    return [
        y.numpy(),
        *(np.asarray(a.grad) for a in (x, *model.parameters()) if a.grad is not None),
    ]


def test_states_that_layers_read_by_type_are_apart() -> None:
    states = set(split(layers("word", "low")).scatters)
    assert states == {OfTypes(name, (of,)) for name in "xk" for of in ("word", "low")}
    assert sorted(map(str, states)) == ["k of low", "k of word", "x of low", "x of word"]


@pytest.mark.parametrize("of", [(None, None), ("word", None), (None, "low")])
def test_states_that_are_read_of_any_type_stay_together(of: tuple[str | None, str | None]) -> None:
    function = layers(*of)
    before = trace(function).function
    assert split_states(before, ON) is before


@pytest.mark.parametrize("switches", [(), ("hoist",), ("defer",)])
def test_nothing_is_split_where_all_runs_by_level(switches: tuple[str, ...]) -> None:
    before = trace(layers("word", "low")).function
    assert split_states(before, Context(switches)) is before


def test_a_recurrence_over_a_layer_leaves_the_layer_without_levels() -> None:
    kinds = {"word": Word(), "low": Layer("word"), "chain": Chain()}
    states = split(cavs.TypedFunction(kinds)).scatters
    assert set(states) == {"k", *(OfTypes("x", (of,)) for of in ("word", "low", "chain"))}


def test_what_gains_nothing_stays_one_state() -> None:
    class Turn(cavs.VertexFunction):
        def __init__(self, other: str) -> None:
            self.other = other

        def forward(self, v: cavs.Vertex) -> None:
            x = ops.tanh(v.pull("x", SIZE) + v.gather(0, of=self.other, x=SIZE).x)
            v.scatter(x=x)
            v.push(y=x)

    before = trace(cavs.TypedFunction({"a": Turn("b"), "b": Turn("a")})).function
    assert split_states(before, ON) is before


def test_values_and_gradients_are_those_without_the_pass() -> None:
    function = layers("word", "low")
    without = tuple(name for name in PASSES if name != "split_states")
    models = [
        cavs.compile(function, dtype="float64", **options)
        for options in ({"executor": "reference"}, {}, {"passes": without})
    ]
    expected, *others = map(results, models)
    assert len(expected) > 4
    for found in others:
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


def test_split_states_run_without_levels() -> None:
    def by_level(passes: tuple[str, ...]) -> bool:
        program = Compiler(layers("word", "low"), passes).training(())
        return any(segment.kind is SegmentKind.LEVELS for segment in program.segments)

    assert not by_level(PASSES)
    assert by_level(tuple(name for name in PASSES if name != "split_states"))


def test_a_text_that_grows_has_the_values_of_one_that_is_there() -> None:
    model = cavs.compile(layers("word", "low"), dtype="float64").eval()
    x = np.random.default_rng(2).normal(size=(3, SIZE))

    def expand(level: cavs.Frontier) -> cavs.Growth | None:
        word, layer = divmod(level.level + 1, 3)
        if word == len(x):
            return None
        if layer == 0:
            return cavs.Growth([[]], {"x": x[word : word + 1]}, graph=[0], types=["word"])
        below = [[3 * i + layer - 1 for i in range(word + 1)]]
        return cavs.Growth(below, types=["low" if layer == 1 else "high"])

    roots = cavs.Growth([[]], {"x": x[:1]}, graph=[0], types=["word"])
    grown: Any = cavs.unfold(model, roots, expand, num_graphs=1)
    known = model(text(3), x=x)["y"].numpy()
    order = [0, 3, 1, 4, 2, 5]  # a word's two layers follow each other as it grows
    np.testing.assert_allclose(grown.outputs["y"], known[order], rtol=1e-12)
