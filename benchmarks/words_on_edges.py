"""The lattice LSTM without types: characters on the vertices of a chain, words on its edges.

What `cavs.models.LatticeLSTM` is compared with: the same function of the same weights. Each edge,
be it a word or not, computes the cell of a word; a mask then takes out each that is no word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import cavs
from cavs import nn, ops
from cavs.data import Dataset, Lattice
from cavs.errors import InputError
from cavs.models import LatticeLSTM
from cavs.models._shared import WordClassifier


class WordsOnEdges(WordClassifier):
    """Character LSTM that words flow into, with a classifier on every vertex.

    Vertex j stands after character j. One edge leads to it from j - 1, and one from each earlier
    vertex b such that the characters b + 1 .. j are a word. With x_j the character's embedding,
    h', c' the states of j - 1, and for each word x_bj its embedding and h_b, c_b the states where
    it begins (all products with weights and biases of their own; section 3.3 of the paper)::

        i, f, o, g     = sigmoid, sigmoid, sigmoid, tanh (W x_j + U h' + b)
        iw, fw, gw     = sigmoid, sigmoid, tanh (W_w x_bj + U_w h_b + b_w)      for each word
        cw             = fw * c_b + iw * gw
        l              = sigmoid(W_l x_j + U_l cw + b_l)
        c = (exp(i) * g + sum_b exp(l) * cw) / (exp(i) + sum_b exp(l))          with words
        c = f * c' + i * g                                                      without
        h = o * tanh(c)

    One embedding holds characters and words. The id of an edge from j - 1 repeats the character,
    and is not read.

    `dropout` drops h before the classifier, `embedding_dropout` drops the embeddings of characters
    and words, by vertex (an edge's word: by edge) or by id (:func:`cavs.ops.dropout`); None: as
    `dropout`, since the paper drops them (section 4.1).

    Inputs: ``character``, ``label``: int32 per vertex, -1 for none; ``word``: int32 per edge;
    ``kind``: per edge, 1 for a word and 0 for the edge from j - 1.
    Outputs: ``logits`` (num_classes,) and ``loss`` () per vertex.
    """

    _word = "character"

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int,
        hidden_size: int,
        num_classes: int,
        *,
        dropout: float = 0.0,
        embedding_dropout: float | None = None,
        embedding_dropout_by: str = "vertex",
    ) -> None:
        super().__init__(
            vocab_size,
            embedding_size,
            hidden_size,
            num_classes,
            dropout=dropout,
            embedding_dropout=dropout if embedding_dropout is None else embedding_dropout,
            embedding_dropout_by=embedding_dropout_by,
        )

    def _add_cell(self, embedding_size: int, hidden_size: int) -> None:
        self.w = nn.Linear(embedding_size, 4 * hidden_size)
        self.u = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.w_word = nn.Linear(embedding_size, 3 * hidden_size)
        self.u_word = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.w_link = nn.Linear(embedding_size, hidden_size)
        self.u_link = nn.Linear(hidden_size, hidden_size, bias=False)

    def _cell(self, v: cavs.Vertex, x: Any) -> Any:
        x_word = self.embedding_dropout(self.embedding(v.pull_edge("word", dtype="int32")))
        is_word = v.pull_edge("kind")
        children = v.gather(h=self.hidden_size, c=self.hidden_size)

        from_before = 1 - is_word
        h_before = (from_before * children.h).sum()
        c_before = (from_before * children.c).sum()
        i, f, o, g = ops.split(self.w(x) + self.u(h_before), 4)
        i, g = ops.sigmoid(i), ops.tanh(g)

        iw, fw, gw = ops.split(self.w_word(x_word) + self.u_word(children.h), 3)
        c_word = ops.sigmoid(fw) * children.c + ops.sigmoid(iw) * ops.tanh(gw)
        link = ops.sigmoid(self.w_link(x) + self.u_link(c_word))
        weight = is_word * ops.exp(link)
        own = ops.exp(i)
        with_words = (own * g + (weight * c_word).sum()) / (own + weight.sum())

        c = ops.where(is_word.sum(), with_words, ops.sigmoid(f) * c_before + i * g)
        h = ops.sigmoid(o) * ops.tanh(c)
        v.scatter(h=h, c=c)
        return h


def sharing_layers(function: LatticeLSTM) -> WordsOnEdges:
    """The same function as `function`, of the same layers: its two types have one embedding."""
    char: Any
    word: Any
    char, word = function.functions().values()
    sizes = (*char.embedding.weight.shape, char.hidden_size, char.classifier.weight.shape[0])
    made = WordsOnEdges(*sizes)
    made.embedding, made.classifier = char.embedding, char.classifier
    made.w, made.u, made.w_word, made.u_word = char.w, char.u, word.w, word.u
    made.w_link, made.u_link = char.w_link, char.u_link
    return made


def weights_on_edges(state: Mapping[str, Any]) -> dict[str, Any]:
    """The weights of `WordsOnEdges` that make it the same function as a `LatticeLSTM` with the
    weights `state`, by name; from gradients likewise, gradients."""
    given = dict(state)
    tables = [given.pop(f"{kind}.embedding.weight") for kind in ("char", "word")]
    found = {"embedding.weight": np.concatenate(tables)}
    for name, value in given.items():
        kind, path = name.split(".", 1)
        found[path if kind == "char" else f"{path[0]}_word{path[1:]}"] = value
    return found


def edge_dataset(lattices: Sequence[Lattice], num_characters: int) -> Dataset:
    """Lattices as a data set.

    Args:
      lattices: the result of `read_lattices`.
      num_characters: how many characters there are (`LatticeCorpus.num_characters`).

    Returns:
      A `Dataset` with the inputs, int32 but for `kind`,
      vertex `label`: the tag, -1 at vertex 0 (it reads nothing, so there is nothing to predict);
      vertex `character`: the character before the vertex, -1 at vertex 0 (or if no edge reads it);
      edge `word`: one number for characters and words together: a character's id, or num_characters
        plus a word's id, so that one embedding of num_characters + num_words rows holds both;
      edge `kind`: 0 for a character, 1 for a word; float32, as models multiply by it.
    """
    empty = np.empty(0, np.int32)
    ids = np.concatenate([empty, *(lattice.ids for lattice in lattices)])
    is_word = np.concatenate([empty > 0, *(lattice.is_word for lattice in lattices)])
    if ids[~is_word].max(initial=-1) >= num_characters:
        raise InputError(
            f"[data] expected characters in [0, {num_characters}), got {ids[~is_word].max()}; "
            "count them over all files"
        )
    graphs = [lattice.graph for lattice in lattices]
    labels = np.concatenate([empty, *(lattice.tags for lattice in lattices)])
    starts = np.cumsum([0, *(graph.num_vertices for graph in graphs)])[:-1]
    labels[starts] = -1
    heads = np.concatenate(
        [empty, *(_heads(lattice) + at for lattice, at in zip(lattices, starts, strict=True))]
    )
    characters = np.full_like(labels, -1)
    characters[heads[~is_word]] = ids[~is_word]
    word = np.where(is_word, ids + np.int32(num_characters), ids).astype(np.int32)
    return Dataset(
        graphs,
        vertex={"label": labels, "character": characters},
        edge={"word": word, "kind": is_word.astype(np.float32)},
    )


def _heads(lattice: Lattice) -> npt.NDArray[np.int64]:
    """The vertex that each edge leads to."""
    counts = np.diff(lattice.graph.child_ptr)
    return np.repeat(np.arange(lattice.graph.num_vertices), counts)
