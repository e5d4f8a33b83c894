"""An encoder and a decoder with attention that writes strings of digits backwards.

The attention is that of Bahdanau, Cho and Bengio, *Neural Machine Translation by Jointly Learning
to Align and Translate* (ICLR 2015), over an LSTM that reads from left to right.
"""

from __future__ import annotations

import argparse
from typing import Any, NamedTuple

import numpy as np

import cavs
from cavs import data, nn, ops

TOKENS = 11
BEGIN = END = 10  # the decoder's first token, and its last label; the others are digits
LEAST, MOST = 3, 8  # digits of a string


class Encoder(cavs.VertexFunction):
    """Reads a digit."""

    def __init__(self, embedding: nn.Embedding, size: int) -> None:
        self.embedding, self.size = embedding, size
        self.cell = nn.Linear(2 * size, 4 * size)

    def forward(self, v: cavs.Vertex) -> None:
        before = v.gather(0, of="encoder", h=self.size, c=self.size)
        lstm(v, self.cell, self.embedding(v.pull("token", dtype="int32")), before)


class Decoder(cavs.VertexFunction):
    """Writes a digit, from the last one and from all that were read."""

    def __init__(self, embedding: nn.Embedding, size: int) -> None:
        self.embedding, self.size = embedding, size
        self.cell = nn.Linear(3 * size, 4 * size)
        self.query = nn.Linear(size, size)
        self.key = nn.Linear(size, size, bias=False)
        self.score = nn.Linear(size, 1, bias=False)
        self.output = nn.Linear(2 * size, TOKENS)

    def forward(self, v: cavs.Vertex) -> None:
        before = v.gather(0, of="decoder", h=self.size, c=self.size)
        source = v.gather(of="encoder", h=self.size).h
        weight = self.score(ops.tanh(self.query(before.h) + self.key(source))).softmax()
        context = (weight * source).sum()
        x = ops.concat([self.embedding(v.pull("token", dtype="int32")), context])
        logits = self.output(ops.concat([lstm(v, self.cell, x, before), context]))
        loss = ops.cross_entropy(logits, v.pull("label", dtype="int32"))
        v.push(loss=loss, log_p=ops.log_softmax(logits))


def lstm(v: cavs.Vertex, cell: nn.Linear, x: Any, before: Any) -> Any:
    """Scatters the states of an LSTM, and gives h."""
    i, f, o, g = ops.split(cell(ops.concat([x, before.h])), 4)
    c = ops.sigmoid(f) * before.c + ops.sigmoid(i) * ops.tanh(g)
    h = ops.sigmoid(o) * ops.tanh(c)
    v.scatter(h=h, c=c)
    return h


def seq2seq(size: int) -> cavs.TypedFunction:
    table = nn.Embedding(TOKENS, size)
    return cavs.TypedFunction({"encoder": Encoder(table, size), "decoder": Decoder(table, size)})


def sample(source: list[int], target: list[int]) -> tuple[data.PairGraph, dict[str, Any]]:
    """A pair with teacher forcing: the decoder reads what it should have written before."""
    graph = data.pair_graph(data.chain_graph(len(source)), data.chain_graph(len(target)))
    token = np.array([*source, BEGIN, *target[:-1]], np.int32)
    return graph, {"token": token, "label": np.array(target, np.int32)}


class Hypothesis(NamedTuple):
    """What was written, and its log-probability; `before` is the row that it goes on from."""

    score: float
    tokens: list[int]
    before: int = 0

    def ended(self, most: int) -> bool:
        return self.tokens[-1:] == [END] or len(self.tokens) == most


