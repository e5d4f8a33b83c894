"""Transformer-XL, a language model with segment recurrence (Dai et al. 2019)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

import cavs
from cavs import nn, ops
from cavs._arguments import boolean, integer
from cavs.errors import ShapeError
from cavs.models._shared import check_sizes

Array = npt.NDArray[Any]


class TransformerXL(cavs.TypedFunction):
    """Layers of attention over a segment of text and over what the layers below remember of the
    text before it ("Transformer-XL: Attentive Language Models beyond a Fixed-Length Context",
    section 3).

    A graph is a segment: ``cavs.data.segment_graph``. In layer n the vertex of a word has as its
    children the remembered outputs of layer n - 1, without gradient, and the outputs of layer
    n - 1 at the words up to its own. With h of the layer below, its own h_i and j a child at
    distance i - j::

        q = W_q h_i        k_j = W_k h_j        v_j = W_v h_j        r_(i-j) = W_r R_(i-j)
        score_j = ((q + u) . k_j + (q + w) . r_(i-j)) / sqrt(s)      in each head of size s
        x = norm(h_i + W_o sum_j softmax(score)_j v_j)
        output = norm(x + W_2 relu(W_1 x))

    R is the table of sinusoids of distances, u and w are learned by layer and head. Layer 0 is the
    word's embedding times sqrt(size). Matrices, the embedding too, begin normal with a variance of
    one by their columns, u, w and biases at 0. Dropout acts on embeddings, on what is added to h_i
    and to x, within the inner layer and on the last output, `attention_dropout` on the weights.
    With `tied` the logits are h . embedding + a (Press and Wolf 2017), else V h + a.

    Types: ``word``, ``layer1`` to ``layerN`` and, for what is remembered of the layer below each,
    ``memory0`` to ``memory(N-1)``.
    Inputs: ``word``, ``label`` (the next word): int32 per word; ``memory``: (size,) per vertex of a
    memory type.
    Outputs per word: ``loss``: (); ``logits``: (vocab_size,); per vertex of ``word`` and of all
    layers but the last ``memory``: (size,); see :meth:`next_memory`.

    Args:
        vocab_size: number of words.
        size: of embeddings and of all layers' outputs; a multiple of `num_heads`.
        num_layers: the number of layers.
        num_heads: heads of attention.
        inner_size: of the feed-forward layers; None: four times `size`.
        context: the most children a vertex may have: words of a segment and of the memory.
        dropout, attention_dropout: probabilities.
        tied: whether the logits are products with the embeddings.

    Raises:
        ShapeError: a size is no integer of 1 or more, or `size` is no multiple of `num_heads`;
            InputError: a dropout is no probability below 1.
    """

    def __init__(
        self,
        vocab_size: int,
        size: int = 240,
        num_layers: int = 4,
        num_heads: int = 6,
        *,
        inner_size: int | None = None,
        context: int = 128,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        tied: bool = True,
    ) -> None:
        check_sizes(vocab_size=vocab_size, size=size, num_layers=num_layers)
        inner_size = 4 * size if inner_size is None else inner_size
        check_sizes(num_heads=num_heads, inner_size=inner_size, context=context)
        if size % num_heads:
            raise ShapeError(
                f"[models] expected size as a multiple of num_heads, got {size} and {num_heads}; "
                "change one of them"
            )
        boolean("models", "tied", tied)
        embedding = nn.Embedding(vocab_size, size, std=size**-0.5)
        output = _Logits(embedding, size, tied)
        layers = [
            _Layer(n, size, num_heads, inner_size, context, dropout, attention_dropout)
            for n in range(1, num_layers + 1)
        ]
        functions: dict[str, cavs.VertexFunction] = {}
        for n, layer in enumerate(layers):
            if n == 0:
                functions["word"] = _Word(embedding, layer.keys, dropout)
            else:
                layers[n - 1].above = layer.keys
                functions[f"layer{n}"] = layers[n - 1]
            functions[f"memory{n}"] = _Memory(layer.keys)
        layers[-1].logits = output
        functions[f"layer{num_layers}"] = layers[-1]
        super().__init__(functions)
        self.size, self.num_layers, self.context = size, num_layers, context

    def next_memory(
        self, memory: npt.ArrayLike, output: npt.ArrayLike, num_graphs: int, most: int
    ) -> Array:
        """What the next segments remember, the input ``memory`` of their vertices: the last rows of
        what these remembered and of their outputs, at most `most` of each layer.

        Args:
            memory: the input of these segments, (num_graphs * num_layers * m, size).
            output: their output ``memory``, (num_graphs * num_layers * words, size).
            num_graphs: number of segments, all of one length.
            most: rows of a layer to remember, from 0 on.

        Returns:
            (num_graphs * num_layers * min(m + words, most), size), without gradient.

        Raises:
            ShapeError: the arrays have no rows for so many graphs and layers.
        """
        most = integer("models", "most", most, 0)
        parts = []
        for what, given in (("memory", memory), ("output", output)):
            rows = given.numpy() if isinstance(given, cavs.Tensor) else np.asarray(given)
            lists = num_graphs * self.num_layers
            if rows.ndim != 2 or rows.shape[1] != self.size or len(rows) % lists:
                raise ShapeError(
                    f"[models] expected {what} as rows of {self.size} for {num_graphs} graphs "
                    f"of {self.num_layers} layers, got shape {rows.shape}; pass those of a call"
                )
            parts.append(rows.reshape(lists, len(rows) // lists, self.size))
        joined = np.concatenate(parts, axis=1)
        return joined[:, max(joined.shape[1] - most, 0) :].reshape(-1, self.size)


def sinusoids(context: int, size: int) -> Array:
    """The encodings of distances (Vaswani et al. 2017, section 3.5), sines before cosines, of the
    greatest distance first: row p is distance context - 1 - p; float32 (context, size)."""
    distances = np.arange(context - 1, -1, -1.0)
    rates = 10000.0 ** (-np.arange(0, size, 2.0) / size)
    angles = distances[:, None] * rates
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)[:, :size].astype(np.float32)


def _linear(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias)
    nn.init.normal_(layer.weight, 0.0, inputs**-0.5)
    if layer.bias is not None:
        nn.init.constant_(layer.bias, 0.0)
    return layer


class _Keys(nn.Module):
    """The keys and the values of one layer, from the outputs of the layer below."""

    def __init__(self, number: int, size: int, heads: int) -> None:
        self.number, self.shape = number, (heads, size // heads)
        self.weights = _linear(size, 2 * size, bias=False)

    def forward(self, x: Any) -> dict[str, Any]:
        """As states of the vertex whose output `x` is."""
        k, v = ops.split(self.weights(x), 2)
        return {
            f"k{self.number}": ops.reshape(k, self.shape),
            f"v{self.number}": ops.reshape(v, self.shape),
        }


class _Memory(cavs.VertexFunction):
    """An output that is remembered: an input, so no gradient goes back to it."""

    def __init__(self, keys: _Keys) -> None:
        self.keys = keys

    def forward(self, v: cavs.Vertex) -> None:
        heads, size = self.keys.shape
        v.scatter(**self.keys(v.pull("memory", heads * size)))


class _Word(cavs.VertexFunction):
    def __init__(self, embedding: nn.Embedding, above: _Keys, dropout: float) -> None:
        self.embedding, self.above, self.dropout = embedding, above, nn.Dropout(dropout)

    def forward(self, v: cavs.Vertex) -> None:
        x = self.embedding(v.pull("word", dtype="int32"))
        x = self.dropout(x * math.sqrt(x.shape[0]))
        v.scatter(x0=x, **self.above(x))
        v.push(memory=x)


class _Logits(nn.Module):
    def __init__(self, embedding: nn.Embedding, size: int, tied: bool) -> None:
        words = embedding.weight.shape[0]
        self.weight = embedding.weight if tied else _linear(size, words, bias=False).weight
        self.bias = cavs.Parameter(np.zeros(words, np.float32))

    def forward(self, x: Any) -> Any:
        return ops.linear(x, self.weight, self.bias)


class _Layer(cavs.VertexFunction):
    """One word in one layer. `above` makes the keys of the next layer; the last layer has `logits`
    in its place."""

    def __init__(
        self,
        number: int,
        size: int,
        heads: int,
        inner_size: int,
        context: int,
        dropout: float,
        attention_dropout: float,
    ) -> None:
        self.number, self.shape = number, (heads, size // heads)
        self.attention_dropout = attention_dropout
        self.keys = _Keys(number, size, heads)
        self.above: _Keys | None = None
        self.logits: _Logits | None = None
        self.query = _linear(size, size, bias=False)
        self.relative = _linear(size, size, bias=False)
        self.output = _linear(size, size, bias=False)
        self.u = cavs.Parameter(np.zeros(self.shape, np.float32))
        self.w = cavs.Parameter(np.zeros(self.shape, np.float32))
        self.norm1, self.norm2 = nn.LayerNorm(size), nn.LayerNorm(size)
        self.inner1, self.inner2 = _linear(size, inner_size), _linear(inner_size, size)
        self.dropout = nn.Dropout(dropout)
        self.distances = sinusoids(context, size)

    def forward(self, v: cavs.Vertex) -> None:
        heads, head_size = self.shape
        size, n = heads * head_size, self.number
        below = "word" if n == 1 else f"layer{n - 1}"
        own = getattr(v.gather(-1, of=below, **{f"x{n - 1}": size}), f"x{n - 1}")
        k, values = v.gather(**{f"k{n}": self.shape, f"v{n}": self.shape})
        query = ops.reshape(self.query(own), self.shape)
        position = self._position(query + self.w)
        read = ops.attention(
            query + self.u, k, values, position=position, dropout=self.attention_dropout
        )
        x = self.norm1(own + self.dropout(self.output(ops.reshape(read, (size,)))))
        inner = self.inner2(self.dropout(ops.relu(self.inner1(x))))
        x = self.norm2(x + self.dropout(inner))
        if self.above is not None:
            v.scatter(**{f"x{n}": x}, **self.above(x))
            v.push(memory=x)
        if self.logits is not None:
            logits = self.logits(self.dropout(x))
            v.push(loss=ops.cross_entropy(logits, v.pull("label", dtype="int32")), logits=logits)

    def _position(self, query: Any) -> Any:
        """(heads, context): the scores of the distances, the last one of 0."""
        heads, size = self.shape
        relative = self.relative(self.distances)  # (context, heads * size), without rows
        scores = [
            ops.linear(query[h], relative[:, h * size : (h + 1) * size]) for h in range(heads)
        ]
        return ops.stack(scores) * (1.0 / math.sqrt(size))
