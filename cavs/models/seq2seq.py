"""Encoder and decoder with attention (Bahdanau et al. 2015), as one function of two types."""

from __future__ import annotations

from typing import Any

import numpy as np

import cavs
from cavs import nn, ops
from cavs.models._shared import check_sizes, lstm

_STD = 0.1  # of embeddings: their norms are about 1, as tied output weights need
_COPIED = 4.0  # the first weight of the words that are attended to, in what is written


class Seq2Seq(cavs.TypedFunction):
    """Writes a sentence by another one, from a vocabulary that both have.

    Graphs are those of :func:`cavs.data.seq2seq_dataset`. A vertex of type ``encoder`` reads a word
    of the source by an LSTM (:class:`cavs.models.LSTM`)::

        h_j, c_j = LSTM(x_j, h_{j-1}, c_{j-1})

    One of type ``decoder`` reads the word before, y_{t-1}, attends to all of the source with the
    state before, s_{t-1}, and writes the next word (Bahdanau, Cho and Bengio, *Neural Machine
    Translation by Jointly Learning to Align and Translate*, ICLR 2015, equations 4 to 6 and A.1.2,
    with an LSTM in place of the gated unit)::

        e_tj = w tanh(W [y_{t-1}; s_{t-1}] + U h_j)       a_t = softmax_j(e_tj)
        context_t = sum_j a_tj h_j                        words_t = sum_j a_tj x_j
        s_t = LSTM([y_{t-1}; context_t; words_t], s_{t-1})
        logits_t = E (V [s_t; context_t] + C words_t) + b

    The words that are attended to are read beside the states, as in Gehring et al., *Convolutional
    Sequence to Sequence Learning* (ICML 2017), and E is the embedding of both sides (Press and
    Wolf, *Using the Output Embedding to Improve Language Models*, EACL 2017): so also words that
    training had seldom are copied. C begins as a multiple of the identity.

    Inputs: ``word``: int32 per vertex, in the decoder the word before; ``label``: int32 per vertex
    of the decoder, the word to write, -1 for none.
    Outputs per vertex of the decoder: ``loss``: (); ``logits``: (vocab_size,).
    """

    def __init__(self, vocab_size: int, embedding_size: int = 128, hidden_size: int = 160) -> None:
        check_sizes(vocab_size=vocab_size, embedding_size=embedding_size, hidden_size=hidden_size)
        embedding = nn.Embedding(vocab_size, embedding_size, std=_STD)
        encoder = _Encoder(embedding, embedding_size, hidden_size)
        decoder = _Decoder(embedding, vocab_size, embedding_size, hidden_size)
        super().__init__({"encoder": encoder, "decoder": decoder})


class _Encoder(cavs.VertexFunction):
    """Reads the source from left to right."""

    def __init__(self, embedding: nn.Embedding, embedding_size: int, hidden_size: int) -> None:
        self.hidden_size = hidden_size
        self.embedding = embedding
        self.w = nn.Linear(embedding_size, 4 * hidden_size)
        self.u = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        _remember(self.w, hidden_size)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("word", dtype="int32"))
        before = v.gather(0, of="encoder", h=self.hidden_size, c=self.hidden_size)
        h, c = lstm(self.w(x) + self.u(before.h), before.c)
        v.scatter(h=h, c=c, x=x)


class _Decoder(cavs.VertexFunction):
    """Attends to the source, and writes."""

    def __init__(
        self, embedding: nn.Embedding, vocab_size: int, embedding_size: int, hidden_size: int
    ) -> None:
        self.embedding_size, self.hidden_size = embedding_size, hidden_size
        self.embedding = embedding
        self.w = nn.Linear(2 * embedding_size + hidden_size, 4 * hidden_size)
        self.u = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        _remember(self.w, hidden_size)
        self.query = nn.Linear(embedding_size + hidden_size, hidden_size)
        self.key = nn.Linear(hidden_size, hidden_size, bias=False)
        self.score = nn.Linear(hidden_size, 1, bias=False)
        self.output = nn.Linear(2 * hidden_size, embedding_size, bias=False)
        self.copy = nn.Linear(embedding_size, embedding_size, bias=False)
        with self.copy.weight.writing() as values:
            values[...] = _COPIED * np.eye(embedding_size)
        self.bias = nn.Parameter(np.zeros(vocab_size, np.float32))

    def forward(self, v: cavs.Vertex) -> None:
        size = self.hidden_size
        y = self.embedding(v.pull("word", dtype="int32"))
        before = v.gather(0, of="decoder", s=size, cell=size)
        source = v.gather(of="encoder", h=size, x=self.embedding_size)
        query = self.query(ops.concat([y, before.s]))
        weight = self.score(ops.tanh(query + self.key(source.h))).softmax()
        context, words = (weight * source.h).sum(), (weight * source.x).sum()
        gates = self.w(ops.concat([y, context, words])) + self.u(before.s)
        s, cell = lstm(gates, before.cell)
        v.scatter(s=s, cell=cell)
        said = self.output(ops.concat([s, context])) + self.copy(words)
        logits = ops.linear(said, self.embedding.weight, self.bias)
        v.push(logits=logits, loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")))


def _remember(gates: Any, hidden_size: int) -> None:
    """Raises the first biases of the forget gate by 1 (Jozefowicz et al. 2015): positions in the
    source are to be kept over many words."""
    with gates.bias.writing() as bias:
        bias[hidden_size : 2 * hidden_size] += 1