def decode(
    model: cavs.Model, sources: list[list[int]], beam: int = 1, most: int = MOST + 1
) -> list[list[Hypothesis]]:
    """The `beam` best strings for each source, best first; with a beam of 1 it is greedy.

    All sources are decoded together: their encoders grow first, then their decoders, of which a
    vertex gathers from the one before and from all of the encoder, as in `sample`.
    """
    read: list[list[int]] = [[] for _ in sources]
    beams = [[Hypothesis(0.0, [])] for _ in sources]

    def opened(graph: int, vertices: list[int], log_p: Any) -> list[tuple[list[int], int, str]]:
        """Children, token and type of each vertex that follows a graph's last ones."""
        source, seen = sources[graph], read[graph]
        if not log_p:  # the encoder's, which write nothing
            seen += vertices
            if len(seen) < len(source):
                return [(vertices, source[len(seen)], "encoder")]
            return [([-1, *seen], BEGIN, "decoder")]
        found = [h for h in beams[graph] if h.ended(most)]
        live = [h for h in beams[graph] if not h.ended(most)]
        for row, h in enumerate(live):
            for token, p in enumerate(log_p[row].tolist()):
                found.append(Hypothesis(h.score + p, [*h.tokens, token], row))
        beams[graph] = sorted(found, key=lambda h: -h.score)[:beam]
        live = [h for h in beams[graph] if not h.ended(most)]
        return [([vertices[h.before], *seen], h.tokens[-1], "decoder") for h in live]

    def expand(frontier: cavs.Frontier) -> cavs.Growth | None:
        wrote = dict(zip(frontier.rows("decoder"), frontier.outputs["log_p"], strict=True))
        new = []
        for graph in np.unique(frontier.graph).tolist():
            rows = np.flatnonzero(frontier.graph == graph)
            log_p = [wrote[row] for row in rows if row in wrote]
            new += opened(graph, frontier.vertices[rows].tolist(), log_p)
        # Strings go on from the new vertices: nothing gathers from the last ones any more.
        return growth(new, forget=frontier.vertices[frontier.rows("decoder")])

    roots = growth([([], source[0], "encoder") for source in sources], np.arange(len(sources)))
    cavs.unfold(model, roots, expand, num_graphs=len(sources), outputs=["log_p"])
    return beams


def growth(
    vertices: list[tuple[list[int], int, str]], graph: Any = None, forget: Any = ()
) -> cavs.Growth:
    """New vertices by the children, the token and the type of each."""
    token = np.array([token for _, token, _ in vertices], np.int32)
    children, types = [c for c, _, _ in vertices], [t for _, _, t in vertices]
    return cavs.Growth(children, {"token": token}, graph, types=types, forget=forget)


def backwards(digits: list[int]) -> list[int]:
    return [*digits[::-1], END]


def right(model: cavs.Model, sources: list[list[int]], beam: int) -> float:
    """The share of the sources that are written backwards without a fault, in percent."""
    found = decode(model, sources, beam)
    good = [best[0].tokens == backwards(x) for x, best in zip(sources, found, strict=True)]
    return 100 * sum(good) / len(good)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--strings", type=int, default=4000, help="strings to train on")
    parser.add_argument("--hidden-size", type=int, default=64)
    parser.add_argument("--beam", type=int, default=4)
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    lengths = rng.integers(LEAST, MOST + 1, 200 + options.strings)
    strings = [rng.integers(0, 10, length).tolist() for length in lengths]
    test = strings[:200]
    train = [sample(x, backwards(x)) for x in strings[200:] if x not in test]
    loader = data.Loader(
        data.Dataset.from_samples(train, of={"label": "decoder"}), 32, shuffle=True
    )

    model = cavs.compile(seq2seq(options.hidden_size))
    optimizer = cavs.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(options.epochs):
        total = 0.0
        for graphs, inputs in loader:
            loss = model(graphs, **inputs)["loss"].sum()
            optimizer.zero_grad()
            (loss * (1 / graphs.num_graphs)).backward()
            cavs.optim.clip_grad_norm(model.parameters(), 5.0)
            optimizer.step()
            total += loss.item()
        greedy, best = (right(model, test, beam) for beam in (1, options.beam))
        print(
            f"epoch {epoch + 1}: loss {total / len(train):.3f} per string, of unseen ones "
            f"{greedy:.1f} % right by greedy decoding, by beam search {best:.1f} %",
            flush=True,
        )


if __name__ == "__main__":
    main()
