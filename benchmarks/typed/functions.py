"""The functions of types that are measured: trees, lattices, a tagger with characters, attention.

Each maker gives a ``cavs.TypedFunction``. Sizes are those of the workloads of ``cavs bench``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cavs
from cavs import nn, ops
from cavs.models import LatticeLSTM


def lstm(gates: Any, c: Any) -> tuple[Any, Any]:
    """The states (h, c) of an LSTM from its gates i, f, g, o and the cell before."""
    i, f, g, o = ops.split(gates, 4)
    c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
    return ops.sigmoid(o) * ops.tanh(c), c


# Trees


class Leaf(cavs.VertexFunction):
    """A word of a tree."""

    def __init__(self, vocab_size: int, size: int, hidden: int, classifier: nn.Linear) -> None:
        self.embedding, self.classifier = nn.Embedding(vocab_size, size), classifier
        self.w = nn.Linear(size, 3 * hidden)

    def cell(self, v: cavs.Vertex) -> tuple[Any, Any]:
        """The states (c, h)."""
        i, o, u = ops.split(self.w(self.embedding(v.pull("word", dtype="int32"))), 3)
        c = ops.sigmoid(i) * ops.tanh(u)
        return c, ops.sigmoid(o) * ops.tanh(c)

    def forward(self, v: cavs.Vertex) -> None:
        c, h = self.cell(v)
        v.scatter(h=h, c=c)
        push_loss(v, self.classifier, h)


class Phrase(cavs.VertexFunction):
    """A phrase of two parts, by a binary Tree-LSTM with weights of its type (Tai et al. 2015)."""

    def __init__(self, hidden: int, classifier: nn.Linear) -> None:
        self.hidden, self.classifier = hidden, classifier
        self.u = nn.Linear(2 * hidden, 5 * hidden)

    def cell(self, v: cavs.Vertex) -> tuple[Any, Any]:
        """The states (c, h)."""
        left = v.gather(0, h=self.hidden, c=self.hidden)
        right = v.gather(1, h=self.hidden, c=self.hidden)
        i, o, u, f, g = ops.split(self.u(ops.concat([left.h, right.h])), 5)
        c = ops.sigmoid(i) * ops.tanh(u) + ops.sigmoid(f) * left.c + ops.sigmoid(g) * right.c
        return c, ops.sigmoid(o) * ops.tanh(c)

    def forward(self, v: cavs.Vertex) -> None:
        c, h = self.cell(v)
        v.scatter(h=h, c=c)
        push_loss(v, self.classifier, h)


def push_loss(v: cavs.Vertex, classifier: nn.Linear, x: Any) -> None:
    """Pushes the cross entropy of a linear classifier of x as ``loss``."""
    v.push(loss=ops.cross_entropy(classifier(x), v.pull("label", dtype="int32")))


def tree(
    names: Sequence[str], vocab_size: int, size: int = 300, hidden: int = 150, classes: int = 5
) -> cavs.TypedFunction:
    """A Tree-LSTM whose phrases are of several types."""
    classifier = nn.Linear(hidden, classes)
    leaf = Leaf(vocab_size, size, hidden, classifier)
    return cavs.TypedFunction({"leaf": leaf} | {name: Phrase(hidden, classifier) for name in names})


# Lattices


def lattice(vocab_size: int, classes: int, size: int = 50, hidden: int = 200) -> LatticeLSTM:
    """A lattice LSTM with words as vertices. One embedding holds characters and words, as in
    the peers."""
    made = LatticeLSTM(vocab_size, 1, size, hidden, classes)
    functions: dict[str, Any] = made.functions()
    functions["word"].embedding = functions["char"].embedding
    return made


# Sentences


class Vector(cavs.VertexFunction):
    """A frequent word: what its embedding adds to the gates of either direction."""

    def __init__(self, vocab_size: int, size: int, hidden: int) -> None:
        self.embedding = nn.Embedding(vocab_size, size)
        self.to_before = nn.Linear(size, 4 * hidden, bias=False)
        self.to_after = nn.Linear(size, 4 * hidden, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("word", dtype="int32"))
        v.scatter(to_before=self.to_before(x), to_after=self.to_after(x))


class Spelled(cavs.VertexFunction):
    """A rare word: the same of a vector that its characters give, read from both ends."""

    def __init__(self, vector: Vector, size: int, letters: int) -> None:
        self.letters = letters
        self.to_before, self.to_after = vector.to_before, vector.to_after
        self.join_before = nn.Linear(2 * letters, size, bias=False)
        self.join_after = nn.Linear(2 * letters, size, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        ends = [v.gather(0, of=of, letter_h=self.letters).letter_h for of in ("forth", "back")]
        x = ops.concat(ends)
        v.scatter(
            to_before=self.to_before(self.join_before(x)),
            to_after=self.to_after(self.join_after(x)),
        )


class Characters(cavs.VertexFunction):
    """An LSTM over the characters of a rare word, one way."""

    def __init__(self, kind: str, alphabet: int, size: int, hidden: int) -> None:
        self.kind, self.hidden = kind, hidden
        self.embedding = nn.Embedding(alphabet, size)
        self.w = nn.Linear(size, 4 * hidden)
        self.u = nn.Linear(hidden, 4 * hidden, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("letter", dtype="int32"))
        last = v.gather(0, of=self.kind, letter_h=self.hidden, letter_c=self.hidden)
        h, c = lstm(self.w(x) + self.u(last.letter_h), last.letter_c)
        v.scatter(letter_h=h, letter_c=c)


class Direction(cavs.VertexFunction):
    """An LSTM over a sentence, one way."""

    def __init__(self, kind: str, hidden: int) -> None:
        self.kind, self.hidden = kind, hidden
        self.u = nn.Linear(hidden, 4 * hidden)

    def forward(self, v: cavs.Vertex) -> None:
        state = f"to_{self.kind}"
        # A word is frequent or spelled: the other one is zeros.
        read = [
            vars(v.gather(0, of=of, **{state: 4 * self.hidden}))[state]
            for of in ("word", "spelled")
        ]
        last = v.gather(0, of=self.kind, h=self.hidden, c=self.hidden)
        h, c = lstm(read[0] + read[1] + self.u(last.h), last.c)
        v.scatter(h=h, c=c)


class Tag(cavs.VertexFunction):
    """Both directions of a word, to its tag."""

    def __init__(self, hidden: int, classes: int) -> None:
        self.hidden = hidden
        self.classifier = nn.Linear(2 * hidden, classes)

    def forward(self, v: cavs.Vertex) -> None:
        ways = [v.gather(0, of=of, h=self.hidden).h for of in ("before", "after")]
        push_loss(v, self.classifier, ops.concat(ways))


def tagger(
    vocab_size: int,
    alphabet: int,
    classes: int,
    size: int = 128,
    letters: int = 64,
    hidden: int = 256,
) -> cavs.TypedFunction:
    """A BiLSTM tagger that reads rare words by their characters; seven types in one graph."""
    vector = Vector(vocab_size, size, hidden)
    return cavs.TypedFunction(
        {
            "word": vector,
            **{kind: Characters(kind, alphabet, size, letters) for kind in ("forth", "back")},
            "spelled": Spelled(vector, size, letters),
            **{kind: Direction(kind, hidden) for kind in ("before", "after")},
            "tag": Tag(hidden, classes),
        }
    )


class Encode(cavs.VertexFunction):
    """Reads the source, by an LSTM."""

    def __init__(self, embedding: nn.Embedding, size: int, hidden: int) -> None:
        self.hidden, self.embedding = hidden, embedding
        self.w = nn.Linear(size, 4 * hidden)
        self.u = nn.Linear(hidden, 4 * hidden, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("word", dtype="int32"))
        last = v.gather(0, of="encode", h=self.hidden, c=self.hidden)
        h, c = lstm(self.w(x) + self.u(last.h), last.c)
        v.scatter(h=h, c=c)


class Attend(cavs.VertexFunction):
    """All of the source, weighted by the decoder's step before (Luong et al. 2015, "general")."""

    def __init__(self, hidden: int) -> None:
        self.hidden = hidden
        self.query = nn.Linear(hidden, hidden, bias=False)

    def forward(self, v: cavs.Vertex) -> None:
        query = self.query(v.gather(0, of="decode", h=self.hidden).h)
        source = v.gather(of="encode", h=self.hidden)
        weight = ops.sum(query * source.h, axis=-1, keepdims=True).softmax()
        v.scatter(context=(weight * source.h).sum())


