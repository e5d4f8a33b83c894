"""Graphs that grew are computed again: the same draws, and gradients by what was sampled."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import cavs
from cavs import Growth, nn, ops
from cavs.errors import InputError

SIZE, STEPS = 3, 12


class Bits(cavs.VertexFunction):
    """A chain that draws a bit at each vertex, by all bits before."""

    def __init__(self) -> None:
        self.cell = nn.Linear(SIZE + 1, SIZE)
        self.score = nn.Linear(SIZE, 1)
        self.drop = nn.Dropout(0.5)

    def forward(self, v: cavs.Vertex) -> None:
        before = v.gather(0, h=SIZE, bit=1)
        h = ops.tanh(self.cell(ops.concat([before.h, before.bit])))
        p = ops.sigmoid(self.score(h))
        bit = ops.stop_gradient(ops.bernoulli(p))
        v.scatter(h=h, bit=bit)
        log_p = ops.sum(bit * ops.log(p) + (1 - bit) * ops.log(1 - p))
        v.push(bit=bit, log_p=log_p, noise=v.normal(2), dropped=self.drop(h * 0 + 1))


def chains(model: cavs.Model, graphs: int, steps: int = STEPS) -> cavs.Unfolded:
    def expand(frontier: cavs.Frontier) -> Growth | None:
        return Growth(frontier.vertices) if frontier.level < steps - 1 else None

    roots = Growth([[]] * graphs, graph=np.arange(graphs))
    return cavs.unfold(model, roots, expand, num_graphs=graphs)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("executor", ["native", "reference"])
def test_a_replay_draws_the_same(executor: str, training: bool) -> None:
    """And calls in between do not matter; graphs alone draw what they draw in company."""
    nn.init.manual_seed(0)
    model = cavs.compile(Bits(), seed=5, executor=executor).train(training)
    model.set_random_state({"seed": 5, "step": 17})
    grown = chains(model, 4, 5)
    assert (grown.seed, grown.step, grown.keys.tolist()) == (5, 17, [0, 1, 2, 3])
    chains(model, 2, 3)
    state = model.random_state()
    for name, y in model.replay(grown).items():
        np.testing.assert_array_equal(y.data, grown.outputs[name], err_msg=name)
    assert model.random_state() == state
    model.set_random_state({"seed": 5, "step": 17})
    alone = chains(model, 1, 5)
    for name, y in alone.outputs.items():
        np.testing.assert_array_equal(y, grown.outputs[name][:5])


def test_both_executors_grow_the_same() -> None:
    nn.init.manual_seed(0)
    function = Bits()
    grown = [chains(cavs.compile(function, executor=x), 3) for x in ("native", "reference")]
    assert grown[0].graphs.num_vertices == 3 * STEPS
    for name, y in grown[0].outputs.items():
        np.testing.assert_allclose(grown[1].outputs[name], y, rtol=1e-5, err_msg=name)


def test_reinforce_is_a_loss_on_a_replay() -> None:
    """Its gradient is that of the expected reward, by all 2**12 outcomes."""
    nn.init.manual_seed(3)
    model = cavs.compile(Bits(), seed=1, dtype="float64").eval()

    def reward(bits: np.ndarray) -> np.ndarray:  # (chains, STEPS)
        return (bits[:, 1:] != bits[:, :-1]).sum(axis=1) + 2.0 * bits[:, 0]

    def gradient(loss: cavs.Tensor) -> np.ndarray:
        model.zero_grad()
        loss.backward()
        return np.concatenate([np.asarray(p.grad).ravel() for p in model.parameters()])

    # All outcomes: log p of given bits, by a function that reads them.
    class Given(cavs.VertexFunction):
        def __init__(self, bits: Bits) -> None:
            self.cell, self.score = bits.cell, bits.score

        def forward(self, v: cavs.Vertex) -> None:
            before = v.gather(0, h=SIZE, bit=1)
            h = ops.tanh(self.cell(ops.concat([before.h, before.bit])))
            p, bit = ops.sigmoid(self.score(h)), v.pull("bit", 1)
            v.scatter(h=h, bit=bit)
            v.push(log_p=ops.sum(bit * ops.log(p) + (1 - bit) * ops.log(1 - p)))

    every = np.array(list(itertools.product([0.0, 1.0], repeat=STEPS)))
    chain = cavs.InputGraph([[], *([i] for i in range(STEPS - 1))])
    given = cavs.compile(Given(model.function), dtype="float64")
    graphs = cavs.batch([chain] * len(every))
    log_p = cavs.readout(graphs, given(graphs, bit=every.reshape(-1, 1))["log_p"], "sum")
    probability = ops.exp(log_p)
    assert abs(probability.numpy().sum() - 1) < 1e-9
    expected = gradient((probability * cavs.Tensor(reward(every))).sum())

    found = []
    for _ in range(60):
        grown = chains(model, 64)
        won = reward(grown.outputs["bit"].reshape(64, STEPS))
        out = model.replay(grown, outputs=["log_p"])
        weights = cavs.Tensor(np.repeat(won - won.mean() * 63 / 64, STEPS) / 64)
        found.append(gradient((weights * out["log_p"]).sum()))
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(len(found))
    # Centred by the mean of the others, up to 1 / 64 of its own reward.
    assert (np.abs(mean - expected) < 3.5 * error + 0.03 * np.abs(expected).max()).all()
    assert np.abs(expected).max() > 5 * error.max()


def test_what_is_no_growth_is_refused() -> None:
    model = cavs.compile(Bits())
    anything: Any = chains(model, 1, 2).graphs
    with pytest.raises(InputError, match=r"expected what cavs.unfold gave as grown, got"):
        model.replay(anything)
