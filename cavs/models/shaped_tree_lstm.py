"""Tree-LSTMs whose vertices are of types by the shape of the tree, with weights for each type."""

from __future__ import annotations

from typing import Any

import cavs
from cavs import nn, ops
from cavs.models._shared import WordClassifier, check_sizes
from cavs.models.tree_lstm import ChildSumTreeLSTM, NaryTreeLSTM


class TreeLSTMLeaf(WordClassifier):
    """A vertex without children: the cell of a Tree-LSTM where there is nothing to gather."""

    def _add_cell(self, embedding_size: int, hidden_size: int) -> None:
        self.w_iou = nn.Linear(embedding_size, 3 * hidden_size)

    def _cell(self, v: cavs.Vertex, x: Any) -> Any:
        i, o, u = ops.split(self.w_iou(x), 3)
        c = ops.sigmoid(i) * ops.tanh(u)
        h = ops.sigmoid(o) * ops.tanh(c)
        v.scatter(h=h, c=c)
        return h


class ChildSumPhrase(ChildSumTreeLSTM):
    """A phrase with a child-sum cell of its own; embedding and classifier are the leaf's."""

    def __init__(self, leaf: TreeLSTMLeaf, embedding_size: int) -> None:
        _share(self, leaf)
        self._add_cell(embedding_size, leaf.hidden_size)


class NaryPhrase(NaryTreeLSTM):
    """A phrase with an N-ary cell of its own; embedding and classifier are the leaf's."""

    def __init__(self, leaf: TreeLSTMLeaf, embedding_size: int, arity: int) -> None:
        check_sizes(arity=arity)
        self.arity = arity
        _share(self, leaf)
        self._add_cell(embedding_size, leaf.hidden_size)


def _share(phrase: WordClassifier, leaf: TreeLSTMLeaf) -> None:
    phrase.hidden_size = leaf.hidden_size
    phrase.embedding, phrase.classifier = leaf.embedding, leaf.classifier
    phrase.dropout, phrase.embedding_dropout = leaf.dropout, leaf.embedding_dropout


class ShapedTreeLSTM(cavs.TypedFunction):
    """Child-sum Tree-LSTM (Tai et al. 2015, eqs. 2-8) with weights by the shape of a phrase.

    Vertices are of the types ``leaf``, ``left`` and ``right``, as ``cavs.data.tree_dataset(...,
    types="shape")`` gives them: a phrase is ``left`` where its first child is at least as heavy as
    its last, else ``right``. Each type has a cell of its own, of the equations of
    :class:`ChildSumTreeLSTM`; embedding and classifier are those of all.

    `dropout`, `embedding_dropout`, inputs and outputs: as of :class:`ChildSumTreeLSTM`, a row for
    each vertex.

    Raises:
      ShapeError: a size that is no integer of 1 or more.
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
        leaf = TreeLSTMLeaf(
            vocab_size,
            embedding_size,
            hidden_size,
            num_classes,
            dropout=dropout,
            embedding_dropout=embedding_dropout,
            embedding_dropout_by=embedding_dropout_by,
        )
        phrases = {kind: ChildSumPhrase(leaf, embedding_size) for kind in ("left", "right")}
        super().__init__({"leaf": leaf, **phrases})


class ShapedNaryTreeLSTM(cavs.TypedFunction):
    """N-ary Tree-LSTM (Tai et al. 2015, eqs. 9-14) with weights by the shape of a phrase: the types
    of :class:`ShapedTreeLSTM`, the equations and options of :class:`NaryTreeLSTM`.

    Raises:
      ShapeError: a size that is no integer of 1 or more.
    """

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int,
        hidden_size: int,
        num_classes: int,
        *,
        arity: int = 2,
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        embedding_dropout_by: str = "vertex",
    ) -> None:
        leaf = TreeLSTMLeaf(
            vocab_size,
            embedding_size,
            hidden_size,
            num_classes,
            dropout=dropout,
            embedding_dropout=embedding_dropout,
            embedding_dropout_by=embedding_dropout_by,
        )
        phrases = {kind: NaryPhrase(leaf, embedding_size, arity) for kind in ("left", "right")}
        super().__init__({"leaf": leaf, **phrases})
        self.arity = arity
