"""Multi-head attention over a DAG: what a circuit of logic gates puts out.

The attention is that of Vaswani et al., *Attention Is All You Need* (NIPS 2017), where a vertex
attends to its children, as in DAGNN (Thost and Chen, ICLR 2021). A circuit shares wires, so that a
gate may have several parents.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

import cavs
from cavs import data, nn, ops

KINDS = ["0", "1", "and", "or", "differ"]
MOST = 3  # children of a gate


class CircuitNetwork(cavs.VertexFunction):
    """Heads are blocks of the features: a state of `size` is seen as (heads, size / heads)."""

    def __init__(self, size: int, heads: int) -> None:
        self.size = size
        self.blocks = (heads, size // heads)
        self.embedding = nn.Embedding(len(KINDS), size)
        self.query = nn.Linear(size, size)
        self.key = nn.Linear(size, size)
        self.value = nn.Linear(size, size)
        self.attended = nn.Linear(size, size)
        self.hidden = nn.Linear(2 * size, 2 * size)
        self.output = nn.Linear(2 * size, size)
        self.norm = nn.LayerNorm(size)
        self.classifier = nn.Linear(size, 2)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("kind", dtype="int32"))
        children = v.gather(h=self.size).h  # a row for each child, in each head below
        query = ops.reshape(self.query(x), self.blocks)
        key = ops.reshape(self.key(children), self.blocks)
        value = ops.reshape(self.value(children), self.blocks)
        score = ops.sum(query * key, axis=-1, keepdims=True) / math.sqrt(self.blocks[1])
        weight = score.softmax()  # over the children
        context = ops.reshape((weight * value).sum(), self.size)
        seen = ops.concat([x, self.attended(context)])
        h = self.norm(x + self.output(ops.relu(self.hidden(seen))))
        v.scatter(h=h)
        logits = self.classifier(h)
        loss = ops.cross_entropy(logits, v.pull("label", dtype="int32"))
        v.push(loss=loss, logits=logits, weight=weight)


def circuit(rng: np.random.Generator, wires: int, gates: int) -> cavs.InputGraph:
    """A random circuit of gates with two or three children, for at most ``2 * gates`` wires.

    All goes into a later gate, so that the last one is the only sink.
    """
    size = wires + gates
    children: list[list[int]] = [[] for _ in range(size)]
    for vertex in reversed(range(size - 1)):
        room = [x for x in range(max(vertex + 1, wires), size) if len(children[x]) < MOST]
        children[rng.choice(room)].append(vertex)
    for gate in range(wires, size):
        others = np.setdiff1d(np.arange(gate), children[gate])
        missing = max(0, rng.integers(2, MOST + 1) - len(children[gate]))
        children[gate] += rng.choice(others, min(missing, len(others)), replace=False).tolist()
    return cavs.InputGraph(children)


def evaluate(graph: cavs.InputGraph, kind: np.ndarray) -> np.ndarray:
    """What each vertex of a circuit puts out."""
    out: list[int] = []
    for vertex, children in enumerate(graph.children):
        bits = [out[child] for child in children] or [0]
        out.append([0, 1, min(bits), max(bits), max(bits) - min(bits)][kind[vertex]])
    return np.array(out, np.int32)


def sample(
    rng: np.random.Generator, least: int, most: int
) -> tuple[cavs.InputGraph, dict[str, np.ndarray]]:
    """A circuit of `least` to `most` gates, and the output of its sink."""
    gates = int(rng.integers(least, most + 1))
    wires = int(rng.integers(2, gates + 2))
    graph = circuit(rng, wires, gates)
    kind = np.concatenate([rng.integers(0, 2, wires), rng.integers(2, len(KINDS), gates)])
    label = np.full(wires + gates, -1, np.int32)
    label[-1] = evaluate(graph, kind)[-1]  # what gates within put out is not told
    return graph, {"kind": kind.astype(np.int32), "label": label}


def accuracy(model: cavs.Model, loader: data.Loader) -> float:
    """The share of circuits whose sink is right, in percent."""
    right = []
    for graphs, inputs in loader:
        with cavs.no_grad():
            logits = model(graphs, outputs=["logits"], kind=inputs["kind"])["logits"]
        guess = cavs.readout(graphs, logits).data.argmax(axis=1)
        right.append(guess == cavs.readout(graphs, inputs["label"]).data)
    return float(100 * np.concatenate(right).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--circuits", type=int, default=2000, help="circuits to train on")
    parser.add_argument("--hidden-size", type=int, default=32)
    parser.add_argument("--heads", type=int, default=4)
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    small = [sample(rng, 2, 8) for _ in range(options.circuits)]
    large = [sample(rng, 12, 24) for _ in range(500)]
    train = data.Loader(data.Dataset.from_samples(small), 32, shuffle=True)
    test = data.Loader(data.Dataset.from_samples(large), 250, cache=True)

    model = cavs.compile(CircuitNetwork(options.hidden_size, options.heads))
    optimizer = cavs.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(options.epochs):
        total = 0.0
        for graphs, inputs in train:
            scale = 1 / graphs.num_graphs
            total += model.step(graphs, optimizer, scale=scale, clip_norm=5.0, **inputs).item()
        print(
            f"epoch {epoch + 1}: loss {total / len(train):.3f} per circuit, "
            f"of circuits that are larger {accuracy(model, test):.1f} % right",
            flush=True,
        )


if __name__ == "__main__":
    main()
