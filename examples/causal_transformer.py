"""A transformer of two layers that learns, character by character, to say a word again.

A string is a word of random letters, a bar, the same word and a full stop: ``kqzt|kqzt.`` Behind
the bar each character follows from those before, and attention finds it: where the last letter
stood in the first word, and what came behind it. The layers are those of Vaswani et al., *Attention
Is All You Need* (NeurIPS 2017), with norms before and not behind them, and a learned bias for each
distance in place of encodings of positions.

A graph has a vertex of type ``character`` for each character, and one in each layer. The children
of a vertex in a layer are the vertices below it of its own character and of all characters before.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

import cavs
from cavs import data, nn, ops

LETTERS = "abcdefghijklmnopqrstuvwxyz"
ALPHABET = LETTERS + "|."
LEAST, MOST = 3, 8  # letters of a word
LONGEST = 2 * MOST + 2
TYPES = ("character", "layer1", "layer2")


class Character(cavs.VertexFunction):
    def __init__(self, size: int) -> None:
        self.embedding = nn.Embedding(len(ALPHABET), size, std=0.1)

    def forward(self, v: cavs.Vertex) -> None:
        v.scatter(x=self.embedding(v.pull("character", dtype="int32")))


class Layer(cavs.VertexFunction):
    """Attention over the layer below, and two layers of each character alone."""

    def __init__(self, below: str, size: int, heads: int) -> None:
        self.below, self.shape = below, (heads, size // heads)
        self.norm, self.inner_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.query, self.key = nn.Linear(size, size), nn.Linear(size, size, bias=False)
        self.value, self.output = nn.Linear(size, size), nn.Linear(size, size)
        self.distance = cavs.Parameter(np.zeros((heads, LONGEST), np.float32))
        self.inner1, self.inner2 = nn.Linear(size, 4 * size), nn.Linear(4 * size, size)

    def forward(self, v: cavs.Vertex) -> None:
        v.scatter(x=self.outputs(v))

    def outputs(self, v: cavs.Vertex) -> Any:
        """What the layer makes of the vertex's character, (size,)."""
        heads, size = self.shape
        own = v.gather(
            -1, of=self.below, x=heads * size
        ).x  # the last child is the character itself
        all_before = self.norm(v.gather(of=self.below, x=heads * size).x)
        read = ops.attention(
            ops.reshape(self.query(self.norm(own)), self.shape),
            ops.reshape(self.key(all_before), self.shape),
            ops.reshape(self.value(all_before), self.shape),
            position=self.distance,
        )
        x = own + self.output(ops.reshape(read, (heads * size,)))
        return x + self.inner2(ops.relu(self.inner1(self.inner_norm(x))))


class LastLayer(Layer):
    """A layer, and the next character."""

    def __init__(self, below: str, size: int, heads: int) -> None:
        super().__init__(below, size, heads)
        self.last_norm, self.logits = nn.LayerNorm(size), nn.Linear(size, len(ALPHABET))

    def forward(self, v: cavs.Vertex) -> None:
        logits = self.logits(self.last_norm(self.outputs(v)))
        loss = ops.cross_entropy(logits, v.pull("label", dtype="int32"))
        v.push(loss=loss, log_p=ops.log_softmax(logits))


def transformer(size: int, heads: int) -> cavs.TypedFunction:
    functions = (
        Character(size),
        Layer("character", size, heads),
        LastLayer("layer1", size, heads),
    )
    return cavs.TypedFunction(dict(zip(TYPES, functions, strict=True)))


def graph_of(length: int) -> cavs.InputGraph:
    """The vertices of all characters, then of all in layer 1, then of all in layer 2."""
    children = [[] for _ in range(length)]
    for layer in (1, 2):
        first = (layer - 1) * length
        children += [[*range(first, first + i + 1)] for i in range(length)]
    return cavs.InputGraph(children, types=[name for name in TYPES for _ in range(length)])


def numbers(text: Sequence[str]) -> Any:
    return np.array([ALPHABET.index(c) for c in text], np.int32)


def sample(word: str) -> tuple[cavs.InputGraph, dict[str, Any]]:
    """A string; characters that do not follow from those before have no label."""
    text = numbers(f"{word}|{word}.")
    label = np.where(np.arange(1, len(text)) > len(word), text[1:], -1)
    return graph_of(len(text) - 1), {"character": text[:-1], "label": label.astype(np.int32)}


def say_again(model: cavs.Model, words: list[str]) -> list[str]:
    """What the model writes behind the bar of each word, the likeliest character each time.

    All graphs grow together, by a vertex of each type for each character.
    """
    texts = [f"{word}|" for word in words]
    below: list[dict[str, list[int]]] = [{name: [] for name in TYPES} for _ in words]

    def opened(graphs: list[int]) -> cavs.Growth:
        """The vertices of the next characters."""
        read = [texts[graph][len(below[graph]["character"])] for graph in graphs]
        types = ["character"] * len(graphs)
        return cavs.Growth([[] for _ in graphs], {"character": numbers(read)}, graphs, types=types)

    def expand(frontier: cavs.Frontier) -> cavs.Growth | None:
        layer = frontier.level % len(TYPES)  # of the vertices that were computed
        graphs = frontier.graph.tolist()
        for graph, vertex in zip(graphs, frontier.vertices.tolist(), strict=True):
            below[graph][TYPES[layer]].append(vertex)
        if layer < 2:
            children = [below[graph][TYPES[layer]] for graph in graphs]
            inputs = {"label": np.full(len(graphs), -1, np.int32)} if layer == 1 else {}
            return cavs.Growth(children, inputs, types=[TYPES[layer + 1]] * len(graphs))
        for graph, log_p in zip(graphs, frontier.outputs["log_p"], strict=True):
            if len(below[graph]["character"]) == len(texts[graph]):
                texts[graph] += ALPHABET[int(log_p.argmax())]
        live = [g for g in graphs if texts[g][-1] != "." and len(texts[g]) < LONGEST]
        return opened(live) if live else None

    cavs.unfold(
        model, opened([*range(len(words))]), expand, num_graphs=len(words), outputs=["log_p"]
    )
    return [text[len(word) + 1 :] for text, word in zip(texts, words, strict=True)]


def words(count: int, seed: int) -> list[str]:
    draw = np.random.default_rng(seed)
    lengths = draw.integers(LEAST, MOST + 1, count).tolist()
    return ["".join(draw.choice(list(LETTERS), length)) for length in lengths]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--words", type=int, default=4000, help="words to train on")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--heads", type=int, default=4)
    options = parser.parse_args()

    train, test = words(options.words, 0), words(100, 1)
    loader = data.Loader(
        data.Dataset.from_samples(
            [*map(sample, train)], of={"character": "character", "label": "layer2"}
        ),
        32,
        shuffle=True,
    )
    model = cavs.compile(transformer(options.size, options.heads))
    optimizer = cavs.optim.Adam(model.parameters(), lr=2e-3)
    for epoch in range(options.epochs):
        total = count = 0.0
        for graphs, inputs in loader:
            total += model.step(graphs, optimizer, scale=1 / 32, clip_norm=1.0, **inputs).item()
            count += (inputs["label"] >= 0).sum() / 32
        said = say_again(model, test)
        right = sum(a == f"{b}." for a, b in zip(said, test, strict=True))
        print(
            f"epoch {epoch + 1}: {test[0]}|{said[0]}, of unseen words said again without a fault "
            f"{100 * right / len(test):.0f} %, loss {total / count:.4f} per character",
            flush=True,
        )


if __name__ == "__main__":
    main()