class Decode(cavs.VertexFunction):
    """A step of the decoder, from the step before or from the end of the source."""

    def __init__(self, embedding: nn.Embedding, vocab_size: int, size: int, hidden: int) -> None:
        self.hidden, self.embedding = hidden, embedding
        self.w = nn.Linear(size + hidden, 4 * hidden)
        self.u = nn.Linear(hidden, 4 * hidden, bias=False)
        self.classifier = nn.Linear(hidden, vocab_size)

    def forward(self, v: cavs.Vertex) -> None:
        last = v.gather(0, of="decode", h=self.hidden, c=self.hidden)
        first = v.gather(0, of="encode", h=self.hidden, c=self.hidden)
        context = v.gather(0, of="attend", context=self.hidden).context
        x = ops.concat([self.embedding(v.pull("word", dtype="int32")), context])
        h, c = lstm(self.w(x) + self.u(last.h + first.h), last.c + first.c)
        v.scatter(h=h, c=c)
        push_loss(v, self.classifier, h)


def attention(vocab_size: int, size: int = 128, hidden: int = 256) -> cavs.TypedFunction:
    """An encoder and a decoder with attention in one graph."""
    embedding = nn.Embedding(vocab_size, size)
    return cavs.TypedFunction(
        {
            "encode": Encode(embedding, size, hidden),
            "attend": Attend(hidden),
            "decode": Decode(embedding, vocab_size, size, hidden),
        }
    )
