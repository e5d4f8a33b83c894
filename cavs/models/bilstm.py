"""Bidirectional LSTM (Graves & Schmidhuber 2005): two vertex functions, one for each direction."""

from __future__ import annotations

import cavs
from cavs import nn, ops
from cavs.models._shared import ChainReader, check_sizes


class BiLSTMTagger(cavs.Module):
    """Labels every vertex of a chain by the words before it and the words after it.

    The function `before` runs over chains and pushes its states; `after` runs over the reversed
    chains, pulls them, and classifies both states of a vertex together::

        h>_t = LSTM(x_t, h>_{t-1})        h<_t = LSTM'(x_t, h<_{t+1})
        logits_t = W [h>_t; h<_t] + b

    Both share one embedding. Gradients flow back through the pulled states to the function that
    pushed them::

        before, after = cavs.compile(tagger.before), cavs.compile(tagger.after)
        h = before(graphs, word=word)["h"]
        out = after(graphs.reverse(), word=word, before=h, label=label)
        out["loss"].sum().backward()

    `dropout` drops both states before the classifier, `embedding_dropout` drops x, by vertex or by
    id (:func:`cavs.ops.dropout`), with other masks for each direction.

    Inputs: ``word``, ``label``: int32 per vertex, -1 for none; of `after` also ``before``
    (hidden_size,).
    Outputs: of `before` ``h`` (hidden_size,), of `after` ``logits`` (num_classes,) and ``loss`` ().
    """

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int,
        hidden_size: int,
        num_classes: int,
        *,
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        embedding_dropout_by: str = "vertex",
    ) -> None:
        check_sizes(
            vocab_size=vocab_size,
            embedding_size=embedding_size,
            hidden_size=hidden_size,
            num_classes=num_classes,
        )
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        drop = nn.Dropout(embedding_dropout, by=embedding_dropout_by)
        sizes = (embedding_size, hidden_size)
        self.before = ChainReader(self.embedding, *sizes, drop)
        self.after = _After(self.embedding, *sizes, drop, num_classes, dropout)


class _After(ChainReader):
    """Reads from the end, and classifies."""

    def __init__(
        self,
        embedding: nn.Embedding,
        embedding_size: int,
        hidden_size: int,
        embedding_dropout: nn.Dropout,
        num_classes: int,
        dropout: float,
    ) -> None:
        super().__init__(embedding, embedding_size, hidden_size, embedding_dropout)
        self.dropout = dropout
        self.classifier = nn.Linear(2 * hidden_size, num_classes)

    def forward(self, v: cavs.Vertex) -> None:
        both = ops.concat([v.pull("before", self.hidden_size), self.state(v)])
        logits = self.classifier(ops.dropout(both, self.dropout))
        v.push(logits=logits, loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))
