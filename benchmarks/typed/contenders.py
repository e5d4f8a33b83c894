"""Contenders: a training step without and with the update, inference, and the loss."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

import cavs
from cavs import data, ops
from typed import corpora, untyped

LR = 0.05
Indices = npt.NDArray[np.int64]


class Contender(Protocol):
    """A model over minibatches of samples, which are given by their numbers."""

    def see(self, indices: Indices) -> None:
        """Makes the batch that `train` and `infer` run over."""

    def loss(self) -> float:
        """The sum of the losses of the batch."""

    def train(self) -> None:
        """Forward and backward over the batch."""

    def infer(self) -> None:
        """Forward alone."""

    def step(self, indices: Indices) -> None:
        """A step of training as users take it: makes a batch of these samples, runs it, and updates
        the parameters by Adagrad."""


class Whole:
    """One model over one data set."""

    def __init__(
        self, function: cavs.VertexFunction, dataset: data.Dataset, policy: Any = None
    ) -> None:
        self.model = cavs.compile(function, outputs=["loss"], policy=policy)
        self.dataset = dataset
        self.optimizer = cavs.optim.Adagrad(self.model.parameters(), lr=LR)

    def see(self, indices: Indices) -> None:
        self.graphs, self.inputs = self.dataset.batch(indices)

    def _loss(self) -> cavs.Tensor:
        loss: cavs.Tensor = self.model(self.graphs, **self.inputs)["loss"].sum()
        return loss

    def loss(self) -> float:
        with cavs.no_grad():
            return float(self._loss().item())

    def train(self) -> None:
        self._loss().backward()
        self.model.zero_grad()

    def infer(self) -> None:
        with cavs.no_grad():
            self._loss()

    def step(self, indices: Indices) -> None:
        graphs, inputs = self.dataset.batch(indices)
        self.model.step(graphs, self.optimizer, **inputs)

    def batches(self) -> int:
        """How many batches of vertices run one after the other."""
        return int(self.model.explain(self.graphs, repeats=1, **self.inputs).num_batches)


class FourPrograms:
    """A tagger with characters as programs of its own for each way of letters and of words."""

    def __init__(self, function: cavs.TypedFunction, corpus: corpora.TaggerCorpus) -> None:
        given = function.functions()
        self.corpus = corpus
        self.letters = [cavs.compile(untyped.Letters(given[kind])) for kind in ("forth", "back")]
        self.before = cavs.compile(untyped.Words(function, "before", tag=False))
        self.after = cavs.compile(untyped.Words(function, "after", tag=True))
        self.models = [*self.letters, self.before, self.after]
        parameters = dict.fromkeys(p for model in self.models for p in model.parameters())
        self.optimizer = cavs.optim.Adagrad(list(parameters), lr=LR)

    def see(self, indices: Indices) -> None:
        self._batch = self._made(indices)

    def _made(self, indices: Indices) -> tuple[Any, ...]:
        """Words and their inputs, the same from right to left, rare words, and where they end."""
        corpus = self.corpus
        words, inputs = corpus.sentences.batch(indices)
        rare = [k for i in indices.tolist() for k in range(corpus.first[i], corpus.first[i + 1])]
        letters, ways = corpus.rare.batch(np.array(rare, np.int64))
        ends = np.full(words.num_vertices, -1, np.int32)
        ends[inputs["word"] < 0] = letters.ptr[1:] - 1
        return words, words.reverse(), inputs, letters, ways, ends

    def _loss(self, made: tuple[Any, ...]) -> cavs.Tensor:
        words, turned, inputs, letters, ways, ends = made
        read = [
            ops.embedding(model(letters, letter=ways[name])["h"], ends)
            for name, model in zip(("forth", "back"), self.letters, strict=True)
        ]
        x = ops.concat(read)
        h = self.before(words, word=inputs["word"], letters=x)["h"]
        out = self.after(turned, letters=x, before=h, **inputs)
        loss: cavs.Tensor = out["loss"].sum()
        return loss

    def loss(self) -> float:
        with cavs.no_grad():
            return float(self._loss(self._batch).item())

    def train(self) -> None:
        self._loss(self._batch).backward()
        for model in self.models:
            model.zero_grad()

    def infer(self) -> None:
        with cavs.no_grad():
            self._loss(self._batch)

    def step(self, indices: Indices) -> None:
        loss = self._loss(self._made(indices))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
