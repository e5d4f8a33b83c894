"""The LSTM language model in PyTorch over minibatches of chains, differentiated by autograd.

What a careful user writes: distinct words are looked up once, all words are multiplied with W in
one product, there are logits for real words alone, Adagrad is fused and the embedding is updated by
rows. Steps come first in all arrays, as the kernels of PyTorch want them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from peers.protocol import Array, PeerBatch, UnsuitableError
from torch import nn

from cavs.bench.recipes import Recipe

Tensor = Any
EPS = 1e-10
#: `torch.nn.LSTM` over rows of one length, or over a packed sequence; a cell called step by step,
#: the states of samples that have ended masked.
LIBRARY, PACKED, BY_HAND = "library", "packed", "by hand"
#: Takes the lengths of a minibatch's samples; gives the steps that all of them are padded to.
Length = Callable[[Array], int]
Unroll = Callable[..., tuple[Tensor, Tensor, Tensor]]
_PARAMETERS = {
    "w.weight": "weight_ih_l0",
    "w.bias": "bias_ih_l0",
    "u.weight": "weight_hh_l0",
}


def longest(lengths: Array) -> int:
    """Padded to the longest sample of the minibatch."""
    return int(lengths.max())


def to(steps: int) -> Length:
    """Padded to so many steps, always."""
    return lambda lengths: steps


def cell(gates: Tensor, u: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """A step of the LSTM; `gates` are W x + b of its words, (samples, 4 hidden)."""
    i, f, g, o = torch.addmm(gates, h, u.t()).chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def unroll(
    gates: Tensor, mask: Tensor | None, u: Tensor, h: Tensor, c: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """All h, (steps, samples, hidden), and the last h and c; where `mask` (steps, samples, 1) is
    false, states stay as they are."""
    found = []
    for step in range(len(gates)):
        new_h, new_c = cell(gates[step], u, h, c)
        if mask is None:
            h, c = new_h, new_c
        else:
            h, c = torch.where(mask[step], new_h, h), torch.where(mask[step], new_c, c)
        found.append(h)
    return torch.stack(found), h, c


def readout(h: Tensor, labels: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The sum of the losses of these states."""
    logits = nn.functional.linear(h, weight, bias)
    return nn.functional.cross_entropy(logits, labels, reduction="sum")


@dataclass(frozen=True)
class Rows:
    """A minibatch as the model takes it.

    Attributes:
        words: int64 [distinct]: the distinct words, ascending.
        x: int64 [steps, samples], or [words] if packed: places in `words`; 0 behind a sample's end.
        labels: int64 [words], step by step.
        real: int64 [words]: the places of their states among steps x samples.
        mask: bool [steps, samples, 1]: whether there is a word; None: everywhere.
        sizes: int64 [steps]: samples that have a word, where x is packed.
    """

    words: Tensor
    x: Tensor
    labels: Tensor
    real: Tensor
    mask: Tensor | None = None
    sizes: Tensor | None = None

    @property
    def computed(self) -> int:
        """How many words the LSTM takes, those of padding too."""
        return int(self.x.numel())


def padded(batch: PeerBatch, steps: int) -> Rows:
    """The samples padded to so many steps."""
    words, inverse, step, sample, count = _places(batch)
    places = step * count + sample
    order = np.argsort(places)
    real = places[order]
    x = np.zeros(steps * count, np.int64)
    x[real] = inverse[order]
    mask = None
    if len(real) < len(x):
        there = np.zeros(len(x), np.bool_)
        there[real] = True
        mask = torch.from_numpy(there.reshape(steps, count, 1))
    labels = batch.inputs["label"].astype(np.int64)[order]
    return Rows(*map(torch.from_numpy, (words, x.reshape(steps, count), labels, real)), mask)


def packed(batch: PeerBatch) -> Rows:
    """The samples as `torch.nn.utils.rnn.PackedSequence` has them: step by step, longest first."""
    words, inverse, step, sample, count = _places(batch)
    rank = np.empty(count, np.int64)
    rank[np.argsort(-np.diff(batch.ptr), kind="stable")] = np.arange(count)
    order = np.lexsort((rank[sample], step))
    labels = batch.inputs["label"].astype(np.int64)
    arrays = words, inverse[order], labels[order], np.arange(len(order))
    sizes = torch.from_numpy(np.bincount(step))
    return Rows(*map(torch.from_numpy, arrays), sizes=sizes)


def _places(batch: PeerBatch) -> tuple[Array, Array, Array, Array, int]:
    """Distinct words; of each word its place among them, its step and its sample; the samples."""
    lengths = np.diff(batch.ptr)
    step = np.arange(batch.num_vertices) - np.repeat(batch.ptr[:-1], lengths)
    chained = step > 0
    alike = np.array_equal(np.diff(batch.child_ptr), chained)
    if not alike or not np.array_equal(batch.children, np.flatnonzero(chained) - 1):
        raise UnsuitableError("it knows chains alone, each vertex after its child")
    if min(batch.inputs["word"].min(), batch.inputs["label"].min()) < 0:
        raise UnsuitableError("expected a word and a label on every vertex")
    words, inverse = np.unique(batch.inputs["word"].astype(np.int64), return_inverse=True)
    return words, inverse, step, np.repeat(np.arange(len(lengths)), lengths), len(lengths)


