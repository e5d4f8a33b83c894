"""LSTM language model (Zaremba et al. 2014), trained by truncated back-propagation."""

from __future__ import annotations

from typing import Any

import cavs
from cavs import nn, ops
from cavs.models._shared import check_sizes, lstm


class LSTMLanguageModel(cavs.VertexFunction):
    """Layers of LSTM that predict, at each word, the next word.

    A graph is a piece of text, a chain; its first vertex goes on from the state that the piece
    before ended with. In the first layer x is the word's embedding, in the others the h of the
    layer below; h', c' are the states of the same layer at the word before::

        i, f, g, o = W dropout(x) + U h' + b
        c = sigmoid(f) * c' + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(c)

    and the logits are V dropout(h) + a of the last layer. Dropout acts on every connection from
    layer to layer, and on none along the chain; so it acts on the embedding too: by
    `embedding_dropout` (None: as `dropout`), by vertex or by id (:func:`cavs.ops.dropout`).
    `embedding_size` (None: `hidden_size`) is the size of the words' embeddings.

    Inputs: ``word``, ``label`` (the next word): int32 per vertex; ``first``: 1 at the first vertex
    of a piece, else 0; ``state``: (2 * num_layers * hidden_size,) per graph, the output ``state``
    of the vertex before the piece, zeros at the beginning of a text.
    Outputs per vertex: ``loss``: (); ``logits``: (vocab_size,); ``state``.
    """

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int = 200,
        num_layers: int = 2,
        *,
        embedding_size: int | None = None,
        dropout: float = 0.0,
        embedding_dropout: float | None = None,
        embedding_dropout_by: str = "vertex",
        init_scale: float = 0.1,
    ) -> None:
        size = hidden_size if embedding_size is None else embedding_size
        check_sizes(
            vocab_size=vocab_size,
            embedding_size=size,
            hidden_size=hidden_size,
            num_layers=num_layers,
        )
        self.hidden_size, self.num_layers, self.dropout = hidden_size, num_layers, dropout
        rate = dropout if embedding_dropout is None else embedding_dropout
        self.embedding_dropout = nn.Dropout(rate, by=embedding_dropout_by)
        self.embedding = nn.Embedding(vocab_size, size)
        below = [size, *[hidden_size] * (num_layers - 1)]
        self.w = [nn.Linear(inputs, 4 * hidden_size) for inputs in below]
        self.u = [nn.Linear(hidden_size, 4 * hidden_size, bias=False) for _ in range(num_layers)]
        self.next_word = nn.Linear(hidden_size, vocab_size)
        for _, parameter in self.named_parameters():
            nn.init.uniform_(parameter, -init_scale, init_scale)

    @property
    def state_size(self) -> int:
        """Elements of ``state``."""
        return 2 * self.num_layers * self.hidden_size

    def forward(self, v: cavs.Vertex) -> None:
        names = [f"{kind}{layer}" for layer in range(len(self.u)) for kind in "hc"]
        carried = ops.split(v.pull_graph("state", self.state_size) * v.pull("first"), len(names))
        before = v.gather(0, **dict.fromkeys(names, self.hidden_size))
        x = self.embedding_dropout(self.embedding(v.pull("word", dtype="int32")))
        states: dict[str, Any] = {}
        for layer, (w, u) in enumerate(zip(self.w, self.u, strict=True)):
            h = getattr(before, f"h{layer}") + carried[2 * layer]
            c = getattr(before, f"c{layer}") + carried[2 * layer + 1]
            below = x if layer == 0 else ops.dropout(x, self.dropout)
            x, c = lstm(w(below) + u(h), c)
            states |= {f"h{layer}": x, f"c{layer}": c}
        v.scatter(**states)
        logits = self.next_word(ops.dropout(x, self.dropout))
        v.push(
            loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")),
            logits=logits,
            state=ops.concat([states[name] for name in names]),
        )
