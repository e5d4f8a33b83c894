"""A pointer network that sorts numbers: its outputs are places of its input.

Vinyals, Fortunato and Jaitly, *Pointer Networks* (NIPS 2015). An LSTM reads the numbers; another
one writes, and the weights of its attention over what was read are the distribution of its output.
What it pointed at is what it reads next.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np

import cavs
from cavs import data, nn, ops

LEAST, MOST = 3, 8  # numbers of a sample
BELOW = 20  # they are whole, distinct, and less than this


class PointerNetwork(cavs.VertexFunction):
    """One F for both: vertices whose ``is_decoder`` is 0 read a number, the others point at one.

    A vertex scatters its `place` among the numbers, -1 in the decoder, so that children are told
    apart without inputs on edges, which graphs that grow do not have.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.encoder = nn.Linear(size + 1, 4 * size)
        self.decoder = nn.Linear(size + 1, 4 * size)
        self.query = nn.Linear(size, size)
        self.key = nn.Linear(size, size, bias=False)
        self.score = nn.Linear(size, 1, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        decodes, place, target = v.pull("is_decoder"), v.pull("place"), v.pull("target")
        before = v.gather(0, h=self.size, c=self.size)
        x = ops.concat([v.pull("number", 1) / BELOW, before.h])
        i, f, o, g = ops.split(ops.where(decodes, self.decoder(x), self.encoder(x)), 4)
        c = ops.sigmoid(f) * before.c + ops.sigmoid(i) * ops.tanh(g)
        h = ops.sigmoid(o) * ops.tanh(c)
        v.scatter(h=h, c=c, place=place)

        children = v.gather(h=self.size, place=())
        score = ops.sum(self.score(ops.tanh(self.query(h) + self.key(children.h))))
        score = ops.where(ops.greater_equal(children.place, 0) * decodes, score, -math.inf)
        right = ops.where(ops.equal(children.place, target), score, -math.inf)
        loss = score.logsumexp() - right.logsumexp()
        v.push(loss=ops.where(ops.greater_equal(target, 0), loss, 0.0))
        best = ops.equal(score, score.max())
        v.push(pointed=ops.where(best, children.place, -1.0).max(), weight=score.softmax())


def sample(numbers: list[int], order: list[int]) -> tuple[data.PairGraph, dict[str, Any]]:
    """A pair with teacher forcing: the decoder reads what it should have pointed at before."""
    graph = data.pair_graph(data.chain_graph(len(numbers)), data.chain_graph(len(order)))
    places = list(range(len(numbers)))
    number = [*numbers, *([-1] + [numbers[place] for place in order])[: len(order)]]
    inputs = {
        "number": np.array(number, np.float32)[:, None],
        "place": np.array(places + [-1] * len(order), np.float32),
        "target": np.array([-1] * len(numbers) + order, np.float32),
        "is_decoder": graph.is_decoder,
    }
    return graph, inputs


def point(model: cavs.Model, samples: list[list[int]], repeats: bool = False) -> list[list[int]]:
    """The places that the model points at, one after the other, the likeliest each time.

    All samples are decoded together: their encoders grow first, then their decoders, as in
    `sample`. Without `repeats` a number that was pointed at is no child of the next vertices.
    """
    read: list[list[int]] = [[] for _ in samples]
    orders: list[list[int]] = [[] for _ in samples]

    def opened(graph: int, vertex: int, pointed: int) -> tuple[list[int], int, int, int]:
        """Children, number, place and is_decoder of the vertex that follows a graph's last one."""
        numbers, seen, order = samples[graph], read[graph], orders[graph]
        if len(seen) < len(numbers):
            seen.append(vertex)
            if len(seen) < len(numbers):
                return [vertex], numbers[len(seen)], len(seen), 0
            return [-1, *seen], -1, -1, 1
        order.append(pointed)
        if not repeats:
            seen[pointed] = -1  # a hole
        return [vertex, *seen], numbers[pointed], -1, 1

    def expand(frontier: cavs.Frontier) -> cavs.Growth:
        pointed = frontier.outputs["pointed"].astype(int).tolist()
        rows = zip(frontier.graph.tolist(), frontier.vertices.tolist(), pointed, strict=True)
        new = [opened(*row) for row in rows if len(orders[row[0]]) < len(samples[row[0]])]
        return growth([x for x in new if x[0]])

    roots = growth([([], numbers[0], 0, 0) for numbers in samples], np.arange(len(samples)))
    cavs.unfold(model, roots, expand, num_graphs=len(samples), outputs=["pointed"])
    return orders


def growth(new: list[tuple[list[int], int, int, int]], graph: Any = None) -> cavs.Growth:
    inputs = {
        "number": np.array([x[1] for x in new], np.float32)[:, None],
        "place": np.array([x[2] for x in new], np.float32),
        "is_decoder": np.array([x[3] for x in new], np.float32),
    }
    return cavs.Growth([x[0] for x in new], inputs, graph)


def sort(numbers: list[int]) -> list[int]:
    """The places of the numbers, from the least to the greatest."""
    return sorted(range(len(numbers)), key=numbers.__getitem__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--samples", type=int, default=10000, help="samples to train on")
    parser.add_argument("--hidden-size", type=int, default=64)
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    lengths = rng.integers(LEAST, MOST + 1, 200 + options.samples)
    samples = [rng.choice(BELOW, length, replace=False).tolist() for length in lengths]
    test, train = samples[:200], [sample(x, sort(x)) for x in samples[200:]]
    loader = data.Loader(data.Dataset.from_samples(train), 32, shuffle=True)

    model = cavs.compile(PointerNetwork(options.hidden_size))
    optimizer = cavs.optim.Adam(model.parameters(), lr=1e-2)
    rate = cavs.optim.CosineLR(optimizer, options.epochs * len(loader))
    for epoch in range(options.epochs):
        total = 0.0
        for graphs, inputs in loader:
            scale = 1 / graphs.num_graphs
            loss = model.step(graphs, optimizer, scale=scale, clip_norm=5.0, **inputs)
            rate.step()
            total += loss.item() / scale
        right = [order == sort(x) for x, order in zip(test, point(model, test), strict=True)]
        print(
            f"epoch {epoch + 1}: loss {total / len(train):.3f} per sample, "
            f"of unseen ones {100 * np.mean(right):.1f} % sorted",
            flush=True,
        )


if __name__ == "__main__":
    main()