class TorchSequences:
    """Trains and runs the model; a minibatch is padded in each step anew.

    Args:
        state: parameters by the names of `cavs.models.LSTM`; copied.
        batches: of chains, with a word and a label on each vertex.
        recipe: how it trains.
        way: LIBRARY, PACKED or BY_HAND.
        lengths: what all samples of a minibatch are padded to.
        parts: `unroll` and `readout`, or the same compiled.
    """

    def __init__(
        self,
        state: Mapping[str, Array],
        batches: Sequence[PeerBatch],
        recipe: Recipe,
        way: str,
        lengths: Length = longest,
        parts: tuple[Unroll, Callable[..., Tensor]] = (unroll, readout),
    ) -> None:
        self.recipe = recipe
        self._batches, self._way, self._lengths = batches, way, lengths
        self._unroll, self._readout = parts
        self._compiled = parts != (unroll, readout)
        for batch in batches:
            _places(batch)
        self._embedding = torch.from_numpy(state["embedding.weight"].copy())
        self._sums = torch.zeros_like(self._embedding)
        size, (classes, hidden) = self._embedding.shape[1], state["classifier.weight"].shape
        self._lstm, self._classifier = nn.LSTM(size, hidden), nn.Linear(hidden, classes)
        self._lstm.bias_hh_l0.requires_grad_(False).zero_()
        self._named = {name: getattr(self._lstm, own) for name, own in _PARAMETERS.items()}
        self._named |= {f"classifier.{n}": p for n, p in self._classifier.named_parameters()}
        with torch.no_grad():
            for name, parameter in self._named.items():
                parameter.copy_(torch.from_numpy(state[name]))
        self._optimizer = torch.optim.Adagrad(
            self._named.values(), lr=recipe.lr, eps=EPS, fused=True
        )
        self._construction = self._all = 0.0

    def rows(self, number: int) -> Rows:
        """A minibatch, made anew."""
        batch = self._batches[number % len(self._batches)]
        if self._way == PACKED:
            return packed(batch)
        return padded(batch, self._lengths(np.diff(batch.ptr)))

    def train_step(self, number: int) -> float:
        begin = time.perf_counter()
        rows = self.rows(number)
        self._construction += time.perf_counter() - begin
        self._optimizer.zero_grad()
        x = self._embedding[rows.words].requires_grad_()
        loss = self._forward(rows, x)
        loss.backward()
        self._optimizer.step()
        with torch.no_grad():
            sums = self._sums[rows.words].addcmul_(x.grad, x.grad)
            self._sums[rows.words] = sums
            x.addcdiv_(x.grad, sums.sqrt_().add_(EPS), value=-self.recipe.embedding_lr)
            self._embedding[rows.words] = x
        loss.item()
        self._all += time.perf_counter() - begin
        return float(self._batches[number % len(self._batches)].num_graphs)

    def infer_step(self, number: int) -> float:
        self.loss(number)
        return float(self._batches[number % len(self._batches)].num_graphs)

    def loss(self, number: int) -> float:
        rows = self.rows(number)
        # What is compiled is compiled once: for training.
        with torch.set_grad_enabled(self._compiled):
            return float(self._forward(rows, self._embedding[rows.words]).detach())

    def gradients(self, number: int) -> dict[str, npt.NDArray[np.float32]]:
        rows = self.rows(number)
        self._optimizer.zero_grad()
        x = self._embedding[rows.words].requires_grad_()
        self._forward(rows, x).backward()
        found = {"embedding.weight": x.grad.numpy().copy()}
        found |= {name: p.grad.numpy().copy() for name, p in self._named.items()}
        self._optimizer.zero_grad()
        return found

    def shares(self) -> dict[str, float]:
        """The share of making minibatches in the training steps since the last call."""
        share = self._construction / max(self._all, 1e-12)
        self._construction = self._all = 0.0
        return {"construction": share, "step": 1 - share}

    def _forward(self, rows: Rows, distinct: Tensor) -> Tensor:
        """The sum of the losses of the words."""
        x, lstm = nn.functional.embedding(rows.x, distinct), self._lstm
        if rows.sizes is not None:
            h = lstm(nn.utils.rnn.PackedSequence(x, rows.sizes))[0].data
        else:
            h = lstm(x)[0] if self._way == LIBRARY else self._by_hand(x, rows.mask)
            h = h.flatten(0, 1)
            if rows.mask is not None:
                h = h.index_select(0, rows.real)
        return self._readout(h, rows.labels, self._classifier.weight, self._classifier.bias)

    def _by_hand(self, x: Tensor, mask: Tensor | None) -> Tensor:
        lstm = self._lstm
        gates = nn.functional.linear(x, lstm.weight_ih_l0, lstm.bias_ih_l0)
        # It wants a gradient, so that all parts of a compiled loop are alike.
        h = gates.new_zeros(x.shape[1], lstm.hidden_size, requires_grad=self._compiled)
        return self._unroll(gates, mask, lstm.weight_hh_l0, h, h)[0]
