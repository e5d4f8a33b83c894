"""All contenders over the same minibatches, and how far each pads them."""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from peers import torch_sequences as in_torch
from peers.protocol import PeerBatch
from peers.torch_sequences import BY_HAND, LIBRARY, PACKED, TorchSequences
from suite import peer_batch

from cavs.bench.checks import check_equal
from cavs.bench.contenders import Contender, Weights
from cavs.bench.corpora import Array, Corpus
from cavs.bench.recipes import PLAIN, find_recipe
from chains.compiled import BLOCK, LIMIT, Compiled
from chains.padding import Length, PaddedWeights

BUCKETS = (10, 20, 30, 40, 60, 100)
OURS = "cavs"
#: Names of ways of padding.
PADDED, STATIC, IN_BUCKETS = "padded", "static", "buckets"
#: Words of a turn, in all its minibatches; and the most minibatches.
WORDS, MOST = 6000, 64


def bucket(lengths: Array) -> int:
    """The end of the bucket of the longest sample; samples beyond all buckets have their own."""
    longest = int(lengths.max())
    return next((end for end in BUCKETS if end >= longest), longest)


@dataclass(frozen=True)
class Minibatches:
    """Samples of minibatches: a first for the check of equality, and those of a turn.

    Attributes:
        drawn: as they were drawn.
        alike: the samples of `drawn` but the first, sorted by length before they were cut.
    """

    drawn: list[Array]
    alike: list[Array]

    @classmethod
    def choose(cls, sizes: Array, size: int, words: int = WORDS) -> Minibatches:
        """Minibatches of `size` samples, of which there are `sizes` words each."""
        order = np.random.default_rng(1).permutation(len(sizes))
        count = int(np.clip(words / (size * sizes.mean()), 2, MOST))
        count = min(count, len(order) // size - 1)
        drawn = np.split(order[: (count + 1) * size], count + 1)
        rest = np.concatenate(drawn[1:])
        rest = rest[np.argsort(sizes[rest], kind="stable")]
        return cls(drawn, [drawn[0], *np.split(rest, count)])


@dataclass
class Entry:
    """A contender.

    Attributes:
        contender: of which minibatch 0 is that of the check.
        words: of a turn.
        padding: the share of padding in what a turn's minibatches are padded to.
        compile_seconds: of the first step, beyond a later one; None: not known yet.
    """

    contender: Any
    words: int
    padding: float
    count: int
    compile_seconds: float | None = None

    def turn(self) -> None:
        """A training step over each minibatch."""
        for number in range(1, self.count + 1):
            self.contender.train_step(number)


@dataclass
class Field:
    """The contenders of one workload and batch size, by name; and why others do not take part."""

    corpus: Corpus
    weights: Weights
    batches: Minibatches
    threads: int
    entries: dict[str, Entry] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def sizes(self) -> Array:
        """Words of each sample."""
        sizes: Array = self.corpus.dataset.sizes
        return sizes

    @property
    def fixed(self) -> bool:
        """Whether all samples are of one length."""
        return bool((self.sizes == self.sizes[0]).all())

    def lengths(self) -> dict[str, Length]:
        """What minibatches are padded to, by the way of padding."""
        if self.fixed:
            return {PADDED: in_torch.longest}
        longest = int(self.sizes.max())
        return {PADDED: in_torch.longest, STATIC: in_torch.to(longest), IN_BUCKETS: bucket}

    def add(self, name: str, contender: Any, way: str, lengths: Length | None) -> None:
        """`lengths`: what it pads minibatches to; None: nothing is padded."""
        chosen = self.chosen(way)[1:]
        words = int(sum(self.sizes[indices].sum() for indices in chosen))
        steps = [0 if lengths is None else lengths(self.sizes[i]) * len(i) for i in chosen]
        padding = 0.0 if lengths is None else 1 - words / sum(steps)
        self.entries[name] = Entry(contender, words, padding, len(chosen))

    def chosen(self, way: str) -> list[Array]:
        """The minibatches of a way of padding."""
        return self.batches.alike if way == IN_BUCKETS else self.batches.drawn

    def check(self) -> dict[str, float]:
        """The largest difference of each contender's loss and gradients from ours, over the first
        minibatch.

        Raises:
            CavsRuntimeError: it is too large.
        """
        contenders = {name: entry.contender for name, entry in self.entries.items()}
        ours = {name: c for name, c in contenders.items() if isinstance(c, Contender)}
        others = {name: c for name, c in contenders.items() if name not in ours}
        return check_equal(ours, others)


def add_ours(field: Field) -> None:
    """cavs, without padding and with it."""
    recipe = find_recipe(PLAIN)

    def add(name: str, weights: Weights, way: str, lengths: Length | None) -> None:
        begin = time.perf_counter()
        made = Contender(weights, None, field.chosen(way), field.threads, recipe)
        times = [time.perf_counter()]
        for _ in range(2):
            made.gradients(0)
            times.append(time.perf_counter())
        field.add(name, made, way, lengths)
        first = times[1] - begin - (times[2] - times[1])
        field.entries[name].compile_seconds = max(first, 0.0)

    add(OURS, field.weights, PADDED, None)
    if field.fixed:
        return
    for way, lengths in field.lengths().items():
        add(f"{OURS}, {way}", PaddedWeights(field.weights, lengths, True), way, lengths)
    lengths = field.lengths()[PADDED]
    padded = PaddedWeights(field.weights, lengths, False)
    add(f"{OURS}, {PADDED}, the cell runs on", padded, PADDED, lengths)


def add_torch(field: Field, compiled: bool) -> None:
    """PyTorch: its own LSTM and one by hand, eager and, if asked for, compiled."""
    state = {name: x.copy() for name, x in field.weights.function.state_dict().items()}
    data: dict[str, list[PeerBatch]] = {}
    for way in (PADDED, IN_BUCKETS):
        batches = map(field.corpus.dataset.batch, field.chosen(way))
        data[way] = [peer_batch(graphs, inputs) for graphs, inputs in batches]
    recipe = find_recipe(PLAIN)

    def add(name: str, kind: str, way: str, lengths: Length, *parts: Any) -> None:
        given = data[IN_BUCKETS if way == IN_BUCKETS else PADDED]
        made = TorchSequences(state, given, recipe, kind, lengths, *parts)
        field.add(name, made, way, None if kind == PACKED else lengths)
        field.entries[name].compile_seconds = None if parts else 0.0

    kinds = {LIBRARY: "torch.nn.LSTM", BY_HAND: "torch by hand"}
    for kind, title in kinds.items():
        for way, lengths in field.lengths().items():
            add(f"{title}, {way}", kind, way, lengths)
            if kind == LIBRARY and way == PADDED and not field.fixed:
                add(f"{title}, {PACKED}", PACKED, PADDED, lengths)
    if not compiled:
        return
    classes, hidden = state["classifier.weight"].shape
    block = _divisor(int(field.sizes[0])) if field.fixed else BLOCK
    made = Compiled(hidden, masked=not field.fixed, block=block)
    for kind, title in kinds.items():
        loop = kind == BY_HAND
        for way, given in field.lengths().items():
            lengths = _whole_blocks(given, block) if loop else given
            steps = [lengths(field.sizes[indices]) for indices in field.chosen(way)]
            name = f"{title}, {way}, compiled"
            try:
                taken = made.readout_seconds(classes)
                if loop:
                    taken += made.loop_seconds(steps, len(field.batches.drawn[0]))
            except Exception as error:  # whatever torch and its compiler raise
                field.left_out[name] = (
                    f"not compiled: {(str(error) or repr(error)).splitlines()[0]}"
                )
                continue
            if taken > LIMIT:
                field.left_out[name] = f"compiled in {taken:.0f} s, more than {LIMIT:.0f}"
                continue
            add(name, kind, way, lengths, made.parts if loop else made.readout_alone)
            field.entries[name].compile_seconds = taken


def add_dynamic(field: Field) -> None:
    """Dynamic declaration with batching on the fly, where it is built."""
    peer = importlib.import_module("peers.dynamic")
    reason = peer.available(field.threads)
    if reason is not None:
        field.left_out["dynamic declaration"] = reason
        return
    state = {name: x.copy() for name, x in field.weights.function.state_dict().items()}
    batches = map(field.corpus.dataset.batch, field.chosen(PADDED))
    given = [peer_batch(graphs, inputs) for graphs, inputs in batches]
    recipe, workload = find_recipe(PLAIN), field.weights.workload.name
    for policy in ("depth", "agenda"):
        made = peer.make(workload, policy, state, given, recipe, field.threads)
        field.add(f"dynamic declaration, {policy}", made, PADDED, None)


def _divisor(steps: int) -> int:
    """The steps of a block where all samples are of one length."""
    return max(k for k in range(1, 9) if steps % k == 0)


def _whole_blocks(lengths: Length, block: int) -> Length:
    """`lengths` rounded up to whole blocks."""
    return lambda sizes: -(-lengths(sizes) // block) * block


def make_field(
    workload: Any, corpus: Corpus, hidden: int, size: int, threads: int, compiled: bool
) -> Field:
    """All contenders for minibatches of `size` samples."""
    weights = Weights(workload, corpus, hidden)
    found = Field(corpus, weights, Minibatches.choose(corpus.dataset.sizes, size), threads)
    add_ours(found)
    add_torch(found, compiled)
    add_dynamic(found)
    return found
