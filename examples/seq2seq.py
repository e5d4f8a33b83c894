"""An encoder and a decoder with attention that writes strings of digits backwards.

The attention is that of Bahdanau, Cho and Bengio, *Neural Machine Translation by Jointly Learning
to Align and Translate* (ICLR 2015), over an LSTM that reads from left to right.
"""

from __future__ import annotations

import argparse
import math
from typing import Any, NamedTuple

import numpy as np

import cavs
from cavs import data, nn, ops

TOKENS = 11
BEGIN = END = 10  # the decoder's first token, and its last label; the others are digits
LEAST, MOST = 3, 8  # digits of a string


class Seq2Seq(cavs.VertexFunction):
    """One F for both: vertices whose ``is_decoder`` is 0 read, the others write.

    A vertex scatters whether it is the encoder's, so that a decoder that grows knows what to
    attend to.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.embedding = nn.Embedding(TOKENS, size)
        self.encoder = nn.Linear(2 * size, 4 * size)
        self.decoder = nn.Linear(3 * size, 4 * size)
        self.query = nn.Linear(size, size)
        self.key = nn.Linear(size, size, bias=False)
        self.score = nn.Linear(size, 1, bias=False)
        self.output = nn.Linear(2 * size, TOKENS)

    def forward(self, v: cavs.Vertex) -> None:
        decodes = v.pull("is_decoder")
        x = self.embedding(v.pull("token", dtype="int32"))
        before = v.gather(0, h=self.size, c=self.size)
        children = v.gather(h=self.size, encodes=())
        score = self.score(ops.tanh(self.query(before.h) + self.key(children.h)))
        weight = ops.where(children.encodes * decodes, score, -math.inf).softmax()
        context = (weight * children.h).sum()
        gates = ops.where(
            decodes,
            self.decoder(ops.concat([x, before.h, context])),
            self.encoder(ops.concat([x, before.h])),
        )
        i, f, o, g = ops.split(gates, 4)
        c = ops.sigmoid(f) * before.c + ops.sigmoid(i) * ops.tanh(g)
        h = ops.sigmoid(o) * ops.tanh(c)
        v.scatter(h=h, c=c, encodes=1 - decodes)
        logits = self.output(ops.concat([h, context]))
        loss = ops.cross_entropy(logits, v.pull("label", dtype="int32"))
        v.push(loss=loss, log_p=ops.log_softmax(logits))


def sample(source: list[int], target: list[int]) -> tuple[data.PairGraph, dict[str, Any]]:
    """A pair with teacher forcing: the decoder reads what it should have written before."""
    graph = data.pair_graph(data.chain_graph(len(source)), data.chain_graph(len(target)))
    token = np.array([*source, BEGIN, *target[:-1]], np.int32)
    label = np.array([-1] * len(source) + target, np.int32)
    return graph, {"token": token, "label": label, "is_decoder": graph.is_decoder}


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

    def opened(graph: int, vertices: list[int], log_p: Any) -> list[tuple[list[int], int, int]]:
        """Children, token and is_decoder of each vertex that follows a graph's last ones."""
        source, seen = sources[graph], read[graph]
        if len(seen) < len(source):
            seen += vertices
            if len(seen) < len(source):
                return [(vertices, source[len(seen)], 0)]
            return [([-1, *seen], BEGIN, 1)]
        found = [h for h in beams[graph] if h.ended(most)]
        live = [h for h in beams[graph] if not h.ended(most)]
        for row, h in enumerate(live):
            for token, p in enumerate(log_p[row].tolist()):
                found.append(Hypothesis(h.score + p, [*h.tokens, token], row))
        beams[graph] = sorted(found, key=lambda h: -h.score)[:beam]
        live = [h for h in beams[graph] if not h.ended(most)]
        return [([vertices[h.before], *seen], h.tokens[-1], 1) for h in live]

    def expand(frontier: cavs.Frontier) -> cavs.Growth | None:
        new = []
        for graph in np.unique(frontier.graph).tolist():
            rows = frontier.graph == graph
            log_p = frontier.outputs["log_p"][rows]
            new += opened(graph, frontier.vertices[rows].tolist(), log_p)
        return growth(new)

    roots = growth([([], source[0], 0) for source in sources], np.arange(len(sources)))
    cavs.unfold(model, roots, expand, num_graphs=len(sources), outputs=["log_p"])
    return beams


def growth(vertices: list[tuple[list[int], int, int]], graph: Any = None) -> cavs.Growth:
    """New vertices by the children, the token and the is_decoder of each."""
    inputs = {
        "token": np.array([token for _, token, _ in vertices], np.int32),
        "is_decoder": np.array([decodes for _, _, decodes in vertices], np.float32),
    }
    return cavs.Growth([children for children, _, _ in vertices], inputs, graph)


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
    loader = data.Loader(data.Dataset.from_samples(train), 32, shuffle=True)

    model = cavs.compile(Seq2Seq(options.hidden_size))
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
