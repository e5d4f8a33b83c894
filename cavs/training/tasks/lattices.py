"""Taggers of word lattices: names in text without blanks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from json import dumps
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

import cavs
from cavs.data import (
    Dataset,
    Lattice,
    LatticeCorpus,
    lattice_dataset,
    load_lattices,
    parse_lattices,
)
from cavs.errors import DataError
from cavs.models import LatticeLSTM
from cavs.training.contract import Contract, FunctionContract, Pull
from cavs.training.metrics import finite_total, judging, placed, predictions, total
from cavs.training.objective import Batches, Inputs, Judged, Loss, Objective, ShouldStop
from cavs.training.options import Integer, Option, with_defaults
from cavs.training.spans import SpanCounts, Spelling
from cavs.training.tasks._abilities import Predicts
from cavs.training.tasks._options import (
    BATCH_SIZE_OPTION,
    FALLING_ADAM,
    WITH_EMBEDDING,
    data_option,
    dropout_options,
    size_option,
)
from cavs.training.tasks._source import MOST, Ranges, Source
from cavs.training.tasks._task import NO_EMBEDDING_DROPOUT, BuiltInModel, SameInputs

if TYPE_CHECKING:
    from cavs.training.tasks.restore import Trained

#: The share of train.txt that is the test set where there is no test.txt, and the seed that draws
#: it: one for every run, so that all are judged by the same.
HELD_OUT, SPLIT_SEED = 0.1, 0


@dataclass(frozen=True)
class LatticeSource(Source):
    """The source of lattices.

    Attributes:
        path: directory with train.txt and dev.txt, and perhaps test.txt. Without it the test set
            is a tenth of train.txt, drawn by a fixed seed, and is not trained on; dev.txt is whole.
        outside_tag: the tag of characters in no span, -1 for none; None: the most frequent one.
    """

    path: str
    outside_tag: int | None = None

    ranges: ClassVar[Ranges] = {"outside_tag": (-1, MOST)}

    def load(self) -> LatticeCorpus:
        corpus = load_lattices(self.path)
        for name, least in (("train", 1 if corpus.test else 2), ("dev", 1)):
            count = len(getattr(corpus, name))
            if count < least:
                raise DataError(
                    f"[data] {self.path}: expected at least {least} lattices in {name}.txt, got "
                    f"{count}; add some"
                )
        if corpus.test:
            return corpus
        order = np.random.default_rng(SPLIT_SEED).permutation(len(corpus.train)).tolist()
        count = max(1, round(HELD_OUT * len(order)))
        held, kept = sorted(order[:count]), sorted(order[count:])
        return replace(
            corpus,
            train=[corpus.train[number] for number in kept],
            test=[corpus.train[number] for number in held],
        )


class Tagging(Objective):
    """The loss is the sum of -log p of the tags. Epochs are judged by the F1 of the spans that the
    likeliest tags spell (`cavs.training.spans`)."""

    best, greater = "f1", True
    pushed: str | None = "loss"

    def __init__(self, spelling: Spelling) -> None:
        self._spelling = spelling

    def loss(self, model: Any, batch: cavs.GraphBatch, inputs: Inputs) -> Loss:
        out = model(batch, **inputs)
        return out["loss"].sum(), total(out["loss"])

    def evaluate(self, model: Any, batches: Batches, should_stop: ShouldStop) -> Judged:
        counts, loss = SpanCounts(), 0.0
        graphs = right = tags = 0
        with judging(model):
            for number, (batch, inputs) in enumerate(batches):
                if should_stop():
                    return None
                with placed(f"[evaluate] in batch {number}"):
                    out = model(batch, **inputs)
                    loss += finite_total(out["loss"], "loss")
                known = inputs["label"] >= 0
                gold, found = inputs["label"][known], predictions(out["logits"])[known]
                graph = np.searchsorted(batch.ptr, batch.vertices("char")[known], "right")
                counts.add(self._spelling, found, gold, np.diff(graph, prepend=-1) != 0)
                graphs += batch.num_graphs
                right += int((found == gold).sum())
                tags += len(gold)
        return {
            "f1": counts.f1,
            "precision": counts.precision,
            "recall": counts.recall,
            "accuracy": right / max(tags, 1),
            "loss": loss / max(graphs, 1),
        }

    def describe(self, scores: Mapping[str, float]) -> str:
        return (
            f"F1 {100 * scores['f1']:5.2f} %  precision {100 * scores['precision']:5.2f} %  "
            f"recall {100 * scores['recall']:5.2f} %  tags {100 * scores['accuracy']:5.2f} %"
        )


class LatticeTask(SameInputs, Predicts):
    """Tags the characters of lattices."""

    task_name, unit, source_type = "lattices", "lattices", LatticeSource
    models = (
        BuiltInModel(
            "lattice-lstm",
            "tag the characters of word lattices",
            LatticeLSTM,
            Contract(
                {
                    "": FunctionContract(
                        {
                            "character": Pull(types=("char",)),
                            "label": Pull(types=("char",)),
                            "word": Pull(types=("word",)),
                        },
                        {"logits": ("num_classes",), "loss": ()},
                        types=("char", "word"),
                        pushed_by=("char",),
                    )
                }
            ),
        ),
    )
    own_options = (
        data_option(
            "word lattices: train.txt, dev.txt, and test.txt or a tenth of train.txt in its place"
        ),
        Option(
            "outside_tag",
            Integer(-1, MOST),
            meaning="the tag of characters in no span, -1: none",
            group="data",
            said="the most frequent one",
        ),
        size_option("embedding_size", 50),
        size_option("hidden_size", 200),
        *dropout_options("of what the classifier sees", 0.3, None),
    )
    training_options = with_defaults(
        WITH_EMBEDDING,
        {**FALLING_ADAM, "epochs": 30, "batch_size": 16, "lr": 0.003, "clip_norm": 5.0},
    )
    items = "lattices, their number on the first line"
    evaluation_options = (BATCH_SIZE_OPTION,)
    evaluation_batch_size = 64
    sizes_read = ("num_characters", "num_words", "num_classes")

    @classmethod
    def create(cls, name: str, source: LatticeSource, **sizes: Any) -> LatticeTask:
        """A new task; `sizes` are ``embedding_size``, ``hidden_size``, ``dropout``,
        ``embedding_dropout`` and ``embedding_dropout_by``.

        Raises:
            DataError: names the missing or malformed file.
        """
        corpus = source.load()
        arguments = {
            "num_characters": max(corpus.num_characters, 1),
            "num_words": max(corpus.num_words, 1),
            "num_classes": corpus.num_tags,
            **NO_EMBEDDING_DROPOUT,
            **sizes,
        }
        return cls(name, arguments, None, source, corpus)

    def make_objective(self) -> Tagging:
        tags = (lattice.tags[1:] for lattice in self.split("train"))
        count = int(self.arguments["num_classes"])
        return Tagging(Spelling.of(tags, count, self.source.outside_tag))

    def initialize(self, function: Any) -> None:
        """Characters and words that are not in the training set begin as zeros, as unknown ones:
        their random values would be judged as if they had been learnt."""
        train = self.split("train")
        for kind, words in (("char", False), ("word", True)):
            ids = [lattice.ids[lattice.is_word == words] for lattice in train]
            size = self.arguments[f"num_{'words' if words else 'characters'}"]
            table = getattr(function.functions()[kind], "embedding", None)
            if not isinstance(table, cavs.nn.Embedding) or table.weight.shape[0] != size:
                continue  # a user's model may have none
            unseen = np.ones(size, np.bool_)
            unseen[np.concatenate(ids)] = False
            with table.weight.writing() as values:
                values[unseen] = 0

    def check(self, function: Any) -> None:
        del function
        for split in self.sizes:
            _check_numbers(self.split(split), self.arguments, f"the {split} set")

    def dataset(self, split: str) -> Dataset:
        return lattice_dataset(self.split(split))

    @classmethod
    def read_items(cls, lines: Iterable[str], source: str) -> Iterator[Lattice]:
        """The lattices of a file such as train.txt; their tags are not looked at."""
        return parse_lattices(lines, source)

    @classmethod
    def predictor(
        cls, trained: Trained, source: str, *, json: bool = False, **options: Any
    ) -> Callable[[list[Lattice]], list[str]]:
        """The tags of each lattice's characters; as JSON ``tags``, and ``probabilities`` of all
        tags for each character."""
        del options
        model, sizes = trained.model(["logits"]).eval(), trained.checkpoint.config
        done = 0

        def predict(lattices: list[Lattice]) -> list[str]:
            nonlocal done
            if not lattices:
                return []
            _check_numbers(lattices, sizes, source, first=done + 1, tags=False)
            done += len(lattices)
            batch, inputs = lattice_dataset(lattices).batch(np.arange(len(lattices)))
            del inputs["label"]
            with cavs.no_grad():
                logits = model(batch, **inputs)["logits"]
            shares = cavs.unbatch(batch, cavs.ops.softmax(logits).numpy(), of="char")
            return [_as_line(rows[1:], json) for rows in shares]  # without vertex 0

        return predict


def _as_line(shares: Any, json: bool) -> str:
    """What is predicted for the characters of a lattice."""
    tags = predictions(shares).tolist()
    if json:
        return dumps({"tags": tags, "probabilities": shares.tolist()})
    return " ".join(map(str, tags))


def _check_numbers(
    lattices: Sequence[Lattice],
    sizes: Mapping[str, Any],
    what: str,
    first: int = 1,
    tags: bool = True,
) -> None:
    """Raises `DataError` for a lattice with a number that a model of these sizes does not know."""
    for number, lattice in enumerate(lattices, first):
        for kind, size, ids in (
            ("tags", "num_classes", lattice.tags[1:] if tags else lattice.tags[:0]),
            ("characters", "num_characters", lattice.ids[~lattice.is_word]),
            ("words", "num_words", lattice.ids[lattice.is_word]),
        ):
            if ids.size and ids.max() >= sizes[size]:
                raise DataError(
                    f"[data] {what}, lattice {number}: expected {kind} below {sizes[size]}, as the "
                    f"model has, got {ids.max()}; number them as in the data that it was trained on"
                )
