"""Random operations: distributions of their samples, and what these depend on."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from model_runs import compiled

import cavs
from cavs import ops
from cavs.core.passes import PASSES
from cavs.errors import InputError, TraceError

COUNT = 40_000


class Draws(cavs.VertexFunction):
    """Pushes what `draw` makes of the vertex."""

    def __init__(self, draw: Callable[[cavs.Vertex], Any]) -> None:
        self._draw = draw

    def forward(self, v: cavs.Vertex) -> None:
        v.push(y=self._draw(v))


def draw(make: Callable[[cavs.Vertex], Any], **inputs: Any) -> np.ndarray:
    """One sample on each of many vertices."""
    model = cavs.compile(Draws(make))
    graphs = cavs.batch([cavs.InputGraph([[]] * COUNT)])
    values: np.ndarray = model(graphs, **inputs)["y"].data
    return values


def test_uniform_numbers() -> None:
    u = draw(lambda v: v.uniform(3))
    assert u.shape == (COUNT, 3)
    assert u.min() >= 0
    assert u.max() < 1
    np.testing.assert_allclose(u.mean(axis=0), 0.5, atol=0.01)
    np.testing.assert_allclose(u.var(axis=0), 1 / 12, atol=0.003)
    assert abs(np.corrcoef(u.T)[0, 1]) < 0.02


def test_normal_numbers() -> None:
    z = draw(lambda v: v.normal(2)).astype(np.float64)
    assert np.isfinite(z).all()
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
        np.testing.assert_allclose((z**power).mean(axis=0), moment, atol=0.03 * (1 + power))
    shifted = draw(lambda v: ops.normal(v.pull("mean"), 0.5), mean=np.full(COUNT, 3.0, np.float32))
    assert shifted.mean() == pytest.approx(3, abs=0.01)
    assert shifted.std() == pytest.approx(0.5, abs=0.01)


def test_bernoulli() -> None:
    p = np.repeat(np.float32([0, 0.2, 0.9, 1]), COUNT // 4)
    x = draw(lambda v: ops.bernoulli(v.pull("p")), p=p)
    assert set(np.unique(x)) == {0, 1}
    np.testing.assert_allclose(x.reshape(4, -1).mean(axis=1), [0, 0.2, 0.9, 1], atol=0.01)


@pytest.mark.parametrize(
    "sample",
    [
        ops.categorical,
        lambda logits: ops.one_hot_max(ops.gumbel_softmax(logits, 0.5)),
        lambda logits: ops.gumbel_softmax(logits, 2.0, hard=True),
    ],
)
def test_one_of_several(sample: Callable[[Any], Any]) -> None:
    p = np.array([0.1, 0.6, 0.3], np.float32)
    logits = np.tile(np.log(p), (COUNT, 1))
    x = draw(lambda v: sample(v.pull("logits", 3)), logits=logits)
    np.testing.assert_allclose(x.sum(axis=1), 1, atol=1e-6)
    assert set(np.unique(np.round(x, 5))) == {0, 1}
    np.testing.assert_allclose(x.mean(axis=0), p, atol=0.01)


@pytest.mark.parametrize(
    "sample", [ops.categorical, lambda logits: ops.gumbel_softmax(logits, 2.0, hard=True)]
)
def test_what_is_impossible_is_never_drawn(sample: Callable[[Any], Any]) -> None:
    inf = np.inf
    expected = {
        (0.0, -inf, 0.0): [0.5, 0, 0.5],
        (-inf, -inf, -80.0): [0, 0, 1],
        (-inf, -inf, -inf): [0, 0, 0],
        (inf, 3.0, inf): [0.5, 0, 0.5],  # what is infinitely likelier than all others
        (inf, -inf, 1e30): [1, 0, 0],
    }
    for logits, p in expected.items():
        rows = np.tile(np.float32(logits), (COUNT, 1))
        x = draw(lambda v: sample(v.pull("logits", 3)), logits=rows)
        np.testing.assert_allclose(x.sum(axis=1), sum(p), atol=1e-6)
        np.testing.assert_allclose(x.mean(axis=0), p, atol=0.01)
        np.testing.assert_array_equal(x[:, np.equal(p, 0)], 0)


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan")])
def test_a_temperature_is_above_zero(temperature: float) -> None:
    with pytest.raises(InputError, match=r"\[gumbel_softmax\] expected a finite temperature > 0"):
        draw(lambda v: ops.gumbel_softmax(v.uniform(3), temperature))


def test_tensors_have_a_generator() -> None:
    with pytest.raises(TraceError, match=r"\[uniform\].*cavs\.Generator"):
        ops.normal(cavs.Tensor([1.0]), 1.0)


def test_samples_need_rows() -> None:
    half = np.full(3, 0.5, np.float32)
    match = r"\[uniform\].*without rows.*add 0\.0 \* v\.uniform\(\)"
    with pytest.raises(cavs.errors.ShapeError, match=match):
        draw(lambda v: v.uniform(3) + ops.bernoulli(cavs.Parameter(half)))
    drawn = draw(lambda v: ops.bernoulli(ops.constant(half) + 0.0 * v.uniform()))
    assert len(np.unique(drawn, axis=0)) == 8  # each vertex its own


def test_what_has_the_rows_of_graphs_is_drawn_once_for_each() -> None:
    def latent(v: cavs.Vertex) -> Any:
        of_graph = 0.0 * v.uniform(3).graph_mean()
        return ops.normal(of_graph, np.ones(3)) + 0.0 * v.uniform()

    assert len(np.unique(draw(latent), axis=0)) == 1


@pytest.mark.usefixtures("restored_threads")
def test_samples_are_the_same_bits_however_graphs_are_batched() -> None:
    rng = np.random.default_rng(0)
    graphs = [cavs.InputGraph([[], [], [0, 1], [2, 0, 2]][:n]) for n in (4, 1, 3, 4, 2)]
    keys = np.array([7, 3, 2**40, 9, 1], np.int64)
    inputs = {
        "x": rng.normal(size=(14, 3)),
        "style": rng.normal(size=(5, 3)),
        "word": rng.integers(-1, 5, size=14).astype(np.int32),
    }

    def run(order: list[int], **options: Any) -> list[dict[str, np.ndarray]]:
        """Outputs by graph: rows of vertices, since edges' follow from them."""
        model = compiled("Samples", **options)
        model.set_random_state({"seed": 5, "step": 2**33 + 1})
        batch = cavs.batch([graphs[i] for i in order], keys=keys[order])
        ptr = np.cumsum([0, *(g.num_vertices for g in graphs)])
        rows = np.concatenate([np.arange(ptr[i], ptr[i + 1]) for i in order])
        given = {
            "x": inputs["x"][rows],
            "word": inputs["word"][rows],
            "style": inputs["style"][order],
        }
        out = model(batch, **given)
        return [
            {k: y.data[a:b] for k, y in out.items() if k != "kept"}
            for a, b in zip(batch.ptr[:-1], batch.ptr[1:], strict=True)
        ]

    # Uniform numbers are the same bits everywhere; what is computed from them is within one way of
    # computing, whatever the batch.
    expected = run([0, 1, 2, 3, 4])
    for count in (1, 3):
        cavs.set_num_threads(count)
        for passes in ((), PASSES):
            for policy in ("serial", "batching"):
                for order in ([4, 2, 0, 1, 3], [2]):
                    for i, out in zip(order, run(order, passes=passes, policy=policy), strict=True):
                        np.testing.assert_array_equal(out["u"], expected[i]["u"])
                        np.testing.assert_array_equal(out["chosen"], expected[i]["chosen"])
                        for name, y in out.items():
                            np.testing.assert_allclose(y, expected[i][name], rtol=1e-12, atol=1e-12)


def test_each_call_draws_anew_and_a_state_repeats_it() -> None:
    model = cavs.compile(Draws(lambda v: v.uniform(4)))
    graph = cavs.InputGraph([[]])
    for mode in (model.train(), model.eval()):
        state = mode.random_state()
        first, second = mode(graph)["y"].data, mode(graph)["y"].data
        assert (first != second).all()
        mode.set_random_state(state)
        np.testing.assert_array_equal(mode(graph)["y"].data, first)
        with cavs.no_grad():
            assert (mode(graph)["y"].data == second).all()


def test_dropout_alone_draws_nothing_in_evaluation() -> None:
    model = cavs.compile(Draws(lambda v: ops.dropout(v.pull("x"), 0.5))).eval()
    before = model.random_state()
    model(cavs.InputGraph([[]]), x=np.ones(1, np.float32))
    assert model.random_state() == before
