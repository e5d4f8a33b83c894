"""Graphs that grew are computed again: the same draws, and gradients by what was sampled."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace
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


def test_leaves_are_rounded_as_they_grew() -> None:
    """A leaf's values are not made once from parameters alone, which rounds otherwise."""

    class Score(cavs.VertexFunction):
        def __init__(self) -> None:
            self.cell, self.score = nn.Linear(18, 16), nn.Linear(16, 1)

        def forward(self, v: cavs.Vertex) -> None:
            h = ops.tanh(self.cell(v.gather(0, h=18).h))
            v.scatter(h=ops.concat([ops.bernoulli(h * h), h[0:2]]))
            v.push(score=self.score(h), bit=ops.bernoulli(ops.sigmoid(self.score(h))))

    model = cavs.compile(Score(), seed=1)
    for seed in range(20):
        nn.init.manual_seed(seed)
        for parameter in model.parameters():
            nn.init.normal_(parameter)
        grown = chains(model, 3, 4)
        for names in (None, ["score"], ["bit"]):
            for name, y in model.replay(grown, outputs=names).items():
                np.testing.assert_array_equal(y.data, grown.outputs[name], err_msg=name)


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


WIDTH = 24


class Reader(cavs.VertexFunction):
    """Draws for itself, and for each edge to either type."""

    def __init__(self, own: str, other: str) -> None:
        self.own, self.other = own, other
        self.cell, self.drop = nn.Linear(WIDTH, WIDTH), nn.Dropout(0.3)

    def forward(self, v: cavs.Vertex) -> None:
        same = v.gather(of=self.own, h=WIDTH)
        others = v.gather(of=self.other, h=WIDTH)
        weight = v.pull_edge("weight", of=self.other)
        seen = ops.bernoulli(ops.sigmoid(weight * others.h))
        h = same.h.sum() + (seen * others.h).sum() + v.pull("x")
        h = self.drop(ops.tanh(self.cell(h))) + 0.1 * v.normal(WIDTH)
        bit = ops.bernoulli(ops.sigmoid(h))
        v.scatter(h=h - bit)
        v.push(bit=bit, kept=h, noise=v.uniform(WIDTH), word=ops.categorical(h))
        v.push(**{f"seen_by_{self.own}": seen})


class Grown:
    """Random graphs of both types, level by level."""

    def __init__(self, seed: int, graphs: int, levels: int, width: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.levels, self.width = levels, width
        self.members: list[list[int]] = [[] for _ in range(graphs)]
        self.types: list[int] = []

    def next(self) -> Growth:
        rng, count = self.rng, len(self.members) * self.width
        graph = np.arange(count) % len(self.members)
        types, children = rng.integers(0, 2, count), []
        for g in graph.tolist():
            there = self.members[g]
            chosen = rng.permutation(there)[: int(rng.integers(0, 4))]
            children.append([int(c) for c in chosen])
        first = len(self.types)
        self.types += types.tolist()
        edges = [self.types[c] != types[v] for v, own in enumerate(children) for c in own]
        for v, g in enumerate(graph.tolist()):
            self.members[g].append(first + v)
        x = rng.normal(size=count).astype(np.float32)
        weight = rng.normal(size=int(np.sum(edges))).astype(np.float32)
        return Growth(children, {"x": x}, graph, types=types, edges={"weight": weight})

    def __call__(self, frontier: cavs.Frontier) -> Growth | None:
        return self.next() if frontier.level < self.levels - 1 else None


def count_differences(growths: int, draws: int, training: bool) -> tuple[int, int]:
    """Draws of so many growths, at least so many of all, and how many of them a replay draws
    otherwise."""
    nn.init.manual_seed(1)
    function = cavs.TypedFunction({"a": Reader("a", "b"), "b": Reader("b", "a")})
    model = cavs.compile(function, seed=11).train(training)
    made = wrong = 0
    for number in range(growths):
        width = -(-draws // (growths * 2 * 6 * 3 * WIDTH))  # edges left out
        grower = Grown(number, 2, 6, width)
        keys = [number, 10**12 + number]
        grown = cavs.unfold(model, grower.next(), grower, num_graphs=2, keys=keys)
        for name, y in model.replay(grown).items():
            made += y.data.size // (WIDTH if name == "word" else 1)
            wrong += int((y.data != grown.outputs[name]).sum())
    return made, wrong


@pytest.mark.parametrize("training", [False, True])
def test_no_draw_of_typed_growths_with_edges_differs(training: bool) -> None:
    made, wrong = count_differences(20, 200_000, training)
    assert made >= 200_000
    assert wrong == 0


@pytest.mark.slow
@pytest.mark.parametrize("training", [False, True])
def test_no_draw_of_ten_million_differs(training: bool) -> None:
    made, wrong = count_differences(1_000, 10**7, training)
    assert made >= 10**7
    assert wrong == 0


def test_what_is_no_growth_is_refused() -> None:
    model = cavs.compile(Bits())
    anything: Any = chains(model, 1, 2).graphs
    with pytest.raises(InputError, match=r"expected what cavs.unfold gave as grown, got"):
        model.replay(anything)


def test_a_replay_with_anything_else_is_refused() -> None:
    nn.init.manual_seed(0)
    model = cavs.compile(Bits(), seed=2)
    optimizer = cavs.optim.SGD(model.parameters(), lr=0.1)
    grown = chains(model, 2, 3)
    keyed = cavs.GraphBatch.from_csr([0, 3, 6], [0, 0, 1, 2, 2, 3, 4], [0, 1, 0, 1], [4, 5])
    for changes, match in (
        ({"graphs": keyed}, r"\[replay\] expected the keys that the graphs grew with, got others"),
        ({"graphs": chains(model, 2, 4).graphs}, r"expected the graphs that grew, got others; pas"),
        ({"seed": 3}, r"expected the growth's seed 2 and step 0, got 3 and 0; pass what"),
        ({"step": 9}, r"expected the growth's seed 2 and step 0, got 2 and 9"),
    ):
        with pytest.raises(InputError, match=match):
            model.replay(replace(grown, **changes))
    with pytest.raises(InputError, match="of the function that grew the graphs, got one of anoth"):
        cavs.compile(Bits()).replay(grown)
    held = model.function.cell.weight.data  # seen, and not changed
    out = model.replay(grown)
    del held
    cavs.compile(model.function).replay(grown)
    out["log_p"].sum().backward()
    optimizer.step()
    for given in (grown, replace(grown, outputs={})):
        with pytest.raises(InputError, match=r"got other values of cell.weight; replay before"):
            model.replay(given)
    assert len(model.replay(copy.deepcopy(grown))["bit"].data) == 6  # a copy is not looked at
    model.replay(chains(model, 2, 3))
